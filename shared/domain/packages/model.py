"""A package of a feed, and its publications: one per version, each of one content for ever."""

from collections.abc import Mapping
from dataclasses import field
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
    """A name in a feed, as it was first written, and what package managers are offered of it."""

    id: str
    tenant: str
    feed: str
    package_type: PackageType
    name: str
    package_id: str
    served: bool = False
    """Whether the feed has ever served a version; a name alone is shown to nobody."""
    versions: tuple[str, ...] = ()
    """Those that are offered, as they are normalised, in the order of their publication."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """npm's names for versions, such as `latest`."""
    created_at: datetime
    revision: int = 0


@record("package-publication", root="package")
class PackagePublication(Entity):
    """One version. Its content never changes; one that never reached the feed may be tried with another.

    Project, module and build are there where a build has made it, and not where a client has sent it.
    """

    id: str
    tenant: str
    project: str | None
    module: str | None
    build_result: str | None
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
    """What package managers read before they download, as JSON: the fields of package.json or of the nuspec
    that say how to install it."""
    tags: tuple[str, ...] = ()
    """Names that mean this version from when it is published on."""
    reason: str = ""
    """Why it failed, or why it was unlisted."""
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int = 0


def package_key(tenant: str, feed: str, package_type: PackageType, name: str) -> str:
    return root_id("package", tenant, feed, package_type, name)


def publication_id(package: str, package_type: PackageType, normalized_version: str, file_name: str) -> str:
    """A version is one file; of a Python package it is a source distribution and wheels, each of which is
    published once."""
    file = (file_name,) if package_type is PackageType.PYPI else ()
    return child_id(package, "package-publication", normalized_version, *file)
