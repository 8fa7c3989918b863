"""Git over smart HTTP, so that `git clone` and `git push` work against the embedded host.

Serves protocol v0 to every client, v2 ones too: a server may answer an older version. It decides nothing
about people: who may read or write, and which branches are protected, is the gate's word.
"""

import asyncio
import base64
import binascii
import logging
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Protocol

from dulwich.errors import (
    ApplyDeltaError,
    ChecksumMismatch,
    GitProtocolError,
    HangupException,
    ObjectFormatException,
)
from dulwich.objects import ObjectID
from dulwich.protocol import CAPABILITY_ATOMIC, ZERO_SHA, ReceivableProtocol
from dulwich.refs import Ref
from dulwich.server import BackendRepo, DictBackend, PackHandler, ReceivePackHandler, UploadPackHandler

from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.hosts.git_pack import BadPack, weigh
from shared.adapters.hosts.git_receive import Command, PushRefused, receive
from shared.adapters.hosts.git_repository import Repository
from shared.domain.kernel.errors import DeliveryError, Forbidden, NotFound, Transient
from shared.ports.source_host import Place, RefUpdate
from shared.ports.tokens import TokenRefused

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Headers = list[tuple[bytes, bytes]]

_ROUTE = re.compile(
    r"/git/(?P<tenant>[^/]+)/(?P<project>[^/]+)/(?P<name>[^/]+)\.git/(?P<verb>info/refs|git-(?:upload|receive)-pack)"
)
_SERVICES = frozenset({"git-upload-pack", "git-receive-pack"})
_IN_MEMORY = 1 << 20
_CHUNK = 1 << 16
_MAX_BODY = 2 << 30
_NO_CACHE: Headers = [
    (b"cache-control", b"no-cache, max-age=0, must-revalidate"),
    (b"expires", b"Fri, 01 Jan 1980 00:00:00 GMT"),
    (b"pragma", b"no-cache"),
]
_BAD_REQUEST = (GitProtocolError, HangupException, ValueError, AssertionError)
_BAD_PACK = (
    OSError,
    ApplyDeltaError,
    ChecksumMismatch,
    ObjectFormatException,
    zlib.error,
    *_BAD_REQUEST,
    KeyError,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """Who speaks, the branches of this repository that only pull requests may move, and those whose history
    is kept: they only grow."""

    subject: str
    protected: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()


class Gate(Protocol):
    async def authorise(self, token: str, tenant: str, project: str, name: str, *, write: bool) -> Access:
        """Raises TokenRefused, Forbidden or NotFound."""

    async def pushed(self, access: Access, updates: Sequence[RefUpdate]) -> None:
        """These branches have moved. What fails here stays pending on the host."""


class _Reply(Exception):
    """An answer that is not git's own."""

    def __init__(self, status: int, text: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers


class GitHttp:
    """An ASGI application for everything below /git/."""

    def __init__(self, host: EmbeddedGit, gate: Gate, *, max_body: int = _MAX_BODY) -> None:
        self._host = host
        self._gate = gate
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._serve(scope, receive, send)
        except _Reply as reply:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), *reply.headers]
            await _send(send, reply.status, headers, [f"{reply.text}\n".encode()])

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = _ROUTE.fullmatch(scope["path"])
        if route is None:
            raise _Reply(404, "There is no such git address; clone /git/{tenant}/{project}/{name}.git.")
        place = Place(route["tenant"], route["project"], route["name"])
        advertise = route["verb"] == "info/refs"
        service = _query(scope, b"service") if advertise else route["verb"]
        if service not in _SERVICES:
            raise _Reply(
                403, "Only the smart protocol is served; use a git client of version 1.6.6 or later."
            )
        if scope["method"] != ("GET" if advertise else "POST"):
            raise _Reply(405, "Use the method that git uses.")
        headers = {name.lower(): value for name, value in scope["headers"]}
        access = await self._authorise(headers, place, write=service == "git-receive-pack")
        exchange = _Exchange(self._host, place, access, service, advertise=advertise)
        try:
            with _spool() as body, _spool() as answer:
                if not advertise:
                    await _read_body(receive, body, headers.get(b"content-encoding", b""), self._max_body)
                await asyncio.to_thread(exchange.run, body, answer)
                kind = f"application/x-{service}-{'advertisement' if advertise else 'result'}".encode()
                try:
                    await self._tell(access, exchange.updates)
                finally:
                    # The refs have moved whatever became of the telling, and the client must hear that.
                    await _send(send, 200, [(b"content-type", kind), *_NO_CACHE], _chunks(answer))
        except NotFound as missing:
            raise _Reply(404, missing.message) from missing

    async def _authorise(self, headers: dict[bytes, bytes], place: Place, *, write: bool) -> Access:
        challenge = [(b"www-authenticate", b'Basic realm="slipway"')]
        token = _token(headers.get(b"authorization", b""))
        if token is None:
            raise _Reply(401, "Give an access token as the password.", challenge)
        try:
            return await self._gate.authorise(token, place.tenant, place.project, place.name, write=write)
        except TokenRefused as refused:
            raise _Reply(401, refused.message, challenge) from refused
        except Forbidden as refused:
            raise _Reply(403, refused.message) from refused
        except NotFound as missing:
            raise _Reply(404, missing.message) from missing
        except Transient as unknown:
            raise _Reply(503, unknown.message, [(b"retry-after", b"2")]) from unknown

    async def _tell(self, access: Access, updates: Sequence[RefUpdate]) -> None:
        if not updates:
            return
        try:
            await self._gate.pushed(access, updates)
        except (DeliveryError, OSError):
            _log.warning("a push is not recorded yet; its entries stay pending", exc_info=True)


@dataclass(slots=True)
class _Exchange:
    """One request and its answer, in a thread. `updates` are the branches that a push moved."""

    host: EmbeddedGit
    place: Place
    access: Access
    service: str
    advertise: bool
    updates: list[RefUpdate] = field(default_factory=list)

    def run(self, body: IO[bytes], answer: IO[bytes]) -> None:
        protocol = ReceivableProtocol(body.read, answer.write)
        with self.host.repositories.open(self.place) as repository:
            if self.advertise:
                protocol.write_pkt_line(f"# service={self.service}\n".encode())
                protocol.write_pkt_line(None)
            try:
                self._handler(repository, protocol).handle()
            except _BAD_REQUEST as error:
                _log.warning("a git request broke off", exc_info=True)
                raise _Reply(
                    400, "The request does not follow git's protocol; update the git client."
                ) from error

    def _handler(self, repository: Repository, protocol: ReceivableProtocol) -> PackHandler:
        if self.service == "git-receive-pack":
            return _ReceivePack(repository, self.access, self.updates, protocol, advertise=self.advertise)
        return UploadPackHandler(
            _backend(repository), ["/"], protocol, stateless_rpc=True, advertise_refs=self.advertise
        )


class _ReceivePack(ReceivePackHandler):
    """dulwich's protocol around our own rules: it parses and reports, `receive` decides and moves."""

    def __init__(
        self,
        repository: Repository,
        access: Access,
        updates: list[RefUpdate],
        protocol: ReceivableProtocol,
        *,
        advertise: bool,
    ) -> None:
        super().__init__(_backend(repository), ["/"], protocol, stateless_rpc=True, advertise_refs=advertise)
        self._repository = repository
        self._access = access
        self._updates = updates

    def capabilities(self) -> Iterable[bytes]:
        # Refs are judged and moved one by one; promising all or nothing would be a lie.
        return [capability for capability in super().capabilities() if capability != CAPABILITY_ATOMIC]

    def _apply_pack(self, refs: list[tuple[ObjectID, ObjectID, Ref]]) -> Iterator[tuple[bytes, bytes]]:
        if any(new != ZERO_SHA for _, new, _ in refs) and (problem := self._unpack()):
            yield b"unpack", problem.encode()
            for _, _, ref in refs:
                yield ref, b"unpacker error"
            return
        yield b"unpack", b"ok"
        for old, new, ref in refs:
            yield ref, self._move(Command(ref, _sha(old), _sha(new)))

    def _unpack(self) -> str | None:
        """Take the pack in; why that cannot be, where it cannot."""
        assert isinstance(self.proto, ReceivableProtocol), "what _Exchange makes"
        with _spool() as pack:
            try:
                while chunk := self.proto.recv(_CHUNK):
                    pack.write(chunk)
                pack.seek(0)
                weigh(pack)
                pack.seek(0)
                self._repository.store.add_thin_pack(pack.read, pack.read)
            except BadPack as bad:
                return str(bad)
            except _BAD_PACK:
                _log.info("a pushed pack could not be indexed", exc_info=True)
                return "the pack is damaged: push again"
        return None

    def _move(self, command: Command) -> bytes:
        try:
            access = self._access
            rules = {"protected": access.protected, "kept": access.kept}
            update = receive(self._repository, command, **rules, by=access.subject)
        except PushRefused as refused:
            return refused.message.encode()
        if update is not None:
            self._updates.append(update)
        return b"ok"


def _backend(repository: Repository) -> DictBackend:
    repositories: dict[str, BackendRepo] = {"/": repository.repo}
    return DictBackend(repositories)


def _sha(sha: ObjectID) -> str | None:
    return None if sha == ZERO_SHA else sha.decode()


def _token(authorization: bytes) -> str | None:
    """The bearer token, or the password of Basic, which is what git asks for; any user name will do."""
    kind, _, value = authorization.decode("latin-1").strip().partition(" ")
    if kind.lower() == "bearer":
        return value.strip() or None
    if kind.lower() == "basic":
        try:
            _, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return password or None
    return None


def _query(scope: Scope, name: bytes) -> str:
    for pair in scope["query_string"].split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == name:
            return str(value, "latin-1")
    return ""


def _spool() -> SpooledTemporaryFile[bytes]:
    return SpooledTemporaryFile(max_size=_IN_MEMORY)


async def _read_body(receive: Receive, body: IO[bytes], encoding: bytes, limit: int) -> None:
    """The request's body, inflated, on disk once it is large."""
    if encoding not in {b"", b"identity", b"gzip", b"x-gzip"}:
        raise _Reply(415, "Send the body as it is or compressed with gzip.")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding.endswith(b"gzip") else None
    size = 0
    async for chunk in _body(receive):
        pieces = _inflated(inflate, chunk) if inflate else (chunk,)
        for piece in pieces:
            size += len(piece)
            if size > limit:
                raise _Reply(413, f"The push is larger than {limit} bytes; push fewer commits at a time.")
            await asyncio.to_thread(body.write, piece) if size > _IN_MEMORY else body.write(piece)
    if inflate:
        # The last copy out of its window may still be inside.
        body.write(inflate.flush())
        if not inflate.eof:
            raise _Reply(400, "The compressed body is cut short; push again.")
    body.seek(0)


def _inflated(inflate: "zlib._Decompress", chunk: bytes) -> Iterator[bytes]:
    # Piece by piece, so that a small body that inflates to a huge one is stopped at the limit.
    try:
        while chunk:
            yield inflate.decompress(chunk, _CHUNK)
            chunk = inflate.unconsumed_tail
    except zlib.error as error:
        raise _Reply(400, "The body is not valid gzip; push again.") from error


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Reply(400, "The connection closed before the whole body came.")
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk


async def _send(send: Send, status: int, headers: Headers, chunks: Iterable[bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
