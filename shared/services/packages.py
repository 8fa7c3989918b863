"""Packages: published once, out of a build or as a client has sent them; found, and unlisted."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import (
    Conflict,
    DeliveryError,
    Invalid,
    NotFound,
    Problem,
    RuleBroken,
    Transient,
)
from shared.domain.kernel.events import id_in
from shared.domain.packages import lifecycle
from shared.domain.packages.lifecycle import MAX_VERSIONS
from shared.domain.packages.model import (
    SERVED,
    Package,
    PackagePublication,
    PublicationStatus,
    package_key,
    publication_id,
)
from shared.domain.packages.naming import (
    Coordinates,
    PackageType,
    check_file_name,
    coordinates,
    normalized_name,
)
from shared.domain.pipelines.model import BuildResult, BuildStatus
from shared.domain.retention.model import build_since
from shared.domain.retention.periods import BUILDS, USUAL, Periods
from shared.ports.feed import PackageFeeds
from shared.ports.store import Query
from shared.services.artifact_blobs import STORED
from shared.services.artifacts import Artifacts
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units

_UNDER_WAY = (PublicationStatus.PENDING, PublicationStatus.PUBLISHING)
_PAGE = 100
MAX_NAMES = 10_000
"""Of a feed, as many as a package manager is told of at once."""

type Decide = Callable[[PackagePublication, Unit], Change[PackagePublication] | None]


class BuildNotPublishable(RuleBroken):
    """Only what a build that succeeded has made is published."""

    code = "build_not_publishable"


class DigestConflict(Conflict):
    """The artifact's content is not of the digest that was asked for."""

    code = "digest_mismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageDraft:
    """`artifact` is the id of an uploaded artifact, or the digest of one that the build has stored."""

    build_result: str
    feed: str
    coordinates: Coordinates
    artifact: str
    digest: str | None
    file_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedPackage:
    """A package as a package manager sends it. `tags` are to mean this version from now on."""

    feed: str
    coordinates: Coordinates
    content: bytes
    file_name: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Content:
    source: str
    digest: str
    name: str


@dataclass(frozen=True, slots=True)
class Packages:
    units: Units
    artifacts: Artifacts
    feeds: PackageFeeds
    periods: Periods = USUAL

    async def request(self, actor: Actor, draft: PackageDraft, once: Once | None) -> PackagePublication:
        """A version of a package in a feed. The same content again is the same publication; one that failed
        is tried again.

        Raises NotFound (build), BuildNotPublishable, Invalid (artifact), DigestConflict, PackageExists.
        """
        build = await self.units.get(actor, BuildResult, draft.build_result)
        if build.status not in (BuildStatus.SUCCEEDED, BuildStatus.PARTIALLY_SUCCEEDED):
            raise BuildNotPublishable(
                f"The build has {build.status.replace('_', ' ')}; publish what one that succeeded has made.",
                status=str(build.status),
            )
        if self.periods.is_over(BUILDS, build_since(build), self.units.clock.now()):
            raise BuildNotPublishable(
                "The build is older than builds are kept; run its pipeline again, and publish that."
            )
        content = await self._content(actor, draft, build)
        where = draft.coordinates
        wanted = replace(
            self._wanted(actor, draft.feed, where, content, draft.file_name),
            project=build.project,
            module=build.module,
            build_result=build.id,
            tags=_tags(where),
        )
        return await self._request(actor, wanted, once)

    async def push(self, actor: Actor, pushed: PushedPackage, once: Once | None) -> PackagePublication:
        """A version that a client has sent whole: looked at first, then served as of the answer. The same
        content again is the same publication; a worker finishes what a dying process has left.

        Raises Invalid, BadPackage, PackageExists, Transient.
        """
        digest = f"sha256:{sha256_hex(pushed.content)}"
        content = _Content(self.artifacts.place_of(digest), digest, pushed.file_name or "")
        wanted = replace(
            self._wanted(actor, pushed.feed, pushed.coordinates, content, pushed.file_name), tags=pushed.tags
        )
        if pushed.file_name is not None:
            check_file_name(pushed.file_name)
        await self.feeds.check(wanted, pushed.content)
        # Content first, then the record that points at it.
        await self.artifacts.blobs.put(actor.tenant, content.source, pushed.content)
        asked = await self._request(actor, wanted, once)
        await self._bring(actor, asked.id)
        return await self.get(actor, asked.id)

    async def push_nuget(
        self, actor: Actor, feed: str, content: bytes, once: Once | None
    ) -> PackagePublication:
        """A NuGet package, which says itself what it is. Raises what `push` does."""
        where = coordinates(PackageType.NUGET, *await self.feeds.identity(content))
        return await self.push(actor, PushedPackage(feed=feed, coordinates=where, content=content), once)

    async def _request(
        self, actor: Actor, wanted: PackagePublication, once: Once | None
    ) -> PackagePublication:
        key = _package_of(wanted)

        async def turn(unit: Unit) -> PackagePublication:
            await unit.load(
                Package.__record__.document(key), PackagePublication.__record__.document(wanted.id)
            )
            known = await unit.find(PackagePublication, wanted.id)
            package = await unit.find(Package, key) or unit.put(_first(key, wanted))
            if known is None:
                return unit.apply(lifecycle.request(wanted))
            change = lifecycle.repeat(known, wanted, unit.now)
            if change is not None:
                return unit.apply(change)
            retagged = lifecycle.tagged(package, known.normalized_version, wanted.tags)
            if retagged is not None and known.status in SERVED:
                unit.apply(retagged)
            return known

        return await self.units.run(actor, Package.__record__.root_of(key), turn, once)

    async def publish(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """Handle PublishPackage: bring it into its feed, also after a worker that died of it."""
        await self._bring(actor, id_in(payload, "publicationId", "pkg"))

    async def _bring(self, actor: Actor, key: str) -> None:
        publication = await self._change(actor, key, lambda one, unit: lifecycle.begin(one, unit.now))
        if publication.status is not PublicationStatus.PUBLISHING:
            return
        try:
            made = await self.feeds.publish(publication)
        except Transient:
            raise
        except DeliveryError as refused:
            reason = refused.message
            await self._change(actor, key, lambda one, unit: lifecycle.failed(one, reason, unit.now))
            return

        async def turn(unit: Unit) -> None:
            one = await unit.get(PackagePublication, key)
            if one.status in _UNDER_WAY:
                unit.apply(lifecycle.offered(await unit.get(Package, _package_of(one)), one))
                unit.apply(lifecycle.published(one, made, unit.now))

        await self.units.run(actor, PackagePublication.__record__.root_of(key), turn)

    async def unlist(self, actor: Actor, key: str, reason: str, once: Once | None) -> PackagePublication:
        """Offer the version to nobody any more; whoever depends on exactly it still gets it."""

        async def turn(unit: Unit) -> PackagePublication:
            one = await unit.get(PackagePublication, key)
            package = await unit.find(Package, _package_of(one))
            left = package and lifecycle.withdrawn(package, one.normalized_version)
            if left:
                unit.apply(left)
            return unit.apply(lifecycle.unlist(one, reason, unit.now))

        return await self.units.run(actor, PackagePublication.__record__.root_of(key), turn, once)

    async def get(self, actor: Actor, key: str) -> PackagePublication:
        return await self.units.get(actor, PackagePublication, key)

    async def list(self, actor: Actor, query: Query) -> Page[PackagePublication]:
        return await self.units.list(actor, PackagePublication, query)

    async def served(
        self, actor: Actor, feed: str, package_type: PackageType, package_id: str
    ) -> tuple[PackagePublication, ...]:
        """Every version that the feed serves, unlisted ones too. NotFound where there is none."""
        name = normalized_name(package_type, package_id)
        found: list[PackagePublication] = []
        if name is not None:
            key = package_key(actor.tenant, feed, package_type, name)

            async def turn(unit: Unit) -> None:
                while len(found) < MAX_VERSIONS:
                    after = found[-1].id if found else ""
                    page = await unit.children(PackagePublication, after=after, limit=_PAGE)
                    found.extend(page)
                    if len(page) < _PAGE:
                        return

            await self.units.run(actor, Package.__record__.root_of(key), turn)
        served = [one for one in found if one.status in SERVED]
        if not served:
            raise NotFound(f"There is no such package in the feed {feed}.")
        return tuple(sorted(served, key=lambda one: (one.created_at, one.id)))

    async def package(self, actor: Actor, feed: str, package_type: PackageType, package_id: str) -> Package:
        """A package with its tags and the versions that it offers. NotFound where none was ever served."""
        name = normalized_name(package_type, package_id)
        found = None
        if name is not None:
            found = await self.units.find(actor, Package, package_key(actor.tenant, feed, package_type, name))
        if found is None or not found.served:
            raise NotFound(f"There is no such package in the feed {feed}.")
        return found

    async def offered(self, actor: Actor, feed: str, package_type: PackageType) -> AsyncIterator[Package]:
        """Every package that the feed has ever served, by name; the first 10,000."""
        query = Query("package", {"feed": feed, "package_type": package_type, "served": True}, "name")
        left = MAX_NAMES
        async for package in self.units.every(actor, Package, replace(query, limit=_PAGE)):
            yield package
            left -= 1
            if left == 0:
                return

    async def content(self, actor: Actor, feed: str, key: str) -> tuple[PackagePublication, bytes]:
        """A version that this feed serves, with its content."""
        one = await self.units.get(actor, PackagePublication, key)
        if one.feed != feed or one.status not in SERVED:
            raise NotFound(f"There is no such package in the feed {feed}.")
        return one, await self.feeds.read(one)

    async def member(self, one: PackagePublication, path: str) -> bytes:
        """One file of the package."""
        found = await self.artifacts.bundles.read(await self.feeds.read(one), [path])
        if path not in found:
            raise NotFound(f"The package has no {path}.")
        return found[path]

    async def _change(self, actor: Actor, key: str, decide: Decide) -> PackagePublication:
        """Decide on a publication that is under way: late and repeated work changes nothing."""

        async def turn(unit: Unit) -> PackagePublication:
            one = await unit.get(PackagePublication, key)
            change = decide(one, unit) if one.status in _UNDER_WAY else None
            return one if change is None else unit.apply(change)

        return await self.units.run(actor, PackagePublication.__record__.root_of(key), turn)

    def _wanted(
        self, actor: Actor, feed: str, where: Coordinates, content: _Content, file_name: str | None
    ) -> PackagePublication:
        at = self.units.clock.now()
        key = package_key(actor.tenant, feed, where.package_type, where.name)
        file_name = file_name or _file_name(where, content.name)
        return PackagePublication(
            id=publication_id(key, where.package_type, where.normalized_version, file_name),
            tenant=actor.tenant,
            project=None,
            module=None,
            build_result=None,
            feed=feed,
            package_type=where.package_type,
            package_id=where.package_id,
            name=where.name,
            version=where.version,
            normalized_version=where.normalized_version,
            digest=content.digest,
            source=content.source,
            file_name=file_name,
            created_by=actor.subject,
            created_at=at,
            updated_at=at,
        )

    async def _content(self, actor: Actor, draft: PackageDraft, build: BuildResult) -> _Content:
        found = await self._artifact(actor, draft.artifact, build)
        if found is None:
            told = "Neither the build nor an upload has it; PUT /artifacts/{id} first."
            raise Invalid("There is nothing to publish.", Problem("artifactRef", told))
        if draft.digest not in (None, found.digest):
            raise DigestConflict(
                f"The artifact is {found.digest} and not {draft.digest}.", digest=found.digest
            )
        return found

    async def _artifact(self, actor: Actor, artifact: str, build: BuildResult) -> _Content | None:
        if artifact.startswith("sha256:"):
            made = (one for one in build.artifacts if one.digest == artifact and one.ref.startswith(STORED))
            return next((_Content(one.ref, one.digest, one.name) for one in made), None)
        uploaded = await self.artifacts.find(actor, artifact)
        if uploaded is None:
            return None
        return _Content(self.artifacts.place(uploaded), uploaded.digest, uploaded.name)


def _package_of(publication: PackagePublication) -> str:
    return package_key(publication.tenant, publication.feed, publication.package_type, publication.name)


def _first(key: str, wanted: PackagePublication) -> Package:
    return Package(
        id=key,
        tenant=wanted.tenant,
        feed=wanted.feed,
        package_type=wanted.package_type,
        name=wanted.name,
        package_id=wanted.package_id,
        created_at=wanted.created_at,
    )


def _tags(where: Coordinates) -> tuple[str, ...]:
    """Nobody who runs `npm install` gets a pre-release that has not been asked for."""
    is_latest = where.package_type is PackageType.NPM and "-" not in where.normalized_version
    return ("latest",) if is_latest else ()


def _file_name(where: Coordinates, artifact: str) -> str:
    """What installers expect, where the ecosystem says so; else what the build calls it."""
    match where.package_type:
        case PackageType.NPM:
            return f"{where.name.rpartition('/')[2]}-{where.normalized_version}.tgz"
        case PackageType.NUGET:
            return f"{where.name}.{where.normalized_version}.nupkg"
        case _:
            return artifact
