"""One client's AMQP connection: proton's engine as a machine of bytes between a socket and our links."""

import asyncio
from typing import Any, Final, Protocol
from uuid import uuid4

from proton import Collector, Delivery, Event, Link, Message, Transport
from proton import Connection as Engine

from tests.standins.servicebus.answers import BUSY, DETACHED, Told, detach, refuse
from tests.standins.servicebus.faults import Does, On
from tests.standins.servicebus.links import Producer, Receiver, accept_link
from tests.standins.servicebus.namespace import Namespace
from tests.standins.servicebus.nodes import manage, path_of, put_token

CBS: Final = "$cbs"
MANAGEMENT: Final = "/$management"
CREDIT: Final = 100


class Handler(Protocol):
    """What a link does about its events."""

    def flow(self) -> None: ...
    def delivery(self, delivery: Delivery) -> None: ...
    def closed(self) -> None: ...


class Connection(asyncio.Protocol):
    """A connection may use the paths for which it has put a token, and what lies below them."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._may: set[str] = set()
        self._handlers: dict[tuple[str, bool], Handler] = {}
        self._replies: dict[str, Link] = {}
        self._socket: asyncio.Transport | None = None
        self._flushing = False
        self._collector = Collector()
        self._engine = Engine()
        self._engine.collect(self._collector)
        self._machine = Transport(Transport.SERVER)
        sasl = self._machine.sasl()
        sasl.allow_insecure_mechs = True
        sasl.allowed_mechs("ANONYMOUS")
        self._machine.bind(self._engine)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._socket = transport

    def data_received(self, data: bytes) -> None:
        while data and self._socket is not None:
            room = self._machine.capacity()
            if room <= 0:
                self.drop()
                return
            self._machine.push(data[:room])
            data = data[room:]
            self._work()
        self.flush()

    def connection_lost(self, _: Exception | None) -> None:
        self._socket = None
        handlers, self._handlers = self._handlers, {}
        for handler in handlers.values():
            handler.closed()

    def drop(self) -> None:
        if self._socket is not None:
            self._socket.abort()
            self._socket = None

    def flush(self) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._write)

    def request(self, link: Link, request: Message) -> None:
        """Answer a request on the link that the client opened for answers."""
        node = link.remote_target.address or ""
        if node == CBS:
            answer, path = put_token(self.namespace, request)
            if path is not None:
                self._may.add(path)
        else:
            queue = self.namespace.find(path_of(node).removesuffix(MANAGEMENT))
            assert queue is not None
            done = manage(self.namespace, queue, request, self)
            self.namespace.touch(queue)
            if done is None:
                self.drop()
                return
            answer = done
        reply = self._replies.get(node)
        if reply is not None:
            delivery = reply.delivery(uuid4().hex)
            reply.send(answer.encode())
            delivery.settle()
            reply.advance()

    def _write(self) -> None:
        self._flushing = False
        if self._socket is None:
            return
        while (pending := self._machine.pending()) > 0:
            data = self._machine.peek(pending) or b""
            self._socket.write(data)
            self._machine.pop(len(data))
        self._work()
        if self._machine.pending() < 0 or self._machine.closed:
            self._socket.close()

    def _work(self) -> None:
        while (event := self._collector.peek()) is not None:
            self._handle(event)
            self._collector.pop()

    def _handle(self, event: Any) -> None:
        """The engine types what an event is about as perhaps absent; by its type it is there."""
        match event.type:
            case Event.CONNECTION_REMOTE_OPEN:
                self._engine.container = f"stand-in-{uuid4().hex}"
                self._engine.open()
            case Event.SESSION_REMOTE_OPEN:
                event.session.open()
            case Event.LINK_REMOTE_OPEN:
                self._attach(event.link)
            case Event.LINK_FLOW:
                if handler := self._handlers.get(_key(event.link)):
                    handler.flow()
            case Event.DELIVERY:
                if handler := self._handlers.get(_key(event.link)):
                    handler.delivery(event.delivery)
            case Event.LINK_REMOTE_CLOSE | Event.LINK_REMOTE_DETACH:
                if handler := self._handlers.pop(_key(event.link), None):
                    handler.closed()
                event.link.close()
            case Event.SESSION_REMOTE_CLOSE:
                event.session.close()
            case Event.CONNECTION_REMOTE_CLOSE:
                self._engine.close()
            case _:
                pass
        self.flush()

    def _attach(self, link: Link) -> None:
        address = (link.remote_source if link.is_sender else link.remote_target).address or ""
        if address == CBS:
            self._attach_node(link, address)
            return
        path = path_of(address)
        queue = self.namespace.find(path.removesuffix(MANAGEMENT))
        if not any(path == each or path.startswith(f"{each}/") for each in self._may):
            refuse(link, _unauthorized(path))
        elif queue is None:
            refuse(link, ("amqp:not-found", f"The messaging entity '{path}' could not be found."))
        elif path.endswith(MANAGEMENT):
            self._attach_node(link, address)
        else:
            match self.namespace.faults.strike(On.ATTACH, queue.settings.name):
                case Does.BUSY:
                    refuse(link, BUSY)
                case Does.DENY:
                    refuse(link, _unauthorized(path))
                case Does.DETACH:
                    accept_link(link)
                    link.open()
                    detach(link, DETACHED)
                case Does.DROP:
                    self.drop()
                case _ if link.is_sender:
                    receiver = Receiver(link, self, queue)
                    self._handlers[_key(link)] = receiver
                    receiver.attach()
                case _:
                    self._handlers[_key(link)] = Producer(link, self, queue)

    def _attach_node(self, link: Link, address: str) -> None:
        accept_link(link)
        link.open()
        if link.is_sender:
            self._replies[address] = link
        else:
            self._handlers[_key(link)] = _Requests(link, self)
            link.flow(CREDIT)


class _Requests:
    """A client's requests to a node."""

    def __init__(self, link: Link, connection: Connection) -> None:
        self._link = link
        self._connection = connection

    def flow(self) -> None:
        """A sender's flow says nothing we need."""

    def closed(self) -> None:
        """Nothing is held for it."""

    def delivery(self, delivery: Delivery) -> None:
        if delivery.partial or not delivery.readable:
            return
        request = Message()
        request.decode(self._link.recv(delivery.pending) or b"")
        self._link.advance()
        self._link.flow(1)
        delivery.update(Delivery.ACCEPTED)
        delivery.settle()
        self._connection.request(self._link, request)


def _key(link: Link) -> tuple[str, bool]:
    return link.name, link.is_sender


def _unauthorized(path: str) -> Told:
    return "amqp:unauthorized-access", f"Unauthorized access. The token has no claim for '{path}'."
