"""Container images of builds: requested, pushed by a worker, judged by their scans, let out of quarantine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.domain.images import lifecycle
from shared.domain.images.errors import BadScanReport, DigestMismatch
from shared.domain.images.lifecycle import ScanPolicy
from shared.domain.images.model import (
    EMBEDDED,
    BuildImages,
    ContainerImage,
    ImageStatus,
    Scan,
    build_images_id,
    image_id,
)
from shared.domain.images.oci import digest_of
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import DeliveryError, Invalid, Problem, Transient
from shared.domain.kernel.events import id_in
from shared.domain.pipelines.model import BuildResult
from shared.ports.blobs import Blobs
from shared.ports.scanner import ReadScanReport, Scanner
from shared.ports.store import Query
from shared.services.artifact_blobs import STORED
from shared.services.artifacts import Artifacts
from shared.services.image_pushes import ImagePushes
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units

type Decide = Callable[[ContainerImage, Unit], Change[ContainerImage] | None]

_UNDER_WAY = (ImageStatus.PENDING, ImageStatus.PUSHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDraft:
    """`artifact` is the id of an uploaded OCI layout, or the digest of an artifact of the build; without it
    the image is in its registry already and `digest` names it."""

    build_result: str
    registry: str = EMBEDDED
    repository: str
    tag: str
    digest: str | None = None
    artifact: str | None = None


@dataclass(frozen=True, slots=True)
class ContainerImages:
    units: Units
    artifacts: Artifacts
    pushes: ImagePushes
    scanner: Scanner
    read_report: ReadScanReport
    policy: ScanPolicy

    @property
    def blobs(self) -> Blobs:
        return self.artifacts.blobs

    async def request(self, actor: Actor, draft: ImageDraft, once: Once | None) -> ContainerImage:
        """The image of a build under a tag. The same digest again is the same image; one that could not be
        pushed is tried again.

        Raises NotFound (build), UnknownRegistry, Invalid (artifact), BadLayout, DigestMismatch.
        """
        self.pushes.registry(draft.registry)
        build = await self.units.get(actor, BuildResult, draft.build_result)
        archive, digest = await self._content(actor, draft, build)
        key = image_id(build.id, draft.registry, draft.repository, draft.tag, digest)

        async def turn(unit: Unit) -> ContainerImage:
            await self._load(unit, key, build.id, BuildResult.__record__.document(build.id))
            # It may have been removed since: an image of no build would be kept for ever.
            await unit.get(BuildResult, build.id)
            known = await unit.find(ContainerImage, key)
            if known is not None:
                if known.status is not ImageStatus.FAILED:
                    return known
                return await self._apply(unit, lifecycle.retry(known, unit.now))
            image = ContainerImage(
                id=key,
                tenant=actor.tenant,
                project=build.project,
                module=build.module,
                build_result=build.id,
                registry=draft.registry,
                repository=draft.repository,
                tag=draft.tag,
                digest=digest,
                archive=archive,
                created_by=actor.subject,
                created_at=unit.now,
                updated_at=unit.now,
            )
            return await self._apply(unit, lifecycle.request(image))

        return await self.units.run(actor, BuildResult.__record__.root_of(build.id), turn, once)

    async def push(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """Handle PushContainerImage: bring it into its registry, also after a worker that died of it."""
        key = id_in(payload, "containerImageId", "img")
        image = await self._begin(actor, key)
        if image.status is not ImageStatus.PUSHING:
            return
        try:
            media_type = await self.pushes.push(image)
        except Transient:
            raise
        except DeliveryError as refused:
            reason = refused.message
            await self._change(
                actor, key, lambda one, unit: lifecycle.failed(one, reason, unit.now), _UNDER_WAY
            )
            return
        await self._change(
            actor, key, lambda one, unit: lifecycle.pushed(one, media_type, unit.now), _UNDER_WAY
        )

    async def scan(self, actor: Actor, payload: Mapping[str, object]) -> None:
        """Handle ContainerImagePushed: take the report that there is, or wait for one."""
        key = id_in(payload, "containerImageId", "img")
        image = await self.units.get(actor, ContainerImage, key)
        unscanned = (ImageStatus.PUSHED, ImageStatus.SCANNING)
        if image.status not in unscanned:
            return
        build = await self.units.get(actor, BuildResult, image.build_result)
        try:
            content = await self.scanner.scan(image, build)
            judge = None if content is None else await self._judge(image, content)
        except BadScanReport as unread:
            # The build brought a report that says nothing: another one has to be handed in.
            reason, judge = unread.message, None
        else:
            reason = ""
        if judge is None:
            await self._change(
                actor, key, lambda one, unit: lifecycle.await_scan(one, reason, unit.now), unscanned
            )
        else:
            await self._change(actor, key, judge, unscanned)

    async def take_report(self, actor: Actor, key: str, content: bytes, once: Once | None) -> ContainerImage:
        """Judge an image by a report that was handed in. The same report again changes nothing.

        Raises BadScanReport, DigestMismatch (another image's report), IllegalTransition before it is pushed.
        """
        await self.units.replay(actor, ContainerImage.__record__.root_of(key), once)
        image = await self.units.get(actor, ContainerImage, key)
        judge = await self._judge(image, content)

        async def turn(unit: Unit) -> ContainerImage:
            await self._load(unit, key, image.build_result)
            one = await unit.get(ContainerImage, key)
            change = judge(one, unit)
            return one if change is None else await self._apply(unit, change)

        return await self.units.run(actor, ContainerImage.__record__.root_of(key), turn, once)

    async def release(self, actor: Actor, key: str, reason: str, once: Once | None) -> ContainerImage:
        """Let an image out of quarantine, with the findings it has and no worse ones."""

        async def turn(unit: Unit) -> ContainerImage:
            one = await unit.get(ContainerImage, key)
            return await self._apply(unit, lifecycle.release_from_quarantine(one, actor, reason, unit.now))

        return await self.units.run(actor, ContainerImage.__record__.root_of(key), turn, once)

    async def get(self, actor: Actor, key: str) -> ContainerImage:
        return await self.units.get(actor, ContainerImage, key)

    async def list(self, actor: Actor, query: Query) -> Page[ContainerImage]:
        return await self.units.list(actor, ContainerImage, query)

    async def of_build(self, actor: Actor, build_result: str) -> BuildImages | None:
        """The images of a build with their states: one point read."""
        return await self.units.find(actor, BuildImages, build_images_id(build_result))

    async def _content(self, actor: Actor, draft: ImageDraft, build: BuildResult) -> tuple[str | None, str]:
        """The blob that the image is pushed from, if any, and its digest."""
        if draft.artifact is None:
            if draft.digest is None:
                problem = Problem("digest", "Say the digest of an image that is pushed, or an artifactRef.")
                raise Invalid("The request names no image.", problem)
            return None, draft.digest
        archive = await self._archive(actor, draft.artifact, build)
        held = await self.pushes.inspect(actor.tenant, archive, draft.tag)
        if draft.digest not in (None, held.digest):
            raise DigestMismatch(f"The layout holds {held.digest} and not {draft.digest}.")
        return archive, held.digest

    async def _archive(self, actor: Actor, artifact: str, build: BuildResult) -> str:
        if artifact.startswith("sha256:"):
            for made in build.artifacts:
                if made.digest == artifact and made.ref.startswith(STORED):
                    return made.ref
            problem = Problem("artifactRef", "The build has stored no artifact of this digest.")
            raise Invalid("There is nothing to push.", problem)
        uploaded = await self.artifacts.find(actor, artifact)
        if uploaded is None:
            problem = Problem(
                "artifactRef", "No artifact of this id was uploaded; PUT /artifacts/{id} first."
            )
            raise Invalid("There is nothing to push.", problem)
        return self.artifacts.place(uploaded)

    async def _judge(self, image: ContainerImage, content: bytes) -> Decide:
        """What the report comes to; it is kept beside the record. Nothing new for a report that was taken."""
        report = self.read_report(content)
        if report.digest not in (None, image.digest):
            raise DigestMismatch(f"The report is of {report.digest} and the image is {image.digest}.")
        digest = digest_of(content)
        path = f"scans/{digest.removeprefix('sha256:')}.json"
        if await self.blobs.info(image.tenant, path) is None:
            await self.blobs.put(image.tenant, path, content)

        def decide(one: ContainerImage, unit: Unit) -> Change[ContainerImage] | None:
            if one.scan is not None and one.scan.digest == digest:
                return None
            scan = Scan(
                scanner=report.scanner, findings=report.findings, report=path, digest=digest, at=unit.now
            )
            return lifecycle.scanned(one, scan, self.policy, unit.now)

        return decide

    async def _begin(self, actor: Actor, key: str) -> ContainerImage:
        return await self._change(actor, key, lambda one, unit: lifecycle.begin(one, unit.now), _UNDER_WAY)

    async def _change(
        self, actor: Actor, key: str, decide: Decide, states: tuple[ImageStatus, ...]
    ) -> ContainerImage:
        """Decide on the image if it is in one of these states still: late and repeated work is nothing."""

        async def turn(unit: Unit) -> ContainerImage:
            one = await unit.get(ContainerImage, key)
            change = decide(one, unit) if one.status in states else None
            return one if change is None else await self._apply(unit, change)

        return await self.units.run(actor, ContainerImage.__record__.root_of(key), turn)

    async def _load(self, unit: Unit, key: str, build_result: str, *more: str) -> None:
        await unit.load(
            *more,
            ContainerImage.__record__.document(key),
            BuildImages.__record__.document(build_images_id(build_result)),
        )

    async def _apply(self, unit: Unit, change: Change[ContainerImage]) -> ContainerImage:
        """The image, and what its build's gate reads, in one batch."""
        known = await unit.find(BuildImages, build_images_id(change.entity.build_result))
        saved = unit.apply(change)
        if (now := lifecycle.held(known, saved)) != known:
            unit.put(now)
        return saved
