"""The stand-in for Key Vault refuses what the service refuses, so that what passes here passes there."""

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.keyvault.secrets.aio import SecretClient

from tests.contracts.azure_site import AzureSite
from tests.standins.identity import Issuer
from tests.standins.keyvault.server import Fault, KeyVaultStandIn

VERSION = {"api-version": "7.6"}


@pytest.fixture
def service(azure: AzureSite) -> KeyVaultStandIn:
    azure.key_vault.empty()
    return azure.key_vault


@pytest.fixture
async def client(azure: AzureSite, service: KeyVaultStandIn) -> AsyncIterator[SecretClient]:
    async with azure.credential() as identity, SecretClient(service.url, identity) as made:
        yield made


@pytest.fixture
async def session(azure: AzureSite, service: KeyVaultStandIn) -> AsyncIterator[aiohttp.ClientSession]:
    token = azure.identity.issuer.issue(service.resource)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(service.url, headers=headers) as made:
        yield made


@pytest.mark.parametrize(
    "token",
    [
        "",
        "Basic x",
        "Bearer x",
        f"Bearer {Issuer().issue('https://0.0.1')}",
    ],
)
async def test_whoever_is_not_known_is_told_where_to_ask(service: KeyVaultStandIn, token: str) -> None:
    async with (
        aiohttp.ClientSession(service.url, headers={"Authorization": token}) as nobody,
        nobody.get("/secrets/key", params=VERSION) as answer,
    ):
        assert answer.status == 401
        assert f'resource="{service.resource}"' in answer.headers["WWW-Authenticate"]
        assert (await answer.json())["error"]["code"] == "Unauthorized"


async def test_a_token_for_another_resource_or_time_is_refused(
    azure: AzureSite, service: KeyVaultStandIn
) -> None:
    issuer = azure.identity.issuer
    for token in (
        issuer.issue("https://storage.azure.com"),
        issuer.issue(service.resource, lifetime=-10),
    ):
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(service.url, headers=headers) as stale,
            stale.get("/secrets/key", params=VERSION) as answer,
        ):
            assert answer.status == 401


@pytest.mark.parametrize(
    ("path", "body", "params"),
    [
        ("/secrets/key", {"value": "x"}, {}),
        ("/secrets/under_score", {"value": "x"}, VERSION),
        (f"/secrets/{'x' * 128}", {"value": "x"}, VERSION),
        ("/secrets/key", {}, VERSION),
        ("/secrets/key", [], VERSION),
        ("/secrets/key", {"value": 7}, VERSION),
        ("/secrets/key", {"value": "x" * 25_601}, VERSION),
        ("/secrets/key", {"value": "x", "tags": {f"t{number}": "" for number in range(16)}}, VERSION),
        ("/secrets/key", {"value": "x", "tags": {"t": "x" * 257}}, VERSION),
    ],
)
async def test_a_bad_request_is_refused(
    session: aiohttp.ClientSession, path: str, body: Any, params: dict[str, str]
) -> None:
    async with session.put(path, json=body, params=params) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "BadParameter"


async def test_lists_come_in_pages_without_values(
    client: SecretClient, session: aiohttp.ClientSession
) -> None:
    for number in range(30):
        await client.set_secret(f"key-{number:02d}", "value")
    async with session.get("/secrets", params=VERSION) as answer:
        page = await answer.json()
    assert len(page["value"]) == 25
    assert "value" not in page["value"][0]
    assert "$skiptoken=25" in page["nextLink"]
    names = [one.name async for one in client.list_properties_of_secrets()]
    assert names == [f"key-{number:02d}" for number in range(30)]
    async with session.get("/secrets", params=VERSION | {"maxresults": "26"}) as answer:
        assert answer.status == 400


async def test_a_deleted_secret_is_recovered_or_purged(
    client: SecretClient, service: KeyVaultStandIn
) -> None:
    await client.set_secret("key", "value")
    await client.delete_secret("key")
    with pytest.raises(ResourceNotFoundError):
        await client.get_secret("key")
    with pytest.raises(ResourceExistsError, match="deleted but recoverable"):
        await client.set_secret("KEY", "value")
    assert [one.name async for one in client.list_deleted_secrets()] == ["key"]
    await client.recover_deleted_secret("key")
    assert (await client.get_secret("key")).value == "value"
    await client.delete_secret("key")
    await client.purge_deleted_secret("key")
    with pytest.raises(ResourceNotFoundError):
        await client.get_deleted_secret("key")
    await client.set_secret("key", "value")


async def test_a_deletion_takes_its_time(client: SecretClient, service: KeyVaultStandIn) -> None:
    await client.set_secret("key", "value")
    await client.delete_secret("key")
    for call in (
        lambda: client.set_secret("key", "value"),
        lambda: client.purge_deleted_secret("key"),
        lambda: client.get_deleted_secret("key"),
    ):
        service.secrets.settle(1)
        with pytest.raises((ResourceExistsError, ResourceNotFoundError)) as refused:
            await call()
        assert refused.value.status_code in {404, 409}


async def test_a_disabled_version_is_kept_and_not_shown(client: SecretClient) -> None:
    made = await client.set_secret("key", "value", enabled=False, content_type="text/plain")
    with pytest.raises(HttpResponseError, match="disabled") as refused:
        await client.get_secret("key")
    assert refused.value.status_code == 403
    await client.delete_secret("key")
    with pytest.raises(HttpResponseError, match="disabled"):
        await client.get_deleted_secret("key")
    await client.recover_deleted_secret("key")
    updated = await client.update_secret_properties("key", made.properties.version, enabled=True)
    assert updated.content_type == "text/plain"
    assert (await client.get_secret("key")).value == "value"


async def test_faults_are_ordered_by_a_call_too(
    session: aiohttp.ClientSession, service: KeyVaultStandIn
) -> None:
    async with session.post("/_standin/faults", json=[{"kind": "busy", "seconds": 2}]) as answer:
        assert await answer.json() == {"waiting": 1}
    assert list(service.faults) == [Fault("busy", 2)]
    async with session.get("/secrets", params=VERSION) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
    async with session.get("/secrets", params=VERSION) as answer:
        assert answer.status == 200


async def test_it_runs_by_itself(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.standins.keyvault", "--identity-secret-file", secret,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    said = json.loads(await process.stdout.readline())
    try:
        trusting = ssl.create_default_context(cafile=said["SSL_CERT_FILE"])
        async with (
            aiohttp.ClientSession(said["url"]) as session,
            session.get("/secrets/key", ssl=trusting) as answer,
        ):
            assert answer.status == 401
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0
    assert not Path(said["SSL_CERT_FILE"]).exists()
