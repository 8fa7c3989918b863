"""News of secrets that end, as Event Grid sends it: told once, to the tenant, and never with a value."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from functions.workers.secret_news import read_news, receive
from shared.domain.kernel.errors import Permanent
from shared.ports.vault import SecretOwner
from tests.support.api import Api, an_api
from tests.support.event_schemas import require_declared

KEY = "acme-github-token-2urnbml3guj3h2u3kpa5k2l57i4owsc7"
EXPIRES = 1_781_000_000


def an_event(**changes: Any) -> dict[str, Any]:
    """As the vault's topic delivers it, in the schema of CloudEvents 1.0."""
    vault = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv"
    data = {
        "Id": f"https://kv.vault.azure.net/secrets/{KEY}/0123",
        "VaultName": "kv",
        "ObjectType": "Secret",
        "ObjectName": KEY,
        "Version": "0123",
        "NBF": None,
        "EXP": EXPIRES,
    }
    return {
        "id": "00eccf70-95a7-4e7c-8299-2eb17ee9ad64",
        "source": vault,
        "specversion": "1.0",
        "type": "Microsoft.KeyVault.SecretNearExpiry",
        "subject": KEY,
        "time": "2026-06-01T00:00:00Z",
        "data": data | changes.pop("data", {}),
        **changes,
    }


@dataclass
class Owners:
    """Whose secrets are whose."""

    known: dict[str, SecretOwner] = field(default_factory=lambda: {KEY: SecretOwner("acme", "github-token")})

    async def find(self, key: str) -> SecretOwner | None:
        return self.known.get(key)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = an_api(tmp_path / "data")
    expiry = replace(made.app.secret_expiry, owner_of=Owners().find)
    yield Api(replace(made.app, secret_expiry=expiry))
    await made.app.aclose()


async def told(api: Api) -> list[dict[str, Any]]:
    documents = (await api.app.feed.read("", 500)).documents
    require_declared(each.body for each in documents if each.kind == "outbox")
    return [each.body for each in documents if each.kind == "outbox"]


@pytest.mark.parametrize(
    ("news", "ending"), [("SecretNearExpiry", "SecretExpiryNeared"), ("SecretExpired", "SecretExpired")]
)
async def test_a_tenant_is_told_once_that_its_secret_ends(api: Api, news: str, ending: str) -> None:
    body = json.dumps(an_event(type=f"Microsoft.KeyVault.{news}")).encode()
    await receive(body, api.app)
    await receive(body, api.app)
    [event] = await told(api)
    assert (event["eventType"], event["tenantId"]) == (ending, "acme")
    payload = event["payload"]
    assert (payload["name"], payload["version"]) == ("github-token", "0123")
    assert payload["expiresAt"] == "2026-06-09T10:13:20+00:00"


async def test_a_secret_of_nobody_is_left_to_people(api: Api) -> None:
    with pytest.raises(Permanent, match="no tenant's"):
        await receive(json.dumps(an_event(data={"ObjectName": "operators-own"})).encode(), api.app)
    assert await told(api) == []


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"[]",
        b"\xff",
        json.dumps(an_event(specversion="0.3")).encode(),
        json.dumps(an_event(type="Microsoft.KeyVault.KeyNearExpiry")).encode(),
        json.dumps(an_event(id="")).encode(),
        json.dumps(an_event(data={"ObjectType": "Key"})).encode(),
        json.dumps(an_event(data={"ObjectName": "../other"})).encode(),
        json.dumps(an_event(data={"EXP": None})).encode(),
        json.dumps(an_event(data={"EXP": 1e300})).encode(),
        json.dumps({"eventType": "PublishPackage", "tenantId": "acme", "payload": {}}).encode(),
    ],
)
def test_what_the_vault_does_not_send_is_given_up_without_quoting_it(odd: bytes) -> None:
    with pytest.raises(Permanent, match="no news of a secret") as refused:
        read_news(odd)
    assert "other" not in str(refused.value)
