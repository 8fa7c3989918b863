"""The content of build artifacts: one blob per digest, whichever builds have made it, and who refers to it.

A reference is written before the content is looked for, and a look at the content is due from then on:
whatever dies in between, content is neither lost to a build nor kept for nobody. `blob_retention` removes it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.kernel.errors import Transient
from shared.domain.kernel.ids import Root
from shared.domain.pipelines.model import BuildResult
from shared.domain.retention.periods import GRACE
from shared.ports.blobs import BlobInfo, Blobs
from shared.ports.clock import Clock
from shared.ports.store import Body, Partition, Store, StoreConflict, Write

STORED = "artifacts/sha256/"
"""Where the content of build artifacts lies, by digest: what a deployment takes it from."""
KEPT_BY = Root("retention", "artifacts")
"""Of each tenant: `watch:<hex>` where content is to be looked at, `reference:<hex>:<run>` for its users."""
WATCH, REFERENCE = "watch:", "reference:"
PATIENCE = timedelta(minutes=15)
"""How long a removal may take: it is two calls, so whoever began one has died by then."""
_ATTEMPTS = 8


def stored_at(digest: str) -> str:
    """The blob that content of this digest, `sha256:` and hex, is kept in."""
    return STORED + digest.removeprefix("sha256:")


def kept_digests(build: BuildResult) -> list[str]:
    """In hex: what a build refers to of what is kept here. What lies elsewhere is not ours to keep."""
    return sorted({part.ref.removeprefix(STORED) for part in build.artifacts if part.ref.startswith(STORED)})


@dataclass(frozen=True, slots=True)
class ArtifactBlobs:
    store: Store
    blobs: Blobs
    clock: Clock

    async def claim(self, tenant: str, digest: str, run: str) -> BlobInfo | None:
        """A build of this run is about to refer to the content, and is recorded within a day; the blob, or
        None where it has to be stored first. Safe to repeat. Raises Transient while it is being removed."""
        await self._watch(tenant, digest.removeprefix("sha256:"), run)
        return await self.blobs.info(tenant, stored_at(digest))

    async def let_go(self, build: BuildResult) -> None:
        """The build is about to be removed: its content is to be looked at once it is gone."""
        for content in kept_digests(build):
            await self._watch(build.tenant, content)

    async def _watch(self, tenant: str, content: str, run: str | None = None) -> None:
        """A look at the content is due in a day. Whoever decides to remove it meanwhile loses that race."""
        partition, name = self.partition(tenant), WATCH + content
        for _ in range(_ATTEMPTS):
            found, now = (await partition.read([name])).get(name), self.clock.now()
            if found is not None and _is_going(found.body, now):
                raise Transient(
                    "Content that nothing refers to any more is being removed just now; try again shortly.",
                )
            if run is None and found is not None and _at(found.body) > now + GRACE / 2:
                return  # by then the build is long gone
            writes = [watch(content, now + GRACE, etag=found.etag if found else None)]
            if run is not None:
                writes.append(reference(content, run, now))
            try:
                await partition.commit(writes)
            except StoreConflict:
                continue
            return
        raise Transient("Others keep storing the same content at this moment; try again shortly.")

    def partition(self, tenant: str) -> Partition:
        return self.store.open(tenant).partition(KEPT_BY)


def watch(content: str, at: datetime, *, etag: str | None, going: datetime | None = None) -> Write:
    """The content is to be looked at from `at` on; `going` is when its removal began."""
    body = {"at": at.isoformat(), "going": going.isoformat() if going else None}
    return Write("create" if etag is None else "replace", WATCH + content, "artifact-watch", body, etag=etag)


def reference(content: str, run: str, at: datetime) -> Write:
    """By run, not by build: a build that is recorded at a second attempt has another id."""
    name = f"{REFERENCE}{content}:{run}"
    return Write("upsert", name, "artifact-reference", {"run": run, "at": at.isoformat()})


def _at(body: Body) -> datetime:
    return datetime.fromisoformat(body["at"])


def _is_going(body: Body, now: datetime) -> bool:
    return body["going"] is not None and now < datetime.fromisoformat(body["going"]) + PATIENCE
