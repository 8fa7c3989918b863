"""A warm call through Microsoft's worker, in process: our lightest authenticated endpoint against a bare
`async def` function of the same app. No HTTP, no store: what the kit adds to a call."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

import uvloop

from bench.report import Bar, Report
from bench.servers import ROOT, SERVER_CORE, Identity, identity, settings_for
from local.worker import Function, HttpCall, Worker
from shared.adapters.embedded.system import RandomIds

LIMIT = 2.0
CALLS = 500
"""Calls between two looks at the clock."""


def warm_call(folder: Path, rounds: int) -> Report:
    with identity(folder / "warm") as known:
        environment = {**os.environ, **settings_for(known, folder / "warm", 0), "BENCH_TOKEN": a_token(known)}
        measured = subprocess.run(
            [sys.executable, "-m", "bench.warm_call", str(rounds)],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
    bare, ours = (float(figure) for figure in measured.stdout.split())
    made = Report(f"Warm call through Microsoft's worker: {rounds} rounds of {CALLS} calls each")
    made.lines.append(f"bare async function {bare:.1f} us, ours {ours:.1f} us (medians)")
    made.bars.append(Bar("warm call, against a bare async function", ours / bare, "<=", LIMIT))
    return made


def a_token(known: Identity) -> str:
    [token] = known.tokens(["acme"])
    return token


async def measure(rounds: int) -> tuple[float, float]:
    """(bare, ours) in microseconds a call, turn and turn about."""
    worker = Worker(new_id=RandomIds().new)
    await worker.start(ROOT / "bench" / "ours")
    functions = {function.name: function for function in worker.functions}
    headers = {
        "host": "127.0.0.1",
        "accept": "application/json",
        "authorization": f"Bearer {os.environ['BENCH_TOKEN']}",
    }
    bare = functions["bare"], "http://127.0.0.1/bare"
    ours = functions["measured_get_caller"], "http://127.0.0.1/callers/me"
    times: dict[str, list[float]] = {bare[1]: [], ours[1]: []}
    for _ in range(rounds):
        for function, url in (bare, ours):
            times[url].append(await _timed(worker, function, url, headers))
    worker.stop()
    return median(times[bare[1]]), median(times[ours[1]])


async def _timed(worker: Worker, function: Function, url: str, headers: Mapping[str, str]) -> float:
    started = perf_counter()
    for _ in range(CALLS):
        result = await worker.invoke_http(function, HttpCall("GET", url, headers, {}, {}, b""))
        if result.status != 200:
            raise AssertionError(f"{url} answered {result.status}: {result.body!r}")
    return (perf_counter() - started) / CALLS * 1e6


def main() -> None:
    os.sched_setaffinity(0, {SERVER_CORE})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(*runner.run(measure(int(sys.argv[1]))))


if __name__ == "__main__":
    main()
