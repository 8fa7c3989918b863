"""The log of a busy database is folded in beside the loop, and does not grow."""

import asyncio
from pathlib import Path

from shared.adapters.embedded.sqlite import CHECKPOINT_EVERY, Database, Run, Value

SCHEMA = "CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"
ADD = "INSERT INTO notes VALUES (?, ?)"
TEXT = "x" * 1000
AT_ONCE = 500


async def fill(database: Database, first: int) -> None:
    def work(run: Run) -> None:
        for number in range(first, first + AT_ONCE):
            values: list[Value] = [number, TEXT]
            run(ADD, values)

    await database.write("notes", work)


async def test_the_log_stays_small_while_writing_goes_on_and_nothing_is_lost(tmp_path: Path) -> None:
    database = Database(tmp_path / "notes.db", SCHEMA)
    log = tmp_path / "notes.db-wal"
    sizes: list[int] = []
    written = 20 * CHECKPOINT_EVERY
    for first in range(0, written, AT_ONCE):
        await fill(database, first)
        sizes.append(log.stat().st_size)
        await asyncio.sleep(0.002)
    assert max(sizes) < written * len(TEXT) / 3, "the log kept everything"
    assert database.rows("SELECT count(*) FROM notes") == [(written,)]
    database.close()
    reopened = Database(tmp_path / "notes.db", SCHEMA)
    assert reopened.rows("SELECT count(*), min(length(text)) FROM notes") == [(written, len(TEXT))]
    reopened.close()


async def test_closing_waits_for_the_fold(tmp_path: Path) -> None:
    database = Database(tmp_path / "notes.db", SCHEMA)
    for first in range(0, 2 * CHECKPOINT_EVERY, AT_ONCE):
        await fill(database, first)
    database.close()
    assert not (tmp_path / "notes.db-wal").exists(), "somebody still has it open"
