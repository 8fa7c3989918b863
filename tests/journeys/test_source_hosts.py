"""One repository at a vendor, worked on from both sides: what happens on one is seen on the other by webhooks
alone. The vendors are stand-ins in this process."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.hosts.notices import AZURE_DEVOPS_EVENTS, GITHUB_WORDS
from shared.domain.source.model import Provider
from shared.ports.ci_host import HookEvent
from shared.ports.request_host import HostRequest, HostRequestStatus
from shared.ports.source_host import Place
from shared.services.host_hooks import secret_of
from tests.contracts import azure_devops_site, github_site
from tests.contracts.azure_devops_vendor import AzureDevOpsBench
from tests.contracts.github_vendor import GitHubBench
from tests.contracts.vendor_bench import VendorBench
from tests.faults.crash_points.installation import QuickRunner
from tests.standins.github import users
from tests.support.api import SERVICE, Api, an_api
from tests.support.app import SteppingClock

PLACE = Place("acme", "proj-x", "api")
GITHUB, AZURE_DEVOPS = Provider.GITHUB, Provider.AZURE_DEVOPS


@dataclass
class Both:
    """The installation, and the vendor as its users see it. `name` is what the vendor's people are called
    here, `user` who opens a request there, `after_merge` what its request is once its commits are merged
    here."""

    api: Api
    clock: SteppingClock
    repository: str
    there: VendorBench
    name: str
    user: str
    after_merge: HostRequestStatus

    async def tell(self, about: HookEvent, delivery: str) -> None:
        """The vendor's webhook, as it sends and signs it, and the workers' answer to it."""
        secret = (
            await self.api.app.vault.get("acme", secret_of(self.repository.removeprefix("repo-")))
        ).value
        azure = next(word for word, event in AZURE_DEVOPS_EVENTS.items() if event is about)
        body = json.dumps({"id": delivery, "eventType": azure}).encode()
        told = {"x-github-event": GITHUB_WORDS[about], "x-github-delivery": delivery}
        told |= self.there.signed(body, secret)
        sent = {name.replace("-", "_"): value for name, value in told.items()}
        path = f"/host-events/acme/{self.repository}"
        await self.api.expect(202, "POST", path, body, token=None, content_type="application/json", **sent)
        await self.api.drain()

    async def only_request(self, status: str) -> Any:
        [found] = (await self.api.expect(200, "GET", f"/pull-requests?status={status}"))["items"]
        return found

    async def statuses(self, sha: str) -> dict[str, str]:
        found = await self.there.vendor.hooks.statuses(self.there.place, sha)
        return {status.context: status.state for status in found}

    async def theirs(self, number: int) -> HostRequest:
        found = await self.there.vendor.requests.find_request(self.there.place, number)
        assert found is not None
        return found


@pytest.fixture(scope="module", autouse=True)
def _vendors_end() -> Iterator[None]:
    """They start with their first user; a server that nobody stops would keep the process from ending."""
    yield
    github_site.SITES.close()
    azure_devops_site.SITES.close()


@asynccontextmanager
async def installed(folder: Path, provider: Provider, token: str, **more: Any) -> AsyncIterator[Api]:
    """With a repository that the vendor hosts."""
    more["public_url"] = "https://slipway.example"
    api = an_api(folder / "ours", clock=SteppingClock(), runner=QuickRunner(folder / "work"), more=more)
    async with aclosing(api.app):
        name = "github-token" if provider is GITHUB else "azure-devops-token"
        await api.app.vault.set("acme", name, token)
        yield api


async def provisioned(api: Api, provider: Provider) -> str:
    draft = {"projectId": PLACE.project, "name": PLACE.name, "provider": str(provider)}
    made = await api.expect(201, "POST", "/repositories", draft)
    await api.drain()
    return str(made["repositoryId"])


@asynccontextmanager
async def with_github(folder: Path) -> AsyncIterator[Both]:
    site, place = github_site.SITES.new(), replace(PLACE, provider=GITHUB)
    settings = {"github_url": site.server.url, "github_organizations": {"acme": site.organization}}
    async with installed(folder, GITHUB, site.token, **settings) as api:
        repository, vendor = await provisioned(api, GITHUB), api.app.vendors[GITHUB]
        there = GitHubBench(site, vendor, await vendor.source.head(place, "main"), place)
        users.push(there.repository, "main", {path: text.encode() for path, text in SERVICE.items()})
        clock = api.app.clock
        assert isinstance(clock, SteppingClock)
        yield Both(api, clock, repository, there, "github", "octocat", HostRequestStatus.MERGED)


@asynccontextmanager
async def with_azure_devops(folder: Path) -> AsyncIterator[Both]:
    place = replace(PLACE, provider=AZURE_DEVOPS)
    async with azure_devops_site.SITES.bench(folder) as bench:
        settings = {
            "azure_devops_url": bench.service.url,
            "azure_devops_organizations": {"acme": bench.organization.name},
        }
        async with installed(folder, AZURE_DEVOPS, azure_devops_site.PAT, **settings) as api:
            repository, vendor = await provisioned(api, AZURE_DEVOPS), api.app.vendors[AZURE_DEVOPS]
            there = AzureDevOpsBench(bench, vendor, await vendor.source.head(place, "main"), place)
            for path, text in SERVICE.items():
                there.write("main", path, text.encode())
            clock = api.app.clock
            assert isinstance(clock, SteppingClock)
            # A push that merges leaves its request active, which is then closed.
            ended = HostRequestStatus.CLOSED
            yield Both(api, clock, repository, there, "azure-devops", "Token Owner", ended)


@pytest.fixture(params=[with_github, with_azure_devops], ids=["github", "azure-devops"])
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Both]:
    async with request.param(tmp_path) as both:
        await both.tell(HookEvent.PUSH, "start")
        yield both


async def test_what_a_user_opens_there_is_checked_and_merged_here(both: Both) -> None:
    sha = both.there.push("topic", "topic.txt")
    number = both.there.open_request("topic", "main", "Theirs")
    await both.tell(HookEvent.PULL_REQUEST, "opened")
    request = await both.only_request("Open")
    assert (request["openedBy"], request["hostNumber"]) == (f"{both.name}:{both.user}", number)
    assert {check["name"]: check["status"] for check in request["checks"]} == {
        "build": "Succeeded",
        "policy-gate": "Succeeded",
    }
    assert await both.statuses(sha) == {"slipway/build": "success", "slipway/policy": "success"}
    await both.api.expect(200, "POST", f"/pull-requests/{request['pullRequestId']}/merge")
    both.clock.advance(minutes=1)
    await both.api.drain()
    assert (await both.theirs(number)).status is both.after_merge


async def test_what_is_opened_here_is_there_and_what_ends_there_ends_here(both: Both) -> None:
    both.there.push("topic", "topic.txt")
    await both.tell(HookEvent.PUSH, "pushed")
    branches = {"sourceBranch": "topic", "targetBranch": "main"}
    wanted = {"repositoryId": both.repository, **branches, "title": "Ours"}
    opened = await both.api.expect(201, "POST", "/pull-requests", wanted)
    await both.api.drain()
    path = f"/pull-requests/{opened['pullRequestId']}"
    number = (await both.api.expect(200, "GET", path))["hostNumber"]
    theirs = await both.theirs(number)
    assert (theirs.title, theirs.status) == ("Ours", HostRequestStatus.OPEN)
    both.there.close_request(number)
    await both.tell(HookEvent.PULL_REQUEST, "closed")
    assert (await both.api.expect(200, "GET", path))["status"] == "Abandoned"
    await both.api.expect(200, "POST", f"{path}/reopen")
    await both.api.drain()
    assert (await both.theirs(number)).status is HostRequestStatus.OPEN
    squashed = both.there.merge_request(number, "squash")
    await both.tell(HookEvent.PULL_REQUEST, "merged")
    request = await both.api.expect(200, "GET", path)
    assert (request["status"], request["mergeCommitSha"]) == ("Merged", squashed)
    assert (request["mergedAtHost"], request["mergedBy"]) == (True, f"{both.name}:octocat")


async def test_a_push_is_recorded_by_its_webhook(both: Both) -> None:
    sha = both.there.push("theirs", "a.txt")
    await both.tell(HookEvent.PUSH, "one")
    branches = await both.api.expect(200, "GET", f"/repositories/{both.repository}/branches")
    assert {branch["name"]: branch["head"] for branch in branches["items"]}["theirs"] == sha


async def test_the_webhook_is_there_until_the_repository_is_archived(both: Both) -> None:
    hooks, place = both.there.vendor.hooks, both.there.place
    [hook] = await hooks.hooks(place)
    assert hook.url == f"https://slipway.example/host-events/acme/{both.repository}"
    await both.api.expect(200, "POST", f"/repositories/{both.repository}/archive")
    await both.api.drain()
    assert await hooks.hooks(place) == []
    await both.api.expect(200, "POST", f"/repositories/{both.repository}/unarchive")
    await both.api.drain()
    assert [each.url for each in await hooks.hooks(place)] == [hook.url]
