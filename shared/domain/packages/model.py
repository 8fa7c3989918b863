"""A package of a feed, and its publications: one per version, each of one content for ever."""

from datetime import datetime
from enum import StrEnum

from shared.domain.kernel.ids import child_id, root_id
from shared.domain.kernel.machine import Machine
from shared.domain.kernel.record import Entity, record
from shared.domain.packages.naming import PackageType


class PublicationStatus(StrEnum):
    PENDING = "pending"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    UNLISTED = "unlisted"
    """Whoever names exactly this version still gets it; nobody is offered it."""
    FAILED = "failed"


PUBLICATION = Machine(
    "package",
    PublicationStatus,
    initial=[PublicationStatus.PENDING],
    moves={
        "publish": ((PublicationStatus.PENDING, PublicationStatus.PUBLISHING), PublicationStatus.PUBLISHING),
        "record": ((PublicationStatus.PUBLISHING,), PublicationStatus.PUBLISHED),
        "fail": ((PublicationStatus.PENDING, PublicationStatus.PUBLISHING), PublicationStatus.FAILED),
        "retry": ((PublicationStatus.FAILED,), PublicationStatus.PENDING),
        "unlist": ((PublicationStatus.PUBLISHED,), PublicationStatus.UNLISTED),
    },
)

SERVED = frozenset({PublicationStatus.PUBLISHED, PublicationStatus.UNLISTED})


@record("package", root="package")
class Package(Entity):
    """A name in a feed, as it was first written."""

    id: str
    tenant: str
    feed: str
    package_type: PackageType
    name: str
    package_id: str
    created_at: datetime
    revision: int = 0


@record("package-publication", root="package")
class PackagePublication(Entity):
    """One version. Its content never changes; one that never reached the feed may be tried with another."""

    id: str
    tenant: str
    project: str
    module: str
    build_result: str
    feed: str
    package_type: PackageType
    package_id: str
    name: str
    version: str
    normalized_version: str
    digest: str
    source: str
    """The blob that it is published from."""
    file_name: str
    status: PublicationStatus = PublicationStatus.PENDING
    path: str | None = None
    """The blob that the feed serves."""
    size: int = 0
    integrity: str = ""
    """`sha512-` and base64, as npm wants it."""
    shasum: str = ""
    """SHA-1 in hex, as npm wants it."""
    requires_python: str = ""
    manifest: str = ""
    """What package managers read before they download: JSON of the npm fields that say how to install it."""
    reason: str = ""
    """Why it failed, or why it was unlisted."""
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int = 0


def package_key(tenant: str, feed: str, package_type: PackageType, name: str) -> str:
    return root_id("package", tenant, feed, package_type, name)


def publication_id(package: str, normalized_version: str) -> str:
    return child_id(package, "package-publication", normalized_version)
