"""What the embedded bus holds, read beside it by a connection of its own, on any thread. Changes nothing."""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from shared.adapters.embedded.sqlite import micros
from shared.ports.clock import Clock
from shared.ports.telemetry import DEAD_LETTERS, QUEUE_AGE, QUEUE_DEPTH, Metric, Reading

_BACKLOG = """
SELECT queue, sum(state != 'dead'), sum(state = 'dead'),
    min(CASE WHEN state != 'dead' AND enqueued_at <= :now THEN enqueued_at END)
FROM messages GROUP BY queue
"""


class BusWatch:
    """Depth, age and dead letters per queue, for a watcher's gauges. A queue whose last message is settled
    is not told any more."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path.absolute()
        self._clock = clock

    def __call__(self) -> Mapping[Metric, Iterable[Reading]]:
        if not self._path.exists():
            return {}  # another bus is in place, and tells its watchers itself
        now = micros(self._clock.now())
        with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(_BACKLOG, {"now": now}).fetchall()
        return {
            QUEUE_DEPTH: [(active, {"queue": queue}) for queue, active, _, _ in rows],
            DEAD_LETTERS: [(dead, {"queue": queue}) for queue, _, dead, _ in rows],
            QUEUE_AGE: [
                ((now - oldest) / 1_000_000, {"queue": queue})
                for queue, _, _, oldest in rows
                if oldest is not None
            ],
        }
