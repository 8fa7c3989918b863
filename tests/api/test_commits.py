"""What a commit over the API may bring."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api import Api, an_api

TOKEN = "npm" + "_" + "a1B2" * 9


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = an_api(tmp_path)
    yield made
    await made.app.aclose()


@pytest.fixture
async def home(api: Api) -> str:
    wanted = {"projectId": "proj-x", "moduleId": "module-x", "name": "api"}
    made = await api.expect(201, "POST", "/repositories", wanted)
    place = f"/repositories/{made['repositoryId']}"
    await api.expect(201, "POST", f"{place}/branches", {"name": "feature/x"})
    return place


def draft(line: str) -> dict[str, object]:
    content = f"registry=https://registry.example.com/\n{line}\n"
    change = {"path": ".npmrc", "operation": "add", "content": content}
    return {"branch": "feature/x", "message": "feat: settings", "changes": [change]}


async def test_a_secret_is_refused_with_its_place_and_nothing_is_written(api: Api, home: str) -> None:
    before = await api.expect(200, "GET", f"{home}/commits")
    answer = await api.send("POST", f"{home}/commits", draft(f"//registry.example.com/:_authToken={TOKEN}"))
    assert (answer.status, answer.body["code"]) == (422, "secrets_found")
    assert answer.body["secrets"] == [{"path": ".npmrc", "line": 2, "kind": "npm token"}]
    assert TOKEN not in answer.raw.decode()
    assert await api.expect(200, "GET", f"{home}/commits") == before


async def test_what_its_author_marks_as_none_is_taken(api: Api, home: str) -> None:
    await api.expect(201, "POST", f"{home}/commits", draft(f"# pragma: allowlist secret, of a test: {TOKEN}"))
