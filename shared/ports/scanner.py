"""Scanners of container images, and the reports that they write."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shared.domain.images.model import ContainerImage, Findings
from shared.domain.pipelines.model import BuildResult


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a report says: which tool wrote it, which image it is of where it says so, and its counts."""

    scanner: str
    digest: str | None
    findings: Findings


type ReadScanReport = Callable[[bytes], ScanReport]
"""Reads one report; raises BadScanReport where the bytes are none."""


class Scanner(Protocol):
    async def scan(self, image: ContainerImage, build: BuildResult) -> bytes | None:
        """The report on an image that is in its registry; None where one will be handed in later."""
