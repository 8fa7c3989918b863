"""Decisions on publications: pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event, with_reminders
from shared.domain.packages.errors import PackageExists
from shared.domain.packages.model import PUBLICATION, Package, PackagePublication, PublicationStatus

MAX_VERSIONS = 2000
"""Of one package, as many as a package manager is told of at once."""

_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the feed has made of the content."""

    path: str
    size: int
    integrity: str
    shasum: str
    requires_python: str = ""
    manifest: str = ""


def request(publication: PackagePublication) -> Change[PackagePublication]:
    """It is to be published; a worker does that."""
    return Change(publication, "package.requested", _publish(publication, publication.created_at))


def repeat(
    known: PackagePublication, wanted: PackagePublication, at: datetime
) -> Change[PackagePublication] | None:
    """The same version is asked for again: None where that is nothing new. PackageExists."""
    if known.status is PublicationStatus.FAILED:
        again = replace(
            wanted,
            status=PUBLICATION.next(known.status, "retry"),
            created_at=known.created_at,
            updated_at=at,
            revision=known.revision,
        )
        return Change(again, "package.requested", _publish(again, at))
    if known.digest != wanted.digest:
        raise PackageExists(
            f"{known.package_id} {known.version} is in {known.feed} with other content, and a version never"
            " changes; publish yours under a new version.",
            publicationId=f"pkg-{known.id}",
            digest=known.digest,
        )
    return None


def begin(publication: PackagePublication, at: datetime) -> Change[PackagePublication] | None:
    """A worker is at it; None where one was before."""
    status = PUBLICATION.next(publication.status, "publish")
    if status is publication.status:
        return None
    return Change(replace(publication, status=status, updated_at=at), "package.publishing")


def published(publication: PackagePublication, made: Published, at: datetime) -> Change[PackagePublication]:
    there = replace(
        publication,
        status=PUBLICATION.next(publication.status, "record"),
        path=made.path,
        size=made.size,
        integrity=made.integrity,
        shasum=made.shasum,
        requires_python=made.requires_python,
        manifest=made.manifest,
        updated_at=at,
    )
    return Change(there, "package.published", (Event("PackagePublished", *_told(there)),))


def failed(publication: PackagePublication, reason: str, at: datetime) -> Change[PackagePublication]:
    status = PUBLICATION.next(publication.status, "fail")
    lost = replace(publication, status=status, reason=reason[:_REASON], updated_at=at)
    return Change(lost, "package.failed", (Event("PackagePublishFailed", *_told(lost)),))


def unlist(publication: PackagePublication, reason: str, at: datetime) -> Change[PackagePublication]:
    status = PUBLICATION.next(publication.status, "unlist")
    hidden = replace(publication, status=status, reason=reason[:_REASON], updated_at=at)
    return Change(hidden, "package.unlisted", (Event("PackageUnlisted", *_told(hidden)),))


def offered(package: Package, publication: PackagePublication) -> Change[Package]:
    """The package as package managers find it from now on: with this version, and its tags on it."""
    version = publication.normalized_version
    others = tuple(one for one in package.versions if one != version)
    more = replace(
        package,
        served=True,
        versions=(*others, version)[-MAX_VERSIONS:],
        tags={**package.tags, **dict.fromkeys(publication.tags, version)},
    )
    return Change(more, "package.offered")


def tagged(package: Package, version: str, tags: tuple[str, ...]) -> Change[Package] | None:
    """Tags of a version that is there already; None where they are on it."""
    moved = {**package.tags, **dict.fromkeys(tags, version)}
    return None if moved == package.tags else Change(replace(package, tags=moved), "package.tagged")


def withdrawn(package: Package, version: str) -> Change[Package] | None:
    """The package without a version that is offered to nobody any more."""
    if version not in package.versions:
        return None
    left = tuple(one for one in package.versions if one != version)
    return Change(replace(package, versions=left), "package.withdrawn")


def _publish(publication: PackagePublication, at: datetime) -> tuple[Event, ...]:
    payload, project, module = _told(publication)
    command = Event("PublishPackage", payload, project, module, session=f"package:{publication.id}")
    return with_reminders(command, at)


def _told(publication: PackagePublication) -> tuple[dict[str, object], str | None, str | None]:
    built = publication.build_result
    payload: dict[str, object] = {
        "publicationId": f"pkg-{publication.id}",
        **({"buildResultId": f"build-{built}"} if built else {}),
        "feed": publication.feed,
        "packageType": str(publication.package_type),
        "packageId": publication.package_id,
        "version": publication.version,
        "digest": publication.digest,
        "status": str(publication.status),
        "reason": publication.reason,
    }
    return payload, publication.project, publication.module
