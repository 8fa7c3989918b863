"""Secrets that end: the tenant is told in time, by an event. Never reads a value."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.kernel.actor import system_actor
from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import Root, root_id
from shared.names import ROTATION
from shared.ports.vault import SecretOwner
from shared.services.once import AlreadyDone, Inbox
from shared.services.unit import Unit, Units


class Ending(StrEnum):
    """What becomes of the secret; the words are event types."""

    NEAR = "SecretExpiryNeared"
    OVER = "SecretExpired"


@dataclass(frozen=True, slots=True)
class SecretNews:
    """What the vault tells of one version of a secret. `key` is its name in the vault itself."""

    id: str
    key: str
    version: str
    ending: Ending
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SecretExpiry:
    units: Units
    owner_of: Callable[[str], Awaitable[SecretOwner | None]]

    async def tell(self, news: SecretNews) -> SecretOwner:
        """Raise the event in the tenant whose secret it is; the same news again changes nothing.

        Raises Permanent for a secret that belongs to no tenant, Transient.
        """
        owner = await self.owner_of(news.key)
        if owner is None:
            raise Permanent(f"The secret {news.key} is no tenant's; whoever set it has to renew it.")
        payload = {"name": owner.name, "version": news.version, "expiresAt": news.expires_at.isoformat()}
        match news.ending:
            case Ending.NEAR:
                event = Event("SecretExpiryNeared", payload)
            case Ending.OVER:
                event = Event("SecretExpired", payload)

        async def turn(unit: Unit) -> None:
            unit.emit(event)

        root = Root("secret", root_id("secret", owner.tenant, owner.name.lower()))
        once = Inbox(ROTATION, news.id)
        with suppress(AlreadyDone):  # the vault's news come at least once
            await self.units.run(system_actor(owner.tenant, ROTATION), root, turn, once)
        return owner
