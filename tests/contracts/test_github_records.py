"""Repositories on GitHub and our records of them: provisioned, refused, and caught up with."""

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.hosts.github import GitHub
from shared.adapters.hosts.routed import RoutedHost
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import Forbidden
from shared.domain.source.errors import ProviderUnavailable, RepositoryExists
from shared.domain.source.model import BranchStatus, Provider, Repository, RepositoryStatus
from shared.ports.store import Query
from shared.services.branches import Branches, place_of
from shared.services.commits import ChangeDraft, CommitDraft, Commits
from shared.services.pull_requests import PullRequestDraft, PullRequests
from shared.services.repositories import Repositories, RepositoryDraft
from shared.services.vendor_sweep import VendorSweep
from tests.contracts.github_site import SITES, TENANT, Site
from tests.contracts.source_hosts import ADA, add
from tests.support.source import ANN, Source, a_source

WE = replace(ANN, tenant=TENANT)
DRAFT = RepositoryDraft("proj-x", "api", Provider.GITHUB)


@dataclass
class Bench:
    """The services over the embedded store, with repositories on GitHub beside the embedded ones."""

    source: Source
    site: Site
    github: GitHub
    repositories: Repositories
    branches: Branches
    commits: Commits
    pull_requests: PullRequests

    async def branch_heads(self, repository: Repository, actor: Actor = WE) -> dict[str, str]:
        query = Query("branch", {"repository": repository.id}, "name")
        page = await self.branches.list(actor, repository.id, query)
        return {b.name: b.head for b in page.items if b.status is not BranchStatus.DELETED}

    def sweep(self) -> VendorSweep:
        return VendorSweep(self.source.units, self.branches, {TENANT})


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    source, site = a_source(tmp_path), SITES.new()
    async with aclosing(site.host()) as github:
        embedded = source.host
        assert isinstance(embedded, EmbeddedGit)
        host = RoutedHost({Provider.EMBEDDED: embedded, Provider.GITHUB: github})
        units = source.units
        branches = Branches(units, host)
        yield Bench(
            source=source,
            site=site,
            github=github,
            repositories=Repositories(units, host, "http://here", tuple(Provider)),
            branches=branches,
            commits=Commits(units, host, branches, source.artifacts, source.clock),
            pull_requests=PullRequests(units, host, branches, source.clock),
        )
    await source.store.aclose()


async def test_a_repository_is_provisioned_where_it_was_asked_for(bench: Bench) -> None:
    repository = await bench.repositories.provision(WE, DRAFT, None)
    assert repository.status is RepositoryStatus.PROVISIONED
    assert repository.remote_url == f"{bench.site.server.url}/{bench.site.organization}/proj-x.api.git"
    here = await bench.repositories.provision(WE, RepositoryDraft("proj-x", "web"), None)
    assert here.remote_url == f"http://here/git/{TENANT}/proj-x/web.git"
    assert await bench.github.exists(place_of(repository))
    assert not await bench.github.exists(place_of(here))


async def test_a_change_goes_from_branch_to_merge(bench: Bench) -> None:
    repository = await bench.repositories.provision(WE, DRAFT, None)
    await bench.branches.create(WE, repository.id, "topic", None, None)
    draft = CommitDraft("topic", "feat: a", [ChangeDraft("a.py", "add", b"a = 1\n")])
    commit = await bench.commits.author(WE, repository.id, draft, None)
    heads = await bench.branch_heads(repository)
    assert heads["topic"] == commit.sha == await bench.github.head(place_of(repository), "topic")
    request = await bench.pull_requests.open(
        WE, PullRequestDraft(repository.id, "topic", "main", "Add a"), None
    )
    assert [each.path for each in await bench.pull_requests.diff(WE, request.id)] == ["a.py"]


async def test_what_was_pushed_to_github_is_recorded_by_the_sweep(bench: Bench) -> None:
    repository = await bench.repositories.provision(WE, DRAFT, None)
    place = place_of(repository)
    sha = (await bench.github.commit(place, "main", [add("a")], message="theirs", author=ADA)).sha
    await bench.github.create_branch(place, "theirs", sha, by="somebody")
    assert "theirs" not in await bench.branch_heads(repository)
    assert await bench.sweep().run() == 2
    assert await bench.branch_heads(repository) == {"main": sha, "theirs": sha}
    assert await bench.sweep().run() == 0
    await bench.github.delete_branch(place, "theirs", expected=sha, by="somebody")
    assert await bench.sweep().run() == 1
    assert await bench.branch_heads(repository) == {"main": sha}


async def test_a_repository_that_cannot_be_read_does_not_stop_the_sweep(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.repositories.provision(WE, DRAFT, None)
    other = await bench.repositories.provision(WE, replace(DRAFT, name="other"), None)
    await bench.github.commit(place_of(other), "main", [add("a")], message="m", author=ADA)
    del bench.site.server.organizations[bench.site.organization]["proj-x.api"]
    with caplog.at_level(logging.WARNING):
        assert await bench.sweep().run() == 1
    assert "proj-x/api could not be compared" in caplog.text


async def test_a_tenant_without_organization_is_refused_and_nothing_is_recorded(bench: Bench) -> None:
    with pytest.raises(ProviderUnavailable, match="SLIPWAY_GITHUB_ORGANIZATIONS"):
        await bench.repositories.provision(ANN, DRAFT, None)
    page = await bench.repositories.list(ANN, Query("repository", {}, "created_at"))
    assert page.items == ()


async def test_what_github_refuses_to_make_can_be_asked_for_again_once_it_is_mended(bench: Bench) -> None:
    token = bench.site.server.tokens
    token.grant(bench.site.token, bench.site.organization, rights=frozenset({"contents"}))
    with pytest.raises(Forbidden, match="administration=write"):
        await bench.repositories.provision(WE, DRAFT, None)
    page = await bench.repositories.list(WE, Query("repository", {}, "created_at"))
    [failed] = page.items
    assert failed.status is RepositoryStatus.FAILED
    assert "administration=write" in str(failed.failure)
    assert bench.site.token not in str(failed.failure)
    assert (await bench.repositories.complete(WE, failed.id)).status is RepositoryStatus.FAILED
    token.grant(bench.site.token, bench.site.organization)
    mended = await bench.repositories.provision(WE, DRAFT, None)
    assert (mended.status, mended.failure) == (RepositoryStatus.PROVISIONED, None)
    with pytest.raises(RepositoryExists):
        await bench.repositories.provision(WE, DRAFT, None)
