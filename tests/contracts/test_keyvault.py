"""Key Vault behind the Vault port: names in a flat vault, soft delete, rotation seen in time, and a service
that is busy, slow, or gone with the answer.
"""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator

import pytest
from azure.keyvault.secrets.aio import SecretClient
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.azure import keyvault
from shared.adapters.azure.identity import credential
from shared.adapters.azure.keyvault import KEPT_SECONDS, KeyVault
from shared.adapters.azure.secret_places import GONE, NAME, TENANT, SecretPlace
from shared.domain.kernel.errors import Forbidden, NotFound, Permanent, Transient
from shared.ports.vault import SecretOwner
from tests.contracts.azure_site import AzureSite, RealClock
from tests.standins.keyvault.secrets import NAME as ALLOWED
from tests.standins.keyvault.server import Fault, KeyVaultStandIn

PLAIN = "correct-horse-battery-staple"


@pytest.fixture
def clock() -> RealClock:
    return RealClock()


@pytest.fixture
def service(azure: AzureSite) -> KeyVaultStandIn:
    """Emptied: these tests look into it."""
    azure.key_vault.empty()
    azure.identity.roles = True
    return azure.key_vault


@pytest.fixture
async def vault(azure: AzureSite, service: KeyVaultStandIn, clock: RealClock) -> AsyncIterator[KeyVault]:
    async with azure.credential() as identity:
        made = KeyVault(service.url, identity, clock)
        yield made
        await made.aclose()


@pytest.fixture
async def elsewhere(azure: AzureSite, service: KeyVaultStandIn, clock: RealClock) -> AsyncIterator[KeyVault]:
    """Another process of the installation."""
    async with azure.credential() as identity:
        made = KeyVault(service.url, identity, clock)
        yield made
        await made.aclose()


@pytest.fixture
async def operator(azure: AzureSite, service: KeyVaultStandIn) -> AsyncIterator[SecretClient]:
    """The portal, or `az keyvault secret`."""
    async with azure.credential() as identity, SecretClient(service.url, identity) as client:
        yield client


NAMES = st.from_regex(ALLOWED, fullmatch=True)


@given(st.text(max_size=40), NAMES, st.text(max_size=40), NAMES)
def test_no_two_secrets_share_a_place(tenant: str, name: str, other: str, others: str) -> None:
    one, two = SecretPlace.of(tenant, name), SecretPlace.of(other, others)
    assert ALLOWED.fullmatch(one.key)
    assert (one.key == two.key) is ((tenant, name.lower()) == (other, others.lower()))
    assert one.key == one.key.lower()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b-c"), ("a-b", "c")),
        (("a-", "b"), ("a", "-b")),
        (("acme", "key"), ("ACME", "key")),
        (("acme", "key"), ("acme ", "key")),
        (("", "key"), ("key", "")),
        (("x" * 40, "key"), ("x" * 41, "key")),
        (("t", "n" * 126 + "1"), ("t", "n" * 126 + "2")),
    ],
)
def test_places_that_look_alike_differ(one: tuple[str, str], other: tuple[str, str]) -> None:
    places = {SecretPlace.of(tenant, name or "x").key for tenant, name in (one, other)}
    assert len(places) == 2


async def test_an_operator_can_read_whose_secret_it_is(vault: KeyVault, operator: SecretClient) -> None:
    await vault.set("acme", "Db-Password", PLAIN)
    [found] = [one async for one in operator.list_properties_of_secrets()]
    assert found.name is not None
    assert found.name.startswith("acme-db-password-")
    assert found.tags is not None
    assert (found.tags[TENANT], found.tags[NAME]) == ("acme", "Db-Password")
    assert PLAIN not in str(found.tags)


@pytest.mark.parametrize("tenant", ["t" * 300, "a\nb", "\ud800", "ténant"])
async def test_a_tenant_of_any_name_has_a_space(vault: KeyVault, tenant: str) -> None:
    await vault.set(tenant, "key", PLAIN)
    assert (await vault.get(tenant, "key")).value == PLAIN


async def test_more_versions_than_a_page_are_all_listed(vault: KeyVault) -> None:
    made = [await vault.set("acme", "key", str(number)) for number in range(30)]
    assert await vault.versions("acme", "key") == made[::-1]


async def test_what_an_operator_sets_is_the_current_version(vault: KeyVault, operator: SecretClient) -> None:
    await vault.set("acme", "key", "ours")
    await asyncio.sleep(1.1)  # the vault's times are whole seconds
    await operator.set_secret(SecretPlace.of("acme", "key").key, "theirs")
    found = await vault.versions("acme", "key")
    assert (await vault.get("acme", "key", found[0].version)).value == "theirs"
    assert [version.name for version in found] == ["key", "key"]


async def test_a_secret_is_read_once_in_a_while(vault: KeyVault, service: KeyVaultStandIn) -> None:
    await vault.set("acme", "key", PLAIN)
    service.calls.clear()
    for _ in range(50):
        assert (await vault.get("acme", "key")).value == PLAIN
    assert len(service.calls) == 1


async def test_a_rotation_elsewhere_is_seen_within_half_a_minute(
    vault: KeyVault, elsewhere: KeyVault, clock: RealClock
) -> None:
    await vault.set("acme", "key", "old")
    await vault.get("acme", "key")
    new = await elsewhere.set("acme", "key", "new")
    assert (await vault.get("acme", "key", new.version)).value == "new"
    clock.advance(seconds=KEPT_SECONDS)
    assert (await vault.get("acme", "key")).value == "new"


async def test_what_a_process_writes_it_reads_at_once(vault: KeyVault) -> None:
    for number in range(3):
        version = await vault.set("acme", "key", str(number))
        assert (await vault.get("acme", "key")).value == str(number)
    await vault.disable("acme", "key", version.version)
    with pytest.raises(Forbidden):
        await vault.get("acme", "key")
    await vault.delete("acme", "key")
    with pytest.raises(NotFound):
        await vault.get("acme", "key")


async def test_a_read_that_a_write_overtakes_is_not_kept(vault: KeyVault, service: KeyVaultStandIn) -> None:
    await vault.set("acme", "key", "old")
    service.faults.append(Fault("late", 0.3))
    reading = asyncio.create_task(vault.get("acme", "key"))
    while service.faults:  # until the reading has met it
        await asyncio.sleep(0.01)
    await vault.set("acme", "key", "new")
    assert (await reading).value == "old"
    assert (await vault.get("acme", "key")).value == "new"


async def test_secrets_that_are_kept_are_few(vault: KeyVault) -> None:
    for number in range(5):
        await vault.set("acme", f"key-{number}", PLAIN)
        await vault.get("acme", f"key-{number}")
    assert len(vault._kept) == 5 <= keyvault.KEPT_SECRETS


@pytest.mark.parametrize("settling", [0, 2])
async def test_a_deleted_name_is_set_anew_without_its_past(
    vault: KeyVault, service: KeyVaultStandIn, settling: int
) -> None:
    old = await vault.set("acme", "key", "old")
    await vault.delete("acme", "key")
    service.secrets.settle(settling)
    new = await vault.set("acme", "key", "new")
    assert (await vault.get("acme", "key")).value == "new"
    assert await vault.versions("acme", "key") == [new]
    for call in (vault.get("acme", "key", old.version), vault.disable("acme", "key", old.version)):
        with pytest.raises(NotFound):
            await call
    await vault.delete("acme", "key")
    newest = await vault.set("acme", "key", "newest")
    assert await vault.versions("acme", "key") == [newest]


async def test_two_processes_may_set_a_deleted_name_at_once(vault: KeyVault, elsewhere: KeyVault) -> None:
    await vault.set("acme", "key", "old")
    await vault.delete("acme", "key")
    made = await asyncio.gather(vault.set("acme", "key", "one"), elsewhere.set("acme", "key", "two"))
    found = await vault.versions("acme", "key")
    assert {version.version for version in found} == {version.version for version in made}


async def test_a_recovered_secret_stays_deleted(vault: KeyVault, operator: SecretClient) -> None:
    await vault.set("acme", "key", "1")
    await vault.set("acme", "key", "2")
    await vault.delete("acme", "key")
    key = SecretPlace.of("acme", "key").key
    await operator.recover_deleted_secret(key)
    with pytest.raises(NotFound):
        await vault.get("acme", "key")
    assert await vault.versions("acme", "key") == []
    assert {one.enabled async for one in operator.list_properties_of_secret_versions(key)} == {False}
    await vault.delete("acme", "key")


async def test_what_an_operator_deleted_does_not_come_back(vault: KeyVault, operator: SecretClient) -> None:
    key = SecretPlace.of("acme", "key").key
    old = [await vault.set("acme", "key", "1"), await vault.set("acme", "key", "2")]
    await operator.delete_secret(key)
    new = await vault.set("acme", "key", "new")
    assert await vault.versions("acme", "key") == [new]
    for version in old:
        with pytest.raises(NotFound):
            await vault.get("acme", "key", version.version)


async def test_a_delete_that_died_half_way_has_deleted(vault: KeyVault, operator: SecretClient) -> None:
    key = SecretPlace.of("acme", "key").key
    await vault.set("acme", "key", "1")
    newest = await vault.set("acme", "key", "2")
    tags = (await operator.get_secret(key)).properties.tags or {}
    await operator.update_secret_properties(key, newest.version, enabled=False, tags=tags | {GONE: "true"})
    with pytest.raises(NotFound):
        await vault.get("acme", "key")
    assert await vault.versions("acme", "key") == []
    new = await vault.set("acme", "key", "3")
    assert await vault.versions("acme", "key") == [new]
    await vault.delete("acme", "key")
    assert await vault.versions("acme", "key") == []


async def test_a_busy_vault_is_asked_again_when_it_says(vault: KeyVault, service: KeyVaultStandIn) -> None:
    service.faults.append(Fault("busy", 1))
    started = asyncio.get_running_loop().time()
    await vault.set("acme", "key", PLAIN)
    assert asyncio.get_running_loop().time() - started >= 1
    assert (await vault.get("acme", "key")).value == PLAIN


async def test_a_lost_answer_is_made_good(vault: KeyVault, service: KeyVaultStandIn) -> None:
    service.faults.append(Fault("lost"))
    await vault.set("acme", "key", PLAIN)
    assert (await vault.get("acme", "key")).value == PLAIN
    service.faults.append(Fault("lost"))
    await vault.delete("acme", "key")
    assert await vault.versions("acme", "key") == []


async def test_a_vault_nobody_can_reach_is_transient(azure: AzureSite, clock: RealClock) -> None:
    async with azure.credential() as identity:
        gone = KeyVault("https://127.0.0.1:1", identity, clock)
        with pytest.raises(Transient, match="cannot be reached"):
            await gone.get("acme", "key")
        await gone.aclose()


async def test_an_identity_without_a_role_is_told_which(
    azure: AzureSite, service: KeyVaultStandIn, clock: RealClock
) -> None:
    azure.identity.roles = False
    try:
        async with azure.credential() as identity:
            vault = KeyVault(service.url, identity, clock)
            for call in (vault.get("acme", "key"), vault.set("acme", "key", PLAIN), vault.versions("a", "b")):
                with pytest.raises(Permanent, match="Key Vault Secrets Officer"):
                    await call
            await vault.aclose()
    finally:
        azure.identity.roles = True


async def test_an_identity_nobody_vouches_for_is_told_where_to_get_one(
    azure: AzureSite, service: KeyVaultStandIn, clock: RealClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", azure.identity.url)
    monkeypatch.setenv("IDENTITY_HEADER", "of another host")
    async with credential("00000000-0000-0000-0000-000000000000") as nobody:
        vault = KeyVault(service.url, nobody, clock)
        with pytest.raises(Permanent, match="az login"):
            await vault.get("acme", "key")
        await vault.aclose()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://", "vault", "https://v.vault.azure.net/?a=b"])
async def test_a_url_that_is_no_vaults_is_refused(azure: AzureSite, clock: RealClock, url: str) -> None:
    async with azure.credential() as identity:
        with pytest.raises(Permanent, match="https://"):
            KeyVault(url, identity, clock)


@pytest.mark.parametrize("version", ["", "../versions", "a/b", "x?y=z"])
async def test_a_version_that_is_no_versions_id_is_unknown(vault: KeyVault, version: str) -> None:
    await vault.set("acme", "key", PLAIN)
    for call in (vault.get("acme", "key", version), vault.disable("acme", "key", version)):
        with pytest.raises(NotFound):
            await call


async def test_a_vault_that_stays_busy_is_transient_and_no_value_reaches_a_log(
    vault: KeyVault, service: KeyVaultStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await vault.set("acme", "key", PLAIN)
    await vault.get("acme", "key")
    service.faults.extend([Fault("busy", 0)] * 20)
    with pytest.raises(Transient, match="try again") as refused:
        await vault.set("acme", "key", PLAIN)
    error: BaseException = refused.value
    said = "".join(traceback.format_exception(error)) + repr(error.__cause__) + caplog.text
    assert PLAIN not in said
    assert error.__suppress_context__


async def test_whose_a_secret_is_can_be_told_from_its_name_in_the_vault(
    vault: KeyVault, operator: SecretClient
) -> None:
    place = SecretPlace.of("acme", "github-token")
    await vault.set("acme", "github-token", PLAIN)
    assert await vault.owner(place.key) == SecretOwner("acme", "github-token")
    assert await vault.owner("unknown") is None
    # Tags of a secret that is not where that tenant's would be: somebody has made them up.
    await operator.set_secret("operators-own", PLAIN, tags={TENANT: "acme", NAME: "github-token"})
    assert await vault.owner("operators-own") is None
    await vault.delete("acme", "github-token")
    assert await vault.owner(place.key) is None
