"""What only Azure Repos has: limits of its texts, lists that cut them, a merge that leaves a request open."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.domain.kernel.errors import Invalid, Transient
from shared.ports.request_host import HostRequest, HostRequestStatus
from tests.contracts.azure_devops_vendor import AzureDevOpsBench, azure_devops_bench
from tests.contracts.source_hosts import ADA
from tests.contracts.vendor_bench import BEFORE


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[AzureDevOpsBench]:
    async with azure_devops_bench(tmp_path) as opened:
        opened.push("topic", "a")
        yield opened


async def opened(bench: AzureDevOpsBench, title: str = "Add a", description: str = "why") -> HostRequest:
    return await bench.vendor.requests.open_request(
        bench.place, source="topic", target="main", title=title, description=description, is_draft=False
    )


async def test_a_text_that_is_too_long_is_cut_with_a_mark(bench: AzureDevOpsBench) -> None:
    request = await opened(bench, "t" * 401, "d" * 3999 + "\U0001f6a2")
    assert request.title == "t" * 399 + "\u2026"
    # A ship is two characters to the service, and is not cut in half.
    assert request.description == "d" * 3999 + "\u2026"
    edited = await bench.vendor.requests.edit_request(
        bench.place, request.number, title="t" * 400, description="d" * 4000, is_draft=False
    )
    assert (edited.title, edited.description) == ("t" * 400, "d" * 4000)


async def test_a_list_tells_the_whole_of_a_long_description(bench: AzureDevOpsBench) -> None:
    request = await opened(bench, description="d" * 1000)
    (listed,) = await bench.vendor.requests.requests(bench.place, since=BEFORE)
    assert listed == request
    assert (await opened(bench)).description == "d" * 1000


async def test_a_pushed_merge_leaves_a_request_open(bench: AzureDevOpsBench) -> None:
    request = await opened(bench)
    await bench.vendor.source.merge(
        bench.place,
        source="topic",
        target="main",
        expected_source=request.source_sha,
        message="Merge topic",
        author=ADA,
    )
    found = await bench.vendor.requests.find_request(bench.place, request.number)
    assert found is not None
    assert (found.status, found.merge_sha) == (HostRequestStatus.OPEN, None)
    await bench.vendor.requests.close_request(bench.place, request.number)


async def test_what_cannot_be_opened_again_is_told(bench: AzureDevOpsBench) -> None:
    requests = bench.vendor.requests
    first = await opened(bench)
    await requests.close_request(bench.place, first.number)
    second = await opened(bench)
    with pytest.raises(Invalid):
        await requests.reopen_request(bench.place, first.number)
    await requests.close_request(bench.place, second.number)
    bench.delete_branch("topic")
    with pytest.raises(Invalid, match="TF401398"):
        await requests.reopen_request(bench.place, first.number)


async def test_a_request_that_has_ended_is_not_edited(bench: AzureDevOpsBench) -> None:
    request = await opened(bench)
    await bench.vendor.requests.close_request(bench.place, request.number)
    with pytest.raises(Invalid, match="due to its state"):
        await bench.vendor.requests.edit_request(
            bench.place, request.number, title="t", description="", is_draft=False
        )


async def test_a_request_that_is_said_to_be_there_and_is_not_shown_is_to_be_tried_again(
    bench: AzureDevOpsBench,
) -> None:
    """The list lags behind what refuses a second one."""
    number = bench.open_request("topic", "main", "Theirs")
    pull = bench.pulls.get(number)
    bench.pulls.shows = False
    with pytest.raises(Transient, match="shows none yet"):
        await opened(bench)
    assert pull.status == "active"


async def test_more_requests_than_a_page_are_told(bench: AzureDevOpsBench) -> None:
    refs = {"sourceRefName": "refs/heads/topic", "targetRefName": "refs/heads/main"}
    for number in range(1, 206):
        bench.pulls.open(number, {**refs, "title": str(number)})
        bench.pulls.change(number, {"status": "abandoned"})
    found = await bench.vendor.requests.requests(bench.place, since=BEFORE)
    assert [each.number for each in found] == list(range(1, 206))
    assert {each.status for each in found} == {HostRequestStatus.CLOSED}
