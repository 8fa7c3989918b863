"""The doctor's questions to Azure, asked of stand-ins that refuse what the services refuse."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from local.doctor import examine
from local.doctor.azure import (
    examine_containers,
    examine_endpoints,
    examine_identity,
    examine_queues,
    grants,
    resources,
)
from local.doctor.finding import Finding, Result
from shared.adapters.azure.cosmos_indexing import containers
from shared.adapters.azure.identity import credential
from shared.adapters.azure.servicebus_entities import QUEUE_ENTITIES
from shared.adapters.embedded.system import SystemClock
from shared.names import CHECKS, DATABASE, GITOPS, INDEXES, RUNS
from shared.settings import Settings
from tests.contracts.servicebus_site import catalogue
from tests.standins.azurite import CannotRun
from tests.standins.certificates import make_certificate
from tests.standins.cloud import cloud
from tests.standins.cosmos.server import CosmosStandIn
from tests.standins.hosting import hosted
from tests.standins.identity import IdentityStandIn, Issuer
from tests.standins.servicebus.server import ServiceBusServer

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = {
    "platform": "azure",
    "cosmos_endpoint": "https://cosmos-slipway-dev.documents.azure.com:443/",
    "servicebus_namespace": "sb-slipway-dev.servicebus.windows.net",
    "keyvault_url": "https://kv-slipway-dev.vault.azure.net/",
    "blob_endpoint": "https://stslipwaydev.blob.core.windows.net/",
    "client_id": "11111111-2222-3333-4444-555555555555",
    "issuer": "https://login.example/v2.0",
    "public_url": "https://slipway.example",
}


def settings(**changes: str) -> Settings:
    return Settings.load({}, **{**NAMES, **changes})


@dataclass(frozen=True)
class Site:
    """Stand-ins of a namespace with two faults and an account with one, and who asks them."""

    identity: IdentityStandIn
    cosmos: CosmosStandIn
    bus: ServiceBusServer
    settings: Settings
    credential: "AsyncTokenCredential"


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    tmp_path_factory: pytest.TempPathFactory, environment: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    folder: Path = tmp_path_factory.mktemp("doctor")
    issuer, certificate = Issuer(), make_certificate(folder)
    certificate.trust_here()
    # `checks` was made without sessions, `gitops` not at all.
    queues = [
        replace(queue, requires_session=queue.requires_session and queue.name != CHECKS)
        for queue in QUEUE_ENTITIES
        if queue.name != GITOPS
    ]
    documents, leases = containers(INDEXES)
    wrong = {**documents, "defaultTtl": None}
    wrong["indexingPolicy"] = {**documents["indexingPolicy"], "compositeIndexes": []}
    async with AsyncExitStack() as stack:
        begin = stack.enter_async_context
        identity = await begin(IdentityStandIn(issuer))
        for name, value in {**identity.environment, **certificate.environment}.items():
            environment.setenv(name, value)
        cosmos = await begin(
            CosmosStandIn({DATABASE: [wrong, leases]}, issuer=issuer, certificate=certificate)
        )
        bus = await begin(ServiceBusServer(catalogue(queues), issuer))
        chosen = settings(cosmos_endpoint=cosmos.url, servicebus_namespace=bus.endpoint)
        yield Site(identity, cosmos, bus, chosen, await begin(credential()))


def by_subject(findings: list[Finding]) -> dict[tuple[str, str], Finding]:
    return {(each.subject, each.tried): each for each in findings}


async def test_a_token_is_asked_for_each_service(site: Site) -> None:
    findings = [each async for each in examine_identity(site.settings, site.credential)]
    assert [each.result for each in findings] == [Result.OK] * 4
    assert {each.tried for each in findings} == {
        f"get a token for {scope}" for scope in resources(site.settings).values()
    }


async def test_without_an_identity_it_says_what_to_set(site: Site, environment: pytest.MonkeyPatch) -> None:
    with environment.context() as alone:
        alone.setenv("IDENTITY_HEADER", "of another host")
        alone.setenv("PATH", "")
        async with credential() as nobody:
            findings = [each async for each in examine_identity(settings(), nobody)]
    assert {each.result for each in findings} == {Result.FAIL}
    assert "SLIPWAY_CLIENT_ID" in findings[0].advice
    assert "az login" in findings[0].advice


async def test_containers_are_compared_with_what_the_store_relies_on(site: Site) -> None:
    documents, leases = [each async for each in examine_containers(site.settings, site.credential)]
    assert documents.result is Result.FAIL
    assert "default expiry is None, not -1" in documents.told
    assert "composite indexes are missing" in documents.told
    assert "pulumi up" in documents.advice
    assert (leases.subject, leases.result) == ("container leases", Result.OK)


async def test_queues_are_opened_both_ways_and_lose_no_message(site: Site) -> None:
    found = by_subject([each async for each in examine_queues(site.settings, site.credential)])
    assert found["queue runs", "open a sender"].result is Result.OK
    assert found["queue runs", "open a receiver with sessions"].result is Result.OK
    assert found["queue runs-parked", "open a receiver without sessions"].result is Result.OK
    wrong = {subject for (subject, _), each in found.items() if each.result is Result.FAIL}
    assert wrong == {"queue checks", "queue gitops"}
    assert found["queue checks", "open a sender"].result is Result.OK
    assert "pulumi up" in found["queue gitops", "open a sender"].advice


async def test_an_identity_without_roles_is_told_the_command_that_grants_them(site: Site) -> None:
    site.identity.roles = False
    try:
        async with credential() as bare:
            told = [each async for each in examine_containers(site.settings, bare)]
            told += [each async for each in examine_queues(site.settings, bare)]
    finally:
        site.identity.roles = True
    assert {each.result for each in told} == {Result.FAIL}
    by = by_subject(told)
    assert grants(site.settings)["store"] in told[0].advice
    assert grants(site.settings)["bus"] in by[f"queue {RUNS}", "open a sender"].advice


async def test_endpoints_are_asked_and_what_is_away_is_named(site: Site) -> None:
    chosen = Settings.load(
        {},
        **{
            **NAMES,
            "cosmos_endpoint": site.cosmos.url,
            "servicebus_namespace": site.bus.endpoint,
            "keyvault_url": "https://127.0.0.1:1/",
            "blob_endpoint": "https://127.0.0.1:1/",
            "jwks_url": f"{site.cosmos.url}/nothing",
        },
    )
    found = [each async for each in examine_endpoints(chosen, SystemClock())]
    results = {each.subject: each for each in found if each.subject != "clock"}
    assert results["endpoint store"].result is Result.OK
    assert results["endpoint bus"].result is Result.OK
    assert results["endpoint vault"].result is Result.FAIL
    assert "private endpoints" in results["endpoint vault"].advice
    assert "SLIPWAY_ISSUER" in results["issuer"].advice


async def test_a_whole_installation_is_well_but_for_the_issuer_that_is_away(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    more = {"SLIPWAY_ISSUER": "https://127.0.0.1:1/", "SLIPWAY_PUBLIC_URL": "https://slipway.example"}
    with ExitStack() as stack:
        try:
            made = stack.enter_context(hosted(lambda: cloud(tmp_path)))
        except CannotRun as missing:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(missing))
        alone = stack.enter_context(environment.context())
        for name, value in made.environment.items():
            alone.setenv(name, value)
        findings = await examine(Settings.load({**made.environment, **more}, data_dir=tmp_path / "data"))
    assert {each.subject for each in findings if each.result is Result.FAIL} == {"issuer"}, findings
    tried = {(each.subject, each.tried) for each in findings if each.result is Result.OK}
    assert ("store", "write, read and delete a document") in tried
    assert ("blobs", "put, read and delete a blob") in tried
    assert ("vault", "get an absent secret") in tried
    assert (f"queue {RUNS}", "look at its dead letters") in tried


async def test_a_grant_is_a_command_that_names_role_identity_and_resource() -> None:
    told = grants(settings())
    client = NAMES["client_id"]
    assert told["vault"] == (
        f'az role assignment create --assignee "{client}" --role "Key Vault Secrets Officer" --scope'
        ' "$(az resource list --name kv-slipway-dev --resource-type Microsoft.KeyVault/vaults'
        ' --query [0].id --output tsv)"'
    )
    assert told["bus"].count("az role assignment create") == 2
    assert "--account-name cosmos-slipway-dev " in told["store"]
    assert "--name stslipwaydev " in told["blobs"]
