"""Previews a plan and carries it out, when it is the plan's turn.

Any process may die at any step: the next one does the step again, and the engine knows by the digest what it
has done already. What is reported after the plan's turn has passed changes nothing.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass

from shared.domain.environments.model import Environment
from shared.domain.infrastructure import lifecycle, turns
from shared.domain.infrastructure.events import work_asked
from shared.domain.infrastructure.model import (
    Counts,
    InfrastructurePlan,
    Operation,
    Outcome,
    PlanStatus,
    Preview,
    Stack,
    Violation,
)
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import DeliveryError, Permanent, Transient
from shared.domain.kernel.events import id_in
from shared.ports import provisioner as engines
from shared.ports.provisioner import Applied, Config, Plan, ProgramFailed, Provisioner
from shared.ports.vault import Vault
from shared.services.environments import Environments
from shared.services.once import Once
from shared.services.plan_files import PlanFiles, PlanLog
from shared.services.stacks import StackTurns
from shared.services.unit import Unit, Units

_log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks at whether a plan that is being worked on was cancelled."""
SECRET_PREFIX = "iac-"  # noqa: S105 - names only: what programs may read is kept apart from all else
SUPERSEDED = "plan_superseded"
TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class Refusal:
    """It was not done, and doing it again would not help: a code, and a sentence."""

    reason: str
    cause: str


NOT_FINISHED = Refusal(
    TIMED_OUT, "No worker finished it by its deadline; look at the log, then provision again."
)


@dataclass(frozen=True, slots=True)
class Provisioning:
    units: Units
    provisioner: Provisioner
    vault: Vault
    files: PlanFiles
    environments: Environments
    turns: StackTurns

    async def work(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """For ProvisionInfrastructure: what is next for the plan. Late and repeated messages do nothing."""
        found = await self._holding(actor, payload)
        if found is None:
            return
        plan, token = found
        if lifecycle.is_over(plan):
            await self._let_go(actor, plan, token)
        elif plan.status is PlanStatus.PREVIEWING:
            await self.record_preview(actor, plan, token, await self.preview(actor, plan))
        else:
            await self._settle(actor, plan, token, await self._carry_out(actor, plan))

    async def expire(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """For InfrastructureOverdue: give up a plan that nobody finished, so that it holds up no other."""
        found = await self._holding(actor, payload)
        if found is not None:
            await self._let_go(actor, *found)

    async def preview(self, actor: Actor, plan: InfrastructurePlan) -> Preview | Refusal:
        """What the plan would do, with its changes kept. Raises Transient where nobody can tell now."""
        destroy = plan.operation is Operation.DESTROY
        log = await PlanLog.open(self.files.blobs, self.units.clock, plan, "preview")
        try:
            config = await self._config(plan)
            async with self._watched(actor, plan):
                made = await self.provisioner.preview(
                    _target(plan), config, on_event=log.hear, destroy=destroy
                )
        except DeliveryError as error:
            return await _refused(log, error)
        await log.tell(*made.diagnostics)
        await log.end(f"Previewed as {made.digest}.")
        return _preview(made, await self.files.keep_changes(plan, made))

    async def record_preview(
        self,
        actor: Actor,
        plan: InfrastructurePlan,
        token: int,
        seen: Preview | Refusal | None,
        once: Once | None = None,
    ) -> InfrastructurePlan:
        """The plan with what was seen, carried on where nobody needs to be asked. None: nothing was seen in
        time, and a worker is to look."""
        environment = self.environments.declared(actor, plan.environment_name)

        async def turn(unit: Unit) -> InfrastructurePlan:
            found = await self.turns.in_hand(unit, plan, token)
            if found is None:
                return await unit.get(InfrastructurePlan, plan.id)
            stack, mine = found
            if mine.status is PlanStatus.PREVIEWING:
                if seen is None:
                    unit.emit(work_asked(mine, token))
                    return mine
                mine = self._seen(unit, mine, seen, environment)
                if mine.status is PlanStatus.PREVIEWED:
                    await self.turns.begin(unit, stack, mine)
            if lifecycle.is_over(mine) or mine.status is PlanStatus.AWAITING_APPROVAL:
                await self.turns.leave(unit, stack, mine)
            return await unit.get(InfrastructurePlan, plan.id)

        root = InfrastructurePlan.__record__.root_of(plan.id)
        return await self.units.run(actor, root, turn, once)

    async def _holding(
        self, actor: Actor, payload: Mapping[str, object]
    ) -> tuple[InfrastructurePlan, int] | None:
        """The plan that a command names with its token, if it is still its turn."""
        token = payload.get("token")
        if not isinstance(token, int):
            raise Permanent("The message has no token; look at who sent it.")
        plan_id = id_in(payload, "infrastructurePlanId", "infra")
        plan = await self.units.get(actor, InfrastructurePlan, plan_id)
        if turns.holds(await self.units.get(actor, Stack, plan.stack), plan.id, token):
            return plan, token
        _log.info("infrastructure plan %s does not hold its stack any more; nothing is done", plan.id)
        return None

    async def _carry_out(self, actor: Actor, plan: InfrastructurePlan) -> Outcome | Refusal:
        is_up = plan.operation is Operation.UP
        carry_out = self.provisioner.apply if is_up else self.provisioner.destroy
        digest = plan.vote.digest if plan.vote else plan.digest or ""
        log = await PlanLog.open(self.files.blobs, self.units.clock, plan, "apply" if is_up else "destroy")
        try:
            config = await self._config(plan)
            async with self._watched(actor, plan):
                done = await carry_out(_target(plan), config, digest, on_event=log.hear)
        except DeliveryError as error:
            return await _refused(log, error)
        await log.end(f"Carried out as {digest}." if not done.repeated else f"{digest} is carried out.")
        return await self._outcome(plan, done)

    async def _settle(
        self, actor: Actor, plan: InfrastructurePlan, token: int, result: Outcome | Refusal
    ) -> None:
        """Record what has become of a plan and let the next one in. One that was ended meanwhile stays so,
        and the stack tells the truth."""

        async def turn(unit: Unit) -> None:
            found = await self.turns.in_hand(unit, plan, token)
            if found is None:
                return
            stack, mine = found
            was_over = lifecycle.is_over(mine)
            if isinstance(result, Outcome):
                stack = await self.turns.take_effect(unit, stack, mine, result)
                if was_over:
                    mine = unit.put(lifecycle.too_late(mine, result.outputs, unit.now))
                else:
                    mine = unit.apply(lifecycle.complete(mine, result, unit.now))
            else:
                await self.turns.spare(unit, stack, mine)
                if not was_over:
                    mine = unit.apply(lifecycle.fail(mine, result.reason, result.cause, unit.now))
            await self.turns.leave(unit, stack, mine)

        await self.units.run(actor, InfrastructurePlan.__record__.root_of(plan.id), turn)

    async def _let_go(self, actor: Actor, plan: InfrastructurePlan, token: int) -> None:
        """End what is still at it; then the stack is the next one's."""
        await self.provisioner.cancel(_target(plan))
        await self._settle(actor, plan, token, await self._done(plan) or NOT_FINISHED)

    async def _done(self, plan: InfrastructurePlan) -> Outcome | None:
        """What the engine has carried out of a plan that nobody has reported on."""
        if plan.started_at is None:
            return None
        try:
            state = await self.provisioner.state(_target(plan))
        except engines.UnknownStack:
            is_gone = plan.operation is Operation.DESTROY
            return Outcome(counts=plan.counts or Counts(), outputs=None) if is_gone else None
        if plan.operation is Operation.DESTROY or state.digest != plan.digest:
            return None
        outputs = await self.files.keep_outputs(plan, state.outputs)
        return Outcome(counts=plan.counts or Counts(), outputs=outputs)

    async def _outcome(self, plan: InfrastructurePlan, done: Applied) -> Outcome:
        is_up = plan.operation is Operation.UP
        outputs = await self.files.keep_outputs(plan, done.outputs) if is_up else None
        return Outcome(counts=Counts(**dict(done.counts)), outputs=outputs)

    async def _config(self, plan: InfrastructurePlan) -> Config:
        """With the secrets as they are now. Raises NotFound for one that is not there."""
        secrets = {
            key: (await self.vault.get(plan.tenant, SECRET_PREFIX + name)).value
            for key, name in plan.secrets.items()
        }
        return Config(dict(plan.config), secrets)

    def _seen(
        self, unit: Unit, plan: InfrastructurePlan, seen: Preview | Refusal, environment: Environment
    ) -> InfrastructurePlan:
        if isinstance(seen, Refusal):
            return unit.apply(lifecycle.fail(plan, seen.reason, seen.cause, unit.now))
        return unit.apply(lifecycle.preview(plan, seen, environment, unit.now))

    @contextlib.asynccontextmanager
    async def _watched(self, actor: Actor, plan: InfrastructurePlan) -> AsyncIterator[None]:
        """Beside a run of the engine: end the run when its plan was cancelled."""
        watch = asyncio.create_task(self._end_when_over(actor, plan))
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def _end_when_over(self, actor: Actor, plan: InfrastructurePlan) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                if lifecycle.is_over(await self.units.get(actor, InfrastructurePlan, plan.id)):
                    await self.provisioner.cancel(_target(plan))
            except DeliveryError as error:
                _log.warning("cannot see whether plan %s was cancelled: %s", plan.id, error.message)


def _target(plan: InfrastructurePlan) -> engines.Stack:
    return engines.Stack(plan.tenant, plan.program, plan.stack_name)


def _preview(made: Plan, changes: str) -> Preview:
    return Preview(
        digest=made.digest,
        engine_mode=made.engine_mode,
        counts=Counts(**dict(made.counts)),
        changes=changes,
        violations=tuple(Violation(**asdict(each)) for each in made.violations),
        obstacles=made.obstacles,
    )


async def _refused(log: PlanLog, error: DeliveryError) -> Refusal:
    """What an engine's no means for its plan. Transient ones are raised again: asking again may help."""
    if isinstance(error, ProgramFailed):
        await log.tell(*error.diagnostics)
    await log.end(error.message, level="error")
    if isinstance(error, Transient):
        raise error
    if isinstance(error, engines.PlanChanged):
        return Refusal(
            SUPERSEDED,
            "The stack, its program or its configuration changed after this plan was previewed;"
            " provision again to get a plan of how it is now.",
        )
    return Refusal(error.code, error.message)
