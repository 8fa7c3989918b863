"""Where the suites find Service Bus: a stand-in in this process, or the namespace that the environment names.

SLIPWAY_TEST_SERVICEBUS_NAMESPACE names a real one. It needs the queues of `QUEUES`, empty and made as said
there; tests that move the clock are skipped.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from azure.identity.aio import ManagedIdentityCredential

from shared.adapters.azure.identity import credential
from shared.adapters.azure.servicebus import ServiceBus
from shared.adapters.azure.servicebus_entities import QUEUE_ENTITIES, QueueEntity, parking_queue, work_queue
from shared.adapters.azure.servicebus_intake import OPENING
from tests.standins.hosting import hosted
from tests.standins.identity import IdentityStandIn
from tests.standins.servicebus.server import ServiceBusServer

NAMESPACE: Final = "SLIPWAY_TEST_SERVICEBUS_NAMESPACE"
LOCK_SECONDS: Final = 60.0
"""Of the queues in here, shorter than those of production: the embedded bus's usual one."""
QUEUES: Final = tuple(
    replace(entity, lock_duration="PT1M")
    for entity in (work_queue("q"), parking_queue("q"), work_queue("other"), work_queue("work"))
)


class ServerClock:
    """The stand-in's time, in the milliseconds that AMQP tells; a test may move it on, for all who look."""

    def __init__(self, server: ServiceBusServer) -> None:
        self._server = server

    def now(self) -> datetime:
        return datetime.fromtimestamp(round(self._server.now(), 3), UTC)

    def advance(self, **delta: float) -> None:
        self._server.advance(timedelta(**delta).total_seconds())


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def advance(self, **_delta: float) -> None:
        pytest.skip("Only a stand-in's clock can be moved.")


class StandInSite:
    """The service and the identity endpoint, each in a thread of its own."""

    def __init__(self) -> None:
        self._started = ExitStack()
        self.identity = self._started.enter_context(hosted(IdentityStandIn))
        issuer = self.identity.issuer
        self.server = self._started.enter_context(hosted(lambda: ServiceBusServer(catalogue(QUEUES), issuer)))
        self.clock = ServerClock(self.server)

    def credential(self) -> ManagedIdentityCredential:
        """As in Azure: the SDK finds the identity endpoint in the environment when it is made."""
        with pytest.MonkeyPatch.context() as environment:
            for name, value in self.identity.environment.items():
                environment.setenv(name, value)
            return ManagedIdentityCredential()

    def bus(self, queues: Sequence[QueueEntity] = QUEUES) -> "OwnBus":
        """A client of its own, as of one process."""
        return OwnBus(self.server.endpoint, self.credential(), queues, opening=0.7)

    async def clear(self, bus: ServiceBus) -> None:
        """As if everything had just been made, with the links that the bus has open."""
        self.server.clear()
        await asyncio.sleep(0.05)  # what the service had given away before is there by now
        bus.release()

    def close(self) -> None:
        self._started.close()


class NamespaceSite:
    """A real namespace, for whoever is signed in. Its queues are emptied, not made."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.clock = RealClock()

    def bus(self, queues: Sequence[QueueEntity] = QUEUES) -> "OwnBus":
        return OwnBus(self._namespace, credential(), queues)

    async def clear(self, bus: ServiceBus) -> None:
        """The message ids of the suite are its own; what a test leaves has to be taken out by hand."""

    def close(self) -> None:
        """Nothing of it is ours."""


class OwnBus(ServiceBus):
    """Closes its credential with itself."""

    def __init__(
        self, namespace: str, own: Any, queues: Sequence[QueueEntity], opening: float = OPENING
    ) -> None:
        super().__init__(namespace, own, queues, opening=opening)
        self._own = own

    async def linger(self) -> None:
        """As after a while in which nobody received: what was taken for the next one has gone back.

        A test that moves the clock jumps over the second after which that happens.
        """
        for intake in self._intakes.values():
            intake.rest()
        await asyncio.sleep(0.3)  # until the service has heard it

    async def aclose(self) -> None:
        await super().aclose()
        await self._own.close()


def catalogue(queues: Iterable[QueueEntity]) -> list[Mapping[str, Any]]:
    """As a stand-in takes it."""
    return [{"name": queue.name, **queue.properties()} for queue in queues]


def production() -> list[Mapping[str, Any]]:
    """The queues of the product, for a stand-in that runs alone."""
    return catalogue(QUEUE_ENTITIES)


class Sites:
    """Started by the first test that needs one, and closed with the session."""

    def __init__(self) -> None:
        self._stand_in: StandInSite | None = None

    @property
    def any(self) -> StandInSite | NamespaceSite:
        """What the conformance suite runs against."""
        namespace = os.environ.get(NAMESPACE)
        return self.stand_in if namespace is None else NamespaceSite(namespace)

    @property
    def stand_in(self) -> StandInSite:
        """For what only a stand-in does: faults."""
        if self._stand_in is None:
            self._stand_in = StandInSite()
        return self._stand_in

    def close(self) -> None:
        if self._stand_in is not None:
            self._stand_in.close()
            self._stand_in = None


SITES: Final = Sites()
