"""What Slipway says no to, and that things are as they were afterwards."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.journey import ENDED, PATIENCE, Git, Journey, Json, pipeline, processes_of, service

pytestmark = pytest.mark.journey
BRANCH = "feature/hello"


async def ready(journey: Journey, script: str | None = None) -> str:
    """A repository with the service on a branch, and the pipeline that packs it (or runs `script`)."""
    await journey.provision()
    await journey.branch(BRANCH)
    made = await journey.generate(BRANCH)
    steps = pipeline() if script is None else pipeline(script, artifact=False)
    await journey.commit(BRANCH, "feat: say hello", service() | steps)
    return str(made["pipelineId"])


async def built(journey: Journey, pipeline_id: str) -> Json:
    return await journey.built(await journey.start(pipeline_id, BRANCH))


def moment(told: Json, name: str) -> datetime:
    return datetime.fromisoformat(told[name])


async def test_a_failing_test_blocks_the_merge_until_a_push_mends_it(
    begin: Callable[[str], Journey], tmp_path: Path
) -> None:
    journey = begin("blocked")
    await journey.provision()
    request = await journey.proposed(BRANCH, "feat: say hello", service("Hello", tested="Goodbye"))
    checked = await journey.checked(request)
    assert (checked["status"], checked["policyEvaluation"]) == ("Blocked", "Failed")
    verdicts = {check["name"]: check["status"] for check in checked["checks"]}
    assert verdicts == {"build": "Failed", "policy-gate": "Failed"}
    refused = await journey.planner.call("POST", f"/pull-requests/{request['pullRequestId']}/merge")
    assert (refused.status, refused.body["code"]) == (409, "checks_not_passed")
    assert "build is failed" in refused.body["detail"]

    git = Git(tmp_path / "home", journey.planner.token)
    await git("clone", "--quiet", "--branch", BRANCH, journey.remote_url, "code")
    mended = await git.committed("code", "fix: expect what it says", service("Hello"))
    await git("push", "--quiet", "origin", BRANCH, at="code")
    checked = await journey.checked(request, mended)
    assert (checked["status"], checked["policyEvaluation"]) == ("Open", "Passed")
    assert (await journey.merge(request))["status"] == "Merged"


async def test_a_conflict_names_the_paths_and_leaves_main_alone(begin: Callable[[str], Journey]) -> None:
    journey = begin("conflict")
    await journey.provision()
    quick = pipeline("true", artifact=False)
    mine = await journey.proposed("feature/mine", "docs: mine", {"README.md": "# mine\n"})
    theirs = await journey.proposed("feature/theirs", "docs: theirs", {"README.md": "# theirs\n"} | quick)
    for request in (mine, theirs):
        assert (await journey.checked(request))["policyEvaluation"] == "Passed"
    merged = await journey.merge(mine)
    refused = await journey.planner.call("POST", f"/pull-requests/{theirs['pullRequestId']}/merge")
    assert (refused.status, refused.body["code"]) == (409, "merge_conflict")
    assert refused.body["paths"] == ["README.md"]
    assert (await journey.commits("main"))[0]["sha"] == merged["mergeCommitSha"]
    assert (await journey.planner.get(f"/pull-requests/{theirs['pullRequestId']}"))["status"] == "Open"


async def test_a_cancelled_run_ends_at_once_and_so_do_its_processes(begin: Callable[[str], Journey]) -> None:
    journey = begin("cancelled")
    run = await journey.start(await ready(journey, "sleep 600 & sleep 601; wait"), BRANCH)
    place = f"/pipeline-runs/{run['pipelineRunId']}"
    work = journey.server.data_dir / "work"
    async with asyncio.timeout(PATIENCE):
        while len(processes_of(work)) < 3:
            await asyncio.sleep(0.05)
    began = time.monotonic()
    cancelled = await journey.planner.post(f"{place}/cancel")
    assert cancelled["status"] == "Canceled"
    while processes_of(work):
        assert time.monotonic() - began < 2, "its processes still run"
        await asyncio.sleep(0.05)
    ended = await journey.planner.get(place)
    assert ended["status"] == "Canceled"
    assert "agent:planner" in ended["outcomeReason"]
    result = await journey.planner.get(f"/build-results/{ended['buildResultId']}")
    assert result["status"] == "Canceled"
    again = await journey.planner.call("POST", f"{place}/cancel")
    assert again.status == 409
    draft = {"projectId": "shop", "moduleId": "hello", "targetEnvironment": "dev"}
    refused = await journey.planner.call(
        "POST", "/releases", {**draft, "buildResultId": result["buildResultId"]}
    )
    assert (refused.status, refused.body["code"]) == (422, "build_not_releasable")


async def test_a_rejection_ends_the_promotion(begin: Callable[[str], Journey]) -> None:
    journey = begin("rejected")
    release = await journey.plan(await built(journey, await ready(journey)), "staging")
    place = f"/releases/{release['releaseId']}"
    vote = await journey.approver.post(
        f"{place}/approve", {"decision": "Rejected", "comment": "Not on Fridays"}
    )
    assert vote["status"] == "Rejected"
    promotion = await journey.auditor.get(f"/promotions/{release['promotionId']}")
    assert promotion["status"] == "Rejected"
    assert "Rejected by user:ann" in promotion["cause"]
    votes = (await journey.auditor.get(f"{place}/approvals"))["items"]
    assert [(each["decision"], each["comment"]) for each in votes] == [("Rejected", "Not on Fridays")]
    late = await journey.person("user:bea", "approver").call(
        "POST", f"{place}/approve", {"decision": "Approved"}
    )
    assert late.status == 409
    environments = (await journey.auditor.get("/environments"))["items"]
    assert [each["current"] for each in environments] == [[], [], [], []]


async def test_an_environment_cannot_be_skipped(begin: Callable[[str], Journey]) -> None:
    journey = begin("skipped")
    release = await journey.plan(await built(journey, await ready(journey)), "staging")
    hop = {"releaseId": release["releaseId"], "toEnvironment": "test"}
    refused = await journey.operator.call("POST", "/promotions", hop)
    assert (refused.status, refused.body["code"]) == (422, "environment_order")
    assert refused.body["requiredEnvironment"] == "dev"
    assert "promote it into dev first" in refused.body["detail"]


async def test_a_release_that_never_becomes_healthy_leaves_everything_as_it_was(
    begin: Callable[[str], Journey], tmp_path: Path
) -> None:
    journey = begin("unhealthy")
    pipeline_id = await ready(journey)
    good = await journey.plan(await built(journey, pipeline_id), "dev")
    runs = await journey.deployed(good["promotionId"])
    said = await journey.answer(runs["url"])
    git = Git(tmp_path / "home", journey.planner.token)
    desired = f"{journey.server.url}/git/{journey.tenant}/gitops/environments.git"
    await git("clone", "--quiet", desired, "desired")
    manifest = git.home / "desired" / "dev" / "shop" / "hello" / "release.yaml"
    wanted = manifest.read_text()
    assert said["commit"] in wanted

    await journey.commit(BRANCH, "fix: never well", service(healthy=False))
    bad = await journey.plan(await built(journey, pipeline_id), "dev")
    failed = await journey.ended(bad["promotionId"])
    assert failed["status"] == "Failed"
    assert "did not become healthy" in failed["cause"]
    assert await journey.answer(runs["url"]) == said
    assert (await journey.auditor.get(f"/promotions/{good['promotionId']}"))["status"] == "Deployed"
    await git("pull", "--quiet", at="desired")
    assert manifest.read_text() == wanted
    assert (await git("log", "--reverse", "--format=%s", at="desired")).splitlines() == [
        "Initial commit",
        "deploy: hello 1.0.0 to dev",
        "deploy: hello 1.0.1 to dev",
        "restore: hello in dev after a failed deployment",
    ]
    (state,) = (await journey.auditor.get("/gitops/sync-states?environment=dev"))["items"]
    assert state["desiredRevision"] == state["liveRevision"]

    await journey.commit(BRANCH, "feat: well again", service("Welcome back"))
    mended = await journey.plan(await built(journey, pipeline_id), "dev")
    arrived = await journey.deployed(mended["promotionId"])
    assert (await journey.answer(arrived["url"]))["greeting"] == "Welcome back, world"
    assert len(processes_of(journey.server.data_dir / "environments" / journey.tenant)) == 1


async def test_releases_that_race_for_an_environment_go_one_after_the_other(
    begin: Callable[[str], Journey],
) -> None:
    journey = begin("race")
    pipeline_id = await ready(journey)
    builds = []
    for number in range(3):
        await journey.commit(BRANCH, f"fix: number {number}", {"number.txt": f"{number}\n"})
        builds.append(await built(journey, pipeline_id))
    plans = await asyncio.gather(*(journey.plan(build, "dev") for build in builds))
    assert sorted(plan["number"] for plan in plans) == [1, 2, 3]
    most = 0
    async with asyncio.timeout(PATIENCE):
        while True:
            seen = (await journey.auditor.get("/promotions?environment=dev"))["items"]
            most = max(most, sum(promotion["status"] == "Promoting" for promotion in seen))
            if all(promotion["status"] in ENDED for promotion in seen):
                break
            await asyncio.sleep(0.05)
    assert most == 1
    assert sorted(promotion["status"] for promotion in seen) == ["Deployed", "Superseded", "Superseded"]
    in_turn = sorted(seen, key=lambda promotion: moment(promotion, "startedAt"))
    for before, after in pairwise(in_turn):
        assert moment(before, "completedAt") <= moment(after, "startedAt")
    assert moment(in_turn[1], "createdAt") < moment(in_turn[0], "completedAt"), "they did not race"
    assert len(processes_of(journey.server.data_dir / "environments" / journey.tenant)) == 1


async def test_the_same_key_gives_the_same_bytes_and_another_body_is_refused(
    begin: Callable[[str], Journey],
) -> None:
    journey = begin("again")
    url = f"{journey.server.url}/repositories"
    headers = {"Authorization": f"Bearer {journey.planner.token}", "Idempotency-Key": "one-and-only"}
    wanted = {"projectId": "shop", "moduleId": "hello", "name": "hello"}
    answers = []
    for _ in range(2):
        async with journey.session.post(url, headers=headers, json=wanted) as answer:
            answers.append((answer.status, await answer.read(), answer.headers.get("Idempotent-Replayed")))
    (status, body, _), _ = answers
    assert answers == [(201, body, None), (status, body, "true")]
    async with journey.session.post(url, headers=headers, json={**wanted, "name": "other"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (422, "idempotency_key_reused")
    page = await journey.planner.get("/repositories")
    assert [repository["name"] for repository in page["items"]] == ["hello"]


async def test_a_version_of_the_api_that_does_not_exist_is_not_acceptable(
    begin: Callable[[str], Journey],
) -> None:
    journey = begin("version")
    answer = await journey.planner.call("GET", "/repositories", Accept="application/json; version=99")
    assert (answer.status, answer.body["code"]) == (406, "not_acceptable")
    assert "version=1" in answer.body["detail"]
