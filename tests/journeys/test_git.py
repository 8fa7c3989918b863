"""The real git client against the same repositories: what it pushes sets off the same events as the API."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.journey import PATIENCE, Git, Journey, Json, pipeline, service

pytestmark = pytest.mark.journey
QUICK = service() | pipeline("true", artifact=False)


async def cloned(journey: Journey, folder: Path) -> Git:
    """A repository with its first commit, and a clone of it at `code`."""
    await journey.provision()
    git = Git(folder / "home", journey.planner.token)
    await git("clone", "--quiet", journey.remote_url, "code")
    return git


async def branches(journey: Journey) -> dict[str, Json]:
    page = await journey.planner.get(f"/repositories/{journey.repository}/branches")
    return {branch["name"]: branch for branch in page["items"]}


async def test_a_clone_gives_what_was_merged_and_a_pull_what_is_merged_next(
    begin: Callable[[str], Journey], tmp_path: Path
) -> None:
    journey = begin("git-clone")
    git = await cloned(journey, tmp_path)
    assert await git("log", "--format=%s", at="code") == "Initial commit"
    merged = await journey.merged("feature/hello", "feat: say hello", QUICK)
    await git("pull", "--quiet", at="code")
    assert await git("rev-parse", "HEAD", at="code") == merged["mergeCommitSha"]
    assert "Merge pull request #1: feat: say hello" in await git("log", "--oneline", at="code")
    assert await git("log", "-1", "--format=%an", at="code") == "agent:planner"
    await git("clone", "--quiet", journey.remote_url, "again")
    for path, content in QUICK.items():
        assert (git.home / "again" / path).read_text() == content


async def test_a_push_to_a_feature_branch_is_recorded_and_starts_the_checks_of_its_pull_request(
    begin: Callable[[str], Journey], tmp_path: Path
) -> None:
    journey = begin("git-push")
    git = await cloned(journey, tmp_path)
    await git("switch", "--quiet", "--create", "feature/pushed", at="code")
    first = await git.committed("code", "feat: say hello", QUICK)
    await git("push", "--quiet", "origin", "feature/pushed", at="code")
    branch = (await branches(journey))["feature/pushed"]
    assert (branch["head"], branch["status"], branch["isProtected"]) == (first, "Created", False)
    recorded = await journey.commits("feature/pushed")
    assert [(commit["sha"], commit["message"].strip(), commit["author"]) for commit in recorded] == [
        (first, "feat: say hello", "Bob <bob@example.com>")
    ]

    request = await journey.open("feature/pushed")
    checked = await journey.checked(request)
    assert (checked["sourceSha"], checked["policyEvaluation"]) == (first, "Passed")

    second = await git.committed("code", "fix: say it again", {"notes.txt": "again\n"})
    third = await git.committed("code", "docs: say why", {"notes.txt": "again, and why\n"})
    await git("push", "--quiet", "origin", "feature/pushed", at="code")
    moved = await journey.planner.get(f"/pull-requests/{request['pullRequestId']}")
    assert (moved["sourceSha"], moved["status"]) == (third, "Open")
    assert [commit["sha"] for commit in await journey.commits("feature/pushed")] == [third, second, first]
    checked = await journey.checked(request, third)
    assert checked["policyEvaluation"] == "Passed"
    runs = (await journey.planner.get(f"/pipeline-runs?repositoryId={journey.repository}"))["items"]
    assert [(run["commitSha"], run["reason"], run["status"]) for run in runs] == [
        (third, "pull_request", "Succeeded"),
        (first, "pull_request", "Succeeded"),
    ]
    assert (await journey.merge(request))["status"] == "Merged"


async def test_deleting_a_branch_by_push_abandons_its_pull_request(
    begin: Callable[[str], Journey], tmp_path: Path
) -> None:
    journey = begin("git-delete")
    git = await cloned(journey, tmp_path)
    request = await journey.proposed("feature/short", "feat: not for long", QUICK)
    await git("push", "--quiet", "origin", "--delete", "feature/short", at="code")
    seen = await journey.planner.get(f"/pull-requests/{request['pullRequestId']}")
    assert seen["status"] == "Abandoned"
    assert (await branches(journey))["feature/short"]["status"] == "Deleted"
    refused = await journey.planner.call("POST", f"/pull-requests/{request['pullRequestId']}/merge")
    assert refused.status == 409


async def test_a_push_to_main_is_refused_in_a_sentence_that_says_what_to_do(
    begin: Callable[[str], Journey], tmp_path: Path
) -> None:
    journey = begin("git-main")
    git = await cloned(journey, tmp_path)
    before = await git("rev-parse", "HEAD", at="code")
    await git.committed("code", "feat: straight in", {"straight.txt": "in\n"})
    for how in (("push",), ("push", "--force")):
        refused = await git.try_(*how, "origin", "HEAD:main", at="code")
        assert refused.code != 0
        assert "protected branch: open a pull request" in refused.said
    assert (await branches(journey))["main"]["head"] == before
    assert await git("ls-remote", "origin", "refs/heads/main", at="code") == f"{before}\trefs/heads/main"


async def test_a_branch_policy_holds_for_pushes_from_the_moment_it_is_set(
    begin: Callable[[str], Journey], tmp_path: Path
) -> None:
    journey = begin("git-policy")
    git = await cloned(journey, tmp_path)
    await git("push", "--quiet", "origin", "HEAD:release/1", at="code")
    root = journey.person("user:root", "admin")
    policy = f"/repositories/{journey.repository}/branch-policies/releases"
    assert (await root.call("PUT", policy, {"pattern": "release/*"})).status == 200
    await git.committed("code", "fix: straight in", {"straight.txt": "in\n"})
    refused = await git.try_("push", "origin", "HEAD:release/1", at="code")
    assert refused.code != 0
    assert "protected branch: open a pull request" in refused.said
    await git("push", "--quiet", "origin", "HEAD:release/2", at="code")
    assert (await branches(journey))["release/2"]["isProtected"]
    assert (await root.call("DELETE", policy)).status == 204
    await git("push", "--quiet", "origin", "HEAD:release/1", at="code")


async def test_git_refuses_whom_the_api_refuses(begin: Callable[[str], Journey], tmp_path: Path) -> None:
    journey = begin("git-tokens")
    await cloned(journey, tmp_path)
    reader = journey.person("user:rita", scopes=["devops.repositories.read"])
    nobody = journey.person("user:noah", scopes=["devops.releases.read"])
    foreign = journey.person("user:eve", "admin", tenant="other")
    wrong = journey.remote_url.replace("http://", "http://bob:wrong@")
    tries = [
        ("wrong", wrong, "Authentication failed"),
        (nobody.token, journey.remote_url, "403"),
        # As if it were not there: another tenant is not even told that it exists.
        (foreign.token, journey.remote_url, "not found"),
    ]
    for number, (token, url, said) in enumerate(tries):
        refused = await Git(tmp_path / f"home{number}", token).try_("clone", url, "code")
        assert refused.code != 0
        assert said in refused.said
    git = Git(tmp_path / "reader", reader.token)
    await git("clone", "--quiet", journey.remote_url, "code")
    await git.committed("code", "feat: not mine to write", {"mine.txt": "no\n"})
    refused = await git.try_("push", "origin", "HEAD:feature/mine", at="code")
    assert refused.code != 0
    assert "403" in refused.said
    assert list(await branches(journey)) == ["main"]


async def test_of_pushes_that_race_for_a_branch_exactly_one_wins(
    begin: Callable[[str], Journey], tmp_path: Path
) -> None:
    journey = begin("git-race")
    await journey.provision()
    await journey.branch("feature/race")
    racers = [Git(tmp_path / f"home{number}", journey.planner.token) for number in range(4)]
    shas = []
    for number, git in enumerate(racers):
        await git("clone", "--quiet", "--branch", "feature/race", journey.remote_url, "code")
        shas.append(await git.committed("code", f"feat: from {number}", {f"from-{number}.txt": "me\n"}))
    async with asyncio.timeout(PATIENCE):
        pushed = await asyncio.gather(
            *(git.try_("push", "origin", "feature/race", at="code") for git in racers)
        )
    winners = [sha for sha, push in zip(shas, pushed, strict=True) if push.code == 0]
    assert len(winners) == 1, [push.said for push in pushed]
    # A loser was told by the server, or saw by itself that it is behind.
    assert all("fetch first" in push.said for push in pushed if push.code != 0)
    assert (await branches(journey))["feature/race"]["head"] == winners[0]
    assert [commit["sha"] for commit in await journey.commits("feature/race")] == winners
