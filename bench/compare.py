"""The same write and the same read, by ours and by the two peers, turn and turn about in one run.

Every server stands from the first round to the last, on one core; the client has another. After the clock has
stopped every answer is checked: its status, that it says what was sent, that numbers have no gap, and that a
read gives what the write gave.
"""

import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench.load import Plan, Result
from bench.report import Bar, Report, table
from bench.servers import CLIENT_CORE, ROOT, Identity, Server, ServerFailed, identity, serving
from shared.domain.kernel.ids import root_id

CONNECTIONS = 32
TENANT = "acme"
OURS, IN_FUNCTIONS, BARE = "ours on the local host", "FastAPI in Functions, same host", "FastAPI on uvicorn"
TARGETS = {
    OURS: ("ours", "host", "bench/ours"),
    IN_FUNCTIONS: ("in-functions", "host", "bench/reference"),
    BARE: ("bare", "uvicorn", "bench.reference.main:app"),
}
BARS = {("POST", IN_FUNCTIONS): 2.5, ("POST", BARE): 1.5, ("GET", IN_FUNCTIONS): 4.0, ("GET", BARE): 2.5}
P99 = 0.5


class WrongAnswer(Exception):
    """A server did not do the work that is measured."""


@dataclass(frozen=True, slots=True)
class Round:
    rate: float
    p50: float
    p99: float
    cpu: float
    """Of the server, in microseconds a request."""


@dataclass(slots=True)
class Side:
    """One server, what it measured, and what it has written so far (component -> numbers; path -> body)."""

    server: Server
    rounds: dict[str, list[Round]] = field(default_factory=lambda: defaultdict(list))
    numbers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    written: dict[str, str] = field(default_factory=dict)


def compare(folder: Path, rounds: int, seconds: float, warmup: float) -> Report:
    with ExitStack() as stack:
        known = stack.enter_context(identity(folder))
        sides = {
            title: Side(stack.enter_context(serving(name, kind, target, folder, known)))
            for title, (name, kind, target) in TARGETS.items()
        }
        for turn in range(rounds):
            for side in sides.values():
                run = f"{side.server.name}-{turn}"
                write_round(side, known, run, seconds, warmup)
                read_round(side, known, run, seconds, warmup)
        for side in sides.values():
            check_numbers(side)
    return report(sides, rounds, seconds)


def write_round(side: Side, known: Identity, run: str, seconds: float, warmup: float) -> None:
    components = [f"comp-{root_id('component', TENANT, str(n))}" for n in range(CONNECTIONS)]
    requests = [
        [(f"/components/{component}/releases", a_body(n)) for n in range(20)] for component in components
    ]
    result = measure(side, known, "POST", requests, 201, run, seconds, warmup)
    for path, sent, received in result.answers:
        told, asked = json.loads(received), json.loads(sent)
        if {name: told[name] for name in asked} != asked or told["componentId"] not in path:
            raise WrongAnswer(f"{side.server.name} answered {received} to {sent}")
        side.numbers[path].append(told["number"])
        side.written[f"/releases/{told['releaseId']}"] = received


def read_round(side: Side, known: Identity, run: str, seconds: float, warmup: float) -> None:
    paths = list(side.written)[-20 * CONNECTIONS :]
    requests = [[(path, "") for path in paths[n::CONNECTIONS]] for n in range(CONNECTIONS)]
    result = measure(side, known, "GET", requests, 200, run, seconds, warmup)
    for path, _, received in result.answers:
        if received != side.written[path]:
            raise WrongAnswer(f"{side.server.name} reads {received} where it wrote {side.written[path]}")


def measure(
    side: Side,
    known: Identity,
    method: str,
    requests: Sequence[Sequence[tuple[str, str]]],
    status: int,
    run: str,
    seconds: float,
    warmup: float,
    **more: Any,
) -> Result:
    """One round of load. Raises WrongAnswer for any status but the one that says it was done."""
    plan = Plan(
        port=side.server.port,
        core=CLIENT_CORE,
        method=method,
        tokens=known.tokens([TENANT] * len(requests)),
        requests=[list(one) for one in requests],
        status=status,
        warmup=warmup,
        seconds=seconds,
        run=run,
        **more,
    )
    before = cpu_seconds(side.server)
    client = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(plan)).encode(),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        check=True,
    )
    result = Result(**json.loads(client.stdout))
    if side.server.process.poll() is not None:
        raise ServerFailed(f"{side.server.name} ended under load.\n{side.server.log}")
    if result.wrong:
        raise WrongAnswer(f"{side.server.name}: {len(result.wrong)} answers, the first: {result.wrong[0]}")
    spent = cpu_seconds(side.server) - before
    cuts = quantiles(result.latencies, n=100)
    side.rounds[method].append(
        Round(
            rate=result.requests / result.seconds,
            p50=cuts[49] * 1e3,
            p99=cuts[98] * 1e3,
            cpu=spent / len(result.answers) * 1e6,
        )
    )
    return result


def check_numbers(side: Side) -> None:
    """Numbers are the proof that no write was lost, doubled or half done."""
    for path, numbers in side.numbers.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            raise WrongAnswer(f"{side.server.name} gave {path} numbers with gaps or twice.")


def report(sides: Mapping[str, Side], rounds: int, seconds: float) -> Report:
    made = Report(f"HTTP: {rounds} rounds of {seconds:g} s each, {CONNECTIONS} connections, keep-alive")
    rows = []
    for method in ("POST", "GET"):
        for title, side in sides.items():
            rows.append([f"{method} {title}", *figures(side.rounds[method])])
    head = ["", "min/s", "median/s", "max/s", "p50 ms", "p99 ms", "server CPU us"]
    made.lines += table(head, rows)
    ours = sides[OURS]
    for (method, peer), limit in BARS.items():
        pairs = list(zip(ours.rounds[method], sides[peer].rounds[method], strict=True))
        verb = "writes" if method == "POST" else "reads"
        ratio = median(mine.rate / theirs.rate for mine, theirs in pairs)
        made.bars.append(Bar(f"{verb} a second, against {peer}", ratio, ">=", limit))
        tail = median(mine.p99 / theirs.p99 for mine, theirs in pairs)
        made.bars.append(Bar(f"p99 of {verb}, against {peer}", tail, "<=", P99))
    return made


def figures(rounds: Sequence[Round]) -> list[str]:
    rates = [one.rate for one in rounds]
    return [
        f"{min(rates):,.0f}",
        f"{median(rates):,.0f}",
        f"{max(rates):,.0f}",
        f"{median(one.p50 for one in rounds):.2f}",
        f"{median(one.p99 for one in rounds):.2f}",
        f"{median(one.cpu for one in rounds):,.0f}",
    ]


def cpu_seconds(server: Server) -> float:
    """What the server's process has used so far, in user and system mode."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def a_body(number: int) -> str:
    """About 450 bytes, as a pipeline would send it."""
    digests = [hashlib.sha256(f"{name}{number}".encode()).hexdigest() for name in ("api", "worker")]
    body = {
        "name": f"Release {number}",
        "commitSha": hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest(),
        "strategy": "RollingUpdate",
        "notes": "Seats are held for ten minutes, then offered to the waiting list again.",
        "artifacts": [
            {"name": "api", "kind": "zip", "digest": f"sha256:{digests[0]}"},
            {"name": "worker", "kind": "zip", "digest": f"sha256:{digests[1]}"},
        ],
    }
    return json.dumps(body)
