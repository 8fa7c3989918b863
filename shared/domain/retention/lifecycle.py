"""What is said when the period of something is over, and the mark that nothing new may refer to it."""

from dataclasses import replace
from datetime import datetime

from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event
from shared.domain.releases.lifecycle import MACHINE
from shared.domain.releases.model import Release, ReleaseStatus

_VERBS = {ReleaseStatus.READY: ("deprecate", "archive"), ReleaseStatus.DEPRECATED: ("archive",)}


def shelve(release: Release, at: datetime) -> Change[Release] | None:
    """The release can no longer be promoted: what was decided about it may go. None where it cannot."""
    status = release.status
    for verb in _VERBS.get(status, ()):
        status = MACHINE.next(status, verb)
    if status is release.status:
        return None
    return Change(replace(release, status=status, updated_at=at), "release.archived")


def removed(kind: str, resource: str, project: str, module: str | None, archive: str | None = None) -> Event:
    """`archive` is the blob that it can be read from, where it is kept in one."""
    told: dict[str, object] = {"kind": kind, "resourceId": resource}
    if archive is not None:
        told["archive"] = archive
    return Event("RetentionEnded", told, project=project, module=module)
