"""Pull requests of an installation and a vendor: each side's changes reach the other, and nothing twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.ports.ci_host import CommitStatus
from tests.support.host_bench import ADA, PLACE, HostBench, a_host_bench
from tests.support.vendors import CLOSED, MERGED, OPEN


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[HostBench]:
    async with a_host_bench(tmp_path) as bench:
        yield bench


async def test_what_is_opened_here_is_opened_there(bench: HostBench) -> None:
    request = await bench.get(await bench.ours(title="Add it", description="why", isDraft=True))
    there = await bench.there()
    assert (there.title, there.description, there.is_draft) == ("Add it", "why", True)
    assert (request["hostNumber"], request["hostUrl"]) == (there.number, there.url)
    assert await bench.sweep() == 0
    assert len(await bench.listed()) == 1


async def test_edits_here_follow_there(bench: HostBench) -> None:
    path = await bench.ours(isDraft=True)
    await bench.api.expect(200, "PUT", path, {"title": "Better", "description": "told"})
    await bench.api.expect(200, "POST", f"{path}/ready")
    await bench.api.drain()
    there = await bench.there()
    assert (there.title, there.description, there.is_draft) == ("Better", "told", False)


async def test_abandoned_and_taken_up_again_here_it_is_so_there(bench: HostBench) -> None:
    path = await bench.ours()
    await bench.api.expect(200, "POST", f"{path}/abandon")
    await bench.api.drain()
    assert (await bench.there()).status == CLOSED
    await bench.api.expect(200, "POST", f"{path}/reopen")
    await bench.api.drain()
    assert (await bench.there()).status == OPEN
    assert await bench.sweep() == 0


async def test_what_cannot_be_reopened_there_is_opened_anew(bench: HostBench) -> None:
    path = await bench.ours()
    await bench.api.expect(200, "POST", f"{path}/abandon")
    await bench.api.drain()
    await bench.vendor.change(PLACE, 100, status=MERGED)
    await bench.api.expect(200, "POST", f"{path}/reopen")
    await bench.api.drain()
    assert (await bench.get(path))["hostNumber"] == 101
    assert (await bench.there(101)).status == OPEN


async def test_what_is_merged_here_the_vendor_sees_by_itself(bench: HostBench) -> None:
    path = await bench.ours()
    await bench.api.expect(200, "POST", f"{path}/merge")
    await bench.later(minutes=1)
    assert (await bench.there()).status == MERGED
    assert (await bench.get(path))["mergedAtHost"] is False


async def test_what_is_merged_here_and_stays_open_there_is_closed(bench: HostBench) -> None:
    path = await bench.ours()
    await bench.api.expect(200, "POST", f"{path}/merge")
    await bench.vendor.change(PLACE, 100, source_branch="another", target_branch="gone")
    await bench.sweep()
    assert (await bench.there()).status == OPEN
    await bench.later(minutes=1)
    assert (await bench.there()).status == CLOSED


async def test_what_is_opened_there_is_opened_here_and_checked(bench: HostBench) -> None:
    sha = await bench.push("topic")
    await bench.vendor.open_by("octocat", PLACE, "topic", "main", "Theirs", "closes ABC-7", is_draft=True)
    await bench.later(minutes=11)
    [request] = await bench.listed()
    told = (request["number"], request["openedBy"], request["title"], request["hostNumber"])
    assert told == (1, "github:octocat", "Theirs", 100)
    assert (request["isDraft"], request["closes"][0]["key"]) == (True, "ABC-7")
    shown = {each.context: each.state for each in await bench.vendor.statuses(PLACE, sha)}
    assert shown == {"slipway/build": "success", "slipway/policy": "success"}
    assert await bench.sweep() == 0


async def test_closed_and_reopened_there_it_is_so_here(bench: HostBench) -> None:
    path = await bench.ours()
    await bench.vendor.change(PLACE, 100, status=CLOSED)
    await bench.sweep()
    assert (await bench.get(path))["status"] == "Abandoned"
    await bench.vendor.change(PLACE, 100, status=OPEN)
    await bench.later(minutes=11)
    assert (await bench.get(path))["status"] == "Open"
    assert await bench.later(minutes=11) == 0


@pytest.mark.parametrize(("by", "subject"), [("ada", "github:ada"), (None, "system:github")])
async def test_a_squash_there_is_a_fact_here(bench: HostBench, by: str | None, subject: str) -> None:
    path = await bench.ours()
    squashed = await bench.push("main", "squashed.txt")
    await bench.vendor.change(PLACE, 100, status=MERGED, merge_sha=squashed, merged_by=by)
    await bench.sweep()
    request = await bench.get(path)
    assert (request["status"], request["mergeCommitSha"]) == ("Merged", squashed)
    assert (request["mergedAtHost"], request["mergedBy"]) == (True, subject)
    audit = await bench.api.expect(200, "GET", f"/audit-entries?resourceId={path.rpartition('/')[2]}")
    assert audit["entries"][-1]["actor"]["subject"] == subject
    assert audit["entries"][-1]["reason"] == "merged at the vendor, not by Slipway"


async def test_a_merge_commit_there_is_recorded_by_its_branch(bench: HostBench) -> None:
    path = await bench.ours()
    head = (await bench.vendor.git.branches(PLACE))["topic"]
    merged = await bench.vendor.git.merge(
        PLACE, source="topic", target="main", expected_source=head, message="M", author=ADA
    )
    await bench.sweep()
    request = await bench.get(path)
    assert (request["status"], request["mergeCommitSha"]) == ("Merged", merged.sha)
    assert request["mergedAtHost"] is False


async def test_what_was_changed_there_is_taken_over_and_what_was_changed_here_is_told(
    bench: HostBench,
) -> None:
    path = await bench.ours()
    await bench.vendor.change(PLACE, 100, description="by them", is_draft=True)
    await bench.api.expect(200, "PUT", path, {"title": "by us"})
    await bench.api.drain()
    await bench.sweep()
    request, there = await bench.get(path), await bench.there()
    assert (request["title"], request["description"], request["isDraft"]) == ("by us", "by them", True)
    assert (there.title, there.description, there.is_draft) == ("by us", "by them", True)
    assert await bench.sweep() == 0


async def test_what_both_sides_changed_is_theirs_and_the_audit_says_so(bench: HostBench) -> None:
    path = await bench.ours()
    await bench.vendor.change(PLACE, 100, title="by them")
    await bench.api.expect(200, "PUT", path, {"title": "by us"})
    await bench.api.drain()
    assert (await bench.get(path))["title"] == (await bench.there()).title == "by them"
    audit = await bench.api.expect(200, "GET", f"/audit-entries?resourceId={path.rpartition('/')[2]}")
    reasons = [each["reason"] for each in audit["entries"] if each.get("reason")]
    assert reasons == ["changed at GitHub; changed here as well, which gave way: title"]


async def test_a_status_of_others_is_a_check_here_and_not_shown_back(bench: HostBench) -> None:
    path = await bench.ours()
    sha = (await bench.get(path))["sourceSha"]
    for context in ("ci/lint", "build", "policy-gate"):
        await bench.vendor.set_status(PLACE, sha, CommitStatus(context, "failure", "3 errors"))
    await bench.sweep()
    checks = {check["name"]: check for check in (await bench.get(path))["checks"]}
    assert (checks["ci/lint"]["status"], checks["ci/lint"]["detail"]) == ("Failed", "3 errors")
    assert checks["build"]["status"] == "Succeeded"
    assert "slipway/ci/lint" not in {each.context for each in await bench.vendor.statuses(PLACE, sha)}


async def test_a_status_does_not_overrule_what_a_system_reported_here(bench: HostBench) -> None:
    path = await bench.ours()
    sha = (await bench.get(path))["sourceSha"]
    reported = {"name": "scan", "status": "Failed", "sha": sha}
    await bench.api.expect(201, "POST", f"{path}/checks", reported)
    await bench.vendor.set_status(PLACE, sha, CommitStatus("scan", "success"))
    await bench.sweep()
    checks = {check["name"]: check["status"] for check in (await bench.get(path))["checks"]}
    assert checks["scan"] == "Failed"
