"""Any history of sending and settling, against a plain model: nothing lost, nothing twice, all in order."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.adapters.embedded.bus import SqliteBus
from shared.ports.bus import MAX_DELIVERY_COUNT, LockLost, Message, Received
from tests.contracts.conftest import BusBench, StillClock
from tests.contracts.servicebus_site import LOCK_SECONDS, SITES, OwnBus

QUEUE = "q"
WINDOW = timedelta(minutes=10)
PATIENCE = 10.0


@dataclass(eq=False)
class Held:
    """What the model knows of one message that is not completed."""

    message: Message
    joins_at: datetime
    deliveries: int = 0
    lock: str | None = None
    locked_until: datetime | None = None


class BusModel(RuleBasedStateMachine):
    """What the port promises. An adapter's subclass says how it is opened, and what more it promises."""

    sessions: ClassVar[tuple[str | None, ...]] = ("s", "t")
    dues: ClassVar[tuple[int, ...]] = (-30, 20, 100)
    steps: ClassVar[tuple[int, ...]] = (45, 90, 310, 700)
    """Seconds. No sum of them comes near a due time, or the end of a lock or window: real clocks run on."""

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.bench = self.open()
        self.bus, self.clock = self.bench.bus, self.bench.clock
        self.sent = 0
        self.seen: dict[str, datetime] = {}
        self.scheduled: list[Held] = []
        self.queue: list[Held] = []
        self.dead: list[Held] = []
        self.handed_out: list[Received] = []

    def open(self) -> tuple[asyncio.Runner, BusBench]:
        raise NotImplementedError

    def lock_seconds(self, asked: int) -> float:
        """How long a lock lasts for one who asked for so many seconds."""
        return asked

    @rule(
        sent=st.lists(
            st.tuples(st.integers(0, 12), st.integers(0, 5), st.none() | st.integers(0, 5)), max_size=4
        )
    )
    def send(self, sent: list[tuple[int, int, int | None]]) -> None:
        messages = [
            self.message(
                str(name), pick(self.sessions, session), None if due is None else pick(self.dues, due)
            )
            for name, session, due in sent
        ]
        self.runner.run(self.bus.send(QUEUE, messages))
        now = self.clock.now()
        for message in messages:
            if message.message_id not in self.seen or self.seen[message.message_id] + WINDOW <= now:
                self.seen[message.message_id] = now
                self.scheduled.append(Held(message, max(now, message.not_before or now)))
        self.join_due()

    def message(self, name: str, session: str | None, due: int | None) -> Message:
        """Each with a body of its own, by which it is known again after a redrive."""
        self.sent += 1
        not_before = None if due is None else self.clock.now() + timedelta(seconds=due)
        return Message(name, f"{name} {self.sent}".encode(), session_id=session, not_before=not_before)

    def join_due(self) -> None:
        now = self.clock.now()
        due = sorted(
            (held for held in self.scheduled if held.joins_at <= now), key=lambda held: held.joins_at
        )
        self.queue += due
        self.scheduled = [held for held in self.scheduled if held.joins_at > now]

    @rule(limit=st.integers(1, 4), lock_for=st.integers(1, 90))
    def receive(self, limit: int, lock_for: int) -> None:
        self.catch_up()
        wait = PATIENCE if any(self.available(held) for held in self.queue) else 0.0
        received = self.runner.run(self.bus.receive(QUEUE, limit=limit, lock_for=lock_for, wait=wait))
        locked_until = self.clock.now() + timedelta(seconds=self.lock_seconds(lock_for))
        for one, held in zip(received, self.hand_out(received, limit), strict=True):
            held.deliveries += 1
            held.lock, held.locked_until = one.lock_token, locked_until
            assert one.message.session_id == held.message.session_id
            assert one.message.not_before == held.message.not_before
            assert one.delivery_count == held.deliveries <= MAX_DELIVERY_COUNT
        self.handed_out += received

    def hand_out(self, received: list[Received], limit: int) -> list[Held]:
        """Whatever is first of its session and free, but something if there is any."""
        free = {held.message.body: held for held in self.queue if self.available(held)}
        assert len(received) <= limit
        assert bool(received) == bool(free)
        return [free.pop(one.message.body) for one in received]

    def catch_up(self) -> None:
        """A lock that ran out is gone, and the third of a message buries it."""
        self.join_due()
        now = self.clock.now()
        for held in list(self.queue):
            if held.locked_until is not None and held.locked_until <= now:
                held.lock = held.locked_until = None
                if held.deliveries >= MAX_DELIVERY_COUNT:
                    self.bury(held)

    def available(self, held: Held) -> bool:
        """First of its session, and nobody holds it."""
        session = held.message.session_id
        line = [held] if session is None else [one for one in self.queue if one.message.session_id == session]
        return line[0] is held and (held.locked_until is None or held.locked_until <= self.clock.now())

    def bury(self, held: Held) -> None:
        self.queue.remove(held)
        self.dead.append(held)
        held.lock = held.locked_until = None

    @precondition(lambda self: self.handed_out)
    @rule(how=st.sampled_from(["complete", "abandon", "dead_letter", "renew"]), data=st.data())
    def settle(self, how: str, data: st.DataObject) -> None:
        """Any delivery there ever was, so also one whose lock is long someone else's."""
        self.catch_up()
        received = data.draw(st.sampled_from(self.handed_out[-8:]))
        calls = {
            "complete": lambda: self.bus.complete(received),
            "abandon": lambda: self.bus.abandon(received),
            "renew": lambda: self.bus.renew(received, lock_for=30),
            "dead_letter": lambda: self.bus.dead_letter(received, "Test", "By hand."),
        }
        held = next((one for one in self.queue if one.lock == received.lock_token), None)
        if held is None:
            with pytest.raises(LockLost):
                self.runner.run(calls[how]())
            return
        self.runner.run(calls[how]())
        if how == "complete":
            self.queue.remove(held)
        elif how == "renew":
            held.locked_until = self.clock.now() + timedelta(seconds=self.lock_seconds(30))
        elif how == "dead_letter" or held.deliveries >= MAX_DELIVERY_COUNT:
            self.bury(held)
        else:
            held.lock = held.locked_until = None

    def time_passes(self, step: int) -> None:
        self.clock.advance(seconds=pick(self.steps, step))

    @rule()
    def redrive(self) -> None:
        self.catch_up()
        letters = self.runner.run(self.bus.dead_letters(QUEUE))
        assert self.runner.run(self.bus.redrive(QUEUE)) == len(self.dead)
        order = [letter.message.body for letter in letters]
        now = self.clock.now()
        for held in sorted(self.dead, key=lambda held: order.index(held.message.body)):
            self.scheduled.append(Held(held.message, now))
        self.dead = []
        self.join_due()

    @invariant()
    def nothing_is_lost_and_nothing_is_there_twice(self) -> None:
        self.catch_up()
        assert self.runner.run(self.bus.depth(QUEUE)) == len(self.queue) + len(self.scheduled)
        letters = self.runner.run(self.bus.dead_letters(QUEUE))
        assert Counter(letter.message.body for letter in letters) == Counter(
            held.message.body for held in self.dead
        )
        assert [letter.sequence for letter in letters] == sorted({letter.sequence for letter in letters})


def pick[T](choices: tuple[T, ...], index: int) -> T:
    return choices[index % len(choices)]


class SqliteModel(BusModel):
    """Promises exact times and the order of arrival over all sessions; a message may have none.

    A lock that ran out still counts while nobody else has the message, and then only is it buried.
    """

    sessions = (None, "s", "t")
    dues = (-30, 0, 1, 30, 90, 120)
    steps = (1, 30, 60, 300, 600)

    def open(self) -> tuple[asyncio.Runner, BusBench]:
        self.opened = ExitStack()
        folder = self.opened.enter_context(tempfile.TemporaryDirectory())
        runner = self.opened.enter_context(asyncio.Runner())
        clock = StillClock()
        bus = SqliteBus(Path(folder) / "bus.db", clock)
        self.opened.callback(lambda: runner.run(bus.aclose()))
        return runner, BusBench(bus, clock)

    def teardown(self) -> None:
        self.opened.close()

    @rule(step=st.integers(0, 5))
    def time_passes(self, step: int) -> None:
        super().time_passes(step)

    def catch_up(self) -> None:
        self.join_due()

    def hand_out(self, received: list[Received], limit: int) -> list[Held]:
        taken: list[Held] = []
        while available := [held for held in self.queue if self.available(held) and held not in taken]:
            for held in available[: limit - len(taken)]:
                if held.deliveries >= MAX_DELIVERY_COUNT:
                    self.bury(held)
                else:
                    taken.append(held)
            if len(taken) == limit:
                break
        assert [one.message for one in received] == [held.message for held in taken]
        assert [one.enqueued_at for one in received] == [held.joins_at for held in taken]
        return taken


class ServiceBusModel(BusModel):
    """A queue's lock lasts as the queue says, whatever is asked for."""

    opened: ClassVar[tuple[asyncio.Runner, OwnBus] | None] = None

    def open(self) -> tuple[asyncio.Runner, BusBench]:
        if ServiceBusModel.opened is None:
            ServiceBusModel.opened = asyncio.Runner(), SITES.stand_in.bus()
        runner, bus = ServiceBusModel.opened
        runner.run(SITES.stand_in.clear(bus))
        return runner, BusBench(bus, SITES.stand_in.clock)

    def lock_seconds(self, asked: int) -> float:
        return LOCK_SECONDS

    @rule(step=st.integers(0, 5))
    def time_passes(self, step: int) -> None:
        assert isinstance(self.bus, OwnBus)
        if any(self.available(held) for held in self.queue):
            self.runner.run(self.bus.linger())
        super().time_passes(step)

    @classmethod
    def close(cls) -> None:
        if cls.opened is not None:
            runner, bus = cls.opened
            cls.opened = None
            with runner:
                runner.run(bus.aclose())


@pytest.fixture(autouse=True, scope="module")
def closed() -> Iterator[None]:
    """What the examples share is closed behind them: opening a link takes half a second."""
    yield
    ServiceBusModel.close()


TestSqliteBus = SqliteModel.TestCase
TestSqliteBus.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestServiceBus = ServiceBusModel.TestCase
# A step takes up to a second here, so that making a failure smaller would take minutes.
TestServiceBus.settings = settings(
    max_examples=6, stateful_step_count=12, deadline=None, phases=[Phase.generate]
)
