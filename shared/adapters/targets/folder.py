"""The embedded target: releases as folders of this machine, services as its processes.

`state.json` is the truth. It is written last, and every turn begins by removing what is not in it, so that
a killed turn leaves nothing behind: neither a process nor half a folder.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from shared.adapters import folders
from shared.adapters.bundles import BadBundle, Limits, unpack
from shared.adapters.targets.place import KEPT, Place, Running, State
from shared.adapters.targets.service import ServiceSpec, free_port, spec_of
from shared.domain.kernel.errors import Invalid, Permanent
from shared.ports.clock import Clock
from shared.ports.target import DeployFailed, LiveState, Workload

logger = logging.getLogger("slipway.target")


class FolderTarget:
    """The Target port: `root/{tenant}/{environment}/{component}/`. One root serves one platform, but two
    processes may overlap: each place has a lock that the operating system drops with its holder.

    `health_timeout` in seconds.
    """

    def __init__(self, root: Path, clock: Clock, *, health_timeout: float) -> None:
        self._root = root.absolute()
        self._clock = clock
        self._health_timeout = health_timeout
        self._ports: set[int] = set()
        """Promised to services that do not listen yet, so that two turns do not choose the same."""

    async def observe(self, tenant: str, environment: str, component: str) -> LiveState:
        place = self._place(tenant, environment, component)
        while True:
            state = place.read()
            live = await _live(place, state) if state else LiveState(None, None, None, "none", "unknown")
            # A switch between reading and asking would show a service that was just replaced as dead.
            if live.health != "unhealthy" or place.read() == state:
                return live

    async def apply(self, workload: Workload, artifact: Callable[[], Awaitable[Path]]) -> LiveState:
        place = self._place(workload.tenant, workload.environment, workload.component)
        async with self._turn(place):
            before = await self._tidied(place)
            if (
                before
                and before.workload.revision == workload.revision
                and place.release(before.release).is_dir()
            ):
                live = await _live(place, before)
                if live.health == "healthy":
                    return live
                port = before.running.port if before.running else None
                return await self._switch(place, before, workload, port)
            release = place.release(_segment(workload.revision))
            await asyncio.to_thread(_unpack_verified, await artifact(), workload.digest, release)
            try:
                return await self._switch(place, before, workload)
            except DeployFailed:
                await asyncio.to_thread(folders.remove, release)
                raise

    async def _switch(
        self, place: Place, before: State | None, workload: Workload, port: int | None = None
    ) -> LiveState:
        """Start the unpacked release (on `port` if free), point to it, then stop the one before."""
        name = _segment(workload.revision)
        spec = spec_of(place.release(name))
        running = await self._start(place, name, spec, workload, port) if spec else None
        kept = (*(old for old in (before.kept if before else ()) if old != name), name)[-KEPT:]
        after = State(workload=workload, kept=kept, applied_at=self._clock.now(), running=running)
        try:
            folders.point(place.folder / "current", f"releases/{name}")
            place.write(after)
        except OSError:
            if running:
                await place.instance(running, name).stop(0)
            raise
        if before and before.running:
            await place.instance(before.running, before.release).stop(before.running.spec.stop_timeout)
        await asyncio.to_thread(place.settle, after)
        return await _live(place, after)

    async def _start(
        self, place: Place, name: str, spec: ServiceSpec, workload: Workload, port: int | None = None
    ) -> Running:
        instance = Path(tempfile.mkdtemp(dir=place.instances, prefix="")).name
        port = free_port(port, frozenset(self._ports))
        self._ports.add(port)
        try:
            running = Running(instance=instance, port=port, spec=spec)
            await place.instance(running, name).start(
                place.release(name), spec, workload, self._health_timeout
            )
        finally:
            self._ports.discard(port)
        return running

    async def remove(self, tenant: str, environment: str, component: str) -> None:
        place = self._place(tenant, environment, component)
        async with self._turn(place):
            # Wanted is nothing, so the state goes first: a turn killed after it is finished by the next.
            (place.folder / "state.json").unlink(missing_ok=True)
            await place.end_strangers(None)
            await asyncio.to_thread(folders.remove, place.folder)

    async def resume(self) -> None:
        """At the platform's start: adopt the services that run and start the others again, on their old port
        if it is free. One that does not come back is logged; `observe` shows it as unhealthy."""
        places = await asyncio.to_thread(self._places)
        limit = asyncio.Semaphore(4)

        async def resume(place: Place) -> None:
            async with limit, self._turn(place):
                await self._resume(place)

        await asyncio.gather(*(resume(place) for place in places))

    async def _resume(self, place: Place) -> None:
        try:
            state = await self._tidied(place)
            if (
                state is None
                or state.running is None
                or place.instance(state.running, state.release).running()
            ):
                return
            old = state.running
            started = await self._start(place, state.release, old.spec, state.workload, old.port)
        except Permanent as error:
            logger.warning("A service was not started again in %s: %s", place.folder, error.message)
            return
        place.write(state.model_copy(update={"running": started}))
        await place.end_strangers(place.read())

    async def stop_all(self) -> None:
        """At the platform's end: stop every service and keep the states, from which `resume` brings them
        back."""
        places = await asyncio.to_thread(self._places)
        await asyncio.gather(*(self._stop(place) for place in places))

    async def _stop(self, place: Place) -> None:
        async with self._turn(place):
            state = place.read()
            if state and state.running:
                await place.instance(state.running, state.release).stop(state.running.spec.stop_timeout)
            await place.end_strangers(state)

    async def _tidied(self, place: Place) -> State | None:
        """The state, after whatever a killed turn left was removed."""
        state = place.read()
        place.prepare()
        await place.end_strangers(state)
        await asyncio.to_thread(place.settle, state)
        return state

    def _place(self, tenant: str, environment: str, component: str) -> Place:
        return Place(self._root.joinpath(*map(_segment, (tenant, environment, component))))

    def _places(self) -> list[Place]:
        return [Place(path) for path in sorted(self._root.glob("*/*/*")) if (path / "releases").is_dir()]

    @contextlib.asynccontextmanager
    async def _turn(self, place: Place) -> AsyncIterator[None]:
        """One turn at a time per place, among all tasks and processes."""
        name = hashlib.sha256(str(place.folder).encode()).hexdigest()
        locks = self._root / ".locks"  # not in the place itself, which `remove` removes
        locks.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(locks / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _locked(lock):  # noqa: ASYNC110 - a thread that waits for a lock cannot be cancelled
                await asyncio.sleep(0.02)
            yield
        finally:
            os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _segment(name: str) -> str:
    try:
        return folders.segment(name)
    except ValueError as error:
        raise Invalid(
            f"A tenant, environment, component or revision cannot name a folder: {error}."
        ) from None


async def _live(place: Place, state: State) -> LiveState:
    workload = state.workload
    live = LiveState(workload.revision, workload.digest, workload.version, state.kind, "healthy")
    if not place.release(state.release).is_dir():
        return replace(live, health="unhealthy", message="The release's folder is gone; deploy it again.")
    if state.running is None:
        return live
    instance = place.instance(state.running, state.release)
    wrong = await instance.health(state.running.spec)
    url = instance.url if instance.running() else None
    return replace(live, health="unhealthy" if wrong else "healthy", url=url, message=wrong)


def _unpack_verified(bundle: Path, digest: str, release: Path) -> None:
    """Unpack beside and move into place, so that a folder with a release's name is always whole."""
    with bundle.open("rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != digest:
        raise DeployFailed(
            f"digest mismatch: the bundle is {found}, the release says {digest}; publish it again."
        )
    part = release.with_name(f".{release.name}.part")
    folders.remove(part)
    try:
        unpack(bundle, part, Limits())
    except BadBundle as error:
        folders.remove(part)
        raise DeployFailed(f"The bundle cannot be unpacked: {error.message}") from error
    folders.remove(release)
    part.replace(release)
