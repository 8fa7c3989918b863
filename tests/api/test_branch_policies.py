"""Branch policies as callers meet them: one rule behind every door to a branch."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.ids import parse_id
from shared.domain.source.model import Repository
from tests.support.api import an_api
from tests.support.pull_requests import CI, DEVELOPER, Place, a_place, start_draft


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    api = an_api(tmp_path)
    yield await a_place(api)
    await api.app.aclose()


class TestBranchPolicies:
    async def test_the_default_branch_is_protected_from_the_start(self, place: Place) -> None:
        page = await place.api.expect(200, "GET", f"{place.path}/branch-policies")
        assert [(each["policyId"], each["pattern"]) for each in page["items"]] == [("default", "main")]
        assert page["items"][0]["requiredChecks"] == ["build"]

    async def test_a_policy_closes_both_doors_and_its_deletion_opens_them(self, place: Place) -> None:
        await place.branch("release/1", "a.txt")
        await place.policy("releases", pattern="release/*")
        listed = await place.api.expect(200, "GET", f"{place.path}/branches")
        assert {each["name"] for each in listed["items"] if each["isProtected"]} == {"main", "release/1"}
        draft = start_draft() | {"branch": "release/1"}
        refused = await place.api.send("POST", f"{place.path}/commits", draft)
        assert refused.body["code"] == "protected_branch"
        app = place.api.app
        actor, repository = await _known(place)
        assert await app.branch_policies.protected(actor, repository) == {"main", "release/1"}
        await place.api.expect(204, "DELETE", f"{place.path}/branch-policies/releases")
        assert await app.branch_policies.protected(actor, repository) == {"main"}
        await place.commit("release/1", "b.txt")
        await place.api.drain()
        listed = await place.api.expect(200, "GET", f"{place.path}/branches")
        assert {each["name"] for each in listed["items"] if each["isProtected"]} == {"main"}

    async def test_a_branch_made_under_a_pattern_is_born_protected(self, place: Place) -> None:
        await place.policy("releases", pattern="release/**")
        made = await place.api.expect(201, "POST", f"{place.path}/branches", {"name": "release/2/x"})
        assert made["isProtected"]

    async def test_it_is_changed_on_the_revision_that_was_read(self, place: Place) -> None:
        path = f"{place.path}/branch-policies/default"
        read = await place.api.send("GET", path)
        assert read.headers["ETag"] == '"1"'
        body = {"pattern": "main", "minimumReviewers": 1}
        changed = await place.api.send("PUT", path, body, if_match='"1"')
        assert (changed.status, changed.headers["ETag"]) == (200, '"2"')
        stale = await place.api.send("PUT", path, body, if_match='"1"')
        assert (stale.status, stale.body["code"]) == (412, "stale_revision")

    async def test_only_who_may_write_policies_writes_them(self, place: Place) -> None:
        path = f"{place.path}/branch-policies/default"
        await place.api.expect(403, "PUT", path, {"pattern": "main"}, token=DEVELOPER)
        await place.api.expect(403, "DELETE", path, token=CI)

    @pytest.mark.parametrize("pattern", ["a b", "x***", "/x", "a//b"])
    async def test_a_pattern_that_can_match_nothing_is_refused(self, place: Place, pattern: str) -> None:
        answer = await place.api.send("PUT", f"{place.path}/branch-policies/p", {"pattern": pattern})
        assert answer.status == 400


async def _known(place: Place) -> tuple[Actor, Repository]:
    actor = Actor("user:ann", ActorKind.HUMAN, "acme")
    repository_id = parse_id(place.repository, "repo")
    assert repository_id is not None
    return actor, await place.api.app.repositories.get(actor, repository_id)
