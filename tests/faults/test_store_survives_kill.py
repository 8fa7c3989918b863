"""A process that commits and is killed: what it said is written is there, and no batch is there by half."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.ids import Root
from shared.ports.index import Index
from shared.ports.store import Partition, Write
from tests.support.app import SteppingClock

ROOT = Root("box", "1")
INDEXES = (Index("part", ("batch",), "at"),)
PARTS = 20
HEAD = "head"
KILLS = 6


def open_store(path: Path) -> SqliteStore:
    return SqliteStore(path, INDEXES, SteppingClock())


async def commit_until_killed(path: Path) -> None:
    """Batch after batch, numbered on from what is there: the parts, and a head that names the last."""
    partition = open_store(path).open("acme").partition(ROOT)
    while True:
        head = (await partition.read([HEAD])).get(HEAD)
        number = head.body["last"] + 1 if head else 0
        parts = [
            Write("create", part_id(number, part), "part", {"batch": number, "at": part, "fill": "x" * 400})
            for part in range(PARTS)
        ]
        op: Literal["replace", "create"] = "replace" if head else "create"
        moved = Write(op, HEAD, "head", {"last": number}, head.etag if head else None)
        await partition.commit([*parts[: PARTS // 2], moved, *parts[PARTS // 2 :]])
        print(number, flush=True)  # noqa: T201


def part_id(number: int, part: int) -> str:
    return f"part:{number:08}:{part:02}"


def run_and_kill(path: Path, after: float) -> list[int]:
    """The numbers that the process got to say before SIGKILL, `after` seconds from its first."""
    command = [sys.executable, "-m", "tests.faults.test_store_survives_kill", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
    assert process.returncode == -signal.SIGKILL
    # A last line without its end was being written when the process died.
    return [int(line) for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]


async def batches(partition: Partition) -> dict[int, int]:
    """How many parts there are of each batch."""
    counts: dict[int, int] = {}
    after = ""
    while page := await partition.scan("part:", after=after, limit=1000):
        for document in page:
            counts[document.body["batch"]] = counts.get(document.body["batch"], 0) + 1
        after = page[-1].id
    return counts


async def test_what_was_committed_survives_a_kill_whole(disk: Path) -> None:
    path, said = disk / "store.db", -1
    for _ in range(KILLS):
        said = max(run_and_kill(path, after=random.uniform(0, 0.15)))
        store = open_store(path)
        partition = store.open("acme").partition(ROOT)
        there = await batches(partition)
        last = (await partition.read([HEAD]))[HEAD].body["last"]
        await store.aclose()
        assert said <= last <= said + 1, "a commit that was answered is lost"
        assert there == dict.fromkeys(range(last + 1), PARTS), "a batch is there by half, or missing"
    assert said >= KILLS - 1


if __name__ == "__main__":
    asyncio.run(commit_until_killed(Path(sys.argv[1])))
