"""Any history of sending and settling, against a plain model: nothing lost, nothing twice, all in order."""

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.ports.bus import MAX_DELIVERY_COUNT, LockLost, Message, Received
from tests.contracts.conftest import BUSES, StillClock

QUEUE = "q"
WINDOW = timedelta(minutes=10)


@dataclass(eq=False)
class Held:
    """What the model knows of one message that is not completed."""

    message: Message
    joins_at: datetime
    deliveries: int = 0
    lock: str | None = None
    locked_until: datetime | None = None


class BusModel(RuleBasedStateMachine):
    adapter = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = StillClock()
        self.bus = BUSES[self.adapter](Path(self.folder.name), self.clock)
        self.seen: dict[str, datetime] = {}
        self.scheduled: list[Held] = []
        self.queue: list[Held] = []
        self.dead: list[Held] = []
        self.handed_out: list[Received] = []

    def teardown(self) -> None:
        self.runner.run(self.bus.aclose())
        self.runner.close()
        self.folder.cleanup()

    @rule(
        sent=st.lists(
            st.tuples(
                st.integers(0, 12), st.sampled_from([None, "s", "t"]), st.none() | st.integers(-30, 120)
            ),
            max_size=4,
        )
    )
    def send(self, sent: list[tuple[int, str | None, int | None]]) -> None:
        now = self.clock.now()
        messages = [
            Message(
                str(name),
                b"",
                session_id=session,
                not_before=None if due is None else now + timedelta(seconds=due),
            )
            for name, session, due in sent
        ]
        self.runner.run(self.bus.send(QUEUE, messages))
        for message in messages:
            if message.message_id not in self.seen or self.seen[message.message_id] + WINDOW <= now:
                self.seen[message.message_id] = now
                self.scheduled.append(Held(message, max(now, message.not_before or now)))
        self.join_due()

    def join_due(self) -> None:
        now = self.clock.now()
        due = sorted(
            (held for held in self.scheduled if held.joins_at <= now), key=lambda held: held.joins_at
        )
        self.queue += due
        self.scheduled = [held for held in self.scheduled if held.joins_at > now]

    @rule(limit=st.integers(1, 4), lock_for=st.integers(1, 90))
    def receive(self, limit: int, lock_for: int) -> None:
        received = self.runner.run(self.bus.receive(QUEUE, limit=limit, lock_for=lock_for))
        wanted = self.hand_out(limit)
        assert [one.message for one in received] == [held.message for held in wanted]
        for one, held in zip(received, wanted, strict=True):
            held.deliveries += 1
            held.lock, held.locked_until = one.lock_token, self.clock.now() + timedelta(seconds=lock_for)
            assert one.delivery_count == held.deliveries <= MAX_DELIVERY_COUNT
            assert one.enqueued_at == held.joins_at
        self.handed_out += received

    def hand_out(self, limit: int) -> list[Held]:
        self.join_due()
        taken: list[Held] = []
        while available := [held for held in self.queue if self.available(held) and held not in taken]:
            for held in available[: limit - len(taken)]:
                if held.deliveries >= MAX_DELIVERY_COUNT:
                    self.bury(held)
                else:
                    taken.append(held)
            if len(taken) == limit:
                break
        return taken

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
            held.locked_until = self.clock.now() + timedelta(seconds=30)
        elif how == "dead_letter" or held.deliveries >= MAX_DELIVERY_COUNT:
            self.bury(held)
        else:
            held.lock = held.locked_until = None

    @rule(seconds=st.sampled_from([1, 30, 60, 300, 600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule()
    def redrive(self) -> None:
        letters = self.runner.run(self.bus.dead_letters(QUEUE))
        assert self.runner.run(self.bus.redrive(QUEUE)) == len(self.dead)
        order = [letter.message for letter in letters]
        for held in sorted(self.dead, key=lambda held: order.index(held.message)):
            self.scheduled.append(Held(held.message, self.clock.now()))
        self.dead = []
        self.join_due()

    @invariant()
    def nothing_is_lost_and_nothing_is_there_twice(self) -> None:
        assert self.runner.run(self.bus.depth(QUEUE)) == len(self.queue) + len(self.scheduled)
        letters = self.runner.run(self.bus.dead_letters(QUEUE))
        assert Counter(letter.message.message_id for letter in letters) == Counter(
            held.message.message_id for held in self.dead
        )
        assert [letter.sequence for letter in letters] == sorted({letter.sequence for letter in letters})


TestBus = BusModel.TestCase
TestBus.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
