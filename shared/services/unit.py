"""The unit of work: everything one decision reads and writes in one consistency root, in one atomic batch.

A service hands `Units.run` a turn (load, decide, apply); the commit writes the entities with their etags, the
events to the outbox, an audit entry per change, and the once-marker. Losing a race runs the turn again.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.canonical import digest
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import (
    AlreadyExists,
    Conflict,
    DeliveryError,
    NotFound,
    Permanent,
    StaleRevision,
)
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import Root
from shared.domain.kernel.record import Entity
from shared.names import INDEXES
from shared.ports.clock import Clock
from shared.ports.codec import Codec
from shared.ports.ids import Ids
from shared.ports.store import TOMBSTONE, Document, Partition, Query, Store, StoreConflict, Write
from shared.services.listing import read_page
from shared.services.once import AlreadyDone, Once
from shared.services.trace import current_trace
from shared.services.views import Total, Views

ATTEMPTS = 4
OUTBOX_KEPT_FOR = timedelta(days=10)
TOMBSTONES_KEPT_FOR = timedelta(days=30)
"""Longer than any reader of the feed may be behind."""
AUDIT_HEAD = "audit-head"
GENESIS = "0" * 64
_COUNTED = frozenset(index.kind for index in INDEXES)


@dataclass(frozen=True, slots=True)
class Page[T]:
    """One page of a list. `next` is the (order value, id) to continue after, or None on the last page.

    `total` counts the whole list; None where nobody counts it.
    """

    items: tuple[T, ...]
    next: tuple[str | int, str] | None = None
    total: Total | None = None


class Unit:
    """One turn in one root: reads remember etags, writes wait for the commit."""

    def __init__(
        self,
        partition: Partition,
        root: Root,
        actor: Actor,
        codec: Codec,
        *,
        now: datetime,
        ids: Ids,
        once: Once | None,
    ) -> None:
        self.actor = actor
        self.now = now
        self.root = root
        self._partition = partition
        self._codec = codec
        self._ids = ids
        self._once = once
        self._seen: dict[str, Document | None] = {}
        self._writes: dict[str, Write] = {}
        self._pending: dict[str, Entity | None] = {}
        self._events: list[Event] = []
        self._audit: list[dict[str, Any]] = []

    async def load(self, *documents: str) -> None:
        """Fetch documents in one operation, so that the reads after it cost nothing."""
        wanted = [name for name in documents if name not in self._seen]
        if wanted:
            found = await self._partition.read(wanted)
            self._seen.update({name: found.get(name) for name in wanted})

    async def find[T: Entity](self, kind: type[T], entity_id: str) -> T | None:
        """The entity as this turn has it: with what the turn itself has changed."""
        name = kind.__record__.document(entity_id)
        if name in self._pending:
            return cast(T | None, self._pending[name])
        await self.load(name)
        document = self._seen[name]
        return None if document is None else self._codec.decode(kind, document.body)

    async def get[T: Entity](self, kind: type[T], entity_id: str, *, revision: int | None = None) -> T:
        """The entity, or NotFound; StaleRevision when the caller decided on another revision (If-Match)."""
        found = await self.find(kind, entity_id)
        if found is None:
            raise missing(kind)
        require_revision(found, revision)
        return found

    async def children[T: Entity](self, kind: type[T], *, after: str = "", limit: int = 100) -> list[T]:
        """The entities of a kind in this root, by id. Their etags are remembered."""
        prefix = kind.__record__.document("")
        documents = await self._partition.scan(prefix, after=prefix + after if after else "", limit=limit)
        self._seen.update({document.id: document for document in documents})
        return [self._codec.decode(kind, document.body) for document in documents]

    def new_id(self, *parts: str) -> str:
        """A seed for a new thing: the once-marker's, so that a retry makes the same thing, or a fresh one."""
        return "\x1f".join((self._once.seed, *parts)) if self._once else self._ids.new()

    def apply[T: Entity](self, change: Change[T]) -> T:
        """Save the changed entity (created when this turn has not read it), its events and its audit
        entry."""
        before = self._seen.get(change.entity.__record__.document(change.entity.id))
        saved = self.put(change.entity)
        self._events.extend(change.events)
        record = saved.__record__
        entry = {
            "action": change.action,
            "resource": {"kind": record.kind, "id": saved.id},
            "before": None if before is None else digest(before.body),
            "after": digest(self._writes[record.document(saved.id)].body),
        }
        self._audit.append(entry | ({"reason": change.reason} if change.reason else {}))
        return saved

    def put[T: Entity](self, entity: T) -> T:
        """Save an entity that follows from an applied change (a counter, a slot): no event, no audit
        entry."""
        record = entity.__record__
        name = record.document(entity.id)
        seen = self._seen.get(name)
        revision = 1 if seen is None else seen.body["revision"] + 1
        saved: T = replace(entity, revision=revision)  # type: ignore[type-var]
        body = self._codec.encode(saved)
        if seen is None:
            self._writes[name] = Write("create", name, record.kind, body)
        else:
            self._writes[name] = Write("replace", name, record.kind, body, etag=seen.etag)
        self._pending[name] = saved
        return saved

    def remove(self, entity: Entity) -> None:
        """Delete an entity of a kind that no list counts: the change feed, which totals are projected from,
        does not show deletions."""
        if entity.__record__.kind in _COUNTED:
            noun = entity.__record__.kind
            raise Permanent(f"A {noun} is counted in lists, so it is never deleted; give it a final state.")
        self._delete(entity)

    def retire(self, entity: Entity) -> None:
        """Delete an entity whose time is over. Its tombstone takes it out of the totals of lists, and its
        audit entry stays."""
        record = entity.__record__
        seen = self._delete(entity)
        body = {"kind": record.kind, "document": seen.id}
        buried = f"{TOMBSTONE}:{seen.id}"
        expires_at = self.now + TOMBSTONES_KEPT_FOR
        self._writes[buried] = Write("upsert", buried, TOMBSTONE, body, expires_at=expires_at)
        self._audit.append(
            {
                "action": f"{record.kind}.retired",
                "resource": {"kind": record.kind, "id": entity.id},
                "before": digest(seen.body),
                "after": None,
            }
        )

    def _delete(self, entity: Entity) -> Document:
        name = entity.__record__.document(entity.id)
        seen = self._seen[name]
        if seen is None:
            raise missing(type(entity))
        self._writes[name] = Write("delete", name, entity.__record__.kind, etag=seen.etag)
        self._pending[name] = None
        return seen

    def emit(self, *events: Event) -> None:
        self._events.extend(events)

    async def open(self) -> None:
        """Read the once-marker and the audit head in one operation; raise AlreadyDone where the marker
        exists."""
        names = [AUDIT_HEAD] if self._once is None else [AUDIT_HEAD, self._once.document]
        await self.load(*names)
        if self._once is not None and (marker := self._seen[self._once.document]) is not None:
            self._once.check(marker.body)
            raise AlreadyDone(marker.body)

    async def commit(self, result: object) -> None:
        """One batch. A turn that changed nothing writes only its marker, and without a marker nothing."""
        writes = list(self._writes.values())
        if writes or self._events:
            writes += self._outbox()
            writes += self._chain()
        if self._once is not None:
            kept_until = self._once.kept_until(self.now)
            marker = self._once.marker(result)
            writes.append(Write("create", self._once.document, "once", marker, expires_at=kept_until))
        if writes:
            await self._partition.commit(writes)

    def _outbox(self) -> list[Write]:
        trace = current_trace()
        return [
            self._outbox_write(event, f"evt-{uuid.UUID(self._ids.new())}", trace) for event in self._events
        ]

    def _outbox_write(self, event: Event, event_id: str, trace: Any) -> Write:
        body = {
            "eventId": event_id,
            "eventType": event.type,
            "tenantId": self.actor.tenant,
            "projectId": event.project,
            "moduleId": event.module,
            "traceId": trace.wire_id,
            "correlationId": trace.correlation_id,
            "causationId": trace.causation_id,
            "occurredAt": self.now.isoformat().replace("+00:00", "Z"),
            "payload": {**event.payload, "actor": self.actor.subject},
            "session": event.session or str(self.root),
            "notBefore": event.not_before.isoformat() if event.not_before else None,
            "traceparent": trace.traceparent,
        }
        return Write("create", f"outbox:{event_id}", "outbox", body, expires_at=self.now + OUTBOX_KEPT_FOR)

    def _chain(self) -> list[Write]:
        """The audit entries of this turn, linked to the last one of the root, and the new head."""
        if not self._audit:
            return []
        head = self._seen[AUDIT_HEAD]
        sequence, previous = (head.body["sequence"], head.body["hash"]) if head else (0, GENESIS)
        trace_id = current_trace().wire_id
        writes: list[Write] = []
        for entry in self._audit:
            sequence += 1
            body = {
                "sequence": sequence,
                "at": self.now.isoformat(),
                "actor": {
                    "subject": self.actor.subject,
                    "kind": str(self.actor.kind),
                    "onBehalfOf": self.actor.on_behalf_of,
                },
                "traceId": trace_id,
                "root": str(self.root),
                **entry,
                "previous": previous,
            }
            previous = body["hash"] = digest(body).removeprefix("sha256:")
            writes.append(Write("create", f"audit:{sequence:010d}", "audit", body))
        body = {"sequence": sequence, "hash": previous}
        op = Write("create", AUDIT_HEAD, "audit-head", body)
        writes.append(op if head is None else replace(op, op="replace", etag=head.etag))
        return writes


def require_revision(entity: Entity, revision: int | None) -> None:
    """StaleRevision when the caller decided on another revision than the current one (If-Match)."""
    if revision is not None and entity.revision != revision:
        noun = entity.__record__.kind.replace("-", " ")
        raise StaleRevision(
            f"This {noun} is at revision {entity.revision}, not {revision}; read it again and decide anew.",
            revision=entity.revision,
        )


def missing(kind: type[Entity]) -> NotFound:
    noun = kind.__record__.kind.replace("-", " ")
    return NotFound(f"There is no such {noun}.")


type Turn[R] = Callable[[Unit], Awaitable[R]]


@dataclass(frozen=True, slots=True)
class Units:
    """Makes units of work, for one tenant at a time. Its lists have totals where it is given `views`."""

    store: Store
    codec: Codec
    clock: Clock
    ids: Ids
    views: Views | None = field(default=None, kw_only=True)

    async def run[R](self, actor: Actor, root: Root, turn: Turn[R], once: Once | None = None) -> R:
        """Run a turn and commit it. When another writer won the race the turn runs again on what is there
        now.

        AlreadyDone leaves it when the marker exists, also when the marker was written by the winner.
        """
        lost: StoreConflict | None = None
        for _ in range(ATTEMPTS):
            unit = Unit(
                self.store.open(actor.tenant).partition(root),
                root,
                actor,
                self.codec,
                now=self.clock.now(),
                ids=self.ids,
                once=once,
            )
            await unit.open()
            try:
                result = await turn(unit)
            except DeliveryError:
                # A twin in another process may have been answered since `open` looked: what says no here is
                # its effect, and its answer is ours.
                await self.replay(actor, root, once)
                raise
            try:
                await unit.commit(result)
            except StoreConflict as conflict:
                lost = conflict
                continue
            return result
        raise Conflict("Others keep changing this at the same moment; try again shortly.") from lost

    async def replay(self, actor: Actor, root: Root, once: Once | None) -> None:
        """Raise AlreadyDone when the request was answered before: for verbs whose first step is outside
        the store."""
        if once is None:
            return
        found = await self.store.open(actor.tenant).partition(root).read([once.document])
        if once.document in found:
            once.check(found[once.document].body)
            raise AlreadyDone(found[once.document].body)

    async def find[T: Entity](self, actor: Actor, kind: type[T], entity_id: str) -> T | None:
        """One point read."""
        record = kind.__record__
        name = record.document(entity_id)
        found = await self.store.open(actor.tenant).partition(record.root_of(entity_id)).read([name])
        return self.codec.decode(kind, found[name].body) if name in found else None

    async def get[T: Entity](self, actor: Actor, kind: type[T], entity_id: str) -> T:
        """One point read, or NotFound."""
        found = await self.find(actor, kind, entity_id)
        if found is None:
            raise missing(kind)
        return found

    async def list[T: Entity](self, actor: Actor, kind: type[T], query: Query) -> Page[T]:
        """One query in the tenant, by a declared index, and one read for the total."""
        found = await read_page(self.store.open(actor.tenant), self.views, actor.tenant, query)
        items = tuple(self.codec.decode(kind, document.body) for document in found.documents)
        return Page(items, found.next, found.total)

    async def every[T: Entity](self, actor: Actor, kind: type[T], query: Query) -> AsyncIterator[T]:
        """All that a query has, `query.limit` at a time, for those who need no total: that may be dear, as it
        is brought up to date first."""
        async for document in self.documents(actor, query):
            yield self.codec.decode(kind, document.body)

    async def documents(self, actor: Actor, query: Query) -> AsyncIterator[Document]:
        """The same as they are stored. What was found may go meanwhile."""
        tenant = self.store.open(actor.tenant)
        while documents := await tenant.query(query):
            for document in documents:
                yield document
            if len(documents) < query.limit:
                return
            query = replace(query, after=(documents[-1].body[query.order], documents[-1].id))


__all__ = ["AlreadyDone", "AlreadyExists", "Page", "Turn", "Unit", "Units", "missing", "require_revision"]
