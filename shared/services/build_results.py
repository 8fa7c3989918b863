"""What a run leaves behind: test counts, coverage and artifacts, taken from the checkout, kept as blobs.

The checkout was written by strangers' code: nothing outside it may be read, whatever a link points to.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shared.domain.kernel.errors import Invalid
from shared.domain.pipelines.definition import Definition
from shared.domain.pipelines.model import BuildArtifact, TestCounts
from shared.domain.pipelines.results import Produced
from shared.ports.reports import CountTests
from shared.services.artifact_blobs import ArtifactBlobs, stored_at
from shared.services.report_files import find

MAX_REPORTS = 500
MAX_REPORT_BYTES = 16 * 1024 * 1024
_CHUNK = 1024 * 1024
# One element and one bounded number: a report of nothing but openings must not be searched from each of them.
_COVERAGE = re.compile(rb"<coverage\b[^>]*")
_LINE_RATE = re.compile(rb"\bline-rate=[\"']([0-9]{0,9}\.?[0-9]{1,20})[\"']")


@dataclass(frozen=True, slots=True)
class Collected:
    """`notes` are for the log; `missing` names the declared artifacts that are not there."""

    produced: Produced
    notes: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuildOutputs:
    kept: ArtifactBlobs
    count_tests: CountTests

    async def collect(
        self, tenant: str, run: str, folder: Path, definition: Definition, *, with_artifacts: bool
    ) -> Collected:
        """Of a run. Safe to repeat: artifacts are kept under their digest."""
        counted, notes = await self.count(folder, definition.test_reports, definition.coverage_report)
        artifacts: list[BuildArtifact] = []
        missing: list[str] = []
        for spec in definition.artifacts if with_artifacts else ():
            path = _inside(folder, folder / spec.path)
            if path is None:
                missing.append(spec.name)
            else:
                artifacts.append(await self.keep(tenant, run, spec.name, spec.kind, path))
        return Collected(replace(counted, artifacts=tuple(artifacts)), notes, tuple(missing))

    async def count(
        self, folder: Path, test_reports: Sequence[str], coverage_report: str | None
    ) -> tuple[Produced, tuple[str, ...]]:
        """What the reports below `folder` say, and notes for the log on those that say nothing."""
        tests, notes = await asyncio.to_thread(self._tests, folder, test_reports)
        coverage, more = await asyncio.to_thread(_coverage, folder, coverage_report)
        return Produced(tests, coverage), (*notes, *more)

    async def keep(self, tenant: str, run: str, name: str, kind: str, path: Path) -> BuildArtifact:
        """A file as a blob under its digest, for a build of that run."""
        digest, size = await asyncio.to_thread(_hashed, path)
        ref = stored_at(digest)
        if await self.kept.claim(tenant, digest, run) is None:
            await self.kept.blobs.put(tenant, ref, _chunks(path))
        return BuildArtifact(name=name, kind=kind, ref=ref, digest=f"sha256:{digest}", size=size)

    def _tests(self, folder: Path, patterns: Sequence[str]) -> tuple[TestCounts | None, list[str]]:
        """The sum of every report, or None where there is none."""
        found = find(folder, patterns)
        totals: list[TestCounts] = []
        notes: list[str] = []
        for path in found[:MAX_REPORTS]:
            name = path.relative_to(folder)
            inside = _inside(folder, path)
            if inside is None or inside.stat().st_size > MAX_REPORT_BYTES:
                notes.append(f"The test report {name} is not counted: it is too large or not a file here.")
                continue
            try:
                seen = self.count_tests(inside.read_bytes())
            except Invalid as error:
                notes.append(f"The test report {name} is not counted: {error.message}")
                continue
            totals.append(TestCounts(seen.total, seen.passed, seen.failed, seen.skipped))
        if len(found) > MAX_REPORTS:
            notes.append(f"{len(found)} test reports match; the first {MAX_REPORTS} are counted.")
        if not totals:
            return None, notes
        summed = TestCounts(
            sum(each.total for each in totals),
            sum(each.passed for each in totals),
            sum(each.failed for each in totals),
            sum(each.skipped for each in totals),
        )
        return summed, notes


def _coverage(folder: Path, report: str | None) -> tuple[float | None, list[str]]:
    """The line rate of a Cobertura report, which stands in its first element."""
    path = _inside(folder, folder / report) if report else None
    if path is None:
        return None, [f"There is no coverage report {report}."] if report else []
    with path.open("rb") as file:
        element = _COVERAGE.search(file.read(_CHUNK))
    found = _LINE_RATE.search(element[0]) if element else None
    rate = float(found[1]) if found else None
    if rate is None or rate > 1:
        return None, [f"The coverage report {report} is not in Cobertura's format."]
    return rate, []


def _inside(folder: Path, path: Path) -> Path | None:
    """The real file, if it is one within the folder that can be read."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    readable = real.is_file() and os.access(real, os.R_OK)
    return real if readable and real.is_relative_to(folder.resolve()) else None


def _hashed(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
