"""A throwaway surface over a throwaway record, and a way to call it as the host does."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast
from urllib.parse import parse_qsl

import azure.functions as func
from pydantic import Field

from functions.http.dialects import DELIVERY, DEVOPS, INTEGRATION, ORCHESTRATOR, RUNTIME
from functions.http.endpoint import Call, Raw
from functions.http.fields import (
    Body,
    Filtered,
    Name,
    OffsetQuery,
    PageQuery,
    PascalStatus,
    Query,
    Sorted,
    View,
    WireId,
)
from functions.http.serve import serve
from functions.http.surface import Catalogue, Surface, endpoint_table
from shared.adapters.codec import RecordCodec
from shared.adapters.embedded.signer import HmacSigner
from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import NotFound, Permanent, RuleBroken, Transient
from shared.domain.kernel.filters import Field as Filterable
from shared.domain.kernel.ids import Root, root_id, root_of
from shared.domain.kernel.machine import Machine
from shared.domain.kernel.policy import PUBLIC
from shared.domain.kernel.record import Entity, RecordKind
from shared.domain.limits.model import EVERY_TENANT, UNMETERED, Tariff
from shared.ports import store
from shared.ports.index import Index
from shared.ports.telemetry import OFF
from shared.ports.tokens import TokenRefused
from shared.services.keys import Keys
from shared.services.limits import Limits
from shared.services.listing import Listing, read_time
from shared.services.once import Once
from shared.services.trace import current_trace
from shared.services.unit import Page, Unit, Units
from shared.services.views import Views
from shared.settings import Settings
from tests.support.app import CountingIds, SteppingClock

if TYPE_CHECKING:
    from shared.app import App


class NoteStatus(StrEnum):
    JUST_WRITTEN = "just_written"
    SEALED = "sealed"


NOTE = Machine(
    "note",
    NoteStatus,
    initial=[NoteStatus.JUST_WRITTEN],
    moves={"seal": ((NoteStatus.JUST_WRITTEN,), NoteStatus.SEALED)},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Entity):
    """Not declared with @record: the registry of the house must not know it."""

    __record__: ClassVar[RecordKind] = RecordKind("kit-note", "kit-note")

    id: str
    tenant: str
    title: str
    status: NoteStatus
    created_at: datetime
    secret: str = "never shown"
    remark: str | None = None
    revision: int = 0


@dataclass(frozen=True)
class Notes:
    """`held` lets a test keep a request waiting inside its handler."""

    units: Units
    held: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, actor: Actor, title: str, once: Once | None) -> Note:
        seed = once.seed if once else title
        note = root_id("kit-note", actor.tenant, seed)

        async def turn(unit: Unit) -> Note:
            await unit.find(Note, note)
            new = Note(
                id=note,
                tenant=actor.tenant,
                title=title,
                status=NoteStatus.JUST_WRITTEN,
                created_at=unit.now,
            )
            return unit.apply(Change(new, "note.written"))

        return await self.units.run(actor, root_of("kit-note", note), turn, once)

    async def seal(self, actor: Actor, note: str, once: Once | None, revision: int | None) -> Note:
        async def turn(unit: Unit) -> Note:
            found = await unit.get(Note, note, revision=revision)
            sealed = replace(found, status=NOTE.next(found.status, "seal"))
            return unit.apply(Change(sealed, "note.sealed"))

        return await self.units.run(actor, Root("kit-note", root_of("kit-note", note).key), turn, once)

    async def get(self, actor: Actor, note: str) -> Note:
        return await self.units.get(actor, Note, note)

    async def list(self, actor: Actor, query: store.Query) -> Page[Note]:
        return await self.units.list(actor, Note, query)


CATALOGUE: Catalogue = {}
notes = Surface("notes", title="Notes", dialect=DEVOPS, catalogue=CATALOGUE)

NoteId = Annotated[str, WireId("note")]


class Line(Body):
    path: Annotated[str, Field(min_length=1)]
    operation: Literal["add", "modify"]


class WriteNote(Body):
    tenant_id: str | None = None
    title: Annotated[str, Field(min_length=1, max_length=20)]
    copies: Annotated[int, Field(ge=1)] = 1
    weight: float | None = None
    extra_data: dict[str, Any] | None = None
    changes: tuple[Line, ...] = ()
    origin: NoteId | None = None


class SealNote(Body):
    reason_given: str | None = None


class NoteView(View):
    note_id: Annotated[NoteId, Field(validation_alias="id")]
    title: str
    status: PascalStatus
    created_at: datetime
    remark: str | None


class NoteQuery(Query):
    since_number: Annotated[int, Field(ge=0)] = 0


def service(call: Call) -> Notes:
    return cast(Notes, call.app.notes)  # type: ignore[attr-defined]


@notes.post(
    "/notes",
    scope="notes.write",
    returns=NoteView,
    status=201,
    location="/notes/{id}",
    examples={"title": "hello"},
)
async def write_note(call: Call, body: WriteNote) -> Note:
    """Write a note."""
    if body.title == "hold":
        service(call).entered.set()
        await service(call).held.wait()
    return await service(call).write(call.actor, body.title, call.once)


@notes.get("/notes/{noteId}", scope="notes.read", returns=NoteView)
async def get_note(call: Call, note_id: NoteId) -> Note:
    """Retrieve a note."""
    return await service(call).get(call.actor, note_id)


@notes.get("/notes", scope="notes.read", returns=NoteView)
async def list_notes(call: Call, query: NoteQuery) -> Page[Note]:
    """List notes, oldest first."""
    wanted = store.Query("kit-note", {}, "created_at", False, query.after(), query.limit)
    return await service(call).list(call.actor, wanted)


@notes.post("/notes/{noteId}/seal", scope="notes.write", returns=NoteView)
async def seal_note(call: Call, note_id: NoteId, body: SealNote) -> Note:
    """Seal a note."""
    return await service(call).seal(call.actor, note_id, call.once, call.if_match)


@notes.delete("/notes/{noteId}", scope="notes.write", status=204)
async def burn_note(call: Call, note_id: NoteId) -> None:
    """Burn a note."""
    await service(call).get(call.actor, note_id)


@notes.put("/notes/{noteId}/scan", scope="notes.write", consumes=("image/png",))
async def scan_note(call: Call, note_id: NoteId, body: bytes) -> Raw:
    """Take a picture of a note, and give it back."""
    return Raw(body, call.request.headers["content-type"], {"Content-Disposition": "inline"})


@notes.post("/faults/{kind}", scope="notes.write", status=204)
async def fail(call: Call, kind: Name) -> None:
    """Fail in a chosen way."""
    raise {
        "rule": RuleBroken("The ink is dry; use a new pen.", pen="old", status="dry"),
        "transient": Transient("The desk is not there right now; try again.", retry_after=7),
        "permanent": Permanent("The pen of desk 12 leaks."),
        "missing": NotFound("There is no such note."),
        "bug": ZeroDivisionError("division by the number of secrets"),
    }[kind]


@notes.get("/whoami", scope=PUBLIC)
async def whoami(call: Call) -> Raw:
    """Say who calls, and in which trace."""
    told = {"subject": call.actor.subject, "trace": current_trace().trace_id}
    return Raw(json.dumps(told).encode(), "application/json", {})


def small_surface(name: str, dialect: Any) -> Surface:
    """One write and one fault in another dialect."""
    surface = Surface(name, title=name, dialect=dialect, catalogue=CATALOGUE, prefix=f"/{name}")
    surface.post("/notes", scope="notes.write", returns=NoteView, status=201)(write_note)
    surface.post("/notes/{noteId}/seal", scope="notes.write", returns=NoteView)(seal_note)
    surface.post("/faults/{kind}", scope="notes.write", status=204)(fail)
    return surface


for other_name, other in (
    ("integration", INTEGRATION),
    ("runtime", RUNTIME),
    ("delivery", DELIVERY),
    ("orchestrator", ORCHESTRATOR),
):
    small_surface(other_name, other)

NOTE_INDEXES = (
    Index("kit-note", (), "created_at"),
    Index("kit-note", ("status",), "created_at"),
    Index("kit-note", (), "title"),
)
NOTE_FIELDS = {
    "createdAt": Filterable("created_at", read_time),
    "title": Filterable("title"),
    "status": Filterable("status"),
    "remark": Filterable("remark"),
}
NOTE_LIST = Listing("kit-note", NOTE_FIELDS, "createdAt", NOTE_INDEXES)


class CountedNotes(OffsetQuery):
    note_status: NoteStatus | None = None


class FilteredNotes(Filtered, Sorted, PageQuery):
    pass


async def list_counted(call: Call, query: CountedNotes) -> Page[Note]:
    """List notes by offset."""
    where = {} if query.note_status is None else {"status": str(query.note_status)}
    return await service(call).list(call.actor, NOTE_LIST.query(query.asked(), where))


async def list_filtered(call: Call, query: FilteredNotes) -> Page[Note]:
    """List notes by page, sorted and filtered."""
    return await service(call).list(call.actor, NOTE_LIST.query(query.asked()))


for surface_name, handler in (("delivery", list_counted), ("orchestrator", list_filtered)):
    CATALOGUE[surface_name].get("/notes", scope="notes.read", returns=NoteView, items="notes")(handler)

TOKEN = "eyJhbGciOi.secret-token.of-ada"


class FakeTokens:
    """Knows tokens by heart."""

    def __init__(self) -> None:
        ada = {"sub": "ada", "tenantId": "connectsoft", "scope": "notes.read notes.write"}
        self.known: dict[str, Mapping[str, object]] = {
            TOKEN: ada,
            "reader": {**ada, "scope": "notes.read"},
            "stranger": {**ada, "sub": "eve", "tenantId": "elsewhere"},
        }

    async def verify(self, token: str) -> Mapping[str, object]:
        if token not in self.known:
            raise TokenRefused("The token is not known here.")
        return self.known[token]


class Kit:
    """Requests as the host makes them, answered by serve."""

    def __init__(self, folder: Path) -> None:
        self.clock = SteppingClock()
        self.store = SqliteStore(folder / "kit.db", NOTE_INDEXES, self.clock)
        self.tokens = FakeTokens()
        self.views = Views(self.store, NOTE_INDEXES, feed=self.store)
        units = Units(self.store, RecordCodec(), self.clock, CountingIds(), views=self.views)
        self.notes = Notes(units)
        self.app = cast(
            "App",
            SimpleNamespace(
                settings=Settings(),
                store=self.store,
                tokens=self.tokens,
                clock=self.clock,
                notes=self.notes,
                telemetry=OFF,
                signer=HmacSigner(folder / "signing.key"),
                keys=Keys(self.store, self.clock),
                limits=Limits(self.store, self.clock, Tariff({EVERY_TENANT: UNMETERED})),
            ),
        )

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = TOKEN,
        catalogue: Catalogue = CATALOGUE,
        app: Any = None,
        **headers: str,
    ) -> func.HttpResponse:
        """`body` is sent as JSON unless it is bytes. Header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent.setdefault("authorization", f"Bearer {token}")
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        bare, _, query = path.partition("?")
        params = dict(parse_qsl(query, keep_blank_values=True))
        for endpoint in endpoint_table(catalogue):
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", endpoint.path)
            found = re.fullmatch(pattern, bare)
            if endpoint.method == method and found:
                request = func.HttpRequest(
                    method=method,
                    url=f"http://host{path}",
                    headers=sent,
                    params=params,
                    route_params=found.groupdict(),
                    body=raw,
                )
                return await serve(endpoint, lambda: app or self.app, request)
        raise AssertionError(f"no endpoint for {method} {path}")

    async def close(self) -> None:
        await self.store.aclose()


def told(response: func.HttpResponse) -> Any:
    return json.loads(response.get_body())
