"""Listens on one loopback port: AMQP for clients; HTTP for a queue's counts and what a test tells it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from tests.standins.identity import Issuer
from tests.standins.servicebus.connection import Connection
from tests.standins.servicebus.control import Talk
from tests.standins.servicebus.faults import Does, Fault, On
from tests.standins.servicebus.namespace import Namespace


class ServiceBusServer:
    """Use as an async context manager. Its other methods may be called from any thread but its own."""

    def __init__(self, catalogue: Iterable[Mapping[str, Any]], issuer: Issuer, port: int = 0) -> None:
        self._namespace = Namespace(catalogue, issuer)
        self._open: WeakSet[Connection] = WeakSet()
        self._port = port
        self._loop: asyncio.AbstractEventLoop
        self._listener: asyncio.Server | None = None

    @property
    def endpoint(self) -> str:
        """`127.0.0.1:port`, in the place of `name.servicebus.windows.net`."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._listen()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self._shut()
        self._namespace.stop_timers()

    def now(self) -> float:
        return self._namespace.now()

    def add_queue(self, **given: Any) -> None:
        self._call(lambda: self._namespace.add_queue(given))

    def advance(self, seconds: float) -> None:
        self._call(lambda: self._namespace.advance(seconds))

    def clear(self) -> None:
        self._call(self._namespace.clear)

    def fault(self, on: On, does: Does, queue: str = "", times: int = 1) -> None:
        self._call(lambda: self._namespace.faults.add(Fault(on, does, queue, times)))

    def lose_locks(self, queue: str) -> None:
        """As when a broker moves: what is locked is free again, and who held it hears when asking."""

        def lose() -> None:
            if (found := self._namespace.find(queue)) is not None:
                found.lose_locks()
                self._namespace.touch(found)

        self._call(lose)

    def drop_connections(self) -> None:
        self._call(self._drop)

    def stop_listening(self) -> None:
        """Gone, connections and all; the messages stay, as the service's do."""
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)

    def listen_again(self) -> None:
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    async def _listen(self) -> None:
        self._listener = await self._loop.create_server(self._door, "127.0.0.1", self._port)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._drop()
            await self._listener.wait_closed()
            self._listener = None

    def _drop(self) -> None:
        for connection in list(self._open):
            connection.drop()

    def _door(self) -> asyncio.Protocol:
        return _Door(self._amqp, lambda: Talk(self._namespace, self._drop))

    def _amqp(self) -> Connection:
        connection = Connection(self._namespace)
        self._open.add(connection)
        return connection

    def _call(self, what: Callable[[], object]) -> None:
        async def run() -> None:
            what()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)


class _Door(asyncio.Protocol):
    """Looks at the first bytes of a connection and hands it to who speaks that."""

    def __init__(self, amqp: Callable[[], Connection], http: Callable[[], Talk]) -> None:
        self._amqp = amqp
        self._http = http
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        chosen = self._amqp() if data.startswith(b"AMQP") else self._http()
        self._transport.set_protocol(chosen)
        chosen.connection_made(self._transport)
        chosen.data_received(data)
