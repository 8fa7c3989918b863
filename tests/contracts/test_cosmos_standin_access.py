"""The Cosmos stand-in on the wire: who is let in, and what is refused though the SDK would not ask for it."""

import json
import ssl
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError
from azure.cosmos import PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError

from tests.standins.cosmos.account import DATABASE, Account, Session, open_session
from tests.standins.cosmos.catalogue import Container
from tests.standins.identity import Issuer

HERE = "https://127.0.0.1"
ITEM = {"id": "a", "tenantId": "t1", "root": "r1"}
WHOLE_KEY = {"x-ms-documentdb-partitionkey": '["t1","r1"]'}


async def send(
    account: Account,
    authorization: str,
    method: str = "GET",
    path: str = "/",
    body: Any = None,
    **more: str,
) -> tuple[int, Any, str]:
    """Status, headers and text of the answer."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    headers = more | ({"Authorization": authorization} if authorization else {})
    data = None if body is None else json.dumps(body)
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, account.server.url + path, headers=headers, data=data, ssl=trusting) as answer,
    ):
        return answer.status, answer.headers, await answer.text()


def token(account: Account, **claims: Any) -> str:
    return f"type=aad&ver=1.0&sig={account.server.issuer.issue(HERE, **claims)}"


@pytest.mark.parametrize("what", ["forged", "expired", "of another resource", "missing", "a key", "a riddle"])
async def test_a_token_that_is_not_good_here_is_refused(account: Account, what: str) -> None:
    elsewhere = account.server.issuer.issue("https://vault.azure.net")
    authorization = {
        "forged": f"type=aad&ver=1.0&sig={Issuer().issue(HERE)}",
        "expired": token(account, lifetime=-1),
        "of another resource": f"type=aad&ver=1.0&sig={elsewhere}",
        "missing": "",
        "a key": "type=master&ver=1.0&sig=abc",
        "a riddle": "Bearer abc",
    }[what]
    assert (await send(account, authorization))[0] == 401
    assert (await send(account, token(account)))[0] == 200


async def test_an_identity_without_a_role_is_forbidden(account: Account) -> None:
    status, headers, text = await send(account, token(account, roles=False))
    assert (status, headers["x-ms-substatus"]) == (403, "5301")
    assert "does not have required RBAC permissions to perform action" in text


async def test_the_data_plane_makes_no_databases_and_no_containers(session: Session) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        await session.client.create_database("another")
    assert (caught.value.status_code, caught.value.sub_status) == (403, 5300)
    database = session.client.get_database_client(DATABASE)
    with pytest.raises(CosmosHttpResponseError) as caught:
        await database.create_container("another", PartitionKey("/id"))
    assert (caught.value.status_code, caught.value.sub_status) == (403, 5300)


async def test_a_client_without_roles_does_not_even_open(account: Account) -> None:
    account.identity.roles = False
    try:
        with pytest.raises(HttpResponseError, match="RBAC"):
            await open_session(account)
    finally:
        account.identity.roles = True


async def test_an_item_of_no_container_is_told_from_no_item(account: Account, session: Session) -> None:
    with pytest.raises(CosmosResourceNotFoundError):
        await session.container("nothing").read()
    answers = [
        await send(account, token(account), path=f"/dbs/{DATABASE}/colls/{name}/docs/a", **WHOLE_KEY)
        for name in ("nothing", account.container())
    ]
    assert [(status, headers["x-ms-substatus"]) for status, headers, _ in answers] == [
        (404, "1003"),
        (404, "0"),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "words"),
    [
        ("GET", "/a", None, WHOLE_KEY | {"x-ms-consistency-level": "Strong"}, "ConsistencyLevel"),
        ("GET", "/a", None, {}, "must be supplied"),
        ("GET", "/a", None, {"x-ms-documentdb-partitionkey": "t1"}, "invalid"),
        ("GET", "/a", None, {"x-ms-documentdb-partitionkey": '["t1",["r1"]]'}, "made of strings"),
        ("POST", "", ITEM, WHOLE_KEY | {"If-None-Match": "*"}, "does not offer"),
        ("POST", "", ITEM, WHOLE_KEY | {"x-ms-indexing-directive": "Exclude"}, "does not offer"),
        ("PATCH", "/a", {"operations": []}, WHOLE_KEY, "does not offer"),
        ("POST", "", [ITEM], WHOLE_KEY, "not a JSON object"),
        ("POST", "", {"tenantId": "t1", "root": "r1"}, WHOLE_KEY, "'id; ' - are missing"),
        ("POST", "", ITEM | {"id": "a/b"}, WHOLE_KEY, "illegal characters"),
        ("POST", "", ITEM | {"root": "r2"}, WHOLE_KEY, "extracted from document"),
        ("PUT", "/a", ITEM | {"id": "b"}, WHOLE_KEY, "cannot be changed"),
        ("POST", "", {"query": "SELECT 1"}, {"x-ms-documentdb-isquery": "True"}, "without FROM"),
        (
            "POST",
            "",
            {"query": "SELECT * FROM c"},
            {"x-ms-documentdb-isquery": "True"},
            "but disabled",
        ),
        ("GET", "", None, {"A-IM": "Full-Fidelity Feed"}, "does not offer"),
        ("GET", "", None, {"A-IM": "Incremental Feed", "If-None-Match": '"x"'}, "not a continuation"),
        ("GET", "", None, {"x-ms-max-item-count": "0"}, "neither -1 nor"),
        ("GET", "/../sprocs", None, {}, "does not offer"),
    ],
)
async def test_a_request_that_is_wrong_or_too_much_is_refused(
    account: Account, method: str, path: str, body: Any, headers: dict[str, str], words: str
) -> None:
    docs = f"/dbs/{DATABASE}/colls/{account.container()}/docs{path}"
    status, _, text = await send(account, token(account), method, docs, body, **headers)
    assert status == 400
    assert words in json.loads(text)["message"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"partitionKey": {"paths": ["/a", "/b"], "kind": "Hash"}},
        {"defaultTtl": 0},
        {"indexingPolicy": {"includedPaths": [{"path": "/a"}]}},
        {"indexingPolicy": {"includedPaths": [{"path": "/a/?"}]}},
        {"indexingPolicy": {"compositeIndexes": [[{"path": "/a"}]]}},
        {"indexingPolicy": {"compositeIndexes": [[{"path": "/a/?"}, {"path": "/b"}]]}},
    ],
)
def test_a_definition_that_azure_refuses_is_refused(wrong: dict[str, Any]) -> None:
    right = {"id": "x", "partitionKey": {"paths": ["/a"], "kind": "Hash", "version": 2}}
    assert Container.of("db", right, (1, 1)).key_paths == (("a",),)
    with pytest.raises(ValueError, match=r"."):
        Container.of("db", right | wrong, (1, 1))
