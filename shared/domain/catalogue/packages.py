"""Events of packages."""

from shared.domain.catalogue.declare import DIGEST, NAME, TEXT, EventType, Kind, Schema, id_of, one_of
from shared.domain.packages.model import PublicationStatus
from shared.domain.packages.naming import PackageType

_PACKAGE: dict[str, Schema] = {
    "publicationId": id_of("pkg"),
    "feed": NAME,
    "packageType": one_of(PackageType),
    "packageId": NAME,
    "version": NAME,
    "digest": DIGEST,
    "status": one_of(PublicationStatus),
    "reason": TEXT,
}

_BUILT: dict[str, Schema] = {"buildResultId": id_of("build")}
"""Where a build has made it; a client may as well have sent it."""

PACKAGES = (
    EventType("PublishPackage", "Bring the package into its feed.", _PACKAGE, _BUILT, Kind.COMMAND),
    EventType("PublishPackageAgain", "Take it up where nobody has.", _PACKAGE, _BUILT, Kind.COMMAND),
    EventType("PackagePublished", "A version of a package is in its feed.", _PACKAGE, _BUILT),
    EventType("PackagePublishFailed", "A version of a package did not get there.", _PACKAGE, _BUILT),
    EventType("PackageUnlisted", "A version of a package is offered to nobody any more.", _PACKAGE, _BUILT),
)
