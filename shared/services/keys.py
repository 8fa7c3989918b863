"""Idempotency keys that are bound to one request before its effect.

A marker lies in the root of its effect, and where the body decides that root, another body under the same
key would
look for its marker elsewhere. So such a request first binds its key, in a partition of the key's own.
"""

from dataclasses import dataclass
from typing import Protocol

from shared.domain.kernel.ids import Root
from shared.ports.clock import Clock
from shared.ports.store import Store, StoreConflict, Write
from shared.services.once import IDEMPOTENCY_KEPT_FOR, Once

_DOCUMENT = "binding"


class Bindable(Once, Protocol):
    @property
    def fingerprint(self) -> str:
        """Equal for equal requests."""


@dataclass(frozen=True, slots=True)
class Keys:
    store: Store
    clock: Clock

    async def bind(self, tenant: str, once: Bindable) -> str | None:
        """Bind the key to this request; raises what `once.check` raises where it is bound to another.

        Returns the binding's etag when this call made it, None when the key was bound to this request before.
        """
        partition = self.store.open(tenant).partition(_root(once))
        body = {"fingerprint": once.fingerprint}
        kept_until = self.clock.now() + IDEMPOTENCY_KEPT_FOR
        try:
            made = await partition.commit([Write("create", _DOCUMENT, "key", body, expires_at=kept_until)])
        except StoreConflict:
            found = await partition.read([_DOCUMENT])
            if _DOCUMENT in found:
                once.check(found[_DOCUMENT].body)
            return None
        return made[_DOCUMENT]

    async def free(self, tenant: str, once: Bindable, etag: str) -> None:
        """The request was refused and had no effect: its key may be used for the mended one."""
        partition = self.store.open(tenant).partition(_root(once))
        await partition.commit([Write("delete", _DOCUMENT, "key", etag=etag)])


def _root(once: Once) -> Root:
    return Root("key", once.seed[:32])
