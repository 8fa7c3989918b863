"""What is tried at every crash point: a request with its key, or the delivery of a message."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from functions.http.errors import KeyInProgress
from functions.relay.outbox import queues_of, to_message
from functions.workers import CONSUMERS
from shared.domain.kernel.errors import Conflict, Transient
from shared.ports.bus import MAX_DELIVERY_COUNT
from shared.ports.store import Body
from tests.faults.crash_points.installation import Installation
from tests.support.api import Api
from tests.support.vendors import signature

KEY = "the-same-key-on-every-try"
TOKEN_SECRET = "hunter2-of-the-token"
VAULT_SECRET = "hunter2-of-the-vault"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the caller was told. `is_final` when it has no reason to try again."""

    status: int | str
    body: bytes = b""
    is_final: bool = True
    is_replay: bool = False

    @property
    def is_good(self) -> bool:
        return self.status == "complete" or (isinstance(self.status, int) and 200 <= self.status < 300)


class Operation(Protocol):
    @property
    def is_keyed(self) -> bool:
        """Whether a repeat is answered with the bytes of the first answer."""

    async def attempt(self, installation: Installation, delivery: int) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Request:
    """One request, sent under the same key until it is answered."""

    method: str
    path: str
    body: object = None
    caller: str = "acme/user+ann/admin"
    content_type: str = "application/json"
    key: str = KEY

    is_keyed = True

    async def attempt(self, installation: Installation, delivery: int = 1) -> Outcome:
        answer = await Api(installation.app).send(
            self.method,
            self.path,
            self.body,
            token=f"{self.caller}/{TOKEN_SECRET}",
            idempotency_key=self.key,
            content_type=self.content_type,
        )
        code = answer.body.get("code") if isinstance(answer.body, dict) else None
        comes_again = answer.status >= 500 or code in (KeyInProgress.code, Conflict.code)
        is_replay = answer.headers.get("Idempotent-Replayed") == "true"
        return Outcome(answer.status, answer.raw, not comes_again, is_replay)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event handed to its worker as the bus does it: at most three times, until it is settled."""

    event: Body

    is_keyed = False

    @property
    def is_due(self) -> bool:
        return self.event["notBefore"] is None

    async def attempt(self, installation: Installation, delivery: int = 1) -> Outcome:
        if delivery > MAX_DELIVERY_COUNT:
            return Outcome("dead-lettered")
        message = to_message(self.event)
        (queue,) = queues_of(self.event)
        consumer = next(each for each in CONSUMERS if each.queue == queue)
        try:
            settled = await consumer.receive(
                message.body, installation.app, message.message_id, message.session_id
            )
        except (Transient, Conflict) as error:
            return Outcome(error.code, is_final=False)
        return Outcome(settled)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A vendor's message, delivered again under its own name until it is taken."""

    path: str
    event: str
    secret: str

    is_keyed = False

    async def attempt(self, installation: Installation, delivery: int = 1) -> Outcome:
        body = b"{}"
        answer = await Api(installation.app).send(
            "POST",
            self.path,
            body,
            token=None,
            content_type="application/json",
            x_github_event=self.event,
            x_github_delivery="the-same-delivery",
            x_signature=signature(body, self.secret),
        )
        return Outcome(answer.status, answer.raw, answer.status not in (409, 503))


@dataclass(frozen=True, slots=True)
class Chore:
    """What the platform does by itself, again and again: the relay of the feed, the sweep of the git host."""

    does: Callable[[Installation], Awaitable[object]]

    is_keyed = False

    async def attempt(self, installation: Installation, delivery: int = 1) -> Outcome:
        try:
            await self.does(installation)
        except (Transient, Conflict) as error:
            return Outcome(error.code, is_final=False)
        return Outcome("complete")
