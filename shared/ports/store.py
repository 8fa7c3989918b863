"""The document store: Cosmos semantics. Opened for one tenant; nothing reads across tenants.

A partition is one consistency root. A batch is atomic, within one partition, of at most 100 operations and
2 MB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from shared.domain.kernel.errors import Conflict, Permanent
from shared.domain.kernel.filters import Filter
from shared.domain.kernel.ids import Root

MAX_BATCH_OPERATIONS = 100
MAX_BATCH_BYTES = 2 * 1024 * 1024
MAX_SKIP = 10_000
"""How deep a page may be reached by its number; deeper ones are reached by their position."""
MAX_EXAMINED = 10_000
"""Documents that one walk may look at for its residual."""

TOMBSTONE = "tombstone"
"""Kind of the document that tells a reader of the feed of a deletion, which the feed does not show: its body
names the `kind` and the `document` that is gone."""

type Body = dict[str, Any]


class StoreConflict(Conflict):
    """A batch lost: something it created exists, or something it replaces has changed. Nothing was written.

    `document` is the id of the first operation that lost.
    """

    code = "store_conflict"

    def __init__(self, message: str, document: str) -> None:
        super().__init__(message, document=document)
        self.document = document


class BatchTooLarge(Permanent):
    """More than 100 operations or 2 MB in one batch."""

    code = "batch_too_large"


@dataclass(frozen=True, slots=True)
class Document:
    """One stored document.

    `sequence` is its place in the feed: later versions of a document have higher ones. Only what came from a
    feed is sure to have it; elsewhere it may be 0.
    """

    tenant: str
    root: str
    id: str
    kind: str
    body: Body
    etag: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Write:
    """One operation of a batch.

    create: conflicts if the id exists (an expired document does not). replace: conflicts unless `etag` is
    current.
    upsert: never conflicts. delete: conflicts unless `etag` is current. `expires_at` is the document's TTL.
    """

    op: Literal["create", "replace", "upsert", "delete"]
    id: str
    kind: str
    body: Body = field(default_factory=dict)
    etag: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """Documents of one kind in a tenant, by a declared index. Field names are top-level names of the body.

    `after` is the (order value, id) of the last item of the page before. `skip`, at most 10,000 and never
    together with `after`, leaves out the first ones. `residual` is what a document has to satisfy besides,
    and only a walk takes one; it looks at `examine` documents at most.
    """

    kind: str
    where: Mapping[str, str | int | bool]
    order: str
    descending: bool = False
    after: tuple[str | int, str] | None = None
    limit: int = 50
    skip: int = 0
    residual: Filter | None = None
    examine: int = MAX_EXAMINED


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk of one index found: at most `limit` matches after `skipped` ones.

    `stopped_at` is the (order value, id) to walk on after, where the walk ended because it had examined as
    much as it may; None where it found enough or came to the end.
    """

    documents: list[Document]
    skipped: int
    stopped_at: tuple[str | int, str] | None


class Partition(Protocol):
    """One consistency root of one tenant."""

    async def read(self, ids: Sequence[str]) -> dict[str, Document]:
        """The documents with these ids that exist: one operation, however many. Missing ids are left out."""

    async def scan(self, prefix: str, *, after: str = "", limit: int = 100) -> list[Document]:
        """The documents of this partition whose id starts with `prefix` and is greater than `after`, by
        id."""

    async def commit(self, writes: Sequence[Write]) -> dict[str, str]:
        """All or nothing. Returns id -> new etag. Raises StoreConflict or BatchTooLarge."""


class TenantStore(Protocol):
    """The store as one tenant sees it."""

    def partition(self, root: Root) -> Partition: ...

    async def query(self, query: Query) -> list[Document]:
        """One page, at most `limit`. A query that no declared Index serves raises Permanent, never scans."""

    async def walk(self, query: Query) -> Walk:
        """As `query`, and only the documents that satisfy its residual."""


class Store(Protocol):
    def open(self, tenant: str) -> TenantStore: ...

    async def ready(self) -> None:
        """Return when the store answers; raise Transient with what to do when it does not."""

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of the feed. `position` is where to read on, whether or not anything was found."""

    documents: list[Document]
    position: str


class Feed(Protocol):
    """Every created or replaced document, latest version, across tenants: within one root in commit order.

    For the platform, never for a service that answers a tenant. Deletes and expired documents do not appear.
    """

    async def read(self, position: str, limit: int) -> Stretch:
        """Up to about `limit` documents after that position ("" is the start); none where there are no more.

        Positions are opaque, stay good for as long as the store exists, and may be kept across processes.
        """


class ChangeFeed(Feed, Protocol):
    """A feed with one order for the whole store, as an embedded one has: a reader knows what is behind it."""

    async def changes(self, after: int, limit: int) -> list[Document]:
        """Documents with sequence > `after`, ascending."""
