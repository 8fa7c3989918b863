"""The product's own POST /releases and GET /releases/{releaseId}, which have no peer: what the heaviest write
path costs, beside the measured one.

Builds are prepared beforehand, each of another module: the release is its module's first, so that git has
nothing to say, and planning is three batches: the key's binding, the release, and its promotion.
"""

import asyncio
import json
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench.compare import CONNECTIONS, Side, figures, measure
from bench.report import Report, table
from bench.servers import Identity, identity, serving
from shared.app import build_app
from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.change import Change
from shared.domain.pipelines.model import BuildArtifact, BuildResult, BuildStatus, build_result_id, run_id
from shared.services.unit import Unit
from shared.settings import Settings

NAME = "product"
WARMUP = 2 * CONNECTIONS
"""Releases that are planned before any is counted: the first calls load what they need."""


def planning(folder: Path, rounds: int, seconds: float, builds: int) -> Report:
    prepared = asyncio.run(_prepare(folder / NAME, builds))
    with ExitStack() as stack:
        known = stack.enter_context(identity(folder / "planning"))
        side = Side(stack.enter_context(serving(NAME, "host", ".", folder, known)))
        _round(side, known, prepared[:WARMUP], "warm-up", 0.5)
        side.rounds.clear()
        share = (len(prepared) - WARMUP) // rounds
        for turn in range(rounds):
            start = WARMUP + turn * share
            _round(side, known, prepared[start : start + share], f"plan-{turn}", seconds)
    rows = [[f"{method} {path}", *figures(side.rounds[method])] for method, path in _PATHS.items()]
    head = ["", "min/s", "median/s", "max/s", "p50 ms", "p99 ms", "server CPU us"]
    return Report("The product's own release endpoints, role api", table(head, rows))


_PATHS = {"POST": "/releases", "GET": "/releases/{releaseId}"}


def _round(side: Side, known: Identity, bodies: list[str], run: str, seconds: float) -> None:
    requests = [[("/releases", body) for body in bodies[n::CONNECTIONS]] for n in range(CONNECTIONS)]
    planned = measure(side, known, "POST", requests, 201, run, 600, 0, once=True)
    paths = [f"/releases/{json.loads(answer)['releaseId']}" for _, _, answer in planned.answers]
    reads = [[(path, "") for path in paths[n::CONNECTIONS]] for n in range(CONNECTIONS)]
    measure(side, known, "GET", reads, 200, run, seconds, 0.5)


async def _prepare(folder: Path, count: int) -> list[str]:
    """Write the records of successful builds; returns the bodies that plan a release of each."""
    app = build_app(Settings.load({}, data_dir=folder))
    actor = Actor(subject="service:bench", kind=ActorKind.SERVICE, tenant="acme")
    at = datetime.now(UTC)
    bodies = []
    for number in range(count):
        build = _build(number, at)

        async def turn(unit: Unit, build: BuildResult = build) -> BuildResult:
            return unit.apply(Change(build, "build.recorded"))

        await app.units.run(actor, BuildResult.__record__.root_of(build.id), turn)
        plan = {"projectId": build.project, "moduleId": build.module, "targetEnvironment": "staging"}
        bodies.append(json.dumps({**plan, "buildResultId": f"build-{build.id}"}))
    await app.aclose()
    return bodies


def _build(number: int, at: datetime) -> BuildResult:
    run = run_id("acme", "bench", str(number))
    digest = f"sha256:{number:064x}"
    return BuildResult(
        id=build_result_id(run, 1),
        tenant="acme",
        project="proj-bench",
        module=f"module-{number}",
        repository=run,
        pipeline=run,
        pipeline_run=run,
        branch="main",
        commit_sha=f"{number:040x}",
        build_number=f"20261101.{number}",
        status=BuildStatus.SUCCEEDED,
        tests=None,
        coverage=None,
        artifacts=(BuildArtifact(name="api", kind="zip", ref=f"artifacts/{number}", digest=digest, size=1),),
        exit_codes=(),
        logs_uri="",
        created_at=at,
    )
