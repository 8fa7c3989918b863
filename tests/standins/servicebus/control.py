"""The HTTP side: a queue's description with its counts, as `GET /queue` gives it, and the control calls.

POST /_standin/queues   {"name": ..., "requiresSession": true, ...}
POST /_standin/clock    {"advance": seconds}
POST /_standin/faults   {"on": "send", "does": "busy", "queue": "", "times": 1}
POST /_standin/locks    {"lose": queue}
POST /_standin/drop     cuts every AMQP connection
POST /_standin/clear    no message, no lock, no fault
"""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from tests.standins.identity import TokenRefused
from tests.standins.servicebus.faults import Fault
from tests.standins.servicebus.namespace import Namespace

_ENTRY = """<?xml version="1.0" encoding="utf-8"?>
<entry xmlns="http://www.w3.org/2005/Atom"><title type="text">{name}</title><content type="application/xml">
<QueueDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
 xmlns:d2p1="http://schemas.microsoft.com/netservices/2011/06/servicebus"><MessageCount>{total}</MessageCount>
<CountDetails><d2p1:ActiveMessageCount>{active}</d2p1:ActiveMessageCount>
<d2p1:DeadLetterMessageCount>{dead}</d2p1:DeadLetterMessageCount>
<d2p1:ScheduledMessageCount>{scheduled}</d2p1:ScheduledMessageCount></CountDetails>
</QueueDescription></content></entry>
"""
_NOTHING = (
    """<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">Publicly Listed Services</title></feed>"""
)


class Talk(asyncio.Protocol):
    """One request, one answer, then the connection ends."""

    def __init__(self, namespace: Namespace, drop: Callable[[], None]) -> None:
        self._namespace = namespace
        self._drop = drop
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        if len(body) < int(headers.get("content-length", "0")):
            return
        method, target, _ = first.split(" ", 2)
        try:
            status, kind, text = self._answer(method, target.partition("?")[0].strip("/"), headers, body)
        except (ValueError, KeyError, TypeError) as error:
            status, kind, text = HTTPStatus.BAD_REQUEST, "text/plain", repr(error)
        payload = text.encode()
        assert self._transport is not None
        self._transport.write(
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(payload)}\r\nConnection: close\r\n\r\n".encode()
            + payload
        )
        self._transport.close()

    def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[HTTPStatus, str, str]:
        if method == "POST" and path.startswith("_standin/"):
            given = json.loads(body or b"{}")
            return (HTTPStatus.OK if self._control(path, given) else HTTPStatus.NOT_FOUND), "text/plain", ""
        if method != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", ""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        try:
            if scheme != "Bearer" or not self._namespace.caller(token).has_roles:
                raise TokenRefused("It takes a bearer token of somebody with a role.")
        except TokenRefused as error:
            return HTTPStatus.UNAUTHORIZED, "application/xml", f"<Error><Code>401</Code>{error}</Error>"
        queue = self._namespace.find(path)
        if queue is None:
            return HTTPStatus.OK, "application/atom+xml;type=feed", _NOTHING
        active, scheduled, dead = queue.counts()
        told = {"active": active, "scheduled": scheduled, "dead": dead, "total": active + scheduled + dead}
        kind = "application/atom+xml;type=entry;charset=utf-8"
        return HTTPStatus.OK, kind, _ENTRY.format(name=queue.settings.name, **told)

    def _control(self, path: str, given: dict[str, Any]) -> bool:
        match path.removeprefix("_standin/"):
            case "queues":
                self._namespace.add_queue(given)
            case "clock":
                self._namespace.advance(float(given["advance"]))
            case "faults":
                self._namespace.faults.add(Fault.read(given))
            case "locks":
                queue = self._namespace.find(given["lose"])
                if queue is None:
                    return False
                queue.lose_locks()
                self._namespace.touch(queue)
            case "drop":
                self._drop()
            case "clear":
                self._namespace.clear()
            case _:
                return False
        return True
