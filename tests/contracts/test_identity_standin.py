"""The managed-identity stand-in as azure-identity sees it, and what its tokens are good for."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential as SyncCredential
from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

from tests.standins.hosting import hosted
from tests.standins.identity import IdentityStandIn, Issuer, TokenRefused

VAULT = "https://vault.azure.net"


@pytest.fixture
async def identity(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IdentityStandIn]:
    async with IdentityStandIn() as opened:
        for name, value in opened.environment.items():
            monkeypatch.setenv(name, value)
        yield opened


async def test_a_token_is_for_the_resource_it_was_asked_for(identity: IdentityStandIn) -> None:
    async with ManagedIdentityCredential() as credential:
        token = (await credential.get_token(f"{VAULT}/.default")).token
    assert identity.issuer.verify(token, "https://other.azure.net", f"{VAULT}/").has_roles
    with pytest.raises(TokenRefused):
        identity.issuer.verify(token, "https://cosmos.azure.com")


async def test_the_default_credential_finds_the_endpoint(identity: IdentityStandIn) -> None:
    async with DefaultAzureCredential() as credential:
        await credential.get_token(f"{VAULT}/.default")
    assert identity.issued == 1


async def test_the_sync_credential_finds_it_too(identity: IdentityStandIn) -> None:
    with SyncCredential(client_id="a-client") as credential:
        token = await asyncio.to_thread(credential.get_token, f"{VAULT}/.default")
    assert identity.issuer.verify(token.token, VAULT).has_roles


async def test_an_identity_may_be_without_roles(identity: IdentityStandIn) -> None:
    identity.roles = False
    async with ManagedIdentityCredential() as credential:
        token = (await credential.get_token(f"{VAULT}/.default")).token
    assert not identity.issuer.verify(token, VAULT).has_roles


async def test_a_host_without_the_secret_header_gets_no_token(
    identity: IdentityStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")
    async with ManagedIdentityCredential() as credential:
        with pytest.raises(ClientAuthenticationError):
            await credential.get_token(f"{VAULT}/.default")
    assert identity.issued == 0


@pytest.mark.parametrize(
    "query", ["", "?resource=https://vault.azure.net", "?api-version=2019-08-01&resource=vault"]
)
async def test_a_request_that_is_not_whole_is_refused(identity: IdentityStandIn, query: str) -> None:
    headers = {"X-IDENTITY-HEADER": identity.header}
    async with aiohttp.ClientSession() as client, client.get(identity.url + query, headers=headers) as answer:
        assert answer.status == 400


async def test_what_it_hands_out_may_be_changed_over_http(identity: IdentityStandIn) -> None:
    url = f"http://127.0.0.1:{identity.port}/_standin/identity"
    async with aiohttp.ClientSession() as client:
        async with client.post(url, json={"roles": False, "lifetime": 30}) as answer:
            assert answer.status == 204
        async with client.get(f"http://127.0.0.1:{identity.port}/elsewhere") as answer:
            assert answer.status == 404
    assert (identity.roles, identity.lifetime) == (False, 30)


def test_a_token_of_another_secret_or_out_of_time_is_refused() -> None:
    issuer = Issuer()
    with pytest.raises(TokenRefused):
        issuer.verify(Issuer().issue(VAULT), VAULT)
    with pytest.raises(TokenRefused):
        issuer.verify(issuer.issue(VAULT, lifetime=-1), VAULT)
    with pytest.raises(TokenRefused):
        issuer.verify("nothing", VAULT)


async def test_a_token_that_was_good_once_still_runs_out() -> None:
    issuer = Issuer()
    token = issuer.issue(VAULT, lifetime=1)
    issuer.verify(token, VAULT)
    await asyncio.sleep(1.05)
    with pytest.raises(TokenRefused):
        issuer.verify(token, VAULT)


def test_a_server_in_a_thread_tells_how_it_failed() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise OSError("the port is taken")
        yield

    with pytest.raises(OSError, match="the port is taken"), hosted(broken):
        pass


async def test_stand_ins_of_one_run_share_the_secret_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.standins.identity", "--identity-secret-file", secret,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert b"IDENTITY_ENDPOINT" in await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    token = Issuer.from_file(secret).issue(VAULT)
    assert Issuer.from_file(secret).verify(token, VAULT).has_roles
