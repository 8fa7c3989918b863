"""How long a vendor asks us to wait, how long we do, and when we give up. Sends nothing."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import NoReturn

from shared.domain.kernel.errors import Transient
from shared.ports.ids import Ids

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 4.0
_UNNAMED_LIMIT = 60.0
"""Seconds, where a vendor says that a limit is reached and not for how long; what GitHub's manual names."""


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds: `answer` is how long one answer may take, `connect` a connection, `total` all attempts and
    waits of one call together."""

    total: float = 30.0
    connect: float = 5.0
    answer: float = 20.0


def asked_wait(status: int, headers: Mapping[str, str], said: str = "") -> float | None:
    """Seconds that an answer asks us to stay away; None where it is not about a limit.

    A limit is 429, and 403 where Retry-After, no remaining requests or the words say so: GitHub answers 403
    both for its limits and for missing rights. Reset times are compared with the answer's own date, so a
    clock of ours that is wrong does not matter.
    """
    spent = headers.get("X-RateLimit-Remaining", "").strip() == "0"
    told = _seconds(headers, "Retry-After")
    limited = status == 429 or (
        status == 403 and (spent or told is not None or "rate limit" in said.casefold())
    )
    if not limited:
        return told if status in {502, 503, 504} else None
    if told is not None:
        return told
    if spent and (until_reset := _until_reset(headers)) is not None:
        return until_reset
    return _UNNAMED_LIMIT


def asked_pause(status: int, headers: Mapping[str, str]) -> float:
    """Seconds that an answer which did what was asked wants us to stay away: Azure DevOps slows its users
    down so before it turns them away. With 202 it is about when to look at what is under way."""
    return 0.0 if status == 202 else _seconds(headers, "Retry-After") or 0.0


def is_limit(status: int, headers: Mapping[str, str], said: str = "") -> bool:
    return status in {403, 429} and asked_wait(status, headers, said) is not None


def _seconds(headers: Mapping[str, str], name: str) -> float | None:
    """As a number, or as a date, which RFC 9110 allows too."""
    text = headers.get(name, "").strip()
    if not text:
        return None
    try:
        return max(float(text), 0.0)
    except ValueError:
        return _between(headers.get("Date", ""), text)


def _until_reset(headers: Mapping[str, str]) -> float | None:
    try:
        reset, now = float(headers["X-RateLimit-Reset"]), parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None
    # Their dates have whole seconds; a second too early would only be refused again.
    return max(reset - now, 0.0) + 1.0


def _between(earlier: str, later: str) -> float | None:
    try:
        return max((parsedate_to_datetime(later) - parsedate_to_datetime(earlier)).total_seconds(), 0.0)
    except ValueError:
        return None


class Throttle:
    """What one account of a vendor may do from this process: so many requests at once, and none while the
    vendor said to wait. Asking on while limited is what vendors ban integrations for."""

    def __init__(self, at_once: int) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._closed_until = 0.0

    def slot(self) -> AbstractAsyncContextManager[None]:
        return self._slots

    def close(self, seconds: float) -> None:
        self._closed_until = max(self._closed_until, asyncio.get_running_loop().time() + seconds)

    @property
    def wait(self) -> float:
        """Seconds until requests may be sent again."""
        return max(self._closed_until - asyncio.get_running_loop().time(), 0.0)


class Backoff:
    """Growing waits that differ from caller to caller, so that those who failed together do not come back
    together."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._next = _FIRST_WAIT

    def next(self) -> float:
        seconds = self._next * (0.5 + int(self._ids.new()[:8], 16) / 2**32)
        self._next = min(self._next * 2, _LONGEST_WAIT)
        return seconds


class Attempts:
    """The tries of one call, within one deadline."""

    def __init__(self, vendor: str, patience: Patience, throttle: Throttle, ids: Ids) -> None:
        self._vendor = vendor
        self._total = patience.total
        self._throttle = throttle
        self._backoff = Backoff(ids)
        self._deadline = asyncio.get_running_loop().time() + patience.total
        self._reason = "it was not asked"

    @asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """Transient once the deadline is over."""
        limit = asyncio.timeout_at(self._deadline)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            self._give_up()

    async def ready(self) -> None:
        """Return when the account may send; Transient where that is later than the call may wait."""
        while wait := self._throttle.wait:
            if self.left < wait:
                seconds = int(wait) + 1
                raise Transient(
                    f"{self._vendor} limits how often it may be asked; try again in {seconds} seconds.",
                    retry_after=seconds,
                )
            await asyncio.sleep(wait)

    async def again(self, reason: str, asked: float | None = None) -> None:
        """Return when another try is due. Transient where there is no time for one."""
        self._reason = reason
        wait = max(self._backoff.next(), asked or 0.0)
        if self.left < wait:
            self._give_up()
        await asyncio.sleep(wait)

    def limit(self, seconds: float) -> None:
        """The vendor asks the whole account to wait."""
        self._reason = "its rate limit is reached"
        # A vendor that says `now` again and again must not be asked again and again.
        self._throttle.close(max(seconds, self._backoff.next()))

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - asyncio.get_running_loop().time()

    def _give_up(self) -> NoReturn:
        raise Transient(
            f"{self._vendor} gave no good answer within {self._total:g} seconds ({self._reason}); try again."
        ) from None
