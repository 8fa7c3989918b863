"""What a run at a vendor has left: fetched within bounds, unpacked safely, kept by digest and counted as of
our own runs. The archives come from strangers' builds."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shared.domain.kernel.errors import Invalid
from shared.domain.pipelines.model import BuildArtifact
from shared.domain.pipelines.results import Produced
from shared.ports.bundles import Pack, Unpack
from shared.ports.ci_host import CiArtifact, CiHost, UnknownRun
from shared.ports.source_host import Place
from shared.services.build_results import BuildOutputs
from shared.services.report_files import find

TEST_RESULTS = "test-results"
"""The artifact with JUnit or TRX reports and a Cobertura report, as the generated pipelines name it."""
PACKAGES = "packages"
ARCHIVE = "archive"
KINDS: Mapping[str, str] = {PACKAGES: "package", "image": "image-digest", "scan-report": "scan-report"}
"""Of what an artifact of that name holds; everything else is an archive, which can be deployed."""
MAX_ARTIFACTS = 50
MAX_FILES = 50
MAX_BYTES = 512 * 1024 * 1024
"""Of all archives of a run together."""
_COVERAGE = ("**/coverage*.xml", "**/*cobertura*.xml")
_REPORTS = ("**/*.xml", "**/*.trx")


@dataclass(frozen=True, slots=True)
class Fetched:
    """An archive that lies at `path`."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class VendorOutputs:
    outputs: BuildOutputs
    unpack: Unpack
    pack: Pack

    async def fetch(
        self, ci: CiHost, place: Place, host_run: str, folder: Path, *, with_artifacts: bool
    ) -> tuple[list[Fetched], list[str]]:
        """The archives of a run, those with test results always; and notes for its log on those left out."""
        listed = await ci.artifacts(place, host_run)
        wanted = [each for each in listed if with_artifacts or each.name == TEST_RESULTS]
        notes = []
        if len(wanted) > MAX_ARTIFACTS:
            notes.append(f"The run has left {len(wanted)} artifacts; the first {MAX_ARTIFACTS} are kept.")
        fetched, left = list[Fetched](), MAX_BYTES
        for number, artifact in enumerate(wanted[:MAX_ARTIFACTS]):
            path = folder / f"{number}.zip"
            try:
                await _download(ci, place, host_run, artifact, path, left)
            except (Invalid, UnknownRun) as refused:
                notes.append(f"The artifact {artifact.name} is not kept: {refused.message}")
                continue
            left -= path.stat().st_size
            fetched.append(Fetched(artifact.name, path))
        return fetched, notes

    async def keep(self, tenant: str, run: str, fetched: Sequence[Fetched]) -> tuple[Produced, list[str]]:
        """Of a run of ours. Safe to repeat. Archives come first: what a release runs is the first artifact
        of its build."""
        counted, kept, notes = Produced(), list[BuildArtifact](), list[str]()
        for archive in fetched:
            folder = archive.path.with_suffix("")
            try:
                paths = await asyncio.to_thread(self.unpack, archive.path, folder)
            except Invalid as refused:
                notes.append(f"The artifact {archive.name} is not kept: {refused.message}")
                continue
            if archive.name == TEST_RESULTS:
                counted, more = await self._count(folder)
                notes += more
            elif paths:
                taken = {made.name for made in kept}
                kept += await self._keep(tenant, run, archive, folder, paths, taken)
            # Each archive is small enough for the disk; all of them together, unpacked, need not be.
            await asyncio.to_thread(shutil.rmtree, folder)
        kept.sort(key=lambda made: (made.kind != ARCHIVE, made.name))
        said = [f"Kept {made.name}: {made.size} bytes, {made.digest}." for made in kept]
        return replace(counted, artifacts=tuple(kept)), notes + said

    async def _keep(
        self,
        tenant: str,
        run: str,
        archive: Fetched,
        folder: Path,
        paths: Sequence[str],
        taken: set[str],
    ) -> list[BuildArtifact]:
        """Packages and single files as they are, a folder of files as the archive that it came in. One that
        has it all in a folder of its own name is packed anew: Azure Pipelines puts it there."""
        found = [(Path(path).name, folder / path) for path in paths]
        if len(found) > 1 and archive.name != PACKAGES:
            packed = archive.path
            if all(Path(path).parts[0] == archive.name for path in paths):
                packed = archive.path.with_suffix(".packed")
                await asyncio.to_thread(self.pack, folder / archive.name, packed)
            found = [(f"{archive.name}.zip", packed)]
        kind = KINDS.get(archive.name, ARCHIVE)
        return [
            await self.outputs.keep(tenant, run, _free(name, taken), kind, path)
            for name, path in found[:MAX_FILES]
        ]

    async def _count(self, folder: Path) -> tuple[Produced, list[str]]:
        """Every test report, and the first Cobertura report."""
        reports = await asyncio.to_thread(find, folder, _COVERAGE)
        report = str(reports[0].relative_to(folder)) if reports else None
        covered, notes = await self.outputs.count(folder, (), report)
        if len(reports) > 1:
            notes += (f"There are {len(reports)} coverage reports; {report} is the one that counts.",)
        for path in reports:
            path.unlink()  # what is left is about tests
        counted, more = await self.outputs.count(folder, _REPORTS, None)
        return replace(counted, coverage=covered.coverage), [*notes, *more]


def _free(name: str, taken: set[str]) -> str:
    """The name, or with a number where another artifact of the build has it."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{number}-{name}"
    taken.add(free)
    return free


async def _download(
    ci: CiHost, place: Place, host_run: str, artifact: CiArtifact, path: Path, max_bytes: int
) -> None:
    if artifact.size is not None and artifact.size > max_bytes:
        raise Invalid(f"It has {artifact.size} bytes, and {max_bytes} of {MAX_BYTES} are left for it.")
    with path.open("wb") as file:
        await ci.download(place, host_run, artifact, file, max_bytes=max_bytes)
