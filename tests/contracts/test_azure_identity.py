"""Who the process is towards Azure: the managed identity or `az login`, and nothing that needs a secret."""

from typing import Any, cast

import pytest

from shared.adapters.azure.identity import credential
from tests.contracts.azure_site import AzureSite
from tests.standins.identity import PRINCIPAL

SCOPE = "https://vault.azure.net/.default"
SECRETS = {
    "AZURE_TENANT_ID": "11111111-2222-3333-4444-555555555555",
    "AZURE_CLIENT_ID": "11111111-2222-3333-4444-666666666666",
    "AZURE_CLIENT_SECRET": "a secret nobody should use",
    "AZURE_USERNAME": "somebody@example.com",
    "AZURE_FEDERATED_TOKEN_FILE": "/nowhere",
}


async def test_there_are_two_ways_to_be_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    async with credential() as made:
        ways = [type(one).__name__ for one in cast(Any, made).credentials]
    assert ways == ["ManagedIdentityCredential", "AzureCliCredential"]


async def test_the_managed_identity_is_asked_once_for_a_resource(azure: AzureSite) -> None:
    async with azure.credential() as made:
        issued = azure.identity.issued
        first, again = await made.get_token(SCOPE), await made.get_token(SCOPE)
    assert first.token == again.token
    assert azure.identity.issued == issued + 1
    assert azure.identity.issuer.verify(first.token, "https://vault.azure.net").principal == PRINCIPAL
