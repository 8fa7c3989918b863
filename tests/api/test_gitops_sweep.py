"""The timer over the bus, the policy over HTTP, and pushes by git, in a whole installation."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from functions.relay.looks import sweep_environments
from local.git_gate import GitGate, GitScopeMissing
from shared.domain.source.errors import ManagedRepository
from shared.names import GITOPS
from tests.support.api import Api, World, a_world, an_api

POLICY = "/environments/dev/policy"
OPERATOR, DEVELOPER = "acme/user+oli/operator", "acme/user+dan/developer"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    api = an_api(Path(tmp_path_factory.mktemp("sweep")))
    made = await a_world(api)
    await api.app.views.catch_up()
    yield made
    await api.app.aclose()


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def the_state(api: Api) -> dict[str, Any]:
    page = await api.expect(200, "GET", "/gitops/sync-states?environment=dev")
    (state,) = page["items"]
    assert isinstance(state, dict)
    return state


async def removed(world: World) -> None:
    """What runs in dev is gone, behind our back."""
    app = world.api.app
    (folder,) = (app.settings.data_dir / "environments" / "acme" / "dev").iterdir()
    await app.target.remove("acme", "dev", folder.name)


async def test_the_timer_asks_for_one_look_at_each_environment_where_anything_runs(world: World) -> None:
    app = world.api.app
    assert await sweep_environments(app) == 1
    assert await sweep_environments(app) == 1
    assert await app.bus.depth(GITOPS) == 1, "two timers in one minute are one look"
    await world.api.drain()


async def test_drift_is_listed_and_healed_unless_the_policy_says_to_report_it(world: World) -> None:
    api, app = world.api, world.api.app
    ruled = await api.expect(200, "PUT", POLICY, {"onDrift": "Report"})
    assert ruled["onDrift"] == "Report"
    await removed(world)
    app.clock.advance(minutes=3)  # type: ignore[attr-defined]
    await sweep_environments(app)
    await api.drain()
    state = await the_state(api)
    assert (state["status"], state["driftCount"]) == ("OutOfSync", 1)
    (finding,) = state["drift"]
    assert (finding["kind"], finding["severity"]) == ("Missing", "Critical")
    found = await api.expect(200, "GET", "/gitops/sync-states?status=OutOfSync")
    assert [each["syncStateId"] for each in found["items"]] == [state["syncStateId"]]
    await api.expect(200, "PUT", POLICY, {})
    app.clock.advance(minutes=3)  # type: ignore[attr-defined]
    await sweep_environments(app)
    await api.drain()
    healed = await the_state(api)
    assert (healed["status"], healed["driftCount"], healed["healings"]) == ("Synced", 0, 1)
    assert healed["liveRevision"] == healed["desiredRevision"] == state["desiredRevision"]
    assert "observedAt" in healed


async def test_who_may_push_desired_state_needs_a_scope_of_its_own(world: World) -> None:
    gate = GitGate(world.api.app)
    place = ("acme", "gitops", "environments")
    for caller in (OPERATOR, DEVELOPER):
        assert not (await gate.authorise(caller, *place, write=False)).kept
    access = await gate.authorise(OPERATOR, *place, write=True)
    assert (access.protected, access.kept) == (frozenset(), frozenset({"main"}))
    with pytest.raises(GitScopeMissing, match="gitops"):
        await gate.authorise(DEVELOPER, *place, write=True)
    page = await world.api.expect(200, "GET", "/repositories")
    (repository,) = (each for each in page["items"] if each["isManaged"])
    change = {"path": "x", "operation": "add", "content": "x"}
    body = {"branch": "main", "message": "m", "changes": [change]}
    refused = await world.api.send("POST", f"/repositories/{repository['repositoryId']}/commits", body)
    assert refused.body["code"] == ManagedRepository.code, "by the API nobody writes there"
