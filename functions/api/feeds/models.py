"""Wire shapes of what package managers send: npm's publish document, NuGet's search."""

import base64
import binascii
import hashlib
from typing import Annotated

from pydantic import Field

from functions.http.fields import Body, ListQuery
from shared.domain.kernel.errors import Invalid, Problem
from shared.domain.packages.errors import BadPackage
from shared.domain.packages.naming import PackageType, coordinates
from shared.services.packages import PushedPackage

Tag = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,99}$")]


class NpmAttachment(Body):
    data: str
    length: Annotated[int | None, Field(ge=0)] = None


class NpmDist(Body):
    integrity: str | None = None
    shasum: str | None = None


class NpmVersion(Body):
    version: Annotated[str, Field(max_length=128)]
    dist: NpmDist = NpmDist()


class PublishNpm(Body):
    """One version of a package, its tarball in base64 and the tags that it gets."""

    name: Annotated[str, Field(max_length=214)]
    versions: Annotated[dict[str, NpmVersion], Field(min_length=1, max_length=1)]
    dist_tags: Annotated[dict[Tag, str], Field(alias="dist-tags", max_length=20, default_factory=dict)]
    attachments: Annotated[dict[str, NpmAttachment], Field(alias="_attachments", max_length=2)]

    def pushed(self, feed: str, name: str) -> PushedPackage:
        """Raises Invalid and BadPackage with a sentence."""
        if self.name != name:
            raise Invalid("The document is of another package.", Problem("name", f"Must be {name[:214]}."))
        [(_, version)] = self.versions.items()
        where = coordinates(PackageType.NPM, name, version.version)
        content = self._tarball()
        _check_sums(version.dist, content)
        tags = tuple(tag for tag, tagged in self.dist_tags.items() if tagged == version.version)
        return PushedPackage(feed=feed, coordinates=where, content=content, tags=tags)

    def _tarball(self) -> bytes:
        if len(self.attachments) != 1 or not next(iter(self.attachments)).endswith(".tgz"):
            told = "Must be the tarball alone; publish without --provenance, which the feed does not keep."
            raise Invalid("There has to be one tarball.", Problem("_attachments", told))
        [attached] = self.attachments.values()
        try:
            content = base64.b64decode(attached.data, validate=True)
        except (binascii.Error, ValueError):
            raise Invalid("The tarball is cut.", Problem("_attachments", "Must be base64.")) from None
        if attached.length not in (None, len(content)):
            raise BadPackage(
                f"The tarball has {len(content)} bytes and not {attached.length}; send it again."
            )
        return content


def _check_sums(dist: NpmDist, content: bytes) -> None:
    """What arrives is what was packed. Raises BadPackage."""
    integrity = f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"
    shasum = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    for name, told, made in (("integrity", dist.integrity, integrity), ("shasum", dist.shasum, shasum)):
        if told is not None and told != made:
            raise BadPackage(f"The tarball is not of its {name}; pack and publish it again.")


class SearchNuget(ListQuery):
    """What `dotnet package search` and IDEs ask; `packageType` other than Dependency finds nothing here."""

    q: Annotated[str, Field(max_length=200)] = ""
    passed: Annotated[int, Field(alias="skip", ge=0, le=3000)] = 0
    take: Annotated[int, Field(ge=0, le=1000)] = 20
    prerelease: bool = False
    sem_ver_level: Annotated[str | None, Field(max_length=20)] = None
    package_type: Annotated[str | None, Field(max_length=100)] = None

    @property
    def size(self) -> int:
        return self.take


class CompleteNuget(SearchNuget):
    """With `id`: the versions of that package instead of names."""

    id: Annotated[str | None, Field(max_length=100)] = None
