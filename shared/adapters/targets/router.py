"""The way to a service of which several instances run: a reverse proxy that shares requests out by weight.

A process of its own, so that it outlives the platform as services do. Knows the routes file and nothing else.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

READY = "/.slipway/ready"
"""Answered by the router itself."""
_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
_LARGEST = 1024 * 1024 * 1024


@dataclass
class Backend:
    port: int
    weight: float
    credit: float = 0.0


@dataclass
class Routes:
    """The routes file, read again whenever it was replaced."""

    path: Path
    backends: list[Backend] = field(default_factory=list)
    seen: tuple[int, int] = (0, 0)

    def choose(self) -> Iterator[Backend]:
        """Whose turn it is, then the others: smooth weighted round robin, exact over every 100 requests."""
        self._refresh()
        for each in self.backends:
            each.credit += each.weight
        ordered = sorted(self.backends, key=lambda each: -each.credit)
        if ordered:
            ordered[0].credit -= sum(each.weight for each in self.backends)
        yield from ordered

    def _refresh(self) -> None:
        found = self.path.stat()
        if (found.st_ino, found.st_mtime_ns) == self.seen:
            return
        self.seen = (found.st_ino, found.st_mtime_ns)
        rows = json.loads(self.path.read_bytes())["backends"]
        self.backends = [Backend(int(row["port"]), float(row["weight"])) for row in rows]


@dataclass(frozen=True)
class Router:
    routes: Routes
    session: ClientSession

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == READY:
            return web.Response(text="ready")
        headers = [
            (name, value) for name, value in request.headers.items() if name.lower() not in _dropped(request)
        ]
        headers += [
            ("X-Forwarded-For", request.remote or ""),
            ("X-Forwarded-Proto", request.scheme),
            ("X-Forwarded-Host", request.host),
        ]
        may_repeat = request.method in _REPEATABLE and not request.body_exists
        for backend in self.routes.choose():
            sent = False
            try:
                url = f"http://127.0.0.1:{backend.port}{request.raw_path}"
                body = request.content if request.body_exists else None
                call = self.session.request(
                    request.method, url, headers=headers, data=body, allow_redirects=False
                )
                async with call as answer:
                    response = web.StreamResponse(status=answer.status, reason=answer.reason)
                    for name, value in answer.headers.items():
                        if name.lower() not in _HOP_BY_HOP:
                            response.headers.add(name, value)
                    sent = True
                    await response.prepare(request)
                    async for chunk in answer.content.iter_any():
                        await response.write(chunk)
                    await response.write_eof()
                    return response
            except (ClientError, ConnectionError):
                # An instance that was just stopped: nobody has answered, and asking another changes nothing.
                if sent or not may_repeat:
                    if sent:
                        raise
                    break
        return web.Response(status=502, text="No instance of the service answered.\n")


def _dropped(request: web.BaseRequest) -> frozenset[str]:
    """What concerns this connection alone, and what we set ourselves."""
    named = {part.strip().lower() for part in request.headers.get("Connection", "").split(",")}
    forwarded = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}
    return _HOP_BY_HOP | named | forwarded


async def _run(port: int, path: Path) -> None:
    limits = ClientTimeout(total=None, sock_connect=5)
    connector = TCPConnector(limit=0, force_close=True)
    async with ClientSession(timeout=limits, connector=connector, auto_decompress=False) as session:
        router = Router(Routes(path), session)
        server = web.Server(router.serve, access_log=None)
        runner = web.ServerRunner(server)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[2]), Path(sys.argv[1])))
