"""The tenant's GitOps repository: what every environment should run, one file per component, every change a
commit. Knows nothing of targets."""

from dataclasses import dataclass
from typing import Protocol

from shared.domain.gitops.lifecycle import content_hash
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import Transient
from shared.ports.clock import Clock
from shared.ports.source_host import FileChange, HeadMoved, Place, RepositoryMissing, Signature, SourceHost

PROJECT, NAME, BRANCH = "gitops", "environments", "main"
PROMOTION_TRAILER = "Slipway-Promotion"
WRITE_TRAILER = "Slipway-Write"
_ATTEMPTS = 5


class SystemRepositories(Protocol):
    """Makes the platform's own repositories, on their host and for people to see. Safe to repeat."""

    async def ensure_system_repository(self, actor: Actor, project: str, name: str) -> object: ...


@dataclass(frozen=True, slots=True)
class Desired:
    """One file at the head of the repository; `content` is None where nothing is desired. `revision` is the
    head, None while there is no repository."""

    content: bytes | None
    revision: str | None

    @property
    def content_hash(self) -> str | None:
        return None if self.content is None else content_hash(self.content)


@dataclass(frozen=True, slots=True)
class DesiredStates:
    source_host: SourceHost
    repositories: SystemRepositories
    clock: Clock

    async def read(self, actor: Actor, path: str) -> Desired:
        """What is desired now."""
        return await self.at(actor, await self.head(actor), path)

    async def head(self, actor: Actor) -> str | None:
        """The last commit; None while there is no repository."""
        try:
            return await self.source_host.head(_place(actor), BRANCH)
        except RepositoryMissing:
            return None

    async def at(self, actor: Actor, revision: str | None, path: str) -> Desired:
        """What was desired at that commit."""
        if revision is None:
            return Desired(None, None)
        return Desired(await self.source_host.read_file(_place(actor), revision, path), revision)

    async def changed(self, actor: Actor, revision: str) -> list[str]:
        """The paths that a commit changed; of a renamed file both. The first commit changed none."""
        place = _place(actor)
        commit = await self.source_host.info(place, revision)
        if not commit.parents:
            return []
        diffs = await self.source_host.diff(place, commit.parents[0], revision, max_patch_bytes=0)
        return sorted({path for each in diffs for path in (each.path, each.source) if path is not None})

    async def write(
        self, actor: Actor, path: str, content: bytes | None, *, message: str, promotion: str, key: str
    ) -> str:
        """Commit the file, or its removal for None; the commit's sha. The same `key` again is the same
        commit."""
        await self.repositories.ensure_system_repository(actor, PROJECT, NAME)
        place = _place(actor)
        author = Signature(actor.subject, f"slipway@{actor.tenant}.slipway", self.clock.now())
        for _ in range(_ATTEMPTS):
            head = await self.source_host.head(place, BRANCH)
            before = await self.source_host.read_file(place, head, path)
            if before is None and content is None:
                return head
            if content is None:
                change = FileChange(path, "delete")
            else:
                change = FileChange(path, "add" if before is None else "modify", content)
            try:
                commit = await self.source_host.commit(
                    place,
                    BRANCH,
                    [change],
                    message=message,
                    author=author,
                    expected_head=head,
                    trailers=[(PROMOTION_TRAILER, f"prom-{promotion}")],
                    once=(WRITE_TRAILER, key),
                )
            except HeadMoved:
                continue
            return commit.sha
        raise Transient("Others keep committing to the GitOps repository; this is tried again shortly.")

    async def before(self, actor: Actor, path: str, revision: str) -> bytes | None:
        """The file as it was before the commit `revision`."""
        place = _place(actor)
        commit = await self.source_host.info(place, revision)
        return await self.source_host.read_file(place, commit.parents[0], path) if commit.parents else None


def _place(actor: Actor) -> Place:
    return Place(actor.tenant, PROJECT, NAME)
