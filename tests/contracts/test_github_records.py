"""Repositories on GitHub and our records of them: provisioned, refused, and caught up with."""

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from shared.adapters.hosts.github_api import SECRET
from shared.app import App, build_app
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import Forbidden
from shared.domain.source.errors import ProviderUnavailable, RepositoryExists
from shared.domain.source.model import BranchStatus, Provider, Repository, RepositoryStatus
from shared.ports.source_host import SourceHost
from shared.ports.store import Query
from shared.services.branches import place_of
from shared.services.commits import ChangeDraft, CommitDraft
from shared.services.pull_requests import PullRequestDraft
from shared.services.repositories import RepositoryDraft
from shared.settings import Settings
from tests.contracts.github_site import SITES, TENANT, Site
from tests.contracts.source_hosts import ADA, add
from tests.support.app import SteppingClock
from tests.support.source import ANN

WE = replace(ANN, tenant=TENANT)
DRAFT = RepositoryDraft("proj-x", "api", Provider.GITHUB)


@dataclass
class Bench:
    """The services over the embedded store, with repositories on GitHub beside the embedded ones."""

    app: App
    site: Site

    @property
    def github(self) -> SourceHost:
        return self.app.vendors[Provider.GITHUB].source

    async def branch_heads(self, repository: Repository, actor: Actor = WE) -> dict[str, str]:
        query = Query("branch", {"repository": repository.id}, "name")
        page = await self.app.branches.list(actor, repository.id, query)
        return {b.name: b.head for b in page.items if b.status is not BranchStatus.DELETED}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    site = SITES.new()
    settings = Settings.load(
        {},
        data_dir=tmp_path,
        github_url=site.server.url,
        github_organizations=f"{TENANT}:{site.organization}",
    )
    async with aclosing(build_app(settings, clock=SteppingClock())) as app:
        await app.vault.set(TENANT, SECRET, site.token)
        yield Bench(app, site)


async def test_a_repository_is_provisioned_where_it_was_asked_for(bench: Bench) -> None:
    repository = await bench.app.repositories.provision(WE, DRAFT, None)
    assert repository.status is RepositoryStatus.PROVISIONED
    assert repository.remote_url == f"{bench.site.server.url}/{bench.site.organization}/proj-x.api.git"
    here = await bench.app.repositories.provision(WE, RepositoryDraft("proj-x", "web"), None)
    assert here.remote_url == f"{bench.app.settings.base_url}/git/{TENANT}/proj-x/web.git"
    assert await bench.github.exists(place_of(repository))
    assert not await bench.github.exists(place_of(here))


async def test_a_change_goes_from_branch_to_merge(bench: Bench) -> None:
    repository = await bench.app.repositories.provision(WE, DRAFT, None)
    await bench.app.branches.create(WE, repository.id, "topic", None, None)
    draft = CommitDraft("topic", "feat: a", [ChangeDraft("a.py", "add", b"a = 1\n")])
    commit = await bench.app.commits.author(WE, repository.id, draft, None)
    heads = await bench.branch_heads(repository)
    assert heads["topic"] == commit.sha == await bench.github.head(place_of(repository), "topic")
    request = await bench.app.pull_requests.open(
        WE, PullRequestDraft(repository.id, "topic", "main", "Add a"), None
    )
    assert [each.path for each in await bench.app.pull_requests.diff(WE, request.id)] == ["a.py"]


async def test_what_was_pushed_to_github_is_recorded_by_the_sweep(bench: Bench) -> None:
    repository = await bench.app.repositories.provision(WE, DRAFT, None)
    place = place_of(repository)
    sha = (await bench.github.commit(place, "main", [add("a")], message="theirs", author=ADA)).sha
    await bench.github.create_branch(place, "theirs", sha, by="somebody")
    assert "theirs" not in await bench.branch_heads(repository)
    assert await bench.app.vendor_sweep.run() == 2
    assert await bench.branch_heads(repository) == {"main": sha, "theirs": sha}
    assert await bench.app.vendor_sweep.run() == 0
    await bench.github.delete_branch(place, "theirs", expected=sha, by="somebody")
    assert await bench.app.vendor_sweep.run() == 1
    assert await bench.branch_heads(repository) == {"main": sha}


async def test_a_repository_that_cannot_be_read_does_not_stop_the_sweep(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.app.repositories.provision(WE, DRAFT, None)
    other = await bench.app.repositories.provision(WE, replace(DRAFT, name="other"), None)
    await bench.github.commit(place_of(other), "main", [add("a")], message="m", author=ADA)
    del bench.site.server.organizations[bench.site.organization]["proj-x.api"]
    with caplog.at_level(logging.WARNING):
        assert await bench.app.vendor_sweep.run() == 1
    assert "proj-x/api could not be compared" in caplog.text


async def test_a_tenant_without_organization_is_refused_and_nothing_is_recorded(bench: Bench) -> None:
    with pytest.raises(ProviderUnavailable, match="SLIPWAY_GITHUB_ORGANIZATIONS"):
        await bench.app.repositories.provision(ANN, DRAFT, None)
    page = await bench.app.repositories.list(ANN, Query("repository", {}, "created_at"))
    assert page.items == ()


async def test_what_github_refuses_to_make_can_be_asked_for_again_once_it_is_mended(bench: Bench) -> None:
    token = bench.site.server.tokens
    token.grant(bench.site.token, bench.site.organization, rights=frozenset({"contents"}))
    with pytest.raises(Forbidden, match="administration=write"):
        await bench.app.repositories.provision(WE, DRAFT, None)
    page = await bench.app.repositories.list(WE, Query("repository", {}, "created_at"))
    [failed] = page.items
    assert failed.status is RepositoryStatus.FAILED
    assert "administration=write" in str(failed.failure)
    assert bench.site.token not in str(failed.failure)
    assert (await bench.app.repositories.complete(WE, failed.id)).status is RepositoryStatus.FAILED
    token.grant(bench.site.token, bench.site.organization)
    mended = await bench.app.repositories.provision(WE, DRAFT, None)
    assert (mended.status, mended.failure) == (RepositoryStatus.PROVISIONED, None)
    with pytest.raises(RepositoryExists):
        await bench.app.repositories.provision(WE, DRAFT, None)
