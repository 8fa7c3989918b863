"""Pull requests at a vendor: opened once, told whole, changed and ended. Runs against every vendor."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.kernel.errors import Invalid
from shared.ports.request_host import HostRequest, HostRequestStatus, RequestHost, UnknownRequest
from shared.ports.source_host import RepositoryMissing, UnknownBranch
from tests.contracts.vendor_bench import BEFORE, VendorBench


def requests_of(vendor: VendorBench) -> RequestHost:
    return vendor.vendor.requests


async def opened(
    vendor: VendorBench, source: str = "topic", *, description: str = "why", is_draft: bool = False
) -> HostRequest:
    return await requests_of(vendor).open_request(
        vendor.place,
        source=source,
        target="main",
        title="Add a",
        description=description,
        is_draft=is_draft,
    )


async def found(vendor: VendorBench, number: int) -> HostRequest:
    request = await requests_of(vendor).find_request(vendor.place, number)
    assert request is not None
    return request


async def test_a_request_is_told_as_it_was_opened(vendor: VendorBench) -> None:
    sha = vendor.push("topic", "a")
    request = await opened(vendor, description="why\n\nand *how*")
    assert (request.title, request.description) == ("Add a", "why\n\nand *how*")
    assert (request.source_branch, request.target_branch, request.source_sha) == ("topic", "main", sha)
    assert (request.status, request.is_draft) == (HostRequestStatus.OPEN, False)
    assert (request.labels, request.merge_sha) == ((), None)
    assert request.author
    assert request.url.startswith("http")
    assert str(request.number) in request.url
    assert request.updated_at.tzinfo is UTC
    assert await found(vendor, request.number) == request


async def test_a_pair_of_branches_has_one_open_request(vendor: VendorBench) -> None:
    vendor.push("topic", "a")
    request = await opened(vendor)
    assert (await opened(vendor)).number == request.number
    await requests_of(vendor).close_request(vendor.place, request.number)
    assert (await opened(vendor)).number != request.number


async def test_a_request_whose_answer_was_lost_is_opened_once(vendor: VendorBench) -> None:
    vendor.push("topic", "a")
    vendor.lose("request")
    request = await opened(vendor)
    assert await requests_of(vendor).requests(vendor.place, since=BEFORE) == [request]


async def test_a_request_of_a_user_is_the_one_of_its_pair(vendor: VendorBench) -> None:
    vendor.push("topic", "a")
    number = vendor.open_request("topic", "main", "Theirs")
    request = await opened(vendor)
    assert (request.number, request.title) == (number, "Theirs")


async def test_what_cannot_be_opened_is_told(vendor: VendorBench) -> None:
    with pytest.raises(UnknownBranch, match="nope"):
        await opened(vendor, "nope")
    vendor.push("topic", "a")
    with pytest.raises(UnknownBranch, match="elsewhere"):
        await requests_of(vendor).open_request(
            vendor.place, source="topic", target="elsewhere", title="t", description="", is_draft=False
        )
    with pytest.raises(Invalid):
        await opened(vendor, "main")


async def test_a_draft_becomes_ready_and_a_draft_again(vendor: VendorBench) -> None:
    vendor.push("topic", "a")
    request = await opened(vendor, is_draft=True)
    assert request.is_draft
    for is_draft in (False, False, True, True):
        edited = await requests_of(vendor).edit_request(
            vendor.place, request.number, title="Add a", description="why", is_draft=is_draft
        )
        assert edited.is_draft is is_draft
        assert (await found(vendor, request.number)).is_draft is is_draft


async def test_a_request_is_edited(vendor: VendorBench) -> None:
    vendor.push("topic", "a")
    request = await opened(vendor)
    for description in ("because\nof this", ""):
        edited = await requests_of(vendor).edit_request(
            vendor.place, request.number, title="Add a, b", description=description, is_draft=False
        )
        assert (edited.title, edited.description) == ("Add a, b", description)
        assert await found(vendor, request.number) == edited


async def test_a_request_follows_its_branch(vendor: VendorBench) -> None:
    vendor.push("topic", "a")
    request = await opened(vendor)
    sha = vendor.push("topic", "b")
    assert (await found(vendor, request.number)).source_sha == sha


async def test_labels_are_told(vendor: VendorBench) -> None:
    vendor.push("topic", "a")
    request = await opened(vendor)
    vendor.label_request(request.number, "urgent", "bug")
    assert sorted((await found(vendor, request.number)).labels) == ["bug", "urgent"]


async def test_a_closed_request_is_opened_again(vendor: VendorBench) -> None:
    requests = requests_of(vendor)
    vendor.push("topic", "a")
    request = await opened(vendor)
    for _ in range(2):
        await requests.close_request(vendor.place, request.number)
        closed = await found(vendor, request.number)
        assert (closed.status, closed.merge_sha) == (HostRequestStatus.CLOSED, None)
    for _ in range(2):
        again = await requests.reopen_request(vendor.place, request.number)
        assert again.status is HostRequestStatus.OPEN


@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
async def test_a_merge_by_a_user_is_told_with_what_the_target_got(vendor: VendorBench, how: str) -> None:
    vendor.push("topic", "a")
    vendor.push("main", "b")
    request = await opened(vendor)
    sha = vendor.merge_request(request.number, how)  # type: ignore[arg-type]
    assert await vendor.vendor.source.head(vendor.place, "main") == sha
    merged = await found(vendor, request.number)
    assert (merged.status, merged.merge_sha) == (HostRequestStatus.MERGED, sha)
    assert (request.merged_by, merged.merged_by) == (None, "octocat")
    assert merged == (await requests_of(vendor).requests(vendor.place, since=BEFORE))[0]


async def test_a_merged_request_stays_merged(vendor: VendorBench) -> None:
    requests = requests_of(vendor)
    vendor.push("topic", "a")
    request = await opened(vendor)
    sha = vendor.merge_request(request.number, "merge")
    vendor.delete_branch("topic")
    await requests.close_request(vendor.place, request.number)
    with pytest.raises(Invalid):
        await requests.reopen_request(vendor.place, request.number)
    merged = await found(vendor, request.number)
    assert (merged.status, merged.merge_sha) == (HostRequestStatus.MERGED, sha)


async def test_the_open_ones_and_the_lately_ended_are_told_by_number(vendor: VendorBench) -> None:
    numbers = []
    for name in ("one", "two", "three"):
        vendor.push(name, name)
        numbers.append((await opened(vendor, name)).number)
    one, two, three = numbers
    vendor.close_request(one)
    vendor.merge_request(two, "merge")
    requests = requests_of(vendor)
    told = await requests.requests(vendor.place, since=BEFORE)
    assert [(each.number, each.status) for each in told] == [
        (one, HostRequestStatus.CLOSED),
        (two, HostRequestStatus.MERGED),
        (three, HostRequestStatus.OPEN),
    ]
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert [each.number for each in await requests.requests(vendor.place, since=later)] == [three]


async def test_a_request_from_a_fork_is_not_told_of(vendor: VendorBench) -> None:
    requests = requests_of(vendor)
    number = vendor.open_request("topic", "main", "From afar", fork=True)
    assert await requests.requests(vendor.place, since=BEFORE) == []
    assert await requests.find_request(vendor.place, number) is None
    with pytest.raises(UnknownRequest):
        await requests.close_request(vendor.place, number)


async def test_an_unknown_request_is_told(vendor: VendorBench) -> None:
    requests, place = requests_of(vendor), vendor.place
    assert await requests.find_request(place, 99999) is None
    with pytest.raises(UnknownRequest):
        await requests.edit_request(place, 99999, title="t", description="", is_draft=False)
    for end in (requests.close_request, requests.reopen_request):
        with pytest.raises(UnknownRequest):
            await end(place, 99999)


async def test_what_is_asked_of_a_missing_repository_says_so(vendor: VendorBench) -> None:
    vendor.forget_repository()
    requests = requests_of(vendor)
    with pytest.raises(RepositoryMissing):
        await requests.find_request(vendor.place, 1)
    with pytest.raises(RepositoryMissing):
        await requests.requests(vendor.place, since=BEFORE)
    with pytest.raises(RepositoryMissing):
        await opened(vendor)
    missing = replace(vendor.place, name="other")
    with pytest.raises(RepositoryMissing):
        await requests.close_request(missing, 1)
