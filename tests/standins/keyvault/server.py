"""Key Vault's REST API for secrets, on https: the challenge, the paging, the answers. Rules are elsewhere."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from tests.standins.certificates import Certificate
from tests.standins.identity import TENANT, Issuer, TokenRefused
from tests.standins.keyvault.secrets import RETAINED_SECONDS, Refused, Secrets, Stored, Version, bad

MOST_RESULTS = 25
_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls one request. `busy`: 429, with `seconds` as its Retry-After. `slow`: waits that long
    before it does it, `late`: and that long after. `lost`: does what was asked, and drops the connection."""

    kind: Literal["busy", "slow", "late", "lost"]
    seconds: float = 0


class KeyVaultStandIn:
    """One vault at `url`. Each fault meets the next authorised request; `calls` are `GET /secrets/x` and so
    on.

    The challenge names `https://0.0.1:PORT`, of which 127.0.0.1:PORT is a subdomain to the SDK, so that it
    runs with every check it has in production.
    """

    def __init__(self, issuer: Issuer, certificate: Certificate, port: int = 0) -> None:
        self.secrets = Secrets()
        self.faults: deque[Fault] = deque()
        self.calls: list[str] = []
        self.port = port
        self._issuer = issuer
        self._certificate = certificate

    def empty(self) -> None:
        """As new. Safe from another thread while no request is under way."""
        self.secrets = Secrets()
        self.faults.clear()
        self.calls.clear()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def resource(self) -> str:
        return f"https://0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._guarded], client_max_size=_BODY_BYTES)
        app.add_routes(
            [
                web.put("/secrets/{name}", self._set),
                web.get("/secrets/{name}/versions", self._versions),
                web.get("/secrets/{name}", self._get),
                web.get("/secrets/{name}/{version:[^/]*}", self._get),
                web.patch("/secrets/{name}/{version:[^/]*}", self._update),
                web.delete("/secrets/{name}", self._delete),
                web.get("/secrets", self._names),
                web.get("/deletedsecrets", self._deleted_names),
                web.get("/deletedsecrets/{name}", self._deleted),
                web.post("/deletedsecrets/{name}/recover", self._recover),
                web.delete("/deletedsecrets/{name}", self._purge),
                web.post("/_standin/faults", self._add_faults),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, "127.0.0.1", self.port, ssl_context=self._certificate.server_context()
        )
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        try:
            if request.path.startswith("/_standin/"):
                return web.json_response(await handler(request))
            self._authorise(request)
            if "api-version" not in request.query:
                raise bad("The api-version query parameter was not specified.")
            self.calls.append(f"{request.method} {request.path}")
            fault = self.faults.popleft() if self.faults else None
            if fault is not None and fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
            if fault is not None and fault.kind == "busy":
                message = "Request was not processed because too many requests were received."
                return _refusal(Refused(429, "Throttled", message), {"Retry-After": f"{fault.seconds:g}"})
            answer = await handler(request)
        except Refused as error:
            return _refusal(error, self._challenge() if error.status == 401 else {})
        if fault is not None and fault.kind == "late":
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.kind == "lost" and request.transport is not None:
            request.transport.abort()
        return web.Response(status=204) if answer is None else web.json_response(answer)

    def _authorise(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            raise Refused(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        try:
            caller = self._issuer.verify(token, self.resource)
        except TokenRefused:
            raise Refused(401, "Unauthorized", "AKV10032: Invalid issuer, audience or lifetime.") from None
        if not caller.has_roles:
            message = f"Caller {caller.principal} is not authorized to perform this action on the resource."
            raise Refused(403, "Forbidden", message, "ForbiddenByRbac")

    def _challenge(self) -> dict[str, str]:
        authority = f"https://login.microsoftonline.com/{TENANT}"
        return {"WWW-Authenticate": f'Bearer authorization="{authority}", resource="{self.resource}"'}

    async def _set(self, request: web.Request) -> Any:
        return self._bundle(*self.secrets.set(_name(request), await _body(request)))

    async def _get(self, request: web.Request) -> Any:
        return self._bundle(*self.secrets.get(_name(request), request.match_info.get("version", "")))

    async def _update(self, request: web.Request) -> Any:
        body = await _body(request)
        name, updated = self.secrets.update(_name(request), request.match_info["version"], body)
        return self._item(name, updated, versioned=True)

    async def _versions(self, request: web.Request) -> Any:
        return self._page(
            request,
            self.secrets.versions(_name(request)),
            lambda row: self._item(*row, versioned=True),
        )

    async def _names(self, request: web.Request) -> Any:
        return self._page(request, self.secrets.names(), lambda row: self._item(*row))

    async def _deleted_names(self, request: web.Request) -> Any:
        return self._page(request, self.secrets.deleted_names(), self._deleted_bundle)

    async def _delete(self, request: web.Request) -> Any:
        return self._deleted_bundle(self.secrets.delete(_name(request)))

    async def _deleted(self, request: web.Request) -> Any:
        return self._deleted_bundle(self.secrets.deleted(_name(request)))

    async def _recover(self, request: web.Request) -> Any:
        name, current = self.secrets.recover(_name(request))
        return self._item(name, current, versioned=True)

    async def _purge(self, request: web.Request) -> Any:
        self.secrets.purge(_name(request))

    async def _add_faults(self, request: web.Request) -> Any:
        self.faults.extend(Fault(**fault) for fault in await request.json())
        return {"waiting": len(self.faults)}

    def _page[R](self, request: web.Request, rows: Sequence[R], shown: Callable[[R], Any]) -> Any:
        size = int(request.query.get("maxresults", MOST_RESULTS))
        if not 1 <= size <= MOST_RESULTS:
            raise bad(f"The maxresults query parameter must be between 1 and {MOST_RESULTS}.")
        start = int(request.query.get("$skiptoken", 0))
        following = None
        if start + size < len(rows):
            link = request.url.update_query({"$skiptoken": str(start + size)}).relative()
            following = f"{self.url}{link}"
        return {"value": [shown(row) for row in rows[start : start + size]], "nextLink": following}

    def _item(self, name: str, version: Version, *, versioned: bool = False) -> dict[str, Any]:
        place = f"{self.url}/secrets/{name}" + (f"/{version.id}" if versioned else "")
        recovery = {"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90}
        item = {"id": place, "attributes": version.attributes | recovery, "tags": version.tags}
        return item if version.content_type is None else item | {"contentType": version.content_type}

    def _bundle(self, name: str, version: Version) -> dict[str, Any]:
        return self._item(name, version, versioned=True) | {"value": version.value}

    def _deleted_bundle(self, stored: Stored) -> dict[str, Any]:
        deleted_at = stored.deleted_at or 0
        return self._item(stored.name, stored.current, versioned=True) | {
            "recoveryId": f"{self.url}/deletedsecrets/{stored.name}",
            "deletedDate": deleted_at,
            "scheduledPurgeDate": deleted_at + RETAINED_SECONDS,
        }


def _name(request: web.Request) -> str:
    return request.match_info["name"]


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        raise bad("The request body is not JSON.") from None
    if not isinstance(body, dict):
        raise bad("The request body is not a JSON object.")
    return body


def _refusal(error: Refused, headers: dict[str, str]) -> web.Response:
    return web.json_response(error.body, status=error.status, headers=headers)
