"""The main job over HTTP: a change becomes a commit, a review, a build, a release, and a running service."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.journey import Journey, processes_of, service


@pytest.mark.journey
async def test_a_change_travels_from_a_commit_to_staging_and_a_second_one_replaces_it(
    begin: Callable[[str], Journey],
) -> None:
    journey = begin("acme")
    await journey.provision()
    merged = await journey.merged("feature/hello", "feat: say hello", service("Hello"))
    assert (merged["status"], merged["number"]) == ("Merged", 1)
    generated = await journey.generate()
    assert (await journey.commits("main"))[1]["sha"] == merged["mergeCommitSha"]

    first = await released(journey, generated["pipelineId"], version="1.0.0", number=1)
    await assert_the_planner_may_not_approve(journey, first)
    await approved(journey, first)
    arrived = await promoted(journey, first)
    assert await journey.answer(arrived["url"]) == {"greeting": "Hello, world", "commit": first["commit"]}
    await assert_synced(journey, "staging")
    services = staging_services(journey)
    assert len(services) == 1

    await journey.merged("feature/welcome", "feat: say it warmly", service("Welcome"))
    second = await released(journey, generated["pipelineId"], version="1.1.0", number=2)
    await approved(journey, second)
    replaced = await promoted(journey, second)
    assert await journey.answer(replaced["url"]) == {"greeting": "Welcome, world", "commit": second["commit"]}
    await assert_synced(journey, "staging")
    assert len(staging_services(journey)) == 1
    assert services[0] not in staging_services(journey)
    before = await journey.auditor.get(f"/promotions/{first['promotionId']}")
    assert before["status"] == "Superseded"
    environments = (await journey.auditor.get("/environments"))["items"]
    current = {
        each["environment"]["name"]: [row["version"] for row in each["current"]] for each in environments
    }
    assert current == {"dev": ["1.1.0"], "test": ["1.1.0"], "staging": ["1.1.0"], "prod": []}

    await assert_audited(journey, first, second)


async def released(journey: Journey, pipeline: str, *, version: str, number: int) -> Any:
    """A release of what main holds now, planned for staging, with the commit that it was built from."""
    head = (await journey.commits("main"))[0]["sha"]
    run = await journey.start(pipeline)
    build = await journey.built(run)
    assert build["commitSha"] == head
    assert build["tests"] == {"total": 1, "passed": 1, "failed": 0, "skipped": 0}
    assert [made["name"] for made in build["artifacts"]] == ["hello"]
    page = await journey.planner.get(f"/pipeline-runs/{run['pipelineRunId']}/logs")
    assert page["complete"]
    assert any("1 passed" in line["text"] for line in page["lines"])
    release = await journey.plan(build, "staging")
    assert (release["version"], release["number"], release["requiredApprovals"]) == (version, number, 1)
    return {**release, "commit": head}


async def assert_the_planner_may_not_approve(journey: Journey, release: Any) -> None:
    place = f"/releases/{release['releaseId']}"
    refused = await journey.planner.call("POST", f"{place}/approve", {"decision": "Approved"})
    assert refused.status == 403
    assert "ask someone else" in refused.body["detail"]
    assert (await journey.planner.get(place))["approvalsGranted"] == 0


async def approved(journey: Journey, release: Any) -> None:
    place = f"/releases/{release['releaseId']}"
    vote = await journey.approver.post(f"{place}/approve", {"decision": "Approved", "comment": "Looks good"})
    assert (vote["status"], vote["promotionId"]) == ("Approved", release["promotionId"])
    votes = (await journey.auditor.get(f"{place}/approvals"))["items"]
    assert [(each["approver"], each["decision"]) for each in votes] == [("user:ann", "Approved")]


async def promoted(journey: Journey, release: Any) -> Any:
    """Through dev and test by call; staging goes by itself, as it was planned and approved."""
    for environment in ("dev", "test"):
        waiting = await journey.auditor.get(f"/promotions/{release['promotionId']}")
        assert waiting["status"] == "Approved"
        hop = await journey.promote(release, environment)
        arrived = await journey.deployed(hop["promotionId"])
        assert (await journey.answer(arrived["url"]))["commit"] == release["commit"]
    return await journey.deployed(release["promotionId"])


async def assert_synced(journey: Journey, environment: str) -> None:
    states = await journey.auditor.get(f"/gitops/sync-states?environment={environment}")
    (state,) = states["items"]
    assert (state["status"], state["moduleId"]) == ("Synced", "hello")
    assert state["desiredRevision"] == state["liveRevision"]


def staging_services(journey: Journey) -> list[int]:
    folder = journey.server.data_dir / "environments" / journey.tenant / "staging"
    return [process.pid for process in processes_of(folder)]


async def assert_audited(journey: Journey, *releases: Any) -> None:
    told = [entry["action"] for entry in await journey.trail(journey.repository)]
    assert told.count("pull-request.merged") == 2
    assert told.count("repository.provisioned") == 1
    told = [entry["action"] for entry in await journey.trail(releases[0]["releaseId"])]
    assert told.count("release.created") == 2
    assert told.count("release.planned") == 2
    # One chain per root: that of staging holds both promotions.
    trail = await journey.trail(releases[0]["promotionId"])
    assert trail == await journey.trail(releases[1]["promotionId"])
    assert [entry["action"] for entry in trail].count("deployment.succeeded") == 2
