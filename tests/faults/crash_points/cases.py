"""One operation, tried with one fault: from a copy of the same folder to the comparison with the undisturbed
one."""

import asyncio
import copy
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from tests.faults.crash_points import scenarios_rollouts  # noqa: F401 - they add themselves
from tests.faults.crash_points.evidence import Facts, Remains, differences
from tests.faults.crash_points.faults import Faults, Killed, Mode, Point
from tests.faults.crash_points.installation import (
    SOUND,
    FrozenClock,
    Installation,
    NumberedIds,
    Plant,
    StridingClock,
)
from tests.faults.crash_points.operations import VAULT_SECRET, Chore, Delivery, Operation, Outcome
from tests.faults.crash_points.scenarios import Scenario
from tests.faults.crash_points.snapshot import Snapshot
from tests.faults.crash_points.stage import Stage
from tests.support.api import Api, World, a_world
from tests.support.app import START, SteppingClock

TRIES = 8
ALWAYS = frozenset({Mode.CRASH_BEFORE, Mode.CRASH_AFTER, Mode.ANSWER_LOST})


class Client(StrEnum):
    PROMPT = "retries at once"
    LATE = "retries when everything has settled"
    CROWD = "retries eight times at once"
    GONE = "never retries"


@dataclass(frozen=True)
class Fault:
    point: Point
    mode: Mode
    client: Client = Client.PROMPT

    def __str__(self) -> str:
        return f"call {self.point.at} ({self.point.call}): {self.mode}; the caller {self.client}"


@dataclass(frozen=True)
class Base:
    """The world that all scenarios start from, as a folder to copy."""

    snapshot: Snapshot
    world: World
    clock: SteppingClock
    git_clock: StridingClock
    ids: NumberedIds
    checkpoint: int

    @classmethod
    async def build(cls, folder: Path) -> "Base":
        clock, git_clock, ids = SteppingClock(START), StridingClock(START), NumberedIds()
        installation = Installation(folder, clock, git_clock, ids)
        await installation.app.vault.set("acme", "database", VAULT_SECRET)
        world = await a_world(Api(installation.app))
        # Its drain has relayed everything; ours takes up where it ended.
        await installation.drain()
        await installation.project()
        await installation.close()
        return cls(Snapshot.of(folder), world, clock, git_clock, ids, installation.checkpoint)


@dataclass
class Prepared:
    """A scenario ready to be tried, as a folder to copy, and what it leaves when nothing goes wrong."""

    scenario: Scenario
    folder: Path
    snapshot: Snapshot
    operation: Operation
    at: datetime
    git_at: datetime
    ids: NumberedIds
    checkpoint: int
    calls: tuple[Point, ...] = ()
    outcome: Outcome = field(default_factory=lambda: Outcome("unknown"))
    done: Facts = field(default_factory=dict)

    @classmethod
    async def build(cls, base: Base, scenario: Scenario, folder: Path) -> "Prepared":
        base.snapshot.put(folder)
        clock, git_clock, ids = copy.deepcopy((base.clock, base.git_clock, base.ids))
        installation = Installation(folder, clock, git_clock, ids, base.checkpoint)
        operation = await scenario.prepare(Stage(installation, base.world))
        if not isinstance(operation, Chore):
            await installation.sweep()
        await installation.close()
        kept = Snapshot.of(folder)
        made = cls(scenario, folder, kept, operation, clock.now(), git_clock.at, ids, installation.checkpoint)
        await made._undisturbed()
        return made

    async def _undisturbed(self) -> None:
        trial = Trial(self, Faults())
        trial.installation.faults.armed = True
        self.outcome = await self.operation.attempt(trial.installation, 1)
        self.calls = tuple(trial.installation.faults.calls)
        trial.installation.faults.armed = False
        assert any(point.writes for point in self.calls), f"{self.scenario}: it only reads"
        assert self.outcome.is_good, f"{self.scenario}: {self.outcome}"
        self.done = await trial.settled()
        if isinstance(self.operation, Delivery) and self.operation.is_due:
            # So far it was delivered twice: once by hand, and once by the bus as everything after it.
            once = await Trial(self, Faults()).settled()
            assert not list(differences(self.done, once)), f"{self.scenario}: twice is not once"

    def faults(self, *, every: bool, seed: int = 1) -> Iterator[Fault]:
        """Every state that a dying process can leave, every lost answer, and of what else can happen one
        thing in turn per write and per other read; or `every` mode at every call, by every client.

        A process keeps nothing but what it wrote, so dying at any call since a write is dying just after it.
        """
        chance = random.Random(f"{seed} {self.scenario}")
        for point in self.calls:
            modes = point.modes()
            others = [Fault(point, mode) for mode in modes if mode not in ALWAYS]
            if self.operation.is_keyed and point.writes:
                others += [
                    Fault(point, Mode.CRASH_AFTER, client) for client in Client if client is not Client.PROMPT
                ]
            if every:
                yield from (Fault(point, mode) for mode in modes if mode in ALWAYS)
                yield from others
                continue
            if point.at == 1:
                yield Fault(point, Mode.CRASH_BEFORE)
            if point.writes:
                yield from (Fault(point, mode) for mode in modes if mode in ALWAYS - {Mode.CRASH_BEFORE})
            if point.writes or chance.random() < 0.5:
                yield chance.choice(others)


class Trial:
    """One try of a prepared scenario, in a copy of its folder."""

    def __init__(self, prepared: Prepared, faults: Faults, plant: Plant = SOUND) -> None:
        self.prepared = prepared
        self.overtaking: list[Outcome] = []
        folder = prepared.folder.with_name(f"{prepared.folder.name}-trial")
        prepared.snapshot.put(folder)
        self.installation = Installation(
            folder,
            FrozenClock(prepared.at),
            StridingClock(prepared.git_at),
            copy.deepcopy(prepared.ids),
            prepared.checkpoint,
            plant,
            faults,
        )

    async def run(self, fault: Fault) -> AsyncIterator[str]:
        operation, wanted = self.prepared.operation, self.prepared.outcome
        first = await self._first()
        if fault.client is Client.LATE:
            await self._settle()
        answers = self.overtaking
        if fault.client is Client.CROWD:
            answers += await asyncio.gather(*(self._insist(first) for _ in range(TRIES)))
        elif fault.client is not Client.GONE:
            answers.append(await self._insist(first))
        await self.installation.faults.land()
        if operation.is_keyed and answers:
            # Whoever was told that it is done may read it, without waiting for a sweep.
            for rule in Remains.of(self.installation.folder).unrecorded(settled=False):
                yield f"once answered: {rule}"
        if operation.is_keyed and answers:
            again = await operation.attempt(self.installation, 1)
            if not again.is_replay:
                yield f"its replay is none: {again}"
            answers.append(again)
        for answer in answers:
            if (answer.status, answer.body) != (wanted.status, wanted.body):
                yield f"it was answered {answer.status} {answer.body!r}"
                yield f"and not {wanted.status} {wanted.body!r}"
        facts = await self.settled()
        if fault.client is not Client.GONE:
            for line in differences(facts, self.prepared.done):
                yield line
        for rule in self.remains.broken_rules():
            yield rule

    async def _first(self) -> Outcome | None:
        """The first try, in which the fault happens; None when the process died of it."""
        faults = self.installation.faults
        faults.overtake, faults.armed = self._overtake, True
        try:
            return await self.prepared.operation.attempt(self.installation, 1)
        except Killed:
            await self.installation.restart()
            return None
        finally:
            faults.armed = False

    async def _insist(self, outcome: Outcome | None) -> Outcome:
        """Try again as the client or the bus does, until there is a final answer."""
        for delivery in range(2, TRIES + 2):
            if outcome is not None and outcome.is_final:
                return outcome
            # Its twin may be at work on a thread, as long as a busy machine takes.
            is_in_progress = outcome is not None and outcome.status == 409
            await asyncio.sleep((0.05 if is_in_progress else 0.002) * (delivery - 2))
            self.installation.faults.client_retries()
            outcome = await self.prepared.operation.attempt(self.installation, delivery)
        return outcome or Outcome("never answered")

    async def _overtake(self) -> None:
        async with self.installation.another_process() as other:
            self.overtaking.append(await self.prepared.operation.attempt(other, 1))

    async def settled(self) -> Facts:
        """What there is once nothing moves any more."""
        await self._settle()
        self.remains = Remains.of(self.installation.folder)
        await self.installation.close()
        return self.remains.facts(self.prepared.scenario.repeatable)

    async def _settle(self) -> None:
        await self.installation.sweep()
        await self.installation.drain()
        await self.installation.sweep()
        await self.installation.sweep_vendors()
        await self.installation.drain()
        await self.installation.app.start()


async def problems(prepared: Prepared, fault: Fault, plant: Plant = SOUND) -> list[str]:
    """What is wrong after the operation was tried with this fault; nothing, if all is well."""
    trial = Trial(prepared, Faults(fault.point.at, mode=fault.mode), plant)
    try:
        return [problem async for problem in trial.run(fault)]
    finally:
        await trial.installation.close()


def tally(prepared: Prepared, faults: Sequence[Fault]) -> dict[str, str | int]:
    """What is tried of one operation: its calls, those that write, and the faults of each mode."""
    counts = Counter(str(fault.mode) for fault in faults)
    return {
        "operation": str(prepared.scenario),
        "calls": len(prepared.calls),
        "writes": sum(point.writes for point in prepared.calls),
        **{str(mode): counts[str(mode)] for mode in Mode},
    }


async def report(prepared: Prepared, faults: Sequence[Fault]) -> str:
    """What is wrong after any of these faults, a paragraph each; empty, if all is well."""
    found = {fault: await problems(prepared, fault) for fault in faults}
    return "\n".join("\n    ".join((str(fault), *wrong[:5])) for fault, wrong in found.items() if wrong)
