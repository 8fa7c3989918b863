"""GitHub as a source host, where it is unlike our own: its rules, its limits, its pages, what it loses."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from shared.adapters.hosts.github import GitHub
from shared.adapters.vendors.throttling import Patience
from shared.domain.kernel.errors import Forbidden, Transient
from shared.domain.source.errors import ProtectedBranch
from shared.ports.source_host import (
    HeadMoved,
    RepositoryMissing,
    SourceHost,
)
from tests.contracts.github_site import SITES, Site
from tests.contracts.source_hosts import ADA, PLACE, add, branched, committed, made, merged
from tests.standins.github import Fault


@pytest.fixture
def site() -> Site:
    found = SITES.new()
    found.server.faults.waiting.clear()
    return found


@pytest.fixture
async def host(site: Site) -> AsyncIterator[GitHub]:
    async with aclosing(site.host()) as opened:
        yield opened


async def once_committed(host: SourceHost, key: str = "1") -> str:
    once = ("Slipway-Request", key)
    info = await host.commit(PLACE, "main", [add(f"once-{key}")], message="m", author=ADA, once=once)
    return info.sha


@pytest.mark.parametrize("kind", ["lost", "dropped", "bad-gateway", "unavailable"])
@pytest.mark.parametrize(
    "request_lost",
    [
        ("POST", "/git/trees"),
        ("POST", "/git/commits"),
        ("PATCH", "/git/refs/heads/main"),
        ("GET", "/git/ref/heads/main"),
    ],
)
async def test_a_commit_survives_what_is_lost_and_is_made_once(
    site: Site, host: GitHub, kind: str, request_lost: tuple[str, str]
) -> None:
    first = await made(host)
    fault = site.server.faults.add(Fault(kind, *request_lost))  # type: ignore[arg-type]
    sha = await committed(host, add("a"))
    assert fault.hits == 1
    assert [info.sha for info in await host.log(PLACE, await host.head(PLACE, "main"))] == [sha, first]


async def test_a_lost_answer_is_found_beneath_what_others_wrote_since(site: Site, host: GitHub) -> None:
    """The move happened, its answer was lost, and another's commit came on top before we asked again."""
    await made(host)
    repository = site.repository(PLACE)
    moved = repository.move_ref

    def overtaken(ref: str, sha: str, *, force: bool) -> None:
        repository.move_ref = moved  # type: ignore[method-assign]
        moved(ref, sha, force=force)
        moved(ref, repository.on_top(sha, "theirs"), force=False)

    repository.move_ref = overtaken  # type: ignore[method-assign]
    site.server.faults.add(Fault("lost", "PATCH", "/git/refs"))
    sha = await committed(host, add("a"))
    log = await host.log(PLACE, await host.head(PLACE, "main"))
    assert [info.message for info in log] == ["theirs", "change", "Initial commit"]
    assert log[1].sha == sha


async def test_a_process_that_died_after_the_move_finds_its_commit(site: Site, host: GitHub) -> None:
    await made(host)
    sha = await once_committed(host)
    await committed(host, add("later"))
    async with aclosing(site.host()) as another:
        assert await once_committed(another) == sha
    assert len(await host.log(PLACE, await host.head(PLACE, "main"))) == 3


@pytest.mark.parametrize("kind", ["lost", "dropped", "bad-gateway"])
@pytest.mark.parametrize(
    "request_lost",
    [("POST", "/orgs/"), ("PUT", "/contents/"), ("GET", "/commits"), ("GET", "/repos/[^/]*/[^/]*$")],
)
async def test_a_repository_is_made_once_whatever_is_lost(
    site: Site, host: GitHub, kind: str, request_lost: tuple[str, str]
) -> None:
    fault = site.server.faults.add(Fault(kind, *request_lost))  # type: ignore[arg-type]
    first = await made(host)
    assert fault.hits == 1
    assert await made(host) == first
    assert len(await host.log(PLACE, first)) == 1


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_branch_is_made_and_deleted_once_though_the_answer_is_lost(
    site: Site, host: GitHub, method: str
) -> None:
    first = await made(host)
    site.server.faults.add(Fault("lost", method, "/git/refs"))
    await host.create_branch(PLACE, "topic", first, by="ada")
    await host.delete_branch(PLACE, "topic", expected=first, by="ada")
    assert await host.branches(PLACE) == {"main": first}


async def test_a_merge_survives_a_lost_answer(site: Site, host: GitHub) -> None:
    await branched(host)
    await committed(host, add("a"), branch="topic")
    site.server.faults.add(Fault("lost", "PATCH", "/git/refs/heads/main"))
    sha = await merged(host)
    assert await host.head(PLACE, "main") == sha


async def test_a_slow_vendor_is_given_up_on(site: Site, host: GitHub) -> None:
    await made(host)
    site.server.faults.add(Fault("slow", seconds=1.5, times=10))
    began = time.monotonic()
    async with aclosing(site.host(Patience(total=1, answer=0.3))) as hasty:
        with pytest.raises(Transient, match="no good answer within 1 seconds"):
            await hasty.branches(PLACE)
    assert time.monotonic() - began < 2
    site.server.faults.waiting.clear()


async def test_two_processes_that_write_at_once_both_land(site: Site, host: GitHub) -> None:
    await made(host)
    async with aclosing(site.host()) as another:
        writers = [(f"{name}{n}", each) for n in range(4) for name, each in (("a", host), ("b", another))]
        await asyncio.gather(*(committed(each, add(name)) for name, each in writers))
    assert len(await host.log(PLACE, await host.head(PLACE, "main"))) == 9


async def test_of_two_processes_with_one_expectation_one_wins(site: Site, host: GitHub) -> None:
    head = await made(host)

    async def go(each: GitHub, name: str) -> bool:
        try:
            await each.commit(PLACE, "main", [add(name)], message="m", author=ADA, expected_head=head)
        except HeadMoved:
            return False
        return True

    async with aclosing(site.host()) as another:
        won = await asyncio.gather(go(host, "a"), go(another, "b"))
    assert sorted(won) == [False, True]


async def test_a_merge_goes_on_from_where_the_target_moved_to(site: Site, host: GitHub) -> None:
    await branched(host)
    await committed(host, add("topic"), branch="topic")
    async with aclosing(site.host()) as another:
        sha, _ = await asyncio.gather(merged(host), committed(another, add("main")))
    files = await host.list_files(PLACE, await host.head(PLACE, "main"))
    assert files == ["README.md", "main", "topic"]
    assert len((await host.info(PLACE, sha)).parents) == 2


async def test_a_branch_that_github_protects_is_told_by_name(site: Site, host: GitHub) -> None:
    first = await made(host)
    site.repository(PLACE).protected.add("main")
    with pytest.raises(ProtectedBranch, match=r"GitHub's own rules.*Protected branch update failed"):
        await committed(host, add("a"))
    assert await host.head(PLACE, "main") == first


async def test_a_token_that_is_revoked_midway_is_asked_to_be_renewed(site: Site, host: GitHub) -> None:
    first = await made(host)
    site.server.tokens.revoke(site.token)
    with pytest.raises(Forbidden, match="new version of the secret 'github-token'") as caught:
        await committed(host, add("a"))
    assert site.token not in str(caught.value)
    site.server.tokens.grant(site.token, site.organization)
    assert await host.head(PLACE, "main") == first
    await committed(host, add("a"))


async def test_a_token_that_may_only_read_is_told_what_it_lacks(site: Site, host: GitHub) -> None:
    await made(host)
    site.server.tokens.grant(site.token, site.organization, rights=frozenset({"statuses"}))
    await host.branches(PLACE)
    with pytest.raises(Forbidden, match="permission contents=write") as caught:
        await committed(host, add("a"))
    assert caught.value.facts["permission"] == "contents=write"


async def test_a_token_of_another_organization_sees_nothing(site: Site, host: GitHub) -> None:
    await made(host)
    site.server.tokens.grant(site.token, "elsewhere")
    assert not await host.exists(PLACE)
    with pytest.raises(RepositoryMissing):
        await host.head(PLACE, "main")
    with pytest.raises(Forbidden, match="may not create repositories"):
        await host.create(replace(PLACE, name="b"), default_branch="main", author=ADA, readme="")


async def test_the_hourly_limit_is_waited_for_when_its_end_is_near(site: Site, host: GitHub) -> None:
    await made(host)
    token = site.server.tokens.grant(site.token, site.organization)
    token.remaining, token.reset = 0, int(time.time()) + 1
    assert await host.branches(PLACE)


async def test_the_hourly_limit_is_told_when_its_end_is_far_and_nothing_more_is_asked(
    site: Site, host: GitHub
) -> None:
    await made(host)
    token = site.server.tokens.grant(site.token, site.organization)
    token.remaining = 0
    site.server.calls.clear()
    for _ in range(3):
        with pytest.raises(Transient) as caught:
            await host.branches(PLACE)
        assert 3500 < int(str(caught.value.facts["retry_after"])) < 3605
    assert len(site.server.calls) == 1


@pytest.mark.parametrize("kind", ["secondary", "throttled"])
async def test_a_secondary_limit_is_waited_out(site: Site, host: GitHub, kind: str) -> None:
    await made(host)
    fault = site.server.faults.add(Fault(kind, "POST", "/git/trees", seconds=1))  # type: ignore[arg-type]
    began = time.monotonic()
    await committed(host, add("a"))
    assert fault.hits == 1
    assert time.monotonic() - began >= 1
