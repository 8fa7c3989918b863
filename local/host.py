"""The local platform: serves one Functions app over HTTP and fires its queue, feed and timer functions.

It composes and supervises; routing, triggers and the engine have their own modules. The app brings its own
adapters by `function_app.composition()`.
"""

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, Self

import uvicorn

from local.admin import Admin
from local.checkpoints import Checkpoints
from local.config import BadHostFile, HostFile
from local.data_folder import CannotStart, DataFolder
from local.feed_trigger import FeedTrigger
from local.http import Asgi, Front, build_routes
from local.ncrontab import BadSchedule
from local.queue_trigger import QueueTrigger, Recovering
from local.routes import BadRoute
from local.timer_trigger import TimerTrigger
from local.triggers import Trigger
from local.worker import MODULE, Function, IndexingFailed, Worker
from shared.ports.bus import Bus
from shared.ports.clock import Clock
from shared.ports.ids import Ids
from shared.ports.store import Feed
from shared.settings import PREFIX, Settings

PATIENCE: Final = 10.0
"""Seconds that running invocations get to finish when the host stops."""

log = logging.getLogger("slipway.host")


class Platform(Protocol):
    """What the host needs of the app's composition root."""

    @property
    def settings(self) -> Settings: ...
    @property
    def feed(self) -> Feed: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def ids(self) -> Ids: ...

    async def start(self) -> None:
        """Take up what an earlier process left."""

    async def aclose(self) -> None: ...


type Mounts = Callable[[Platform], Sequence[tuple[str, Asgi]]]


def no_mounts(_platform: Platform) -> Sequence[tuple[str, Asgi]]:
    return ()


class Host:
    """One app, served while the context is open. Port 0 takes a free port; `url` tells which."""

    def __init__(self, settings: Settings, app_directory: Path, mounts: Mounts = no_mounts) -> None:
        self.settings = settings
        self.app_directory = app_directory.resolve()
        self.worker = Worker(new_id=self._new_id)
        self.platform: Platform
        self._mounts = mounts
        self._triggers: list[Trigger] = []
        self._parts: list[asyncio.Task[None]] = []
        self._cleanup = contextlib.AsyncExitStack()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    async def __aenter__(self) -> Self:
        """Start. Raises CannotStart with one clear line; then nothing is left running or locked."""
        async with contextlib.AsyncExitStack() as cleanup:
            try:
                await self._start(cleanup)
            except (BadHostFile, BadRoute, BadSchedule) as error:
                raise CannotStart(str(error)) from error
            except IndexingFailed as error:
                if error.trace:
                    log.error("%s", error.trace.rstrip())
                raise CannotStart(f"The app cannot be served: {error.message}") from error
            self._cleanup = cleanup.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._cleanup.aclose()

    async def serve(self) -> None:
        """Run until SIGTERM or SIGINT, or until a part of the host breaks: then raise what broke it."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopping, *self._parts], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        for part in self._parts:
            if part.done():
                part.result()

    def _new_id(self) -> str:
        return self.platform.ids.new()

    async def _start(self, cleanup: contextlib.AsyncExitStack) -> None:
        """Everything that can refuse comes before anything that runs; the stack undoes it in reverse."""
        host_file = HostFile.load(self.app_directory)
        folder = self.settings.data_dir.resolve()
        cleanup.enter_context(DataFolder(folder))
        listener = cleanup.enter_context(_listener(self.settings.port))
        settings = {**self.settings.model_dump(), "data_dir": folder, "port": listener.getsockname()[1]}
        self.settings = Settings.model_validate(settings)
        cleanup.enter_context(_app_settings(self.settings))
        cleanup.callback(self.worker.stop)
        await self.worker.start(self.app_directory)
        self.platform = importlib.import_module(MODULE).composition()
        cleanup.push_async_callback(self.platform.aclose)
        await self.platform.start()
        checkpoints = cleanup.enter_context(contextlib.closing(Checkpoints(folder / "checkpoints.db")))
        self._triggers = [
            trigger
            for function in self.worker.functions
            if (trigger := self._trigger(function, host_file, checkpoints)) is not None
        ]
        admin = Admin({each.function.name: each.fire for each in self._triggers}, len(self.worker.functions))
        mounts: list[tuple[str, Asgi]] = [("/admin/", admin), *self._mounts(self.platform)]
        front = Front(self.worker, build_routes(self.worker.functions, host_file.route_prefix), mounts)
        if isinstance(self.platform.bus, Recovering):
            await self.platform.bus.recover()
        server = _Server(_server_config(front))
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        cleanup.push_async_callback(self._stop, server, serving, admin)
        while not server.started:
            if serving.done():
                serving.result()
            await asyncio.sleep(0.001)
        self._parts = [serving]
        self._parts += [asyncio.create_task(each.run(), name=each.function.name) for each in self._triggers]

    def _trigger(self, function: Function, host_file: HostFile, checkpoints: Checkpoints) -> Trigger | None:
        platform = self.platform
        match function.kind:
            case "httpTrigger":
                return None
            case "serviceBusTrigger":
                sessions = bool(function.trigger.get("isSessionsEnabled"))
                slots = host_file.max_concurrent_sessions if sessions else host_file.max_concurrent_calls
                return QueueTrigger(
                    function,
                    self.worker,
                    platform.bus,
                    platform.clock,
                    slots=slots,
                    renew_for=host_file.lock_renewal,
                    auto_complete=host_file.auto_complete,
                )
            case "cosmosDBTrigger":
                return FeedTrigger(function, self.worker, platform.feed, checkpoints)
            case "timerTrigger":
                return TimerTrigger(function, self.worker, platform.clock, checkpoints)
            case unknown:
                raise CannotStart(
                    f"{function.name} has a {unknown}, which the local platform does not offer."
                )

    async def _stop(self, server: uvicorn.Server, serving: asyncio.Task[None], admin: Admin) -> None:
        """Take no more work, let what runs finish, and raise what broke a part, if anything did."""
        server.should_exit = True
        pumps = [part for part in self._parts if part is not serving]
        for pump in pumps:
            pump.cancel()
        results = await asyncio.gather(
            serving,
            *pumps,
            admin.running.drain(PATIENCE),
            *(trigger.drain(PATIENCE) for trigger in self._triggers),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, Exception):
                raise result


class _Server(uvicorn.Server):
    """Leaves signals to the host: uvicorn's own handlers would stop it alone, and again on the way out."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server_config(front: Front) -> uvicorn.Config:
    return uvicorn.Config(
        front,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=int(PATIENCE),
    )


@contextlib.contextmanager
def _listener(port: int) -> Iterator[socket.socket]:
    """A listening socket: bound alone, two servers could both believe that they have the port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with contextlib.closing(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(2048)
        except OSError as error:
            raise CannotStart(
                f"Port {port} cannot be used ({error.strerror});"
                " stop what uses it, or choose another with --port."
            ) from None
        listener.setblocking(False)
        yield listener


@contextlib.contextmanager
def _app_settings(settings: Settings) -> Iterator[None]:
    """Give the app its settings the way the real platform does: as the environment it finds on import."""
    given = as_environment(settings)
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def as_environment(settings: Settings) -> Mapping[str, str]:
    """Settings as the variables they are read from."""
    return {f"{PREFIX}{name.upper()}": _text(value) for name, value in settings.model_dump().items()}


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}:{item}" for key, item in value.items())
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
