"""The HTTP face: who may ask, what goes wrong on order, how an answer looks. Knows no rule of items."""

import asyncio
import json
import sqlite3
import ssl
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from pydantic_core import to_json

from tests.standins.certificates import Certificate, make_certificate
from tests.standins.cosmos import access
from tests.standins.cosmos.catalogue import Catalogue, Container, Definition
from tests.standins.cosmos.documents import Documents
from tests.standins.cosmos.errors import MAX_BYTES, Refused, owner_not_found, too_large
from tests.standins.cosmos.faults import Fault, Faults
from tests.standins.cosmos.operations import Answer, Operations
from tests.standins.cosmos.ranges import Ranges
from tests.standins.cosmos.requests import Ask, asked
from tests.standins.identity import Issuer


class CosmosStandIn:
    """One account. `catalogue` is {database: [container definition, ...]} in the shape of the REST API.

    Always https, by `certificate` or one of its own. `file` keeps the items; without one they live in
    memory. `cuts` are the effective keys between its physical partitions, as `ranges.even` makes them.
    `counts` says how many requests of which kind were answered, and `charges` what they cost in RU.
    """

    def __init__(
        self,
        catalogue: Mapping[str, Iterable[Definition]],
        *,
        issuer: Issuer | None = None,
        port: int = 0,
        certificate: Certificate | None = None,
        file: Path | None = None,
        cuts: Sequence[str] = (),
    ) -> None:
        self.catalogue = Catalogue.of(catalogue)
        self.issuer = issuer or Issuer()
        self.port = port
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        self.charges: defaultdict[str, float] = defaultdict(float)
        self._certificate = certificate
        self._file = file
        self._ahead = 0.0
        self._server: web.Server | None = None
        self._ranges = Ranges(tuple(cuts))
        self._documents: dict[Container, Documents] = {}

    @property
    def charge(self) -> float:
        return sum(self.charges.values())

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many there are to clients at this moment."""
        return len(self._server.connections) if self._server is not None else 0

    def now(self) -> float:
        """The server's clock: seconds since the epoch."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the server's clock, so that items expire."""
        self._ahead += seconds

    def add(self, database: str, definition: Definition) -> None:
        """A new container, as the control plane makes one; may be called from another thread."""
        self.catalogue.add(database, definition)

    async def __aenter__(self) -> Self:
        self._connection = sqlite3.connect(
            self._file or ":memory:", isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._server = web.Server(self._handle)
        self._runner = web.ServerRunner(self._server, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls()).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A farewell in TLS waits for the other side's, which no longer comes when the loop ends before it.
        for connection in self._server.connections if self._server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)
        await self._runner.cleanup()
        self._connection.close()

    def _tls(self) -> ssl.SSLContext:
        """The SDK sends a token to https only, and does not look at the certificate of a loopback address."""
        if self._certificate is not None:
            return self._certificate.server_context()
        with tempfile.TemporaryDirectory() as folder:
            return make_certificate(Path(folder)).server_context()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if request.path.startswith("/_standin/"):
            return await self._control(request)
        activity = request.headers.get("x-ms-activity-id") or str(uuid.uuid4())
        body = await request.content.read()
        ask: Ask | None = None
        try:
            ask = asked(request.method, request.path, request.headers, body)
            fault = self.faults.take(ask.kind, request.method, request.path.rstrip("/"))
            if fault is not None and await self._before(fault, request):
                return web.Response(status=500)
            answer = self._perform(ask, request)
            if fault is not None and await self._after(fault, request):
                return web.Response(status=500)
        except Refused as refused:
            answer = _refusal(refused, activity)
        kind = ask.kind if ask else "unknown"
        self.counts[kind] += 1
        self.charges[kind] += answer.charge
        return self._rendered(answer, activity)

    def _perform(self, ask: Ask, request: web.BaseRequest) -> Answer:
        host = request.headers.get("Host", "")
        access.check(self.issuer, request.headers.get("Authorization"), host, ask.kind, ask.resource)
        if int(request.headers.get("Content-Length", 0)) > MAX_BYTES or len(ask.body) > MAX_BYTES:
            raise too_large()
        if ask.kind == "account":
            return Answer(200, _account(f"{request.scheme}://{host}/"))
        if ask.kind == "database":
            return Answer(200, self._database(ask.database))
        if ask.kind == "containers":
            found = [
                c.resource() for (name, _), c in self.catalogue.containers.items() if name == ask.database
            ]
            return Answer(200, {"_rid": "", "DocumentCollections": found, "_count": len(found)})
        container = self._container(ask)
        if ask.kind == "container":
            return Answer(200, container.resource(), headers={"etag": container.resource()["_etag"]})
        if ask.kind == "pkranges":
            if ask.headers.get("If-None-Match") == self._ranges.etag:
                return Answer(304, None, headers={"etag": self._ranges.etag})
            return Answer(200, self._ranges.resource(container), headers={"etag": self._ranges.etag})
        if container not in self._documents:
            self._documents[container] = Documents(self._connection, container, self.now)
        return Operations(self._documents[container], self._ranges).perform(ask)

    def _database(self, name: str) -> dict[str, Any]:
        if name not in self.catalogue.databases:
            raise owner_not_found()
        return {"id": name, "_rid": "", "_self": f"dbs/{name}/", "_etag": '"0"', "_colls": "colls/", "_ts": 0}

    def _container(self, ask: Ask) -> Container:
        place = (ask.database, ask.container)
        container = self.catalogue.containers.get(place) or self.catalogue.by_rid.get(place)
        if container is None:
            if ask.kind == "container":
                raise Refused(404, "NotFound", "Resource Not Found.", 0)
            raise owner_not_found()
        return container

    async def _before(self, fault: Fault, request: web.BaseRequest) -> bool:
        """Whether the request ends here."""
        if (refusal := fault.refusal()) is not None:
            raise refusal
        if fault.mode == "slow":
            await asyncio.sleep(fault.seconds)
        if fault.mode == "dropped-before":
            _drop(request)
            return True
        return False

    async def _after(self, fault: Fault, request: web.BaseRequest) -> bool:
        if fault.mode == "dropped-after-commit":
            _drop(request)
            return True
        if fault.mode == "timeout-after-commit":
            await asyncio.sleep(fault.seconds)
        return False

    def _rendered(self, answer: Answer, activity: str) -> web.Response:
        headers = {
            "x-ms-activity-id": activity,
            "x-ms-request-charge": f"{answer.charge:.2f}",
            "x-ms-version": "2020-07-15",
            "x-ms-gatewayversion": "2.0.0",
            **answer.headers,
        }
        data = answer.body
        if data is not None and not isinstance(data, bytes):
            data = to_json(data)
        return web.Response(
            status=answer.status,
            body=data,
            headers=headers,
            content_type="application/json" if data else None,
        )

    async def _control(self, request: web.BaseRequest) -> web.Response:
        """POST /_standin/faults with one fault or a list, /_standin/clock {"advance": s},
        /_standin/containers {"database", "definition"}; DELETE /_standin/faults; GET /_standin/counts."""
        data = json.loads(await request.content.read() or b"null")
        try:
            match request.method, request.path.removeprefix("/_standin/"):
                case "POST", "faults":
                    for fault in data if isinstance(data, list) else [data]:
                        self.faults.add(**fault)
                case "DELETE", "faults":
                    self.faults.clear()
                case "POST", "clock":
                    self.advance(float(data["advance"]))
                case "POST", "containers":
                    self.add(data["database"], data["definition"])
                case "GET", "counts":
                    return web.json_response({"counts": self.counts, "charges": self.charges})
                case _:
                    return web.json_response({"message": "There is no such control."}, status=404)
        except (TypeError, ValueError, KeyError) as error:
            return web.json_response({"message": str(error)}, status=400)
        return web.Response(status=204)


def _refusal(refused: Refused, activity: str) -> Answer:
    headers = {"x-ms-substatus": str(refused.substatus), **refused.headers}
    return Answer(refused.status, refused.body(activity), headers=headers)


def _drop(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


def _account(endpoint: str) -> dict[str, Any]:
    here = [{"name": "Local", "databaseAccountEndpoint": endpoint}]
    replicas = {"asyncReplication": False, "minReplicaSetSize": 1, "maxReplicasetSize": 4}
    return {
        "_self": "",
        "id": "stand-in",
        "_rid": "stand-in",
        "media": "//media/",
        "addresses": "//addresses/",
        "_dbs": "//dbs/",
        "writableLocations": here,
        "readableLocations": here,
        "enableMultipleWriteLocations": False,
        "userReplicationPolicy": replicas,
        "systemReplicationPolicy": replicas,
        "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"},
        "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
        "queryEngineConfiguration": "{}",
    }
