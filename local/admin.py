"""The host's admin pages: its state, and firing a function that has no URL. Open to this machine only."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from local.http import BodyTooLarge, ClientGone, Receive, Scope, Send, read_body, respond
from local.running import Running
from local.worker import HttpResult, Outcome

type Fire = Callable[[str], Awaitable[Outcome]]
"""Runs a function with this text as the value of its trigger."""

MAX_INPUT_BYTES: Final = 1024 * 1024
log = logging.getLogger("slipway.host")


@dataclass(frozen=True, slots=True)
class Admin:
    """`fires` has an entry per function without a URL. Fired functions run on under `running`."""

    fires: Mapping[str, Fire]
    function_count: int
    running: Running = field(default_factory=Running)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, scope, await self._answer(scope, receive))

    async def _answer(self, scope: Scope, receive: Receive) -> HttpResult:
        if not _is_local(scope):
            return HttpResult(401, (), b"")
        path = scope["path"].rstrip("/").lower()
        if path == "/admin/host/status" and scope["method"] == "GET":
            state = {"state": "Running", "functionCount": self.function_count, "version": runtime_version()}
            return _json(200, state)
        if path.startswith("/admin/functions/") and scope["method"] == "POST":
            return await self._fire(path.removeprefix("/admin/functions/"), scope, receive)
        return HttpResult(404, (), b"")

    async def _fire(self, name: str, scope: Scope, receive: Receive) -> HttpResult:
        found = next((known for known in self.fires if known.lower() == name), None)
        if found is None:
            return _json(404, {"error": f"There is no function {name} that could be fired."})
        headers = dict(scope["headers"])
        if not headers.get(b"content-type", b"").lower().startswith(b"application/json"):
            # A page in a browser can post other types here without asking; this one it may not.
            return _json(415, {"error": 'Send {"input": "..."} as application/json.'})
        try:
            content = json.loads(await read_body(scope, receive, MAX_INPUT_BYTES) or b"{}")
        except (BodyTooLarge, ClientGone, ValueError):
            return _json(400, {"error": 'Send {"input": "..."} of at most 1 MB.'})
        given: object = content.get("input", "") if isinstance(content, dict) else ""
        self.running.start(self._run(found, given if isinstance(given, str) else json.dumps(given)))
        return HttpResult(202, (), b"")

    async def _run(self, name: str, given: str) -> None:
        outcome = await self.fires[name](given)
        if not outcome.ok:
            log.error("%s failed: %s", name, outcome.error)


def runtime_version() -> str:
    """The version of Microsoft's worker library that runs the app."""
    return version("azure-functions-runtime")


def _is_local(scope: Scope) -> bool:
    """Whether a process on this machine calls, by this machine's name.

    The name counts too: a proxy here, or a page whose domain points here, also connects from loopback.
    """
    headers = dict(scope["headers"])
    if b"x-forwarded-for" in headers or b"forwarded" in headers:
        return False
    host = headers.get(b"host", b"").decode("latin-1")
    caller: str = (scope.get("client") or ("",))[0]
    try:
        return _is_loopback(caller) and _is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _is_loopback(name: str) -> bool:
    return name == "localhost" or ip_address(name).is_loopback


def _json(status: int, content: Mapping[str, Any]) -> HttpResult:
    return HttpResult(status, ((b"content-type", b"application/json"),), json.dumps(content).encode())
