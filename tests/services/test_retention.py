"""Retention: what is old goes, what something kept refers to stays, whatever dies or comes twice."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.approvals.model import Approval
from shared.domain.deployments.model import Deployment
from shared.domain.environments.model import Environment, environment_id
from shared.domain.gitops.model import Manifest
from shared.domain.kernel.ids import child_id
from shared.domain.kernel.record import Entity
from shared.domain.pipelines.model import BuildResult, PipelineRun
from shared.domain.promotions.model import DecisionRecord, Promotion, decision_id
from shared.domain.releases.errors import BuildNotReleasable
from shared.domain.releases.model import Release, ReleaseTrack, release_track_id
from shared.domain.retention.periods import BUILDS, DEFAULTS, GRACE, RELEASES, USUAL, Periods
from shared.domain.source.model import PolicyEvaluation, PullRequest, PullRequestStatus
from shared.services.audit import Audit
from shared.settings import BadSettings, Settings
from tests.support.app import START
from tests.support.releases import ANN, BOB, TENANT, Crash, DyingStore, a_delivery
from tests.support.retention import ALWAYS, YEAR, Kept


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    world = a_delivery(tmp_path)
    yield Kept.of(world)
    await world.store.aclose()


async def a_request(kept: Kept, number: int, status: PullRequestStatus) -> PullRequest:
    repository = child_id("0" * 32, "repository", "x")
    return await kept.put(
        PullRequest(
            id=child_id(repository, "pull-request", str(number)),
            tenant=TENANT,
            project="proj-x",
            repository=repository,
            number=number,
            title="t",
            description="",
            source_branch="a",
            target_branch="main",
            source_sha="0" * 40,
            status=status,
            policy_evaluation=PolicyEvaluation.PASSED,
            checks=(),
            reviewers=(),
            opened_by=ANN.subject,
            created_at=START,
            updated_at=START,
            merged_at=START + YEAR if status is PullRequestStatus.MERGED else None,
        )
    )


async def test_a_pull_request_goes_two_years_after_its_end(kept: Kept) -> None:
    merged = await a_request(kept, 1, PullRequestStatus.MERGED)
    abandoned = await a_request(kept, 2, PullRequestStatus.ABANDONED)
    open_one = await a_request(kept, 3, PullRequestStatus.OPEN)
    assert await kept.total("pull-request") == 3
    assert await kept.after(2 * YEAR) == [], "a day of grace is left"
    assert await kept.after(GRACE) == ["pull-request"]
    assert not await kept.there(PullRequest, abandoned.id)
    assert await kept.there(PullRequest, merged.id), "merged a year after it was opened"
    assert await kept.after(YEAR) == ["pull-request"]
    assert await kept.after(ALWAYS) == []
    assert await kept.there(PullRequest, open_one.id)
    assert await kept.total("pull-request") == await kept.listed("pull-request") == 1


async def test_a_build_that_no_release_came_of_is_archived_and_its_run_goes_with_its_log(kept: Kept) -> None:
    build = await kept.world.a_build(await kept.world.a_repository())
    run = await kept.a_run(build)
    assert (await kept.total("build-result"), await kept.total("run")) == (1, 1)
    assert await kept.after(YEAR) == []
    kept.world.clock.advance(seconds=2 * GRACE.total_seconds())
    assert await kept.go(dry=True) == ["build-result"], "as long as the build is there, its run is"
    assert await kept.there(BuildResult, build.id)
    assert await kept.go() == ["build-result", "run"]
    assert (await kept.total("build-result"), await kept.total("run")) == (0, 0)
    archived = json.loads(await kept.world.blobs.read(TENANT, f"archive/build-results/{build.id}.json"))
    assert (archived["id"], archived["commit_sha"]) == (build.id, build.commit_sha)
    assert await kept.world.blobs.info(TENANT, run.logs_path) is None
    trail = await Audit(kept.world.store).trail(ANN, PipelineRun.__record__.root_of(run.id))
    assert [entry["action"] for entry in trail.entries] == ["build-result.retired", "run.retired"]
    assert trail.verified
    told = [row.body for row in await kept.world.outbox() if row.body["eventType"] == "RetentionEnded"]
    assert told[0]["payload"]["archive"] == f"archive/build-results/{build.id}.json"
    assert await kept.go() == [], "a repeat finds nothing"


async def test_what_a_release_was_made_of_stays_as_long_as_the_release(kept: Kept) -> None:
    build, run, plan = await kept.a_release()
    _, _, newer = await kept.a_release()
    _, _, newest = await kept.a_release()
    assert await kept.after(6 * YEAR) == []
    for kind, key in ((BuildResult, build.id), (PipelineRun, run.id), (Release, plan.release.id)):
        assert await kept.there(kind, key)
    assert await kept.world.blobs.info(TENANT, run.logs_path) is not None
    assert await kept.after(2 * YEAR) == ["release", "build-result", "run"], "of the oldest alone"
    assert not await kept.there(BuildResult, build.id)
    for still in (newer, newest):
        assert await kept.there(Release, still.release.id), "what runs, and what it can be rolled back to"
    assert await kept.after(ALWAYS) == ["artifact"], "what the oldest one was made of"
    for made_of, is_kept in ((plan, False), (newer, True), (newest, True)):
        for part in made_of.release.components:
            assert (await kept.world.blobs.info(TENANT, part.ref) is not None) == is_kept


async def test_a_release_goes_with_all_that_was_decided_about_it(kept: Kept) -> None:
    _, _, plan = await kept.a_release("staging")
    world = kept.world
    await world.approve(plan.release.id)
    for place in ("dev", "test"):
        await world.promotions.open_next(ANN, plan.release.id, place, None)
        await world.drain()
    promotion = await world.promotion(plan.promotion.id)
    deployment = await world.deployments.get(ANN, promotion.deployment or "")
    for _ in range(2):
        _, _, other = await kept.a_release("staging")
        await world.approve(other.release.id, BOB)
        for place in ("dev", "test"):
            await world.promotions.open_next(ANN, other.release.id, place, None)
            await world.drain()
    before = await kept.listed("promotion")
    assert "release" in await kept.after(8 * YEAR)
    gone: list[tuple[type[Entity], str]] = [
        (Release, plan.release.id),
        (ReleaseTrack, release_track_id(plan.release.id)),
        (Promotion, promotion.id),
        (Approval, promotion.approvals[0]),
        (DecisionRecord, decision_id(promotion.id, 1)),
        (Deployment, deployment.id),
        (Manifest, deployment.manifest or ""),
    ]
    for kind, key in gone:
        assert not await kept.there(kind, key), kind
    assert await kept.total("promotion") == await kept.listed("promotion") == before - 3
    assert await kept.total("deployment") == await kept.listed("deployment") == 6
    for name in ("dev", "test", "staging"):
        trail = await Audit(world.store).trail(
            ANN, Environment.__record__.root_of(environment_id(TENANT, name))
        )
        assert trail.verified
    assert await kept.views.rebuild(world.store) == [], "the totals were right"


async def test_a_release_that_is_under_way_is_not_old(kept: Kept) -> None:
    _, _, plan = await kept.a_release("prod")
    assert await kept.after(ALWAYS) == []
    assert await kept.there(Release, plan.release.id)


async def test_a_build_past_its_period_is_not_released_any_more(kept: Kept) -> None:
    build = await kept.world.a_build(await kept.world.a_repository())
    kept.world.clock.advance(seconds=YEAR.total_seconds())
    assert await kept.go() == []
    with pytest.raises(BuildNotReleasable, match="run its pipeline again"):
        await kept.world.a_plan(build)


@pytest.mark.parametrize(("at", "written"), [(1, True), (2, False)], ids=["after", "before"])
async def test_killed_at_every_commit_it_goes_on_where_it_was(kept: Kept, at: int, written: bool) -> None:
    """Each run commits once and dies, just after that or at its next commit."""
    world = kept.world
    _, _, oldest = await kept.a_release()
    for _ in range(2):
        await kept.a_release()
    await kept.views.catch_up()
    world.clock.advance(seconds=(8 * YEAR).total_seconds())
    deaths = 0
    while True:
        dying = DyingStore(world.store, at, written)
        dying.armed = True
        try:
            await Kept.of(world, dying).retention.run()
        except Crash:
            deaths += 1
            assert deaths < 50
            continue
        break
    assert deaths > 5
    await kept.views.catch_up()
    assert not await kept.there(Release, oldest.release.id)
    for kind in ("release", "build-result", "run", "promotion", "deployment"):
        assert await kept.total(kind) == await kept.listed(kind) == 2, kind
    root = Environment.__record__.root_of(environment_id(TENANT, "dev"))
    assert (await Audit(world.store).trail(ANN, root)).verified


async def test_a_long_list_is_worked_off_in_parts(kept: Kept) -> None:
    kept.retention = replace(kept.retention, most=3)
    for number in range(4):
        await a_request(kept, number, PullRequestStatus.OPEN)
    last = await a_request(kept, 4, PullRequestStatus.ABANDONED)
    assert await kept.after(3 * YEAR) == [], "it looked at as many as it may"
    assert await kept.go() == ["pull-request"]
    assert not await kept.there(PullRequest, last.id)
    assert await kept.go() == [], "and begins again at the oldest"


def test_periods_are_settings_and_those_of_releases_cannot_be_short() -> None:
    assert Settings.load({}).retention == DEFAULTS
    assert Settings.load({"SLIPWAY_RETENTION": "runs:90"}).retention == {**DEFAULTS, "runs": 90}
    for wrong in ("releases:2000", "runs:0", "walks:3"):
        with pytest.raises(BadSettings, match="SLIPWAY_RETENTION"):
            Settings.load({"SLIPWAY_RETENTION": wrong})


@given(st.integers(1, 5000), st.integers(0, 6000), st.sampled_from([BUILDS, RELEASES]))
def test_what_is_due_was_over_a_day_before(days: int, age: int, name: str) -> None:
    periods, now = Periods({name: days}), START + timedelta(days=age)
    assert periods.is_due(name, START, now) == (age >= days + 1)
    assert not periods.is_due(name, START, now) or periods.is_over(name, START, now - GRACE)
    assert periods.is_due(name, START, now) == (periods.cutoff(name, now) >= START)
    assert not USUAL.is_over(name, None, datetime.max.replace(tzinfo=START.tzinfo))
