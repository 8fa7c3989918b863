"""Events of packages."""

from shared.domain.catalogue.declare import DIGEST, NAME, TEXT, EventType, Kind, Schema, id_of, one_of
from shared.domain.packages.model import PublicationStatus
from shared.domain.packages.naming import PackageType

_PACKAGE: dict[str, Schema] = {
    "publicationId": id_of("pkg"),
    "buildResultId": id_of("build"),
    "feed": NAME,
    "packageType": one_of(PackageType),
    "packageId": NAME,
    "version": NAME,
    "digest": DIGEST,
    "status": one_of(PublicationStatus),
    "reason": TEXT,
}

PACKAGES = (
    EventType("PublishPackage", "Bring the package into its feed.", _PACKAGE, kind=Kind.COMMAND),
    EventType("PublishPackageAgain", "Take it up where nobody has.", _PACKAGE, kind=Kind.COMMAND),
    EventType("PackagePublished", "A version of a package is in its feed.", _PACKAGE),
    EventType("PackagePublishFailed", "A version of a package did not get there.", _PACKAGE),
    EventType("PackageUnlisted", "A version of a package is offered to nobody any more.", _PACKAGE),
)
