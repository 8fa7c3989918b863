"""Removes the content of artifacts that no build refers to any more.

Content goes only where a look at it is due, where no reference is left whose run has a build with it, and
where nobody has claimed it since: every claim replaces the watch that a removal has to replace as well.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from shared.domain.pipelines.model import BuildResult, PipelineRun
from shared.domain.retention.periods import GRACE
from shared.ports.codec import Codec
from shared.ports.store import (
    MAX_BATCH_OPERATIONS,
    Document,
    Partition,
    Query,
    StoreConflict,
    Write,
)
from shared.services.artifact_blobs import (
    REFERENCE,
    STORED,
    WATCH,
    ArtifactBlobs,
    kept_digests,
    reference,
    watch,
)

_log = logging.getLogger("slipway.retention")
_CURSOR, _REFERENCES = "watches", "references"
_AT_ONCE = 100
MOST_BUILDS = 5_000
"""From before there were references, so many in one run."""


@dataclass(frozen=True, slots=True)
class BlobRetention:
    kept: ArtifactBlobs
    codec: Codec
    most: int = 500
    """Blobs that one run looks at in a tenant; the next one goes on behind them."""

    async def run(self, tenant: str, *, dry: bool) -> list[str]:
        """The digests of what went; `dry`, of all that would go now. Nothing, until every build has its
        references."""
        if not await self._all_referred(tenant, dry=dry):
            return []
        gone: list[str] = []
        looked, partition = 0, self.kept.partition(tenant)
        after = "" if dry else await self._place(partition)
        async for due in self._due(partition, after):
            looked += 1
            content = due.id.removeprefix(WATCH)
            try:
                is_free = not await self._is_referred(tenant, content, dry=dry)
                if not dry:
                    await (self._remove(tenant, due) if is_free else _unwatch(partition, due, due.etag))
            except StoreConflict:
                continue  # claimed just now, or somebody else is at it: its watch is theirs
            if is_free:
                gone.append(f"sha256:{content}")
            if looked == self.most and not dry:
                await self._go_on(partition, due.id)
                return gone
        if after:
            await self._go_on(partition, "")
        return gone

    async def _due(self, partition: Partition, after: str) -> AsyncIterator[Document]:
        now = self.kept.clock.now()
        while documents := await partition.scan(WATCH, after=after, limit=_AT_ONCE):
            for document in documents:
                if datetime.fromisoformat(document.body["at"]) <= now:
                    yield document
            after = documents[-1].id

    async def _remove(self, tenant: str, due: Document) -> None:
        """Safe to repeat, from wherever it was left. Raises StoreConflict where it was claimed meanwhile."""
        partition, content = self.kept.partition(tenant), due.id.removeprefix(WATCH)
        at, now = datetime.fromisoformat(due.body["at"]), self.kept.clock.now()
        etags = await partition.commit([watch(content, at, etag=due.etag, going=now)])
        await self.kept.blobs.delete(tenant, STORED + content)
        await _unwatch(partition, due, etags[due.id])
        _log.info("nothing refers to sha256:%s any more; its content is removed", content)

    async def _is_referred(self, tenant: str, content: str, *, dry: bool) -> bool:
        """By a run that has a build with it, or may still get one. References of others are removed. Raises
        StoreConflict where one of them is claimed meanwhile."""
        partition, young = self.kept.partition(tenant), self.kept.clock.now() - GRACE
        prefix, after = f"{REFERENCE}{content}:", ""
        while found := await partition.scan(prefix, after=after, limit=MAX_BATCH_OPERATIONS):
            for each in found:
                if datetime.fromisoformat(each.body["at"]) > young:
                    return True
                if await self._has_build(tenant, each.body["run"], content):
                    return True
            if not dry:
                past = [Write("delete", each.id, each.kind, etag=each.etag) for each in found]
                await partition.commit(past)
            after = found[-1].id
        return False

    async def _has_build(self, tenant: str, run: str, content: str) -> bool:
        partition = self.kept.store.open(tenant).partition(PipelineRun.__record__.root_of(run))
        prefix, after = BuildResult.__record__.document(""), ""
        while found := await partition.scan(prefix, after=after, limit=_AT_ONCE):
            if any(content in kept_digests(self.codec.decode(BuildResult, each.body)) for each in found):
                return True
            after = found[-1].id
        return False

    async def _all_referred(self, tenant: str, *, dry: bool) -> bool:
        """Whether every build has its references. Those of builds from before there were any are written
        here, a part in each run; also of those that an older version of this program records while this one
        is rolled out, for which a day is given."""
        partition, now = self.kept.partition(tenant), self.kept.clock.now()
        found = (await partition.read([_REFERENCES])).get(_REFERENCES)
        if found is not None and found.body["complete"]:
            return True
        if dry:
            return False
        since = datetime.fromisoformat(found.body["since"]) if found else now
        place = found.body["after"] if found else None
        looked, builds = 0, list[Document]()
        while looked < MOST_BUILDS and (looked == 0 or builds):
            after = None if place is None else (place[0], place[1])
            query = Query("build-result", {}, "created_at", after=after, limit=_AT_ONCE)
            builds = await self.kept.store.open(tenant).query(query)
            for document in builds:
                place = [document.body["created_at"], document.id]
                await self._refer(partition, document, _progress(since, place))
            looked += max(len(builds), 1)
        complete = not builds and now >= since + GRACE
        progress = _progress(since, place, complete=complete)
        if found is None or found.body != progress.body:
            await partition.commit([progress])
        return complete

    async def _refer(self, partition: Partition, document: Document, progress: Write) -> None:
        build = self.codec.decode(BuildResult, document.body)
        writes = [reference(each, build.pipeline_run, build.created_at) for each in kept_digests(build)]
        for some in batched(writes, MAX_BATCH_OPERATIONS - 1, strict=False):
            await partition.commit([*some, progress])

    async def _place(self, partition: Partition) -> str:
        found = await partition.read([_CURSOR])
        return str(found[_CURSOR].body["after"]) if found else ""

    async def _go_on(self, partition: Partition, after: str) -> None:
        await partition.commit([Write("upsert", _CURSOR, "retention-cursor", {"after": after})])


async def _unwatch(partition: Partition, due: Document, etag: str) -> None:
    await partition.commit([Write("delete", due.id, due.kind, etag=etag)])


def _progress(since: datetime, after: list[str] | None, *, complete: bool = False) -> Write:
    body = {"since": since.isoformat(), "after": after, "complete": complete}
    return Write("upsert", _REFERENCES, "artifact-references", body)
