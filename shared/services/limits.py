"""Request rates, agreed between instances by leases from one counter per principal in the tenant's store.

Nearly every request is decided in memory. Must not stop anybody because the store is away.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import Transient
from shared.domain.kernel.ids import Root
from shared.domain.limits.lease import Counter, Lease, grant
from shared.domain.limits.model import MINUTE, Rate, Tariff
from shared.ports.clock import Clock
from shared.ports.store import Document, Store, StoreConflict, Write

ATTEMPTS = 8
REMEMBERED = 10_000
"""Principals whose leases one instance keeps; of more, the ones that were quiet longest are forgotten."""
KEPT_FOR = timedelta(minutes=2)
PAUSE = 1_000_000
"""Between two attempts at a store that is away, once what is admitted without it is used up."""
_DOCUMENT = "allowance"
_SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LOG = logging.getLogger("slipway.limits")

type _Key = tuple[str, str, str]


class Standing(NamedTuple):
    """Where a caller stands: `limit` requests a minute, of which `remaining` are left until `reset` (seconds
    since 1970). `retry_after` is 0 where the request is admitted, else whole seconds to wait, at least 1."""

    limit: int
    remaining: int
    reset: int
    retry_after: int = 0


class Limits:
    """The request rates of every principal that this instance serves."""

    def __init__(self, store: Store, clock: Clock, tariff: Tariff, *, remembered: int = REMEMBERED) -> None:
        self._store = store
        self._clock = clock
        self._tariff = tariff
        self._remembered = remembered
        self._accounts: OrderedDict[_Key, _Account] = OrderedDict()
        self._is_away = False

    async def admit(self, actor: Actor) -> Standing | None:
        """Count one request of this caller and say whether it may pass; None where nobody counts."""
        rate = self._tariff.rate_of(actor.tenant, actor.tier)
        if rate is None:
            return None
        account = self._account(actor, rate)
        now = self._now()
        if now >= account.ends:
            account.begin(now)
        if account.left == 0 and now >= account.closed_until:
            now = await self._refill(actor, account)
        if account.left == 0:
            return account.standing(retry_after=max(-(-(account.closed_until - now) // _SECOND), 1))
        account.left -= 1
        return account.standing()

    def standing(self, actor: Actor) -> Standing | None:
        """Where this caller stands, without counting anything."""
        rate = self._tariff.rate_of(actor.tenant, actor.tier)
        if rate is None:
            return None
        account, now = self._account(actor, rate), self._now()
        if now >= account.ends:
            account.begin(now)
        return account.standing()

    def rate_of(self, actor: Actor) -> Rate | None:
        return self._tariff.rate_of(actor.tenant, actor.tier)

    def _account(self, actor: Actor, rate: Rate) -> "_Account":
        key = (actor.tenant, actor.subject, rate.tier)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Account(rate)
            if len(self._accounts) > self._remembered:
                self._accounts.popitem(last=False)
        else:
            self._accounts.move_to_end(key)
        return account

    def _now(self) -> int:
        return (self._clock.now() - _EPOCH) // _MICROSECOND

    async def _refill(self, actor: Actor, account: "_Account") -> int:
        """Lease a chunk, one caller at a time: those who wait behind it find it. Returns the time now."""
        async with account.lock:
            now = self._now()
            if now >= account.ends:
                account.begin(now)
            while account.left == 0 and now >= account.closed_until:
                await self._lease(actor, account, now)
                now = self._now()
        return now

    async def _lease(self, actor: Actor, account: "_Account", now: int) -> None:
        ends = account.ends
        try:
            lease = await self._agree(actor, account.rate, now, account.lent)
        except Transient as error:
            self._say_away(error)
            if account.ends == ends:
                account.lend(account.rate.burst, now)
            return
        if self._is_away:
            self._is_away = False
            _LOG.info("The store answers again; request rates are shared between instances once more.")
        if account.ends != ends:
            return  # a minute ended meanwhile, and others began the next
        if lease is None:
            account.lend(account.rate.grace, now)
        else:
            account.take(lease, self._now())

    async def _agree(self, actor: Actor, rate: Rate, now: int, owed: int) -> Lease | None:
        """A lease, or None where other instances won every race for the counter."""
        # The subject is the caller's own text; its digest can stand in a partition key.
        root = Root("limit", hashlib.sha256(actor.subject.encode()).hexdigest()[:32])
        partition = self._store.open(actor.tenant).partition(root)
        for _ in range(ATTEMPTS):
            found = (await partition.read([_DOCUMENT])).get(_DOCUMENT)
            known = None if found is None else _counter(found)
            counter, lease = grant(rate, known, now, owed)
            if lease.count == 0 and owed == 0:
                return lease
            try:
                await partition.commit([_write(counter, found)])
            except StoreConflict:
                continue
            return lease
        return None

    def _say_away(self, error: Transient) -> None:
        # Once: every principal meets the same outage, several times a minute.
        if not self._is_away:
            self._is_away = True
            _LOG.warning(
                "The store cannot be asked for request rates (%s); until it can, each instance admits one"
                " burst per caller and minute by itself.",
                error.message,
            )


class _Account:
    """What this instance may still admit for one principal in a minute, and what it has not accounted for."""

    __slots__ = ("alone", "closed_until", "ends", "left", "lent", "lock", "rate", "unleased")

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.lock = asyncio.Lock()
        self.ends = 0
        self.left = 0
        self.lent = 0
        """Admitted, or about to be, without a lease; paid with the next one."""
        self.alone = False
        """Whether something was lent in this minute because nothing could be agreed."""
        self.unleased = 0
        self.closed_until = 0

    def begin(self, now: int) -> None:
        """A new minute: the first requests pass unasked, so that an occasional caller never costs a write."""
        self.ends = (now // MINUTE + 1) * MINUTE
        self.left = self.lent = self.rate.grace
        self.unleased = self.rate.limit - self.left
        self.alone = False
        self.closed_until = 0

    def take(self, lease: Lease, now: int) -> None:
        self.ends, self.left, self.unleased = lease.ends, lease.count, lease.unleased
        self.lent = 0
        self.closed_until = now + lease.retry_after

    def lend(self, count: int, now: int) -> None:
        """Open rather than closed where nothing could be agreed, but only once a minute."""
        if self.alone:
            self.closed_until = now + PAUSE
            return
        self.alone = True
        self.left = count
        self.lent += count
        self.unleased = max(self.unleased - self.left, 0)

    def standing(self, retry_after: int = 0) -> Standing:
        return Standing(self.rate.limit, self.left + self.unleased, self.ends // _SECOND, retry_after)


def _counter(document: Document) -> Counter:
    body = document.body
    return Counter(body["at"], body["granted"], body["arrival"])


def _write(counter: Counter, found: Document | None) -> Write:
    body = {"at": counter.at, "granted": counter.granted, "arrival": counter.arrival}
    kept_until = _EPOCH + (counter.at * _MICROSECOND) + KEPT_FOR
    if found is None:
        return Write("create", _DOCUMENT, "limit", body, expires_at=kept_until)
    return Write("replace", _DOCUMENT, "limit", body, found.etag, kept_until)
