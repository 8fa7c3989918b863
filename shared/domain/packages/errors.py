"""The rules of packages that can be broken."""

from shared.domain.kernel.errors import AlreadyExists, Invalid


class BadPackage(Invalid):
    """The content is not the package that the publication says."""

    code = "bad_package"


class PackageExists(AlreadyExists):
    """The feed has this version with other content; a version never changes."""

    code = "package_exists"
