"""One installation in one data folder, whose process can die and start again, with its bus and its sweep."""

import gzip
import io
import re
import shutil
import tarfile
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from functions.http import replay
from functions.relay.outbox import relay
from functions.relay.timers import sweep_source
from functions.workers import CONSUMERS
from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.embedded.vault import FileVault
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.registries.oci_layout import LayoutRegistry
from shared.adapters.targets.folder import FolderTarget
from shared.app import App, build_app
from shared.domain.images.model import EMBEDDED
from shared.domain.kernel.errors import Conflict, Transient
from shared.domain.kernel.ids import Root
from shared.domain.source.model import Provider
from shared.names import INDEXES
from shared.ports.bus import Received
from shared.ports.clock import Clock
from shared.ports.runner import OnOutput, ShouldStop, Step, StepOutcome
from shared.ports.store import Document, Write
from shared.ports.vendor import Vendor
from shared.services.views import HEAD, PLATFORM
from shared.settings import Settings
from tests.faults.crash_points.faults import Faults, faulty_ports
from tests.support.api import KnownTokens
from tests.support.ci import MadeUpVendor
from tests.support.event_schemas import require_declared
from tests.support.infrastructure import PROGRAM, MadeUpProvisioner
from tests.support.vendors import FolderVendor


@dataclass(frozen=True)
class Plant:
    """Puts a bug between the app and its ports, or in the place of one of its services."""

    ports: Callable[[dict[str, Any]], dict[str, Any]] = lambda ports: ports
    app: Callable[[App], App] = lambda app: app


SOUND = Plant()
"""No bug is planted."""

URL = "http://127.0.0.1:7071"


@dataclass
class FrozenClock:
    """Time stands still while an operation is tried, so that every way to do it once looks the same."""

    at: datetime

    def now(self) -> datetime:
        return self.at


@dataclass
class NumberedIds:
    """Distinct, and after a restart other ones than before it."""

    last: int = 0

    def new(self) -> str:
        self.last += 1
        return uuid.uuid5(uuid.NAMESPACE_OID, str(self.last)).hex


@dataclass
class StridingClock:
    """The git host's: it takes what is pending for old enough to be swept at every look."""

    at: datetime

    def now(self) -> datetime:
        self.at += timedelta(seconds=10)
        return self.at


@dataclass(frozen=True)
class QuickWorkspace:
    """Does no step; leaves the archive of a step that packs one, made of the commit's name alone."""

    scratch: Path

    @property
    def folder(self) -> Path:
        return self.scratch / "work"

    async def run(self, step: Step, *, on_output: OnOutput, should_stop: ShouldStop) -> StepOutcome:
        await on_output("stdout", f"{step.name} is said to run")
        if await should_stop():
            return StepOutcome("cancelled", None, 0.0)
        if not self.folder.is_dir():
            return StepOutcome("errored", None, 0.0, message="its folder is not there")
        archive = re.search(r"-cf (\S+)\.tar ", step.run)
        if archive is not None:
            path = self.folder / f"{archive[1]}.tar.gz"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(
                _packed({"slipway.yml": "{}\n", "commit": (step.environment or {})["SLIPWAY_COMMIT"]})
            )
        return StepOutcome("succeeded", 0, 0.0)

    async def aclose(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)


@dataclass(frozen=True)
class QuickRunner:
    """The Runner port without processes, which would take most of the time and are not what dies here."""

    root: Path

    async def open(self, name: str) -> QuickWorkspace:
        workspace = QuickWorkspace(self.root / name)
        await workspace.aclose()
        workspace.folder.mkdir(parents=True)
        return workspace

    async def sweep(self, keep: Sequence[str] = ()) -> int:
        left = [path for path in self.root.glob("*") if path.name not in keep]
        for path in left:
            shutil.rmtree(path)
        return len(left)


def _packed(files: dict[str, str]) -> bytes:
    """Equal files, equal bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(packed.getvalue(), mtime=0)


@dataclass
class Installation:
    """`checkpoint` is where the relay goes on reading after a restart: what it sent since, it sends again."""

    folder: Path
    clock: Clock
    git_clock: Clock
    ids: NumberedIds
    checkpoint: int = 0
    plant: Plant = SOUND
    faults: Faults = field(default_factory=Faults)
    app: App = field(init=False)
    hosted: FolderVendor = field(init=False)
    vendor: MadeUpVendor = field(init=False)
    _store: SqliteStore = field(init=False)
    _bus: SqliteBus = field(init=False)
    _read: int = field(init=False)

    def __post_init__(self) -> None:
        self._boot()

    def _boot(self) -> None:
        clock, folder = self.clock, self.folder
        self._store = SqliteStore(folder / "store.db", INDEXES, clock)
        self._bus = SqliteBus(folder / "bus.db", clock)
        self._read = self.checkpoint
        self.vendor = MadeUpVendor(folder / "vendor", self.git_clock)
        self.hosted = FolderVendor(folder / "vendor", self.vendor.git, clock)
        ports = faulty_ports(
            self.faults,
            self._store,
            bus=self._bus,
            blobs=FileBlobs(folder / "blobs", base_url=URL, clock=clock),
            vault=FileVault(folder / "vault", clock, self.ids),
            source_host=EmbeddedGit(folder / "git", self.git_clock),
            target=FolderTarget(folder / "environments", clock, health_timeout=5),
            runner=QuickRunner(folder / "work"),
            registry=LayoutRegistry(folder / "registry"),
            provisioner=MadeUpProvisioner(folder / "infrastructure"),
            ci=self.vendor.ci,
            host_hooks=self.hosted,
            host_requests=self.hosted,
        )
        settings = Settings.load(
            {}, data_dir=folder, iac_programs={PROGRAM: folder}, github_organizations={"acme": "acme-corp"}
        )
        ports = self.plant.ports(ports)
        ports["registries"] = {EMBEDDED: ports.pop("registry")}
        ci, hooks, requests = (ports.pop(part) for part in ("ci", "host_hooks", "host_requests"))
        vendor = Vendor(self.vendor.git, ci, hooks, requests, self.vendor.aclose)
        ports["vendors"] = {Provider.GITHUB: vendor}
        app = build_app(settings, clock=clock, ids=self.ids, tokens=KnownTokens(), **ports)
        self.app = self.plant.app(app)

    async def close(self) -> None:
        """The end of the process, however it came: nothing is tidied."""
        await self._store.aclose()
        await self._bus.aclose()

    async def restart(self) -> None:
        """A new process on the same folder, as the platform starts one."""
        await self.close()
        self.faults = Faults()
        self._boot()
        await self._bus.recover()
        await self.app.start()

    @asynccontextmanager
    async def another_process(self) -> AsyncIterator["Installation"]:
        """A second process beside this one: with its own connections, and its own idea of what it serves."""
        serving = set(replay._in_flight)
        replay._in_flight.clear()
        other = replace(self, faults=Faults())
        try:
            yield other
        finally:
            await other.close()
            replay._in_flight.update(serving)

    async def sweep(self) -> None:
        await sweep_source(self.app)

    async def sweep_vendors(self) -> None:
        await self.app.vendor_sweep.run()

    async def project(self) -> None:
        """Bring the views up to the checkpoint, and have that kept, which a process does only now and then:
        no try shows them all of the past anew."""
        await self.sweep_vendors()
        progress = self._store.open(PLATFORM).partition(Root("view", "progress"))
        await progress.commit([Write("upsert", HEAD, "view-progress", {"sequence": self.checkpoint})])
        await self.drain()

    async def relay(self) -> None:
        """What the feed has since the checkpoint, in one go."""
        documents = (await self.app.feed.read(str(self.checkpoint), 100)).documents
        await relay([{"kind": each.kind, "body": each.body} for each in documents], self.app.bus)

    async def drain(self, before: str | None = None) -> Document | None:
        """Relay and handle until nothing moves, or until the next event to relay is of the type `before`."""
        while True:
            documents = (await self.app.feed.read(str(self._read), 100)).documents
            for document in documents:
                if before is not None and _is_event(document, before):
                    await self._work()
                    self.checkpoint = self._read
                    return document
                if document.kind == "outbox":
                    require_declared([document.body])
                await relay([{"kind": document.kind, "body": document.body}], self.app.bus)
                self._read = document.sequence
                if before is not None:
                    await self._work()
            moved = await self._work()
            if not documents and not moved:
                self.checkpoint = self._read
                return None

    async def lose_until(self, event_type: str) -> Document:
        """Nothing before the next event of a type reaches a worker: what they were told was dead-lettered."""
        while True:
            for document in (await self.app.feed.read(str(self._read), 100)).documents:
                if _is_event(document, event_type):
                    self.checkpoint = self._read
                    return document
                self._read = document.sequence

    async def _work(self) -> bool:
        """Hand what waits to the workers, again where one asks for it; whether there was anything."""
        moved = False
        for consumer in CONSUMERS:
            while batch := await self.app.bus.receive(consumer.queue, limit=50):
                moved = True
                for received in batch:
                    await self._deliver(received)
        return moved

    async def _deliver(self, received: Received) -> None:
        message = received.message
        consumer = next(each for each in CONSUMERS if each.queue == received.queue)
        try:
            await consumer.receive(message.body, self.app, message.message_id, message.session_id)
        except (Transient, Conflict):
            await self.app.bus.abandon(received)
        else:
            await self.app.bus.complete(received)


def _is_event(document: Document, event_type: str) -> bool:
    return document.kind == "outbox" and document.body["eventType"] == event_type
