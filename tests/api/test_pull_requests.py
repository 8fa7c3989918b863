"""Pull requests as callers meet them: reviews, checks, waivers, and merges that happen by themselves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api import an_api
from tests.support.pull_requests import ANN, BOB, CAT, CI, DEVELOPER, Place, a_place, policies_of


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    api = an_api(tmp_path)
    yield await a_place(api)
    await api.app.aclose()


class TestReviews:
    async def test_the_authors_own_approval_does_not_count_nor_does_their_agents(self, place: Place) -> None:
        await place.policy(minimumReviewers=1)
        request = await place.pull_request()
        await place.review(request, "Approved", ANN)
        seen = await place.get(request)
        assert policies_of(seen)["reviewers"] == "Pending"
        assert "author" in seen["blockers"][0]["reason"]
        await place.refused(request, "checks_not_passed")
        await place.review(request, "Approved", DEVELOPER)
        assert policies_of(await place.get(request))["reviewers"] == "Passed"
        await place.api.expect(200, "POST", f"{request}/merge")

    async def test_the_last_verdict_of_each_reviewer_stands_and_all_are_kept(self, place: Place) -> None:
        request = await place.pull_request()
        await place.review(request, "ChangesRequested")
        blocked = await place.get(request)
        assert (blocked["status"], blocked["policyEvaluation"]) == ("Blocked", "Failed")
        await place.review(request, "Commented")
        assert (await place.get(request))["status"] == "Blocked"
        await place.review(request, "Approved")
        seen = await place.get(request)
        assert [(each["reviewer"], each["decision"]) for each in seen["reviews"]] == [
            ("user:bob", "Approved")
        ]
        assert seen["reviewers"] == ["user:bob"]
        page = await place.api.expect(200, "GET", f"{request}/reviews")
        decisions = [each["decision"] for each in page["items"]]
        assert decisions == ["ChangesRequested", "Commented", "Approved"]
        assert "PullRequestReviewed" in await place.events()

    async def test_a_new_push_dismisses_approvals_where_the_policy_says_so(self, place: Place) -> None:
        await place.policy(minimumReviewers=1)
        request = await place.pull_request()
        await place.review(request, "Approved")
        await place.commit("feature/x", "more.txt")
        await place.api.drain()
        assert (await place.get(request))["reviews"][0]["decision"] == "Dismissed"
        await place.policy(minimumReviewers=1, dismissStaleReviews=False)
        await place.review(request, "Approved")
        await place.commit("feature/x", "again.txt")
        await place.api.drain()
        assert (await place.get(request))["reviews"][0]["decision"] == "Approved"

    async def test_reviewers_are_asked_and_released_until_they_have_reviewed(self, place: Place) -> None:
        request = await place.pull_request(reviewers=["user:bob"])
        asked = await place.api.expect(200, "POST", f"{request}/reviewers", {"reviewers": ["user:cat"]})
        assert asked["reviewers"] == ["user:bob", "user:cat"]
        released = await place.api.expect(200, "DELETE", f"{request}/reviewers/user:cat")
        assert released["reviewers"] == ["user:bob"]
        await place.review(request, "Commented", BOB)
        refused = await place.api.send("DELETE", f"{request}/reviewers/user:bob")
        assert (refused.status, refused.body["code"]) == (409, "review_stands")

    async def test_a_viewer_cannot_review(self, place: Place) -> None:
        request = await place.pull_request()
        await place.review(request, "Approved", "acme/user+eve/viewer", status=403)


class TestChecks:
    async def test_a_required_check_that_nobody_reports_says_so(self, place: Place) -> None:
        await place.policy(requiredChecks=["build", "ci/scan"])
        request = await place.pull_request()
        seen = await place.get(request)
        assert policies_of(seen) == {"check:build": "Passed", "check:ci/scan": "Pending"}
        assert "nobody has reported" in seen["blockers"][0]["reason"]
        await place.report(request, "ci/scan", "Failed")
        assert (await place.get(request))["status"] == "Blocked"
        await place.report(request, "ci/scan", "Succeeded")
        seen = await place.get(request)
        assert (seen["policyEvaluation"], seen["blockers"]) == ("Passed", [])

    async def test_a_check_of_another_commit_is_kept_and_counts_once_the_source_is_there(
        self, place: Place
    ) -> None:
        await place.policy(requiredChecks=["ci/scan"])
        request = await place.pull_request()
        early = "c" * 40
        answer = await place.report(request, "ci/scan", "Succeeded", early)
        assert answer["sha"] == early
        assert policies_of(await place.get(request)) == {"check:ci/scan": "Pending"}
        kept = await place.api.expect(200, "GET", f"{request}/checks/{early}")
        assert [each["name"] for each in kept["checks"]] == ["ci/scan"]
        old = (await place.get(request))["sourceSha"]
        await place.report(request, "ci/scan", "Succeeded")
        await place.commit("feature/x", "more.txt")
        await place.api.drain()
        assert policies_of(await place.get(request)) == {"check:ci/scan": "Pending"}
        assert (await place.api.expect(200, "GET", f"{request}/checks/{old}"))["checks"]

    async def test_the_same_report_twice_changes_nothing(self, place: Place) -> None:
        request = await place.pull_request()
        await place.report(request, "lint", "Succeeded")
        before = await place.api.send("GET", request)
        await place.report(request, "lint", "Succeeded")
        assert (await place.api.send("GET", request)).headers["ETag"] == before.headers["ETag"]

    async def test_nobody_reports_the_platforms_own_checks_and_no_developer_reports_any(
        self, place: Place
    ) -> None:
        request = await place.pull_request()
        sha = (await place.get(request))["sourceSha"]
        body = {"name": "build", "status": "Succeeded", "sha": sha}
        answer = await place.api.send("POST", f"{request}/checks", body, token=CI)
        assert (answer.status, answer.body["errors"][0]["code"]) == (400, "reserved_check")
        await place.api.expect(403, "POST", f"{request}/checks", body, token=DEVELOPER)

    async def test_the_build_is_run_again_and_others_hear_that_they_should(self, place: Place) -> None:
        request = await place.pull_request()
        first = (await place.get(request))["checks"][0]
        again = await place.api.expect(200, "POST", f"{request}/checks/rerun", {"name": "build"})
        assert (again["policyEvaluation"], again["checks"][0]["status"]) == ("Pending", "Pending")
        await place.api.drain()
        seen = await place.get(request)
        assert seen["policyEvaluation"] == "Passed"
        assert seen["checks"][0]["pipelineRunId"] != first["pipelineRunId"]
        unknown = await place.api.send("POST", f"{request}/checks/rerun", {"name": "other"})
        assert unknown.body["code"] == "check_unknown"


class TestWaivers:
    async def test_a_waiver_lets_it_pass_with_a_reason_until_the_next_push(self, place: Place) -> None:
        await place.policy(minimumReviewers=2)
        request = await place.pull_request()
        own = await place.api.send("POST", f"{request}/waive", {"reason": "mine"}, token=ANN)
        assert (own.status, own.body["code"]) == (403, "own_pull_request")
        await place.api.expect(403, "POST", f"{request}/waive", {"reason": "x"}, token=DEVELOPER)
        await place.api.expect(400, "POST", f"{request}/waive", {"reason": ""}, token=BOB)
        waived = await place.api.expect(200, "POST", f"{request}/waive", {"reason": "outage"}, token=BOB)
        assert (waived["policyEvaluation"], waived["blockers"]) == ("Waived", [])
        assert waived["waiver"]["by"] == "user:bob"
        await place.commit("feature/x", "more.txt")
        await place.api.drain()
        after = await place.get(request)
        assert after["policyEvaluation"] == "Pending"
        assert "waiver" not in after
        await place.api.expect(200, "POST", f"{request}/waive", {"reason": "again"}, token=BOB)
        assert (await place.api.expect(200, "POST", f"{request}/merge"))["status"] == "Merged"

    async def test_a_role_that_may_bypass_says_why_and_it_stays_on_record(self, place: Place) -> None:
        await place.policy(minimumReviewers=1, bypassRoles=["operator"])
        request = await place.pull_request()
        reason = {"reason": "the site is down"}
        refused = await place.api.send("POST", f"{request}/bypass", reason, token=BOB)
        assert (refused.status, refused.body["code"]) == (403, "bypass_not_allowed")
        merged = await place.api.expect(200, "POST", f"{request}/bypass", reason, token=CAT)
        assert (merged["status"], merged["bypass"]["reason"]) == ("Merged", "the site is down")
        assert "PullRequestPolicyBypassed" in await place.events()


class TestLife:
    async def test_a_draft_cannot_be_merged_until_it_is_ready(self, place: Place) -> None:
        request = await place.pull_request(isDraft=True, labels=["wip", "wip"])
        assert (await place.get(request))["labels"] == ["wip"]
        await place.refused(request, "draft_pull_request")
        ready = await place.api.expect(200, "POST", f"{request}/ready")
        assert (ready["isDraft"], ready["blockers"]) == (False, [])
        await place.api.expect(200, "POST", f"{request}/merge")

    async def test_it_is_edited_and_says_what_it_closes(self, place: Place) -> None:
        request = await place.pull_request(description="Closes #1 and fixes abc-12; see #9")
        assert (await place.get(request))["closes"] == [
            {"kind": "PullRequest", "key": "#1"},
            {"kind": "WorkItem", "key": "ABC-12"},
        ]
        etag = (await place.api.send("GET", request)).headers["ETag"]
        edited = await place.api.expect(200, "PUT", request, {"description": "x"}, if_match=etag)
        assert (edited["title"], edited["closes"]) == ("X", [])
        stale = await place.api.send("PUT", request, {"title": "y"}, if_match=etag)
        assert stale.status == 412
        labelled = await place.api.expect(200, "PUT", f"{request}/labels", {"labels": ["bug"]})
        assert labelled["labels"] == ["bug"]

    async def test_an_abandoned_one_is_taken_up_again(self, place: Place) -> None:
        request = await place.pull_request()
        await place.api.expect(200, "POST", f"{request}/abandon")
        await place.commit("feature/x", "more.txt")
        reopened = await place.api.expect(200, "POST", f"{request}/reopen")
        assert (reopened["status"], reopened["policyEvaluation"]) == ("Open", "Pending")
        await place.api.drain()
        assert (await place.api.expect(200, "POST", f"{request}/merge"))["status"] == "Merged"
        again = await place.api.send("POST", f"{request}/reopen")
        assert (again.status, again.body["code"]) == (409, "illegal_transition")

    async def test_lists_find_drafts_labels_and_reviewers(self, place: Place) -> None:
        draft = await place.pull_request("feature/d", "d.txt", isDraft=True, labels=["bug"])
        other = await place.pull_request("feature/o", "o.txt", reviewers=["user:bob"])
        for query, found in (("isDraft=true", draft), ("label=bug", draft), ("reviewer=user:bob", other)):
            page = await place.api.expect(200, "GET", f"/pull-requests?{query}")
            assert [f"/pull-requests/{each['pullRequestId']}" for each in page["items"]] == [found]


class TestMergeability:
    async def test_a_conflict_shows_as_soon_as_the_target_has_moved(self, place: Place) -> None:
        one = await place.pull_request("feature/one", "same.txt", text="one\n")
        two = await place.pull_request("feature/two", "same.txt", text="two\n")
        assert (await place.get(two))["mergeability"] == "Clean"
        await place.api.expect(200, "POST", f"{one}/merge")
        await place.api.drain()
        seen = await place.get(two)
        assert (seen["mergeability"], seen["conflicts"]) == ("Conflicting", ["same.txt"])
        refused = await place.refused(two, "merge_conflict")
        assert refused["paths"] == ["same.txt"]

    async def test_a_branch_that_is_behind_waits_where_the_policy_says_so(self, place: Place) -> None:
        await place.policy(requireUpToDate=True)
        one = await place.pull_request("feature/one", "one.txt")
        two = await place.pull_request("feature/two", "two.txt")
        assert policies_of(await place.get(two))["up-to-date"] == "Passed"
        await place.api.expect(200, "POST", f"{one}/merge")
        await place.refused(two, "checks_not_passed")
        await place.api.drain()
        seen = await place.get(two)
        assert (seen["isBehind"], seen["status"]) == (True, "Blocked")


class TestAutoComplete:
    async def test_it_merges_by_itself_when_everything_passes(self, place: Place) -> None:
        await place.policy(minimumReviewers=1)
        request = await place.pull_request()
        ordered = await place.api.expect(200, "POST", f"{request}/auto-complete")
        assert (ordered["status"], ordered["autoComplete"]["by"]) == ("Open", "user:ann")
        await place.review(request, "Approved")
        merged = await place.get(request)
        assert (merged["status"], merged["mergedBy"]) == ("Merged", "user:ann")

    async def test_it_merges_at_once_what_waits_for_nothing(self, place: Place) -> None:
        request = await place.pull_request()
        await place.api.expect(200, "POST", f"{request}/auto-complete")
        await place.api.drain()
        assert (await place.get(request))["status"] == "Merged"

    async def test_a_push_by_another_takes_it_back_and_ones_own_does_not(self, place: Place) -> None:
        await place.policy(minimumReviewers=1)
        request = await place.pull_request()
        await place.api.expect(200, "POST", f"{request}/auto-complete")
        await place.commit("feature/x", "own.txt")
        assert "autoComplete" in await place.get(request)
        await place.commit("feature/x", "other.txt", token=BOB)
        assert "autoComplete" not in await place.get(request)
        assert "PullRequestAutoCompleteCancelled" in await place.events()

    async def test_it_is_taken_back_by_request(self, place: Place) -> None:
        await place.policy(minimumReviewers=1)
        request = await place.pull_request()
        await place.api.expect(200, "POST", f"{request}/auto-complete")
        plain = await place.api.expect(200, "DELETE", f"{request}/auto-complete")
        assert "autoComplete" not in plain
        await place.review(request, "Approved")
        assert (await place.get(request))["status"] == "Open"

    async def test_a_policy_made_stricter_holds_it_and_made_easier_lets_it_go(self, place: Place) -> None:
        await place.policy(minimumReviewers=1)
        request = await place.pull_request()
        await place.api.expect(200, "POST", f"{request}/auto-complete")
        await place.policy(minimumReviewers=0)
        assert (await place.get(request))["status"] == "Merged"
