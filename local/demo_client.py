"""What the demo needs to be a caller: a server of its own, an HTTP client with tokens, and a voice."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp

from local.data_folder import DataFolder
from local.issuer import Issuer
from local.meter import Meter
from shared.domain.kernel.actor import ActorKind
from shared.settings import Settings

START_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.1


class DemoFailed(Exception):
    """A step did not do what it should. The message says which and what came instead."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]


@dataclass
class Caller:
    """One identity, speaking HTTP with a token of its own."""

    session: aiohttp.ClientSession
    url: str
    token: str
    subject: str
    traceparent: str = ""

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request; mutations carry an Idempotency-Key."""
        sent = {"Authorization": f"Bearer {self.token}", **headers}
        if self.traceparent:
            sent["traceparent"] = self.traceparent
        if method == "POST":
            sent["Idempotency-Key"] = secrets.token_hex(8)
        data: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.session.request(method, self.url + path, headers=sent, **data) as response:
            raw = await response.read()
            return Answer(response.status, json.loads(raw) if raw else None, dict(response.headers))

    async def get(self, path: str) -> Any:
        return await self._expect(200, "GET", path)

    async def post(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        return await self._expect(status, "POST", path, body)

    async def upload(self, path: str, data: bytes, content_type: str) -> Any:
        return await self._expect(201, "PUT", path, data, **{"Content-Type": content_type})

    async def until(self, path: str, done: Callable[[Any], bool], *, seconds: float = 30.0) -> Any:
        """Read again and again until `done` says so."""
        deadline = time.monotonic() + seconds
        while True:
            seen = await self.get(path)
            if done(seen):
                return seen
            if time.monotonic() > deadline:
                raise DemoFailed(f"{path} did not get there within {seconds:.0f} s: {json.dumps(seen)[:600]}")
            await asyncio.sleep(POLL_SECONDS)

    async def _expect(self, status: int, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = await self.call(method, path, body, **headers)
        if answer.status != status:
            shown = json.dumps(answer.body)[:600]
            raise DemoFailed(f"{method} {path} answered {answer.status} instead of {status}: {shown}")
        return answer.body


@dataclass
class Voice:
    """One line of progress per step, with how long it took, and what it cost where somebody counts."""

    meter: Meter
    started: float = field(default_factory=time.monotonic)
    count: int = 0
    _last: float = field(default_factory=time.monotonic)

    def step(self, title: str, text: str) -> None:
        now = time.monotonic()
        self.count += 1
        spent = self.meter.since_last()
        cost = "" if spent is None else f"; {spent}"
        print(f"  {self.count:2}  {title:<14} {text}  ({now - self._last:.2f} s{cost})", flush=True)
        self._last = time.monotonic()

    def note(self, text: str) -> None:
        print(f"      {'':<14} {text}", flush=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


def play(settings: Settings, story: Callable[[Path], Coroutine[Any, Any, None]]) -> int:
    """Let a story happen in the demo's own part of the data folder; its exit code, with a sentence where it
    failed. CannotStart when the folder cannot be written, or another demo is under way in it."""
    data_dir = settings.data_dir.resolve() / "demo"
    with DataFolder(data_dir):
        pass
    try:
        asyncio.run(story(data_dir))
    except (DemoFailed, aiohttp.ClientError) as error:
        told = str(error) if isinstance(error, DemoFailed) else f"the server did not answer ({error})"
        print(f"\nThe demo failed: {told}\nThe server's log is {data_dir / 'server.log'}.", flush=True)
        return 1
    return 0


@contextlib.asynccontextmanager
async def server(data_dir: Path) -> AsyncIterator[str]:
    """`slipway serve` as a process of its own on a free port; yields its URL and stops it at the end."""
    port = _free_port()
    log = data_dir / "server.log"
    url = f"http://127.0.0.1:{port}"
    arguments = ["-m", "local.cli", "serve", "--port", str(port), "--data-dir", str(data_dir)]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "SLIPWAY_PUBLIC_URL": url, "SLIPWAY_ISSUER": url},
            stdout=output,
            stderr=output,
        )
    try:
        await _ready(url, process, log)
        yield url
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def _ready(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(f"{url}/ready") as response:
                    if response.status == 200:
                        return
            if process.returncode is not None or time.monotonic() > deadline:
                raise DemoFailed(f"The server did not start; {log} ends with:\n{_tail(log)}")
            await asyncio.sleep(0.05)


class People(Protocol):
    """Whoever takes part in a walk."""

    def caller(self, subject: str, *roles: str, kind: ActorKind = ActorKind.HUMAN) -> Caller: ...


@dataclass(frozen=True, slots=True)
class Identities:
    """Mints the tokens of everyone who takes part. What they do together is one walk, and one trace."""

    session: aiohttp.ClientSession
    url: str
    issuer: Issuer
    tenant: str
    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    root_span: str = field(default_factory=lambda: secrets.token_hex(8))

    def caller(self, subject: str, *roles: str, kind: ActorKind = ActorKind.HUMAN) -> Caller:
        token = self.issuer.mint(tenant=self.tenant, subject=subject, roles=roles, kind=kind)
        return Caller(self.session, self.url, token, subject, f"00-{self.trace_id}-{self.root_span}-01")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
