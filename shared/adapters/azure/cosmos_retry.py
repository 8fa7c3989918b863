"""What a failed call to Cosmos DB means, how long to wait before the next one, and when to give up.

Decides nothing about writes: whether a call may be repeated is up to who made it.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.cosmos.exceptions import CosmosBatchOperationError

from shared.domain.kernel.errors import DeliveryError, Permanent, Transient
from shared.ports.ids import Ids

ROLE = "Cosmos DB Built-in Data Contributor"
_RETRY_AFTER = "x-ms-retry-after-ms"
_SESSION_NOT_AVAILABLE = 1002
"""Substatus of a 404 that says nothing of the item: the replica has not caught up with this session."""
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 1.0
"""Seconds, where Cosmos does not say how long."""


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds: `answer` is how long one answer may take, `connect` a connection. No attempt begins after
    `total`."""

    total: float = 10.0
    connect: float = 3.0
    answer: float = 5.0


class Outcome(Enum):
    """What is known of a call that failed."""

    NOT_DONE = "Cosmos turned it away, and it may be repeated."
    UNCLEAR = "It may have been done: the answer is missing, or does not say."
    FINAL = "Cosmos said no; repeating changes nothing."


def outcome(error: AzureError) -> Outcome:
    if isinstance(error, ClientAuthenticationError):
        return Outcome.FINAL
    match status_of(error):
        case 429 | 449:
            return Outcome.NOT_DONE
        case 404 if getattr(error, "sub_status", None) == _SESSION_NOT_AVAILABLE:
            return Outcome.NOT_DONE
        case None | 408 | 410:
            # No status: dropped, timed out, or cut off. aiohttp's transport calls a connection that was lost
            # after sending the same as one that never stood, so neither counts as not sent.
            return Outcome.UNCLEAR
        case status if status >= 500:
            return Outcome.UNCLEAR
        case _:
            return Outcome.FINAL


def meaning(error: AzureError) -> DeliveryError:
    """A final failure in words. Never quotes the service: its texts name principals and documents."""
    if isinstance(error, ClientAuthenticationError):
        return Transient(
            "No token for Cosmos DB could be had. In Azure, assign the app's managed identity; on your "
            "machine, run `az login`; then try again."
        )
    status, code = status_of(error), getattr(error, "sub_status", None) or 0
    match status:
        case 401 | 403:
            return Transient(
                f"Cosmos DB does not let this process in ({status}/{code}). Grant its identity the role "
                f"`{ROLE}` on the account, wait a few minutes, and see that its firewall lets it in."
            )
        case 404:
            return Transient(
                "Cosmos DB does not have the database or its containers; deploy the infrastructure, then try "
                "again."
            )
        case _:
            return Permanent(
                f"Cosmos DB refused the request ({status}/{code}). Compare the container's partition key and "
                "indexing policy with what is declared, and deploy the infrastructure again."
            )


class Waits:
    """The patience of one operation, which starts when this is made. Waits grow, and differ from caller to
    caller, so that those who were turned away together do not come back together."""

    def __init__(self, patience: Patience, ids: Ids) -> None:
        self._loop = asyncio.get_running_loop()
        self._total = patience.total
        self._deadline = self._loop.time() + patience.total
        self._ids = ids
        self._next = _FIRST_WAIT

    async def after(self, error: AzureError) -> Outcome:
        """Return when the call may be made again, with what became of it. Raises `meaning` where it may not,
        and Transient where there is no time left."""
        found = outcome(error)
        if found is Outcome.FINAL:
            raise meaning(error) from None
        asked = _asked(error)
        seconds = self._next * self._spread() if asked is None else asked * (1 + self._spread() / 10)
        self._next = min(self._next * 2, _LONGEST_WAIT)
        if self._loop.time() + seconds > self._deadline:
            raise self.given_up(_reason(error)) from None
        await asyncio.sleep(seconds)
        return found

    async def once_more(self) -> None:
        """Return after a short wait; for a call that met the work of others. Raises Transient in the end."""
        seconds = self._next * self._spread()
        if self._loop.time() + seconds > self._deadline:
            raise self.given_up("others keep writing the same documents") from None
        await asyncio.sleep(seconds)

    def given_up(self, reason: str) -> Transient:
        return Transient(
            f"Cosmos DB gave no good answer within {self._total:g} seconds ({reason}); try again. If it goes "
            "on, look at the account's health and at its limit of request units."
        )

    def _spread(self) -> float:
        """From 0.5 to 1.5."""
        return 0.5 + int(self._ids.new()[:8], 16) / 2**32


def status_of(error: AzureError) -> int | None:
    return error.status_code if isinstance(error, HttpResponseError) else None


def _reason(error: AzureError) -> str:
    status = status_of(error)
    return f"no answer: {type(error).__name__}" if status is None else f"its answer was {status}"


def _asked(error: AzureError) -> float | None:
    """Seconds that Cosmos asked to wait."""
    headers = getattr(error, "headers", None) or {}
    try:
        return float(headers[_RETRY_AFTER]) / 1000
    except (KeyError, ValueError):
        return None


def lost_at(error: CosmosBatchOperationError) -> int | None:
    """Which operation of a batch found its document otherwise than it has to be; None where none did."""
    return int(error.error_index) if error.status_code in {404, 409, 412} else None
