"""The document store: Cosmos semantics. Opened for one tenant; nothing reads across tenants.

A partition is one consistency root. A batch is atomic, within one partition, of at most 100 operations and
2 MB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from shared.domain.kernel.errors import Conflict, Permanent
from shared.domain.kernel.ids import Root

MAX_BATCH_OPERATIONS = 100
MAX_BATCH_BYTES = 2 * 1024 * 1024

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
    """One stored document. `sequence` is its place in the commit order of the whole store."""

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
class Index:
    """A query that is allowed: equality on `equal` fields of a kind, in the order of one `order` field,
    then id."""

    kind: str
    equal: tuple[str, ...]
    order: str


@dataclass(frozen=True, slots=True)
class Query:
    """Documents of one kind in a tenant, by a declared index. Field names are top-level names of the body.

    `after` is the (order value, id) of the last item of the page before.
    """

    kind: str
    where: Mapping[str, str | int | bool]
    order: str
    descending: bool = False
    after: tuple[str | int, str] | None = None
    limit: int = 50


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


class Store(Protocol):
    def open(self, tenant: str) -> TenantStore: ...

    async def ready(self) -> None:
        """Return when the store answers; raise Transient with what to do when it does not."""

    async def aclose(self) -> None: ...


class ChangeFeed(Protocol):
    """Every created or replaced document, latest version, in commit order, across tenants. For the relay
    only."""

    async def changes(self, after: int, limit: int) -> list[Document]:
        """Documents with sequence > `after`, ascending. Deletes and expired documents do not appear."""
