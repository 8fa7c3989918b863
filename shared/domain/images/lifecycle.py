"""Decisions on container images: pure. What a scan means for an image is decided here, and nowhere else."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from shared.domain.images.errors import ImageQuarantined, TooManyImages
from shared.domain.images.model import (
    IMAGE,
    BuildImages,
    ContainerImage,
    Findings,
    HeldImage,
    ImageStatus,
    QuarantineRelease,
    Scan,
    build_images_id,
)
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event, with_reminders

MAX_IMAGES = 100
"""Of one build. A gate reads them as one document."""
_REASON = 500


@dataclass(frozen=True, slots=True)
class ScanPolicy:
    """More findings of a severity than this quarantine the image; a severity without a number never does."""

    allowed: Mapping[str, int]

    def objection(self, findings: Findings) -> str:
        """Why these findings are too many, or an empty text."""
        counts = asdict(findings)
        over = [
            f"{counts[severity]} {severity} ({most} allowed)"
            for severity, most in self.allowed.items()
            if counts[severity] > most
        ]
        return f"The scan found {', '.join(over)}." if over else ""


def request(image: ContainerImage) -> Change[ContainerImage]:
    """It is to be pushed, or to be found in its registry; a worker does that."""
    return Change(image, "container-image.requested", _push(image, image.created_at))


def retry(image: ContainerImage, at: datetime) -> Change[ContainerImage]:
    again = replace(image, status=IMAGE.next(image.status, "retry"), reason="", updated_at=at)
    return Change(again, "container-image.requested", _push(again, at))


def begin(image: ContainerImage, at: datetime) -> Change[ContainerImage] | None:
    """A worker is at it; None where one was before."""
    status = IMAGE.next(image.status, "push")
    if status is image.status:
        return None
    return Change(replace(image, status=status, updated_at=at), "container-image.pushing")


def pushed(image: ContainerImage, media_type: str, at: datetime) -> Change[ContainerImage]:
    status = IMAGE.next(image.status, "record_push")
    there = replace(image, status=status, media_type=media_type, updated_at=at)
    return Change(there, "container-image.pushed", (Event("ContainerImagePushed", *_told(there)),))


def failed(image: ContainerImage, reason: str, at: datetime) -> Change[ContainerImage]:
    status = IMAGE.next(image.status, "fail")
    lost = replace(image, status=status, reason=reason[:_REASON], updated_at=at)
    return Change(lost, "container-image.failed", (Event("ContainerImageFailed", *_told(lost)),))


def await_scan(image: ContainerImage, reason: str, at: datetime) -> Change[ContainerImage] | None:
    """It waits for a report, and says so where the one that came was no use; None where it does already."""
    status = IMAGE.next(image.status, "scan")
    if status is image.status:
        return None
    waiting = replace(image, status=status, reason=reason[:_REASON], updated_at=at)
    return Change(waiting, "container-image.scanning")


def scanned(image: ContainerImage, scan: Scan, policy: ScanPolicy, at: datetime) -> Change[ContainerImage]:
    """What was accepted when it was let out of quarantine does not bring it back; anything worse does."""
    objection = policy.objection(scan.findings)
    accepted = image.release if image.release and _within(scan.findings, image.release.accepted) else None
    verb = "quarantine" if objection and accepted is None else "clear"
    judged = replace(
        image,
        status=IMAGE.next(image.status, verb),
        scan=scan,
        reason=objection if verb == "quarantine" else "",
        release=accepted,
        updated_at=at,
    )
    events = [Event("ContainerImageScanned", *_told(judged))]
    if verb == "quarantine":
        events.append(Event("ContainerImageQuarantined", *_told(judged)))
    return Change(judged, f"container-image.{judged.status}", tuple(events))


def release_from_quarantine(
    image: ContainerImage, by: Actor, reason: str, at: datetime
) -> Change[ContainerImage]:
    status = IMAGE.next(image.status, "release_from_quarantine")
    accepted = image.scan.findings if image.scan else Findings()
    release = QuarantineRelease(by=by.subject, reason=reason, at=at, accepted=accepted)
    free = replace(image, status=status, reason="", release=release, updated_at=at)
    payload, project, module = _told(free)
    told = {**payload, "releasedBy": by.subject, "releaseReason": reason}
    event = Event("ContainerImageReleased", told, project, module)
    return Change(free, "container-image.released", (event,))


def held(images: BuildImages | None, image: ContainerImage) -> BuildImages:
    """The build's images with this one as it is now. TooManyImages."""
    known = images or BuildImages(
        id=build_images_id(image.build_result), tenant=image.tenant, build_result=image.build_result
    )
    row = HeldImage(image=image.id, reference=image.reference, status=image.status, reason=image.reason)
    others = tuple(each for each in known.images if each.image != image.id)
    if len(others) >= MAX_IMAGES:
        raise TooManyImages(f"A build has at most {MAX_IMAGES} images; push the others from another build.")
    return replace(known, images=(*others, row))


def objections(images: BuildImages | None) -> tuple[str, ...]:
    """Why images of a build keep it out of a release, a sentence each."""
    if images is None:
        return ()
    reasons = {
        ImageStatus.QUARANTINED: "is in quarantine",
        ImageStatus.FAILED: "could not be pushed",
    }
    return tuple(
        f"The image {each.reference} {reasons[each.status]}: {each.reason}"
        for each in images.images
        if each.status in reasons
    )


def awaited(images: BuildImages | None) -> tuple[str, ...]:
    """The images of a build that have not been pushed and scanned yet."""
    settled = (ImageStatus.CLEAN, ImageStatus.QUARANTINED, ImageStatus.FAILED)
    return tuple(each.reference for each in images.images if each.status not in settled) if images else ()


def require_no_objection(images: BuildImages | None) -> None:
    """ImageQuarantined where a scan, or a failed push, keeps the build out of a release."""
    if said := objections(images):
        raise ImageQuarantined(
            f"{' '.join(said)} Release a new build, or have the image let out of quarantine.",
            images=[each.reference for each in images.images] if images else [],
        )


def _within(found: Findings, accepted: Findings) -> bool:
    now, then = asdict(found), asdict(accepted)
    return all(now[severity] <= then[severity] for severity in now)


def _push(image: ContainerImage, at: datetime) -> tuple[Event, ...]:
    payload, project, module = _told(image)
    session = f"image:{image.id}"
    command = Event("PushContainerImage", payload, project, module, session=session)
    return with_reminders(command, at)


def _told(image: ContainerImage) -> tuple[dict[str, object], str, str]:
    payload: dict[str, object] = {
        "containerImageId": f"img-{image.id}",
        "buildResultId": f"build-{image.build_result}",
        "registry": image.registry,
        "repository": image.repository,
        "tag": image.tag,
        "digest": image.digest,
        "status": str(image.status),
        "findings": asdict(image.scan.findings) if image.scan else None,
        "reason": image.reason,
    }
    return payload, image.project, image.module
