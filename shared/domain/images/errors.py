"""The rules of container images that can be broken."""

from shared.domain.kernel.errors import Invalid, RuleBroken


class ImageQuarantined(RuleBroken):
    """A scan has found what keeps the image out of releases and environments."""

    code = "image_quarantined"


class DigestMismatch(RuleBroken):
    """The content is not what the digest says."""

    code = "digest_mismatch"


class UnknownRegistry(RuleBroken):
    code = "unknown_registry"


class BadLayout(Invalid):
    """The archive is no OCI image layout, or not of the image that is asked for."""

    code = "bad_image_layout"


class BadScanReport(Invalid):
    """The report is in none of the forms that are read."""

    code = "bad_scan_report"


class TooManyImages(RuleBroken):
    code = "too_many_images"
