"""Packages: published from what a build made, by a worker, once; listed for package managers; unlisted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.domain.kernel.actor import Actor
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
from shared.domain.packages.model import (
    SERVED,
    Package,
    PackagePublication,
    PublicationStatus,
    package_key,
    publication_id,
)
from shared.domain.packages.naming import Coordinates, PackageType, normalized_name
from shared.domain.pipelines.model import BuildResult, BuildStatus
from shared.ports.feed import PackageFeeds
from shared.ports.store import Query
from shared.services.artifacts import Artifacts
from shared.services.build_ingestion import STORED
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units

_UNDER_WAY = (PublicationStatus.PENDING, PublicationStatus.PUBLISHING)
_PAGE = 100
MAX_VERSIONS = 2000
"""Of one package, as many as a package manager is told of at once."""

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
        content = await self._content(actor, draft, build)
        where = draft.coordinates
        key = package_key(actor.tenant, draft.feed, where.package_type, where.name)
        version = publication_id(key, where.normalized_version)

        async def turn(unit: Unit) -> PackagePublication:
            await unit.load(Package.__record__.document(key), PackagePublication.__record__.document(version))
            wanted = PackagePublication(
                id=version,
                tenant=actor.tenant,
                project=build.project,
                module=build.module,
                build_result=build.id,
                feed=draft.feed,
                package_type=where.package_type,
                package_id=where.package_id,
                name=where.name,
                version=where.version,
                normalized_version=where.normalized_version,
                digest=content.digest,
                source=content.source,
                file_name=draft.file_name or _file_name(where, content.name),
                created_by=actor.subject,
                created_at=unit.now,
                updated_at=unit.now,
            )
            known = await unit.find(PackagePublication, version)
            if known is not None:
                change = lifecycle.repeat(known, wanted, unit.now)
                return known if change is None else unit.apply(change)
            if await unit.find(Package, key) is None:
                unit.put(_first(key, draft, actor, unit))
            return unit.apply(lifecycle.request(wanted))

        return await self.units.run(actor, Package.__record__.root_of(key), turn, once)

    async def publish(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """Handle PublishPackage: bring it into its feed, also after a worker that died of it."""
        key = id_in(payload, "publicationId", "pkg")
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
        await self._change(actor, key, lambda one, unit: lifecycle.published(one, made, unit.now))

    async def unlist(self, actor: Actor, key: str, reason: str, once: Once | None) -> PackagePublication:
        """Offer the version to nobody any more; whoever depends on exactly it still gets it."""

        async def turn(unit: Unit) -> PackagePublication:
            one = await unit.get(PackagePublication, key)
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


def _first(key: str, draft: PackageDraft, actor: Actor, unit: Unit) -> Package:
    where = draft.coordinates
    return Package(
        id=key,
        tenant=actor.tenant,
        feed=draft.feed,
        package_type=where.package_type,
        name=where.name,
        package_id=where.package_id,
        created_at=unit.now,
    )


def _file_name(where: Coordinates, artifact: str) -> str:
    """What installers expect, where the ecosystem says so; else what the build calls it."""
    match where.package_type:
        case PackageType.NPM:
            return f"{where.name.rpartition('/')[2]}-{where.normalized_version}.tgz"
        case PackageType.NUGET:
            return f"{where.name}.{where.normalized_version}.nupkg"
        case _:
            return artifact
