"""Webhooks and statuses at a vendor: registered once, told from forgeries, read whole. Runs against every
vendor."""

import pytest

from shared.domain.kernel.errors import Invalid
from shared.ports.ci_host import CommitStatus, HookEvent
from shared.ports.source_host import RepositoryMissing, UnknownCommit
from tests.contracts.vendor_bench import VendorBench

URL = "https://slipway.example.com/webhooks/1"
SECRET = "a-secret-of-the-hook-123"
BODY = b'{"ref": "refs/heads/main"}'


async def test_a_hook_is_registered_once(vendor: VendorBench) -> None:
    hooks, place = vendor.vendor.hooks, vendor.place
    hook = await hooks.add_hook(place, URL, SECRET, (HookEvent.RUN, HookEvent.PUSH, HookEvent.PULL_REQUEST))
    assert (hook.url, set(hook.events)) == (URL, {HookEvent.PULL_REQUEST, HookEvent.PUSH, HookEvent.RUN})
    again = await hooks.add_hook(place, URL, SECRET, (HookEvent.PUSH,))
    assert again.events == (HookEvent.PUSH,)
    assert await hooks.hooks(place) == [again]


async def test_a_hook_whose_answer_was_lost_is_registered_once(vendor: VendorBench) -> None:
    hooks, place = vendor.vendor.hooks, vendor.place
    vendor.lose("hook")
    hook = await hooks.add_hook(place, URL, SECRET, (HookEvent.PUSH,))
    assert await hooks.hooks(place) == [hook]


async def test_a_removed_hook_is_gone_whole_and_removing_it_again_is_fine(vendor: VendorBench) -> None:
    hooks, place = vendor.vendor.hooks, vendor.place
    other = await hooks.add_hook(place, f"{URL}2", SECRET, (HookEvent.PUSH,))
    hook = await hooks.add_hook(place, URL, SECRET, (HookEvent.PULL_REQUEST, HookEvent.PUSH))
    assert {each.url for each in await hooks.hooks(place)} == {URL, f"{URL}2"}
    for each in (hook.id, hook.id, "99999", "../1"):
        await hooks.remove_hook(place, each)
    assert await hooks.hooks(place) == [other]


async def test_a_hook_that_the_vendor_refuses_is_told_without_its_secret(vendor: VendorBench) -> None:
    with pytest.raises(Invalid, match="webhook") as caught:
        await vendor.vendor.hooks.add_hook(vendor.place, "ftp://nowhere", SECRET, (HookEvent.PUSH,))
    assert SECRET not in str(caught.value)


async def test_what_the_vendor_sends_is_genuine(vendor: VendorBench) -> None:
    assert vendor.vendor.hooks.is_genuine(vendor.signed(BODY, SECRET), BODY, SECRET)


async def test_what_does_not_know_the_secret_is_not_genuine(vendor: VendorBench) -> None:
    hooks, headers = vendor.vendor.hooks, vendor.signed(BODY, SECRET)
    assert not hooks.is_genuine(headers, BODY, "another")
    assert not hooks.is_genuine(vendor.signed(BODY, "another"), BODY, SECRET)
    # A secret that was never set opens nothing.
    assert not hooks.is_genuine(vendor.signed(BODY, ""), BODY, "")
    assert not hooks.is_genuine({}, BODY, SECRET)
    for name, value in headers.items():
        for odd in ("", "sha256=", "Basic", "\u00e9", "\udc80", value[:-4], value.swapcase() + "x"):
            assert not hooks.is_genuine({**headers, name: odd}, BODY, SECRET)


async def test_the_latest_status_of_every_context_counts(vendor: VendorBench) -> None:
    hooks, place, head = vendor.vendor.hooks, vendor.place, vendor.head
    for state in ("pending", "success"):
        await hooks.set_status(place, head, CommitStatus("slipway/build", state, "built"))
    failed = CommitStatus("a", "failure", target_url=URL)
    await hooks.set_status(place, head, failed)
    assert await hooks.statuses(place, head) == [failed, CommitStatus("slipway/build", "success", "built")]


async def test_every_state_comes_back_as_it_was_set(vendor: VendorBench) -> None:
    hooks, place, head = vendor.vendor.hooks, vendor.place, vendor.head
    states = ("pending", "success", "failure", "error")
    for state in states:
        await hooks.set_status(place, head, CommitStatus(f"ci/{state}", state))
    found = {status.context: status.state for status in await hooks.statuses(place, head)}
    assert found == {f"ci/{state}": state for state in states}


async def test_a_commit_that_is_not_there_has_no_status(vendor: VendorBench) -> None:
    hooks, place = vendor.vendor.hooks, vendor.place
    for sha in ("0" * 40, "main"):
        with pytest.raises(UnknownCommit):
            await hooks.set_status(place, sha, CommitStatus("a", "success"))
        with pytest.raises(UnknownCommit):
            await hooks.statuses(place, sha)


async def test_what_is_asked_of_a_missing_repository_says_so(vendor: VendorBench) -> None:
    vendor.forget_repository()
    with pytest.raises(RepositoryMissing):
        await vendor.vendor.hooks.hooks(vendor.place)
    with pytest.raises(RepositoryMissing):
        await vendor.vendor.hooks.statuses(vendor.place, vendor.head)
