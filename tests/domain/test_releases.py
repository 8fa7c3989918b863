"""What a build becomes: numbers, versions, digests, and the hops of a release."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.components.lifecycle import extend, first_line, mention
from shared.domain.components.semver import Bump, bump_of, next_version
from shared.domain.kernel.errors import IllegalTransition
from shared.domain.pipelines.model import BuildStatus
from shared.domain.releases.errors import BuildMismatch, BuildNotReleasable, StrategyUnavailable
from shared.domain.releases.lifecycle import (
    MACHINE,
    ReleaseDraft,
    check_plan,
    check_strategy,
    first_track,
    plan,
    promote,
)
from shared.domain.releases.model import ReleaseStatus, Role, Strategy
from tests.support.app import START
from tests.support.promotions import (
    ANN,
    PLANNER,
    TENANT,
    a_build,
    a_release,
    an_artifact,
    an_environment,
)


@pytest.mark.parametrize(
    ("message", "bump"),
    [
        ("fix: a leak", Bump.PATCH),
        ("feat: a thing", Bump.MINOR),
        ("feat(api): a thing", Bump.MINOR),
        ("Feat: a thing", Bump.MINOR),
        ("feat!: another thing", Bump.MAJOR),
        ("fix(api)!: another thing", Bump.MAJOR),
        ("chore: x\n\nBREAKING CHANGE: y is gone", Bump.MAJOR),
        ("chore: x\n\nBREAKING-CHANGE: y is gone", Bump.MAJOR),
        ("chore: x\n\nno BREAKING CHANGE: here", Bump.PATCH),
        ("feature: not the word", Bump.PATCH),
        ("feat:no blank", Bump.PATCH),
        ("Merge pull request #1\n\nfeat: inside", Bump.PATCH),
        ("", Bump.PATCH),
    ],
)
def test_a_commit_asks_for_this_much(message: str, bump: Bump) -> None:
    assert bump_of(message) is bump


@pytest.mark.parametrize(
    ("last", "messages", "version"),
    [
        (None, [], "1.0.0"),
        (None, ["feat!: x"], "1.0.0"),
        ("1.3.9", [], "1.3.10"),
        ("1.3.9", ["fix: x"], "1.3.10"),
        ("1.3.9", ["fix: x", "feat: y"], "1.4.0"),
        ("1.3.9", ["fix!: x", "feat: y"], "2.0.0"),
    ],
)
def test_the_largest_change_decides_the_version(last: str | None, messages: list[str], version: str) -> None:
    assert next_version(last, messages) == version


@given(st.lists(st.lists(st.sampled_from(["fix: a", "feat: b", "feat!: c", "docs: d"])), max_size=20))
def test_versions_only_grow_and_numbers_have_no_gaps(history: Sequence[Sequence[str]]) -> None:
    line = first_line(mention(TENANT, "proj-x", "module-y", repository=None, at=START).entity)
    seen = []
    for number, messages in enumerate(history, start=1):
        line = extend(line, f"{number:040x}", messages)
        assert line.last_number == number
        assert line.last_version is not None
        seen.append(tuple(int(part) for part in line.last_version.split(".")))
    assert seen == sorted(set(seen))


def test_a_release_is_ready_at_birth_and_knows_its_planner() -> None:
    release = a_release()
    assert (release.number, release.version, release.status) == (1, "1.0.0", ReleaseStatus.READY)
    assert (release.created_by, release.created_for) == ("agent:Planner", "user:paula")
    assert release.primary.artifact == "bundle"
    assert release.images == (f"bundle@sha256:{'a' * 64}",)


def test_the_first_artifact_of_the_build_is_what_runs() -> None:
    release = a_release(a_build(artifacts=(an_artifact("web", "b"), an_artifact("docs", "a"))))
    assert release.primary.artifact == "web"
    assert [part.role for part in release.components] == [Role.ADDITIONAL, Role.PRIMARY]


def test_the_digest_is_of_the_content_and_nothing_else() -> None:
    release = a_release()
    assert (
        a_release(by=ANN, build=replace(a_build(), branch="other")).release_digest == release.release_digest
    )
    other = a_release(a_build(artifacts=(an_artifact("bundle", "b"),)))
    assert other.release_digest != release.release_digest


@pytest.mark.parametrize("status", [status for status in BuildStatus if status is not BuildStatus.SUCCEEDED])
def test_only_a_build_that_succeeded_is_released(status: BuildStatus) -> None:
    with pytest.raises(BuildNotReleasable):
        check_plan(a_draft(), a_build(status=status))


def test_a_build_without_artifacts_is_not_released() -> None:
    with pytest.raises(BuildNotReleasable):
        check_plan(a_draft(), a_build(artifacts=()))


@pytest.mark.parametrize(("project", "module"), [("proj-z", "module-y"), ("proj-x", "module-z")])
def test_a_plan_names_the_builds_own_project_and_module(project: str, module: str) -> None:
    with pytest.raises(BuildMismatch, match="proj-x/module-y"):
        check_plan(replace(a_draft(), project=project, module=module), a_build())


@pytest.mark.parametrize("strategy", Strategy)
def test_a_strategy_that_the_environment_does_not_allow_is_refused_by_name(strategy: Strategy) -> None:
    allowed = (Strategy.ROLLING_UPDATE, Strategy.RECREATE)
    check_plan(a_draft(strategy), a_build())
    if strategy in allowed:
        check_strategy(strategy, allowed, "staging")
    else:
        with pytest.raises(StrategyUnavailable, match="RollingUpdate or Recreate"):
            check_strategy(strategy, allowed, "staging")


def test_every_hop_has_its_own_promotion_and_the_newest_of_an_environment_counts() -> None:
    release, staging, dev = a_release(), an_environment("staging"), an_environment("dev")
    track = plan(release, first_track(release), staging, Strategy.RECREATE, PLANNER, START).entity
    track = promote(release, track, dev, ANN, START).entity
    track = promote(release, track, staging, ANN, START).entity
    assert len({hop.promotion for hop in track.hops}) == 3
    assert [hop.environment for hop in track.latest()] == ["dev", "staging"]
    assert track.latest()[-1] is track.hops[-1]
    assert {hop.strategy for hop in track.hops} == {Strategy.RECREATE}


def test_planning_tells_what_the_contract_says() -> None:
    release, staging = a_release(), an_environment("staging")
    (event,) = plan(release, first_track(release), staging, Strategy.RECREATE, PLANNER, START).events
    assert event.type == "ReleasePlanned"
    assert event.payload["releaseId"] == f"rel-{release.id}"
    assert event.payload["requiredApprovals"] == 1
    assert event.payload["plannedBy"] == "agent:Planner"
    assert (event.project, event.module) == ("proj-x", "module-y")


@pytest.mark.parametrize("state", ReleaseStatus)
@pytest.mark.parametrize("verb", MACHINE.moves)
def test_a_release_moves_by_this_table_only(state: ReleaseStatus, verb: str) -> None:
    s = ReleaseStatus
    moves = {
        (s.DRAFT, "finalize"): s.READY,
        (s.READY, "deprecate"): s.DEPRECATED,
        (s.DEPRECATED, "archive"): s.ARCHIVED,
    }
    if (state, verb) in moves:
        assert MACHINE.next(state, verb) is moves[state, verb]
    else:
        with pytest.raises(IllegalTransition):
            MACHINE.next(state, verb)


def a_draft(strategy: Strategy = Strategy.ROLLING_UPDATE) -> ReleaseDraft:
    build = a_build()
    return ReleaseDraft(
        project=build.project,
        module=build.module,
        build_result=build.id,
        target_environment="dev",
        strategy=strategy,
    )
