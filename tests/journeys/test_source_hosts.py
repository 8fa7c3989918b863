"""One repository on GitHub, worked on from both sides: what happens on one is seen on the other, by webhooks
alone."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.domain.source.model import Provider
from shared.ports.source_host import Place
from shared.services.host_hooks import secret_of
from tests.contracts.github_site import SITES, Site
from tests.faults.crash_points.installation import QuickRunner
from tests.standins.github import users
from tests.standins.github.pulls import Pulls
from tests.support.api import SERVICE, Api, an_api
from tests.support.app import SteppingClock

PLACE = Place("acme", "proj-x", "api", Provider.GITHUB)


@dataclass
class Both:
    """The installation, and GitHub as its users see it."""

    api: Api
    site: Site
    clock: SteppingClock
    repository: str

    @property
    def pulls(self) -> Pulls:
        return self.site.server.pulls.of(self.site.repository(PLACE))

    def push(self, branch: str, files: dict[str, bytes]) -> str:
        return users.push(self.site.repository(PLACE), branch, files)

    async def tell(self, event: str, delivery: str) -> None:
        """GitHub's webhook, signed as GitHub signs it, and the workers' answer to it."""
        key = self.repository.removeprefix("repo-")
        secret = (await self.api.app.vault.get("acme", secret_of(key))).value
        body = json.dumps({"repository": {"name": "proj-x.api"}}).encode()
        told = {"x_github_event": event, "x_github_delivery": delivery}
        told["x_hub_signature_256"] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
        path = f"/host-events/acme/{self.repository}"
        await self.api.expect(202, "POST", path, body, token=None, content_type="application/json", **told)
        await self.api.drain()

    async def only_request(self, status: str) -> Any:
        [found] = (await self.api.expect(200, "GET", f"/pull-requests?status={status}"))["items"]
        return found

    async def statuses(self, sha: str) -> dict[str, str]:
        hooks = self.api.app.vendors[Provider.GITHUB].hooks
        return {status.context: status.state for status in await hooks.statuses(PLACE, sha)}


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    site, clock = SITES.new(), SteppingClock()
    more = {"github_url": site.server.url, "github_organizations": {"acme": site.organization}}
    api = an_api(tmp_path, clock=clock, runner=QuickRunner(tmp_path / "work"), more=more)
    async with aclosing(api.app):
        await api.app.vault.set("acme", "github-token", site.token)
        draft = {"projectId": "proj-x", "name": "api", "provider": "GitHub"}
        made = await api.expect(201, "POST", "/repositories", draft)
        await api.drain()
        both = Both(api, site, clock, made["repositoryId"])
        both.push("main", {path: text.encode() for path, text in SERVICE.items()})
        await both.tell("push", "start")
        yield both


async def test_what_a_user_opens_there_is_checked_and_merged_here(both: Both) -> None:
    sha = both.push("topic", {"topic.txt": b"1\n"})
    number = both.pulls.open("topic", "main", "Theirs", "closes RES-7").number
    await both.tell("pull_request", "opened")
    request = await both.only_request("Open")
    assert (request["openedBy"], request["hostNumber"]) == ("github:octocat", number)
    assert {check["name"]: check["status"] for check in request["checks"]} == {
        "build": "Succeeded",
        "policy-gate": "Succeeded",
    }
    assert await both.statuses(sha) == {"slipway/build": "success", "slipway/policy": "success"}
    await both.api.expect(200, "POST", f"/pull-requests/{request['pullRequestId']}/merge")
    both.clock.advance(minutes=1)
    await both.api.drain()
    assert both.pulls.get(number).merged_at is not None


async def test_what_is_opened_here_is_there_and_what_ends_there_ends_here(both: Both) -> None:
    both.push("topic", {"topic.txt": b"1\n"})
    await both.tell("push", "pushed")
    wanted = {
        "repositoryId": both.repository,
        "sourceBranch": "topic",
        "targetBranch": "main",
        "title": "Ours",
    }
    opened = await both.api.expect(201, "POST", "/pull-requests", wanted)
    await both.api.drain()
    path = f"/pull-requests/{opened['pullRequestId']}"
    request = await both.api.expect(200, "GET", path)
    there = both.pulls.get(request["hostNumber"])
    assert (there.title, there.state) == ("Ours", "open")
    both.pulls.close(there.number)
    await both.tell("pull_request", "closed")
    assert (await both.api.expect(200, "GET", path))["status"] == "Abandoned"
    await both.api.expect(200, "POST", f"{path}/reopen")
    await both.api.drain()
    assert both.pulls.get(there.number).state == "open"
    squashed = both.pulls.merge(there.number, "squash")
    await both.tell("pull_request", "merged")
    request = await both.api.expect(200, "GET", path)
    assert (request["status"], request["mergeCommitSha"]) == ("Merged", squashed)
    assert request["mergedAtHost"] is True


async def test_a_push_is_recorded_by_its_webhook(both: Both) -> None:
    sha = both.push("theirs", {"a.txt": b"1\n"})
    await both.tell("push", "one")
    branches = await both.api.expect(200, "GET", f"/repositories/{both.repository}/branches")
    assert {branch["name"]: branch["head"] for branch in branches["items"]}["theirs"] == sha
