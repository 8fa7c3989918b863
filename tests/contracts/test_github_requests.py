"""Pull requests, in what GitHub alone does. What every vendor does is in test_request_host."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from yarl import URL

from shared.adapters.hosts.github_graph import GraphError, Reply, address
from shared.domain.kernel.errors import DeliveryError, Forbidden, Invalid, Transient
from shared.ports.request_host import HostRequest, HostRequestStatus
from tests.contracts.github_vendor import GitHubBench, github_bench
from tests.contracts.vendor_bench import BEFORE
from tests.standins.github import Fault
from tests.standins.github.pulls import Pull


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[GitHubBench]:
    async with github_bench(tmp_path) as opened:
        opened.push("topic", "a")
        yield opened


async def opened(bench: GitHubBench, description: str = "", *, is_draft: bool = False) -> HostRequest:
    return await bench.vendor.requests.open_request(
        bench.place, source="topic", target="main", title="t", description=description, is_draft=is_draft
    )


async def edited(bench: GitHubBench, number: int, *, is_draft: bool) -> HostRequest:
    return await bench.vendor.requests.edit_request(
        bench.place, number, title="t", description="", is_draft=is_draft
    )


async def found(bench: GitHubBench, number: int) -> HostRequest:
    request = await bench.vendor.requests.find_request(bench.place, number)
    assert request is not None
    return request


def many(bench: GitHubBench, count: int) -> list[Pull]:
    """Without their branches, which take their time to make."""
    found = [bench.pulls.open_from_fork(f"b{number}", "main", "t") for number in range(count)]
    for pull in found:
        pull.fork = False
    return found


async def test_line_ends_of_the_web_are_as_ours(bench: GitHubBench) -> None:
    request = await opened(bench)
    bench.pulls.edit(request.number, body="one\r\n\r\ntwo")
    assert (await found(bench, request.number)).description == "one\n\ntwo"


@pytest.mark.parametrize("length", [65_536, 65_537])
async def test_a_description_is_cut_visibly_where_github_would_refuse_it(
    bench: GitHubBench, length: int
) -> None:
    request = await opened(bench, "x" * length)
    assert len(request.description) == 65_536
    assert request.description.endswith("too long for GitHub.)*") is (length > 65_536)


async def test_where_the_plan_has_no_drafts_a_plain_request_is_opened(bench: GitHubBench) -> None:
    bench.pulls.drafts = False
    request = await opened(bench, is_draft=True)
    assert not request.is_draft
    assert not (await edited(bench, request.number, is_draft=True)).is_draft


@pytest.mark.parametrize("is_draft", [False, True])
async def test_a_turn_whose_answer_was_lost_has_been_made(bench: GitHubBench, is_draft: bool) -> None:
    request = await opened(bench, is_draft=not is_draft)
    bench.site.server.faults.add(Fault("lost", "POST", "/graphql"))
    assert (await edited(bench, request.number, is_draft=is_draft)).is_draft is is_draft


async def test_a_refusal_by_graphql_is_told(bench: GitHubBench) -> None:
    request = await opened(bench)
    pull = bench.pulls.get(request.number)
    bench.pulls.refusal = "Something else is wrong."
    with pytest.raises(Invalid, match="Something else is wrong"):
        await edited(bench, pull.number, is_draft=True)


async def test_a_token_without_the_right_is_told_of_it(bench: GitHubBench) -> None:
    site = bench.site
    site.server.tokens.grant(site.token, site.organization, rights=frozenset({"contents"}))
    with pytest.raises(Forbidden, match="pull_requests=write"):
        await opened(bench)


async def test_a_push_that_brings_the_source_into_the_target_is_a_merge(bench: GitHubBench) -> None:
    request = await opened(bench)
    source = bench.vendor.source
    await source.create_branch(bench.place, "other", bench.head, by="ada")
    bench.repository.move_ref("refs/heads/main", request.source_sha, force=False)
    merged = await found(bench, request.number)
    assert (merged.status, merged.merge_sha) == (HostRequestStatus.MERGED, request.source_sha)


async def test_a_request_whose_branch_is_deleted_is_closed_and_stays_so(bench: GitHubBench) -> None:
    request = await opened(bench)
    bench.delete_branch("topic")
    assert (await found(bench, request.number)).status is HostRequestStatus.CLOSED
    with pytest.raises(Invalid, match="topic branch has been deleted"):
        await bench.vendor.requests.reopen_request(bench.place, request.number)


async def test_another_of_the_same_pair_is_not_reopened_beside_it(bench: GitHubBench) -> None:
    first = await opened(bench)
    await bench.vendor.requests.close_request(bench.place, first.number)
    await opened(bench)
    with pytest.raises(Invalid, match="already exists"):
        await bench.vendor.requests.reopen_request(bench.place, first.number)


async def test_no_more_pages_are_read_than_can_hold_what_ended_since(bench: GitHubBench) -> None:
    now = datetime.now(UTC)
    for number, pull in enumerate(many(bench, 250)):
        at = f"{now - timedelta(days=number):%Y-%m-%dT%H:%M:%SZ}"
        pull.state, pull.closed_at, pull.updated_at = "closed", at, at
    bench.site.server.calls.clear()
    # In the middle of a second, which GitHub tells as its beginning.
    since = (now - timedelta(days=9)).replace(microsecond=900_000)
    told = await bench.vendor.requests.requests(bench.place, since=since)
    assert [request.number for request in told] == list(range(1, 11))
    assert len(bench.site.server.calls) == 2
    assert len(await bench.vendor.requests.requests(bench.place, since=BEFORE - timedelta(days=400))) == 250


async def test_more_merges_than_graphql_tells_at_once_are_told(bench: GitHubBench) -> None:
    sha = bench.head
    for pull in many(bench, 101):
        pull.end(sha)
    told = await bench.vendor.requests.requests(bench.place, since=BEFORE)
    assert [request.merge_sha for request in told] == [sha] * 101


async def test_a_merge_that_graphql_does_not_know_is_told_without_its_commit(bench: GitHubBench) -> None:
    one, other = many(bench, 2)
    one.end(bench.head)
    other.end(bench.head)
    bench.pulls.unresolved.add(one.number)
    told = await bench.vendor.requests.requests(bench.place, since=BEFORE)
    assert [request.merge_sha for request in told] == [None, bench.head]


@pytest.mark.parametrize(
    ("kind", "error"),
    [("", Transient), ("RATE_LIMITED", Transient), ("FORBIDDEN", Forbidden), ("UNPROCESSABLE", Invalid)],
)
def test_an_error_of_graphql_is_one_of_ours(kind: str, error: type[DeliveryError]) -> None:
    with pytest.raises(error, match="went wrong"):
        Reply(errors=[GraphError(type=kind, message="Something went wrong.")]).check()


def test_graphql_is_beside_the_rest_api_of_an_enterprise_server() -> None:
    assert address(URL("https://api.github.com")) == "https://api.github.com/graphql"
    assert address(URL("https://git.example.com/api/v3")) == "https://git.example.com/api/graphql"
