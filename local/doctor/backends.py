"""The ports of an installation, each tried with something harmless: what is written is removed or expires."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Final

from local.doctor.finding import Finding, fail, ok, warn
from shared.domain.kernel.errors import DeliveryError, NotFound, Permanent
from shared.domain.kernel.ids import Root
from shared.names import QUEUES, parked
from shared.ports.blobs import Blobs
from shared.ports.bus import Bus
from shared.ports.clock import Clock
from shared.ports.store import Store, Write
from shared.ports.vault import Vault

_TENANT: Final = "slipway-doctor"
"""No caller's token may name it by accident, and nothing of anybody's is in it."""
_ROOT: Final = Root("doctor", "0" * 32)
_NAME: Final = "doctor"

type Advice = Callable[[str], str]
"""What to do when this port ("store", "bus", "vault", "blobs") says no."""


async def examine_store(store: Store, clock: Clock, advice: Advice) -> AsyncIterator[Finding]:
    """Writes a document that expires within the hour, reads it and deletes it."""
    yield await _tried("store", "say that it is ready", store.ready(), advice)
    partition = store.open(_TENANT).partition(_ROOT)
    now = clock.now()
    body = {"at": now.isoformat()}
    name = f"{_NAME}:{now.isoformat()}"  # its own, so that two doctors at once do not meet
    written = Write("create", name, "doctor", body, expires_at=now + timedelta(hours=1))

    async def round_trip() -> str:
        etags = await partition.commit([written])
        found = (await partition.read([name])).get(name)
        if found is None or found.body != body:
            raise Permanent("What was written was not found again.")
        await partition.commit([Write("delete", name, "doctor", etag=etags[name])])
        return ""

    yield await _tried("store", "write, read and delete a document", round_trip(), advice)


async def examine_bus(bus: Bus, advice: Advice) -> AsyncIterator[Finding]:
    """Looks at the dead letters and counts what is parked; takes no message from anybody."""
    for queue in QUEUES:
        yield await _tried(f"queue {queue}", "look at its dead letters", _graveyard(bus, queue), advice)
        yield await _tried(f"queue {parked(queue)}", "count it", _parked(bus, queue), advice)


async def _graveyard(bus: Bus, queue: str) -> str | Finding:
    letters = await bus.dead_letters(queue, limit=100)
    if not letters:
        return "none"
    told = f"{'at least ' if len(letters) == 100 else ''}{len(letters)}, the first for: {letters[0].reason}"
    mended = f"See why, mend it, then run slipway redrive {queue}."
    return warn(f"queue {queue}", "look at its dead letters", told, mended)


async def _parked(bus: Bus, queue: str) -> str | Finding:
    try:
        count = await bus.depth(parked(queue))
    except Permanent as error:
        # On Azure, counting takes a role that the app itself does without.
        advice = "Ask as somebody who has the role Azure Service Bus Data Owner, if you want to know."
        return warn(f"queue {parked(queue)}", "count it", error.message, advice)
    if not count:
        return "nothing parked"
    mended = f"The log says why each was parked; mend it, then run slipway redrive {queue}."
    return warn(f"queue {parked(queue)}", "count it", f"{count} parked", mended)


async def examine_vault(vault: Vault, advice: Advice) -> AsyncIterator[Finding]:
    """Asks for a secret that is not there: only who may read is told so."""

    async def absent() -> str:
        try:
            await vault.get(_TENANT, "doctor-absent")
        except NotFound:
            return "an absent secret is not found"
        return "a secret is there that should not be"

    yield await _tried("vault", "get an absent secret", absent(), advice)


async def examine_blobs(blobs: Blobs, advice: Advice) -> AsyncIterator[Finding]:
    """Writes a few bytes, reads and deletes them."""

    async def round_trip() -> str:
        await blobs.put(_TENANT, _NAME, b"doctor")
        found = await blobs.read(_TENANT, _NAME)
        await blobs.delete(_TENANT, _NAME)
        if found != b"doctor":
            raise Permanent("What was written was not found again.")
        return ""

    yield await _tried("blobs", "put, read and delete a blob", round_trip(), advice)


async def _tried(subject: str, tried: str, work: Awaitable[str | Finding | None], advice: Advice) -> Finding:
    try:
        told = await work
    except DeliveryError as error:
        return fail(subject, tried, error.message, advice(subject.partition(" ")[0]))
    return told if isinstance(told, Finding) else ok(subject, tried, told or "")
