"""A vendor's CI made up in a file: what is started there goes on as a test says."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.domain.kernel.errors import DeliveryError, Invalid
from shared.domain.source.model import Provider
from shared.ports.ci_host import CiArtifact, CiHost, CiJob, CiRun, CiStatus, CiStep, HookHost, UnknownRun
from shared.ports.clock import Clock
from shared.ports.request_host import RequestHost
from shared.ports.source_host import Place, SourceHost
from shared.ports.vendor import Vendor

JUNIT = b'<testsuite tests="2"><testcase name="a"/><testcase name="b"><skipped/></testcase></testsuite>'
COVERAGE = b'<?xml version="1.0"?><coverage line-rate="0.75"><packages/></coverage>'
_AT = datetime(2026, 6, 11, 9, 0, tzinfo=UTC)


@dataclass
class MadeUpCi:
    """The CiHost port. Its runs lie in `file`, so that they outlive a process. `troubles` are raised by the
    next calls, one each; `calls` names every call."""

    file: Path
    source: SourceHost
    troubles: list[DeliveryError] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    async def start(
        self, place: Place, workflow: str, *, ref: str, inputs: Mapping[str, str], once: str, since: datetime
    ) -> CiRun:
        self._called("start")
        runs = self.runs()
        found = next((key for key, run in runs.items() if run["once"] == once), None)
        if found is None:
            found = str(len(runs) + 1)
            sha = await self.source.head(place, ref)
            self._write(runs | {found: {"once": once, "workflow": workflow, "ref": ref, "sha": sha}})
        return self._run(found)

    async def started(self, place: Place, workflow: str, *, once: str, since: datetime) -> CiRun | None:
        self._called("started")
        return next((self._run(key) for key, run in self.runs().items() if run["once"] == once), None)

    async def find(self, place: Place, run: str) -> CiRun | None:
        self._called("find")
        return self._run(run) if run in self.runs() else None

    async def jobs(self, place: Place, run: str) -> list[CiJob]:
        self._called("jobs")
        return [_job(name, steps) for name, steps in self._known(run).get("jobs", {}).items()]

    async def log(self, place: Place, run: str) -> str:
        self._called("log")
        if (text := self._known(run).get("log")) is None:
            raise UnknownRun("There is no log of it.")
        return str(text)

    async def cancel(self, place: Place, run: str) -> None:
        self._called("cancel")
        if run in self.runs() and self._run(run).status is not CiStatus.COMPLETED:
            self.change(run, conclusion="cancelled")

    async def artifacts(self, place: Place, run: str) -> list[CiArtifact]:
        self._called("artifacts")
        return [CiArtifact(name, name, None) for name in sorted(self._known(run).get("artifacts", {}))]

    async def download(
        self, place: Place, run: str, artifact: CiArtifact, file: IO[bytes], *, max_bytes: int
    ) -> None:
        self._called("download")
        content = bytes.fromhex(self._known(run)["artifacts"][artifact.id])
        if len(content) > max_bytes:
            raise Invalid("It is too large.")
        file.write(content)

    def change(self, run: str, **changed: object) -> None:
        """`jobs` are conclusions by step by job: a word, `running`, or nothing for what waits; `artifacts`
        are files by path by name; a `conclusion` ends the run."""
        if "artifacts" in changed:
            made = cast(dict[str, dict[str, bytes]], changed["artifacts"])
            changed["artifacts"] = {name: zipped(files).hex() for name, files in made.items()}
        runs = self.runs()
        self._write(runs | {run: runs[run] | changed})

    def complete(self, run: str) -> None:
        """As a build that went well leaves it."""
        self.change(
            run,
            conclusion="success",
            jobs={"Build and test": {"Build": "success", "Test": "success"}},
            log="2026-06-11T09:00:01.0000000Z built\n2026-06-11T09:00:02.0000000Z tested\n",
            artifacts={
                "packages": {"orders.whl": b"a wheel"},
                "site": {"slipway.yml": b"{}\n", "app.py": b"x = 1\n"},
                "test-results": {"reports/junit.xml": JUNIT, "reports/coverage.xml": COVERAGE},
            },
        )

    def delete(self, run: str) -> None:
        self._write({key: value for key, value in self.runs().items() if key != run})

    def runs(self) -> dict[str, dict[str, Any]]:
        return dict(json.loads(self.file.read_text())) if self.file.exists() else {}

    def _write(self, runs: Mapping[str, object]) -> None:
        self.file.write_text(json.dumps(runs))

    def _known(self, run: str) -> dict[str, Any]:
        if run not in self.runs():
            raise UnknownRun("There is no such run.")
        return self.runs()[run]

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.troubles:
            raise self.troubles.pop(0)

    def _run(self, run: str) -> CiRun:
        known = self.runs()[run]
        conclusion = known.get("conclusion")
        status = (
            CiStatus.COMPLETED if conclusion else CiStatus.RUNNING if "jobs" in known else CiStatus.QUEUED
        )
        url, ended = f"https://ci.example.com/runs/{run}", _AT if conclusion else None
        return CiRun(run, status, conclusion, url, known["sha"], _AT, ended)


@dataclass
class MadeUpVendor:
    """A vendor with real git and a made-up CI, in one folder."""

    folder: Path
    clock: Clock
    git: EmbeddedGit = field(init=False)
    ci: MadeUpCi = field(init=False)

    def __post_init__(self) -> None:
        self.git = EmbeddedGit(self.folder / "git", self.clock)
        self.ci = MadeUpCi(self.folder / "ci.json", self.git)

    def port(self, ci: object = None) -> Mapping[Provider, Vendor]:
        """As GitHub. Nobody asks it for hooks or pull requests."""
        nobody = object()
        hooks, requests = cast(HookHost, nobody), cast(RequestHost, nobody)
        made = Vendor(self.git, cast(CiHost, ci or self.ci), hooks, requests, self.aclose)
        return {Provider.GITHUB: made}

    async def aclose(self) -> None:
        """There is nothing to close."""


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Equal files, equal bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return packed.getvalue()


def _job(name: str, steps: Mapping[str, str]) -> CiJob:
    shown = tuple(CiStep(step, *_state(word)) for step, word in steps.items())
    words = list(steps.values())
    word = (
        "running" if {"running", ""} & set(words) else next((w for w in words if w != "success"), "success")
    )
    return CiJob(name, name, *_state(word), shown)


def _state(word: str) -> tuple[CiStatus, str | None, datetime | None, datetime | None]:
    match word:
        case "":
            return CiStatus.QUEUED, None, None, None
        case "running":
            return CiStatus.RUNNING, None, _AT, None
        case conclusion:
            return CiStatus.COMPLETED, conclusion, _AT, _AT
