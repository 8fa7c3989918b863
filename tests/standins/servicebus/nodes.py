"""The nodes that answer requests: `$cbs`, and `$management` beside every queue."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from proton import UNDESCRIBED, Array, Data, Message, int32, symbol

from tests.standins.identity import TokenRefused
from tests.standins.servicebus.answers import BUSY, LOST, NO_SESSION, SESSION_LOST, Told
from tests.standins.servicebus.broker import LockLost, NotHere, Queue, SessionLost, State, Stored
from tests.standins.servicebus.faults import Does, On
from tests.standins.servicebus.links import annotations
from tests.standins.servicebus.namespace import Namespace
from tests.standins.servicebus.sections import milliseconds, read

RENEW_SESSION: Final = "com.microsoft:renew-session-lock"


class Refused(Exception):
    def __init__(self, status: int, told: Told) -> None:
        super().__init__(told[1])
        self.status = status
        self.told = told


def put_token(namespace: Namespace, request: Message) -> tuple[Message, str | None]:
    """The answer, and the path that the connection may use from now on; none without a role there."""
    asked: Mapping[str, Any] = request.properties or {}
    audience = str(asked.get("name", ""))
    status, description, path = 202, "Accepted", None
    if asked.get("operation") != "put-token" or str(asked.get("type")) != "jwt":
        status, description = 401, "Only put-token with a token of type jwt is taken."
    else:
        try:
            if namespace.caller(str(request.body)).has_roles:
                path = path_of(audience)
        except TokenRefused as error:
            status, description = 401, f"The token was refused. {error}"
    return _answer(request, None, {"status-code": int32(status), "status-description": description}), path


def path_of(address: str) -> str:
    """`queue/$management` of `amqps://host:port/Queue/$management`, in lower case."""
    _, _, rest = address.partition("://")
    return (rest.partition("/")[2] if rest else address).strip("/").lower()


def manage(namespace: Namespace, queue: Queue, request: Message, connection: object) -> Message | None:
    """The answer to who asks on that connection; None when it shall break instead."""
    asked: Mapping[str, Any] = request.properties or {}
    operation = str(asked.get("operation", ""))
    body: Mapping[str, Any] = request.body if isinstance(request.body, dict) else {}
    does = namespace.faults.strike(On.MANAGE, queue.settings.name)
    if does == Does.DROP:
        return None
    try:
        if does == Does.BUSY:
            raise Refused(503, BUSY)
        handler = _OPERATIONS.get(operation)
        if operation == RENEW_SESSION:
            handler = partial(_renew_session, connection)
        if handler is None:
            raise Refused(501, ("amqp:not-implemented", f"The stand-in knows no operation {operation}."))
        value = handler(queue, body)
    except Refused as error:
        return _told(request, error.status, error.told)
    except LockLost:
        return _told(request, 410, LOST)
    except SessionLost:
        return _told(request, 410, SESSION_LOST)
    except NotHere as error:
        return _told(request, 400, ("amqp:not-allowed", str(error)))
    status = 204 if value is None else 200
    return _answer(request, value, {"statusCode": int32(status), "statusDescription": "OK"})


def _told(request: Message, status: int, told: Told) -> Message:
    condition, description = told
    properties = {
        "statusCode": int32(status),
        "statusDescription": description,
        "errorCondition": symbol(condition),
    }
    return _answer(request, None, properties)


def _answer(request: Message, value: Any, properties: dict[str, Any]) -> Message:
    return Message(body=value, inferred=False, properties=properties, correlation_id=request.id)


def _peek(queue: Queue, body: Mapping[str, Any]) -> object:
    found = queue.peek(int(body["from-sequence-number"]), int(body["message-count"]), body.get("session-id"))
    return {"messages": [{"message": _rendered(queue, each, None)} for each in found]} if found else None


def _renew(queue: Queue, body: Mapping[str, Any]) -> object:
    until = [milliseconds(queue.renew(token)) for token in _tokens(body)]
    return {"expirations": _array(Data.TIMESTAMP, until)}


def _renew_session(connection: object, queue: Queue, body: Mapping[str, Any]) -> object:
    return {"expiration": milliseconds(queue.renew_session(body["session-id"], connection))}


def _sessions(queue: Queue, body: Mapping[str, Any]) -> object:
    found = queue.sessions()[int(body["skip"]) : int(body["skip"]) + int(body["top"])]
    return {"skip": int32(body["skip"]), "sessions-ids": found} if found else None


def _schedule(queue: Queue, body: Mapping[str, Any]) -> object:
    contents = [content for each in body["messages"] for content in read(bytes(each["message"]))]
    if queue.settings.requires_session and not all(content.session for content in contents):
        raise Refused(400, NO_SESSION)
    return {"sequence-numbers": _array(Data.LONG, [queue.send(content) for content in contents])}


def _cancel(queue: Queue, body: Mapping[str, Any]) -> object:
    cancelled = [queue.cancel(int(number)) for number in _items(body["sequence-numbers"])]
    if not all(cancelled):
        raise Refused(404, ("com.microsoft:message-not-found", "The scheduled message is gone."))
    return {}


def _dispose(queue: Queue, body: Mapping[str, Any]) -> object:
    for token in _tokens(body):
        match body["disposition-status"]:
            case "completed":
                queue.complete(token)
            case "abandoned":
                queue.abandon(token)
            case "defered":
                queue.defer(token)
            case "suspended":
                queue.bury(
                    token, body.get("deadletter-reason") or "", body.get("deadletter-description") or ""
                )
            case other:
                raise Refused(400, ("com.microsoft:argument-error", f"There is no disposition {other}."))
    return {}


def _deferred(queue: Queue, body: Mapping[str, Any]) -> object:
    taken: list[Mapping[str, object]] = []
    for number in _items(body["sequence-numbers"]):
        stored = queue.take_deferred(int(number), body.get("session-id"))
        if stored is None:
            raise Refused(404, ("com.microsoft:message-not-found", f"There is no deferred message {number}."))
        taken.append({"lock-token": stored.token, "message": _rendered(queue, stored, stored.until)})
    return {"messages": taken}


_OPERATIONS: Final[Mapping[str, Callable[[Queue, Mapping[str, Any]], object]]] = {
    "com.microsoft:peek-message": _peek,
    "com.microsoft:renew-lock": _renew,
    "com.microsoft:get-message-sessions": _sessions,
    "com.microsoft:schedule-message": _schedule,
    "com.microsoft:cancel-scheduled-message": _cancel,
    "com.microsoft:update-disposition": _dispose,
    "com.microsoft:receive-by-sequence-number": _deferred,
}


def _rendered(queue: Queue, stored: Stored, until: float | None) -> bytes:
    told = annotations(queue, stored, until)
    if stored.state != State.SCHEDULED and stored.due is None:
        return stored.content.wire(stored.deliveries, told)
    return stored.content.wire(
        stored.deliveries, {**told, "x-opt-scheduled-enqueue-time": milliseconds(stored.due or 0)}
    )


def _array(kind: int, items: Sequence[object]) -> Array:
    """SDKs take an AMQP array where a list would do."""
    untyped: Any = Array
    made: Array = untyped(UNDESCRIBED, kind, *items)
    return made


def _tokens(body: Mapping[str, Any]) -> list[UUID]:
    return [UUID(str(token)) for token in _items(body["lock-tokens"])]


def _items(value: Any) -> list[Any]:
    return list(value.elements) if isinstance(value, Array) else list(value)
