"""A container image of a build: where it was pushed, by which digest, and what a scan has found in it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.kernel.ids import child_id
from shared.domain.kernel.machine import Machine
from shared.domain.kernel.record import Entity, record

EMBEDDED = "embedded"
"""The name of the registry that the platform itself keeps."""


class ImageStatus(StrEnum):
    PENDING = "pending"
    PUSHING = "pushing"
    PUSHED = "pushed"
    SCANNING = "scanning"
    """It is in its registry, and no scan has said anything about it yet."""
    CLEAN = "clean"
    QUARANTINED = "quarantined"
    FAILED = "failed"


_SCANNABLE = (ImageStatus.PUSHED, ImageStatus.SCANNING, ImageStatus.CLEAN, ImageStatus.QUARANTINED)

IMAGE = Machine(
    "container image",
    ImageStatus,
    initial=[ImageStatus.PENDING],
    moves={
        "push": ((ImageStatus.PENDING, ImageStatus.PUSHING), ImageStatus.PUSHING),
        "record_push": ((ImageStatus.PUSHING,), ImageStatus.PUSHED),
        "fail": ((ImageStatus.PENDING, ImageStatus.PUSHING), ImageStatus.FAILED),
        "retry": ((ImageStatus.FAILED,), ImageStatus.PENDING),
        "scan": ((ImageStatus.PUSHED, ImageStatus.SCANNING), ImageStatus.SCANNING),
        "clear": (_SCANNABLE, ImageStatus.CLEAN),
        "quarantine": (_SCANNABLE, ImageStatus.QUARANTINED),
        "release_from_quarantine": ((ImageStatus.QUARANTINED,), ImageStatus.CLEAN),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """How many vulnerabilities a scan has found, by severity."""

    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The latest scan. `report` is the blob that holds what the scanner wrote, `digest` its digest."""

    scanner: str
    findings: Findings
    report: str
    digest: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineRelease:
    """Who let an image out of quarantine, why, and which findings they accepted."""

    by: str
    reason: str
    at: datetime
    accepted: Findings


@record("container-image", root="run")
class ContainerImage(Entity):
    """One digest under one tag of one repository, made by one build. The digest never changes; the tag may
    come to mean another image, and nothing here is deployed by it."""

    id: str
    tenant: str
    project: str
    module: str
    build_result: str
    registry: str
    repository: str
    """As the registry knows it, such as `shop/orders`."""
    tag: str
    digest: str
    archive: str | None
    """The blob with the OCI layout that it is pushed from; None where the build has pushed it."""
    media_type: str | None = None
    status: ImageStatus = ImageStatus.PENDING
    scan: Scan | None = None
    reason: str = ""
    """Why it is in quarantine, or why it could not be pushed."""
    release: QuarantineRelease | None = None
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int = 0

    @property
    def reference(self) -> str:
        """What a deployment pulls: by digest."""
        return f"{self.repository}@{self.digest}"

    @property
    def scan_status(self) -> str:
        """`pending` until there is a report, then what came of it."""
        if self.status is ImageStatus.QUARANTINED:
            return "quarantined"
        if self.scan is None:
            return "scanning" if self.status is ImageStatus.SCANNING else "pending"
        return "released" if self.release is not None else "clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldImage:
    image: str
    reference: str
    status: ImageStatus
    reason: str = ""


@record("build-images", root="run")
class BuildImages(Entity):
    """The images of one build with their states: what a gate asks, in one point read."""

    id: str
    tenant: str
    build_result: str
    images: tuple[HeldImage, ...] = ()
    revision: int = 0


def image_id(build_result: str, registry: str, repository: str, tag: str, digest: str) -> str:
    return child_id(build_result, "container-image", registry, repository, tag, digest)


def build_images_id(build_result: str) -> str:
    return child_id(build_result, "build-images")
