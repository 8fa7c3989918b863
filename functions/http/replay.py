"""Idempotency-Key: the answer of the first request is kept in the batch of its effect and sent again.

Nothing here writes: the unit of work stores the marker, which is what makes effect and answer one.
"""

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from functions.http.binding import Bound
from functions.http.endpoint import Endpoint, Received
from functions.http.errors import KeyInProgress, KeyReused
from functions.http.render import Answer
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.canonical import canonical_json, sha256_hex
from shared.domain.kernel.errors import DeliveryError, Transient
from shared.services.once import IDEMPOTENCY_KEPT_FOR

if TYPE_CHECKING:
    from shared.app import App

_in_flight: set[str] = set()
"""Documents of the requests being served by this process. It has one event loop, so a set needs no lock."""


class HttpOnce:
    """One keyed request: names the marker, fills it with the rendered answer, and knows its own repeats.

    The answer is rendered when the marker is made and kept, so that the first caller gets the very bytes that
    a replay will send; a turn that runs again after a lost race replaces it.
    """

    __slots__ = ("_render", "answer", "document", "fingerprint", "seed")

    def __init__(
        self,
        endpoint: Endpoint,
        actor: Actor,
        received: Received,
        bound: Bound,
        key: str,
        render: Callable[[object], Answer],
    ) -> None:
        operation = "\x1f".join((endpoint.method, endpoint.path, *map(str, bound.path)))
        self.seed = sha256_hex("\x1f".join((actor.tenant, actor.subject, operation, key)).encode())
        self.document = f"once:{self.seed}"
        self.answer: Answer | None = None
        self._render = render
        self.fingerprint = _fingerprint(operation, received, bound)

    def marker(self, result: object) -> dict[str, Any]:
        answer = self.answer = self._render(result)
        marker: dict[str, Any] = {
            "fingerprint": self.fingerprint,
            "status": answer.status,
            "contentType": answer.content_type,
            "headers": dict(answer.headers),
        }
        try:
            marker["body"] = answer.body.decode()
        except UnicodeDecodeError:
            marker["bytes"] = base64.b64encode(answer.body).decode()
        return marker

    def check(self, marker: dict[str, Any]) -> None:
        if marker["fingerprint"] != self.fingerprint:
            raise KeyReused(
                "This Idempotency-Key belongs to another request; use a new key for a new request."
            )

    def kept_until(self, now: datetime) -> datetime:
        return now + IDEMPOTENCY_KEPT_FOR


def stored_answer(marker: dict[str, Any]) -> Answer:
    """The first answer again, byte for byte."""
    body = base64.b64decode(marker["bytes"]) if "bytes" in marker else marker["body"].encode()
    headers = {**marker["headers"], "Idempotent-Replayed": "true"}
    return Answer(marker["status"], body, marker["contentType"], headers)


@contextmanager
def only_one(once: HttpOnce) -> Iterator[None]:
    """Refuse a second request under the same key while the first is being served by this process.

    Across processes the store decides: both create the marker, and the loser replays the winner's answer.
    """
    if once.document in _in_flight:
        raise KeyInProgress("A request with this Idempotency-Key is being served; ask again in a second.")
    _in_flight.add(once.document)
    try:
        yield
    finally:
        _in_flight.discard(once.document)


@asynccontextmanager
async def bound_key(app: "App", actor: Actor, endpoint: Endpoint, once: HttpOnce) -> AsyncIterator[None]:
    """Bind the key before the effect where the body decides which root the effect is in; see services.keys.

    A refused request frees its key, so that the caller may mend it and send it again under the same one.
    """
    if endpoint.params:
        yield
        return
    binding = await app.keys.bind(actor.tenant, once)
    try:
        yield
    except DeliveryError as refused:
        if binding is not None and not isinstance(refused, Transient):
            await app.keys.free(actor.tenant, once, binding)
        raise


def _fingerprint(operation: str, received: Received, bound: Bound) -> str:
    # Canonical, so that a client which writes its JSON or an id anew for a retry is recognised.
    body = received.body if bound.document is None else canonical_json(bound.document)
    query = bound.arguments.get("query")
    asked = "" if query is None else query.model_dump_json()
    return sha256_hex(f"{operation}\n{asked}\n".encode() + body)
