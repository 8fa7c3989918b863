"""Looks on embedded adapters: what drifts is found, told once, healed or only reported, and not for ever; and
every way in which something comes to run leads back to a commit."""

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.environments.policy import OnDrift, PolicyDraft
from shared.domain.gitops.model import DriftKind, SyncState, SyncStatus, sync_state_id
from shared.domain.releases.strategies import CanaryStep, RolloutSettings, RolloutWish, Strategy
from shared.ports.source_host import FileChange, Place, Signature
from shared.services.audit import Audit
from shared.services.releases import Plan
from shared.services.unit import Unit
from tests.services.test_deployments import SickTarget
from tests.support.counting import CountingStore
from tests.support.releases import ANN, MODULE, PLANNER, PROJECT, TENANT, Delivery, a_delivery, a_draft
from tests.support.targets import SERVICE, running
from tests.support.waiting import until

GITOPS = Place(TENANT, "gitops", "environments")
PATH = f"dev/{PROJECT}/{MODULE}/release.yaml"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Delivery]:
    made = a_delivery(tmp_path, wrap=SickTarget)
    yield made
    await made.store.aclose()


@pytest.fixture
async def plan(world: Delivery) -> Plan:
    """A release that runs in dev."""
    planned = await world.a_plan(await world.a_build(await world.a_repository(), content="hello\n"), "dev")
    await world.drain()
    return planned


def folder(plan: Plan) -> str:
    return f"{MODULE}-{plan.release.component[:12]}"


async def report_only(world: Delivery) -> None:
    draft = PolicyDraft(
        allowed_strategies=tuple(Strategy),
        soak_seconds=0,
        rollout=RolloutSettings(),
        on_drift=OnDrift.REPORT,
    )
    await world.rules.set_policy(ANN, "dev", draft, None, None)
    await world.drain()


async def pushed(world: Delivery, content: bytes | None, path: str = PATH) -> str:
    """A person's push to the desired state; the commit. Its move is recorded as the sweep does it."""
    gone, back = FileChange(path, "delete"), FileChange(path, "modify", content)
    commit = await world.host.commit(
        GITOPS,
        "main",
        [gone if content is None else back],
        message="Revert",
        author=Signature("Ann", "ann@acme.test", world.clock.now()),
    )
    await world.record_pushes()
    await world.drain()
    return commit.sha


async def version(world: Delivery, message: str = "fix: more") -> Plan:
    repository = await world.repositories.find_named(ANN, PROJECT, "api")
    assert repository is not None
    planned = await world.a_plan(await world.a_build(repository, message), "dev")
    await world.drain()
    return planned


async def commits_of_its_audit(world: Delivery, state: SyncState) -> list[str]:
    """The commits that the audit trail names for what came to run, oldest first."""
    trail = await Audit(world.store).trail(ANN, SyncState.__record__.root_of(state.id))
    told = [entry["reason"] for entry in trail.entries if entry["action"] == "gitops.synced"]
    return [reason.split()[1] for reason in told]


async def test_what_was_removed_is_found_and_comes_back(world: Delivery, plan: Plan) -> None:
    await world.target.remove(TENANT, "dev", folder(plan))
    await world.look()
    state = await world.sync_state("dev", plan.release)
    (finding,) = state.drift
    assert (state.status, finding.kind, state.live_revision) == (
        SyncStatus.OUT_OF_SYNC,
        DriftKind.MISSING,
        None,
    )
    told = await world.payload("GitOpsDriftDetected")
    assert (told["kind"], told["severity"], told["hash"]) == ("missing", "critical", finding.hash)
    await world.drain()
    assert await world.live("dev", plan.release) == "1.0.0"
    healed = await world.sync_state("dev", plan.release)
    assert (healed.status, healed.drift) == (SyncStatus.SYNCED, ())
    assert (await world.payload("GitOpsSynced"))["driftResolved"] is True


async def test_a_killed_service_is_found_and_started_again(world: Delivery, tmp_path: Path) -> None:
    planned = await world.a_plan(await world.a_build(await world.a_repository(), files=SERVICE), "dev")
    await world.drain()
    (old,) = running(tmp_path)
    os.killpg(os.getpgid(old), signal.SIGKILL)
    await until(lambda: not running(tmp_path))
    await world.look()
    (finding,) = (await world.sync_state("dev", planned.release)).drift
    assert finding.kind is DriftKind.UNHEALTHY
    assert "not running" in (finding.actual or "")
    await world.drain()
    assert running(tmp_path) not in ([], [old])
    assert (await world.sync_state("dev", planned.release)).status is SyncStatus.SYNCED
    await world.target.remove(TENANT, "dev", folder(planned))


async def test_a_hand_edited_folder_is_found_and_made_anew(
    world: Delivery, plan: Plan, tmp_path: Path
) -> None:
    (file,) = tmp_path.glob("target/acme/dev/*/current/index.txt")
    file.write_text("edited\n")
    await world.look()
    (finding,) = (await world.sync_state("dev", plan.release)).drift
    assert (finding.kind, finding.actual) == (DriftKind.CONTENT, "index.txt was changed")
    await world.drain()
    assert file.read_text() == "hello\n"
    await world.look()
    assert (await world.sync_state("dev", plan.release)).drift == ()


async def test_where_the_policy_says_so_drift_is_only_told_until_somebody_asks(
    world: Delivery, plan: Plan
) -> None:
    await report_only(world)
    await world.target.remove(TENANT, "dev", folder(plan))
    for _ in range(3):
        await world.look()
        await world.drain()
        world.clock.advance(minutes=3)
    assert await world.live("dev", plan.release) is None
    state = await world.sync_state("dev", plan.release)
    assert (state.status, state.healings) == (SyncStatus.OUT_OF_SYNC, 0)
    assert (await world.events()).count("GitOpsDriftDetected") == 1, "told once while it stays"
    await world.gitops.reconcile(ANN, "dev", None, None)
    await world.drain()
    assert await world.live("dev", plan.release) == "1.0.0"


async def test_drift_that_went_by_itself_is_told_to_be_over(world: Delivery, plan: Plan) -> None:
    await report_only(world)
    sick = world.target
    assert isinstance(sick, SickTarget)
    sick.sick.add("1.0.0")
    await world.look()
    sick.sick.clear()
    await world.look()
    state = await world.sync_state("dev", plan.release)
    assert (state.status, state.drift) == (SyncStatus.SYNCED, ())
    assert (await world.payload("GitOpsSynced"))["driftResolved"] is True


async def test_what_drifts_again_and_again_is_healed_ever_more_rarely(world: Delivery, plan: Plan) -> None:
    for _ in range(36):
        await world.target.remove(TENANT, "dev", folder(plan))
        await world.look()
        await world.drain()
        world.clock.advance(minutes=10)
    healed = (await world.events()).count("ReconcileRequested") - 1
    state = await world.sync_state("dev", plan.release)
    # 1, 2, 4 ... 60 minutes between two at least, in six hours of looks every ten minutes.
    assert (healed, state.healings) == (11, 11)
    assert state.heal_after is not None
    await world.gitops.reconcile(ANN, "dev", None, None)
    await world.drain()
    assert (await world.sync_state("dev", plan.release)).healings == 0


async def test_what_has_held_for_a_while_is_healed_at_once_the_next_time(world: Delivery, plan: Plan) -> None:
    await world.target.remove(TENANT, "dev", folder(plan))
    await world.look()
    await world.drain()
    assert (await world.sync_state("dev", plan.release)).healings == 1
    world.clock.advance(minutes=12)
    await world.look()
    state = await world.sync_state("dev", plan.release)
    assert (state.healings, state.heal_after) == (0, None)


async def test_a_look_keeps_out_of_a_canary(world: Delivery, plan: Plan) -> None:
    repository = await world.repositories.find_named(ANN, PROJECT, "api")
    assert repository is not None
    draft = a_draft(await world.a_build(repository), "dev", Strategy.CANARY)
    wish = RolloutWish(canary=(CanaryStep(weight=20),))
    await world.releases.plan(PLANNER, replace(draft, rollout=wish), None)
    await world.drain()
    before = len(await world.outbox())
    world.clock.advance(hours=2)
    await world.look()
    assert len(await world.outbox()) == before
    assert (await world.sync_state("dev", plan.release)).drift == ()


async def test_a_look_leaves_alone_what_was_just_asked_for_and_takes_up_what_came_to_nothing(
    world: Delivery, plan: Plan
) -> None:
    await world.target.remove(TENANT, "dev", folder(plan))
    await world.gitops.reconcile(ANN, "dev", None, None)
    lost = [row.id for row in await world.outbox()]
    world.delivered.update(lost)
    await world.look()
    assert "GitOpsDriftDetected" not in await world.events()
    world.clock.advance(minutes=11)
    await world.look()
    await world.drain()
    assert await world.live("dev", plan.release) == "1.0.0"


async def test_a_look_that_waited_for_too_long_is_left_out(world: Delivery, plan: Plan) -> None:
    await world.target.remove(TENANT, "dev", folder(plan))
    sent_at = world.clock.now()
    world.clock.advance(minutes=11)
    await world.drifts.check(ANN, {"environment": "dev", "after": ""}, sent_at)
    assert (await world.sync_state("dev", plan.release)).drift == ()


async def test_a_look_where_nothing_moved_writes_nothing_and_its_time_is_coarse(tmp_path: Path) -> None:
    counted: list[CountingStore] = []

    def count(store: object) -> CountingStore:
        counted.append(CountingStore(store))  # type: ignore[arg-type]
        return counted[0]

    world = a_delivery(tmp_path, wrap_store=count)
    planned = await world.a_plan(await world.a_build(await world.a_repository()), "dev")
    await world.drain()
    await _more_states(world, planned, 16)
    operations = counted[0].operations
    await world.drifts.check(ANN, {"environment": "dev", "after": ""}, world.clock.now())
    kinds: list[str] = []
    for _ in range(2):
        operations.clear()
        await world.drifts.check(ANN, {"environment": "dev", "after": ""}, world.clock.now())
        kinds += [operation.kind for operation in operations]
    assert kinds == ["scan", "scan"], "one range read a turn, however many states it has"
    world.clock.advance(hours=1)
    operations.clear()
    await world.drifts.check(ANN, {"environment": "dev", "after": ""}, world.clock.now())
    assert [operation.kind for operation in operations].count("batch") == 1
    await world.store.aclose()


async def _more_states(world: Delivery, plan: Plan, count: int) -> list[SyncState]:
    """Others of which git wants nothing, so that nothing of them may run."""
    state = await world.sync_state("dev", plan.release)
    bare = replace(state, content_hash=None, desired_revision=None, live_revision=None)
    made = []
    for number in range(count):
        component, path = f"{number:032x}", f"dev/{PROJECT}/m{number}/release.yaml"
        key = sync_state_id(state.environment, component)
        made.append(replace(bare, id=key, component=component, module=f"m{number}", path=path))

    async def turn(unit: Unit) -> None:
        for each in made:
            unit.put(each)

    await world.units.run(ANN, SyncState.__record__.root_of(state.id), turn)
    return made


async def test_an_environment_with_many_modules_is_looked_at_in_turns(world: Delivery, plan: Plan) -> None:
    made = await _more_states(world, plan, 40)
    turns = [(environment.name, after) async for environment, after in world.drifts.due(ANN)]
    assert [name for name, _ in turns] == ["dev"] * 3

    async def want(unit: Unit) -> None:
        for state in made:
            unit.put(replace(await unit.get(SyncState, state.id), content_hash="sha256:" + "0" * 64))

    await world.units.run(ANN, SyncState.__record__.root_of(made[0].id), want)
    await world.look()
    assert (await world.events()).count("GitOpsDriftDetected") == 40, "the batches fit"


async def test_a_revert_by_push_brings_back_what_was_approved_once(world: Delivery, plan: Plan) -> None:
    first = await world.in_git("dev")
    await version(world)
    assert await world.live("dev", plan.release) == "1.0.1"
    sha = await pushed(world, first)
    assert await world.live("dev", plan.release) == "1.0.0"
    state = await world.sync_state("dev", plan.release)
    assert (state.status, state.live_revision) == (SyncStatus.SYNCED, sha)


async def test_a_push_of_what_nobody_promoted_ends_degraded_and_is_not_tried_for_ever(
    world: Delivery, plan: Plan
) -> None:
    approved = await world.in_git("dev")
    assert approved is not None
    await pushed(world, approved + b"# sneaked in\n")
    state = await world.sync_state("dev", plan.release)
    assert state.status is SyncStatus.DEGRADED
    assert "No promotion" in (state.last_error or "")
    for _ in range(20):
        await world.look()
        await world.drain()
        world.clock.advance(minutes=3)
    state = await world.sync_state("dev", plan.release)
    assert (state.status, state.healings) == (SyncStatus.DEGRADED, 6)
    assert await world.live("dev", plan.release) == "1.0.0"
    await pushed(world, approved)
    assert (await world.sync_state("dev", plan.release)).status is SyncStatus.SYNCED


async def test_our_own_commits_and_other_files_ask_for_nothing(world: Delivery, plan: Plan) -> None:
    await version(world)
    before = (await world.events()).count("ReconcileRequested")
    await world.record_pushes()
    await world.drain()
    for path in ("NOTES.md", f"moon/{PROJECT}/{MODULE}/release.yaml", f"dev/{PROJECT}/other/release.yaml"):
        commit = FileChange(path, "add", b"x\n")
        author = Signature("Ann", "ann@acme.test", world.clock.now())
        await world.host.commit(GITOPS, "main", [commit], message="m", author=author)
    await world.record_pushes()
    await world.drain()
    assert "DesiredStateCommitted" in await world.events()
    assert (await world.events()).count("ReconcileRequested") == before


async def test_a_push_that_nobody_heard_of_is_found_by_a_look(world: Delivery, plan: Plan) -> None:
    first = await world.in_git("dev")
    await version(world)
    await world.desired_states.write(ANN, PATH, first, message="back", promotion="x", key="by-hand")
    await world.look()
    (finding,) = (await world.sync_state("dev", plan.release)).drift
    assert finding.kind is DriftKind.UNAPPLIED
    await world.drain()
    assert await world.live("dev", plan.release) == "1.0.0"


async def test_whatever_runs_leads_back_to_its_commit(world: Delivery, plan: Plan) -> None:
    """Deployment, rollback, healing, revert by push: what runs, the state, the audit trail and git agree."""

    async def assert_traced() -> str:
        state = await world.sync_state("dev", plan.release)
        sha = state.live_revision
        assert sha is not None
        content = await world.host.read_file(GITOPS, sha, PATH)
        seen = await world.target.observe(TENANT, "dev", folder(plan))
        assert content == await world.in_git("dev")
        assert f"sha256:{seen.revision}" == state.content_hash
        trail = await commits_of_its_audit(world, state)
        assert trail[-1] == sha
        return sha

    deployed = await assert_traced()
    promotion = await world.promotion(plan.promotion.id)
    deployment = await world.deployments.get(ANN, promotion.deployment or "")
    assert deployment.gitops_commit == deployed
    newer = await version(world)
    first = await assert_traced()
    rollback = await world.controls.roll_back(ANN, newer.release.id, "dev", "bad", None)
    await world.drain()
    back = await assert_traced()
    assert (await world.deployments.get(ANN, rollback.id)).gitops_commit == back != first
    await world.target.remove(TENANT, "dev", folder(plan))
    await world.look()
    await world.drain()
    assert await assert_traced() == back, "healing brings what the same commit wants"
    again = await world.host.read_file(GITOPS, first, PATH)
    assert await pushed(world, again) == await assert_traced()
