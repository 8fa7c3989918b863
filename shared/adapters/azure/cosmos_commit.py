"""One batch of one partition, until it is known what became of it: one effect, whatever the network does.

Every item names the batch that wrote it last. So a batch whose answer was lost is looked for before it is
sent again: it is atomic, and one item that bears its name proves all of it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from azure.core.exceptions import AzureError
from azure.cosmos.exceptions import CosmosBatchOperationError

from shared.adapters.azure.cosmos_client import Container, Key
from shared.adapters.azure.cosmos_items import Item, Version, is_alive, item_of, micros, version_of
from shared.adapters.azure.cosmos_retry import Outcome, Waits, lost_at, status_of
from shared.adapters.documents import checked, lost
from shared.domain.kernel.errors import Permanent, Transient
from shared.ports.store import BatchTooLarge, Write

_NO_ID = re.compile(r"[/\\?#]")
_MAX_ID_BYTES = 1023

type Fetch = Callable[[Sequence[str], Waits], Awaitable[Mapping[str, Item]]]
"""The items of the partition with these ids, expired ones too."""


class Commit:
    """One batch. `now` decides what has expired."""

    def __init__(
        self, container: Container, key: Key, writes: Sequence[Write], now: datetime, fetch: Fetch
    ) -> None:
        check_limits(writes)
        self._container = container
        self._key = key
        self._writes = writes
        self._now = now
        self._fetch = fetch
        self._name = container.ids.new()
        self._expired: dict[str, str] = {}
        """Items that creates take the place of: id -> Cosmos's etag."""

    async def run(self) -> dict[str, str]:
        """Id -> new etag. Raises StoreConflict, BatchTooLarge, Transient, Permanent."""
        waits = self._container.waits()
        await self._check_versions(waits)
        is_unclear = False
        while True:
            try:
                return await self._send()
            except CosmosBatchOperationError as error:
                place = lost_at(error)
                if place is None:
                    is_unclear |= await self._after(error, waits)
                elif is_unclear and (landed := await self._landed(waits)) is not None:
                    return landed
                else:
                    await self._make_way(self._writes[place], is_unclear, waits)
                    continue
            except AzureError as error:
                is_unclear |= await self._after(error, waits)
            if is_unclear and (landed := await self._landed(waits)) is not None:
                return landed

    async def _send(self) -> dict[str, str]:
        # Made anew for every attempt: the SDK takes the etags out of what it is given, and a second attempt
        # would replace and delete whatever is there.
        operations = [self._operation(write) for write in self._writes]
        results = await self._container.batch(self._key, operations)
        return {
            write.id: str(Version(result["eTag"], _expiry(write)))
            for write, result in zip(self._writes, results, strict=True)
            if write.op != "delete"
        }

    def _operation(self, write: Write) -> tuple[Any, ...]:
        if write.op == "delete":
            return "delete", (write.id,), {"if_match_etag": _cosmos_etag(write)}
        item = item_of(write, self._key, self._name, self._now)
        if write.op == "replace":
            return "replace", (write.id, item), {"if_match_etag": _cosmos_etag(write)}
        if write.op == "create" and write.id in self._expired:
            return "replace", (write.id, item), {"if_match_etag": self._expired[write.id]}
        return write.op, (item,)

    async def _check_versions(self, waits: Waits) -> None:
        """Raise StoreConflict where an operation cannot win: its etag is none, or its version is gone."""
        hopeless = next((place for place, write in enumerate(self._writes) if self._is_hopeless(write)), None)
        if hopeless is None:
            return
        earlier = self._writes[:hopeless]
        found = await self._fetch([write.id for write in earlier], waits) if earlier else {}
        losing = (write for write in earlier if self._loses(write, found.get(write.id)))
        raise lost(next(losing, self._writes[hopeless]))

    def _is_hopeless(self, write: Write) -> bool:
        if write.op in {"create", "upsert"}:
            return False
        version = Version.parse(write.etag)
        return version is None or not version.is_alive(micros(self._now))

    def _loses(self, write: Write, item: Item | None) -> bool:
        is_there = item is not None and is_alive(item, micros(self._now))
        match write.op:
            case "create":
                return is_there
            case "upsert":
                return False
            case _:
                return not is_there or item is None or str(version_of(item)) != write.etag

    async def _after(self, error: AzureError, waits: Waits) -> bool:
        """Wait until the batch may be sent again; whether it may have landed."""
        if status_of(error) == 413:
            raise BatchTooLarge("Cosmos DB says that the batch is too large; split it.") from None
        return await waits.after(error) is Outcome.UNCLEAR

    async def _make_way(self, write: Write, is_unclear: bool, waits: Waits) -> None:
        """Return where the batch lost to nothing but documents that have expired: then it takes their place.

        Where an earlier attempt may have landed and been written over since, a batch that creates something
        still knows: nobody writes over what the others create here. One that creates nothing does not.
        """
        creates = [one.id for one in self._writes if one.op == "create"]
        if is_unclear and not creates:
            raise Transient(
                "Cosmos DB's answer to a write was lost, and others have written the same documents since; "
                "read them again before you try again."
            ) from None
        if write.op != "create":
            raise lost(write) from None
        found = await self._fetch(creates, waits)
        now = micros(self._now)
        if write.id in found and is_alive(found[write.id], now):
            raise lost(write) from None
        if self._expired:
            await waits.once_more()
        self._expired = {name: item["_etag"] for name, item in found.items() if not is_alive(item, now)}

    async def _landed(self, waits: Waits) -> dict[str, str] | None:
        """The etags of this batch if it was written, None where nothing shows that."""
        found = await self._fetch([write.id for write in self._writes], waits)
        ours = {name: item for name, item in found.items() if item.get("write") == self._name}
        if not ours:
            return None
        # What others have written over since is no longer current under any etag of ours.
        gone = str(Version(f'"{self._name}"', None))
        return {
            write.id: str(version_of(ours[write.id])) if write.id in ours else gone
            for write in self._writes
            if write.op != "delete"
        }


def check_limits(writes: Sequence[Write]) -> None:
    """Raise what the port promises before anything is sent, and what Cosmos DB cannot keep."""
    checked(writes)
    for write in writes:
        if _NO_ID.search(write.id) or not 0 < len(write.id.encode()) <= _MAX_ID_BYTES:
            raise Permanent(
                f"{write.id!r} cannot be an id: none of / \\ ? # and {_MAX_ID_BYTES} bytes at most."
            )


def _expiry(write: Write) -> int | None:
    return None if write.expires_at is None else micros(write.expires_at)


def _cosmos_etag(write: Write) -> str:
    version = Version.parse(write.etag)
    if version is None:  # checked before anything is sent: without an etag the operation has no condition
        raise lost(write)
    return version.etag
