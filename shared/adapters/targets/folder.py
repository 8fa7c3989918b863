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
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from shared.adapters import folders
from shared.adapters.bundles import BadBundle, Limits, unpack
from shared.adapters.targets import seals
from shared.adapters.targets.place import ROUTER, Place, Running, Side, State
from shared.adapters.targets.service import ServiceSpec, free_port, spec_of
from shared.adapters.targets.sides import after_split, alone, instances, is_of, side_of, with_instances
from shared.domain.kernel.errors import Invalid, Permanent
from shared.ports.clock import Clock
from shared.ports.target import Candidate, DeployFailed, LiveState, Overtaken, Split, Workload

logger = logging.getLogger("slipway.target")

READY = "/.slipway/ready"
_HAND_PORT = 'exec "$0" "$@" "$PORT"'
"""A service learns its port from its environment, which nothing of the platform reads but its settings."""
_ROUTER = ("/bin/sh", "-c", _HAND_PORT, sys.executable, "-P", str(Path(__file__).with_name("router.py")))


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
            if live.health == "unhealthy" and place.read() != state:
                continue
            if state is None:
                return live
            return replace(live, altered=await asyncio.to_thread(place.altered, state.release))

    async def apply(
        self, workload: Workload, artifact: Callable[[], Awaitable[Path]], split: Split | None = None
    ) -> LiveState:
        place = self._place(workload.tenant, workload.environment, workload.component)
        async with self._turn(place):
            before = await self._tidied(place)
            if split is None:
                if before and before.incoming and is_of(before.other, workload):
                    return await _live(place, before)
                split = alone(before, workload)
            if before and split.fence < before.fence:
                raise Overtaken("Somebody who started later has changed what runs here; nothing is done.")
            return await self._bring(place, before, workload, artifact, split)

    async def _bring(
        self,
        place: Place,
        before: State | None,
        workload: Workload,
        artifact: Callable[[], Awaitable[Path]],
        split: Split,
    ) -> LiveState:
        """Start what is missing of the wanted side, share the requests out, then stop what is too much."""
        sides = before.sides if before else ()
        mine = next((side for side in sides if is_of(side, workload)), None)
        if mine is not None and not await asyncio.to_thread(_is_whole, place, mine.release):
            mine = None
        rest = next((side for side in sides if not is_of(side, workload)), None)
        is_new = mine is None
        if mine is None:
            mine = Side(workload=workload, release=_segment(workload.revision))
            release = place.release(mine.release)
            await asyncio.to_thread(_unpack_verified, await artifact(), workload.digest, release)
            await asyncio.to_thread(seals.seal, release, place.seal(mine.release))
        try:
            spec = spec_of(place.release(mine.release))
            fit = [running for running in mine.running if await _is_healthy(place, running, mine.release)]
            kept = () if rest is None else rest.running[: split.others]
            after = after_split(
                before, mine, rest, split, tuple(fit[: split.instances]), kept, self._clock.now()
            )
            missing = max(0, split.instances - len(fit)) if spec else 0
            if (
                before is not None
                and not missing
                and before == after.model_copy(update={"applied_at": before.applied_at})
            ):
                return await _live(place, before)
            gone = rest.running[split.others :][: split.unavailable] if rest and missing else ()
            return await self._shift(place, before, after, spec, mine, missing, gone)
        except DeployFailed:
            if before is not None and before.incoming:
                await self._drop_other(place, before)
            if is_new:
                await asyncio.to_thread(folders.remove, place.release(mine.release))
            raise

    async def _shift(
        self,
        place: Place,
        before: State | None,
        after: State,
        spec: ServiceSpec | None,
        mine: Side,
        missing: int,
        gone: tuple[Running, ...],
    ) -> LiveState:
        """From one state to the next. `gone` are instances of the other side that make room at first."""
        started: list[Running] = []
        stale = [running for running in mine.running if running not in instances(after)]
        try:
            if gone and before is not None:
                await self._stop_some(place, before, gone)
            for number in range(missing if spec else 0):
                port = stale[number].port if number < len(stale) else None
                assert spec is not None
                started.append(await self._start(place, mine.release, spec, mine.workload, port))
            after = with_instances(after, mine.workload, (*side_of(after, mine.workload).running, *started))
            after = await self._routed(place, before, after)
            folders.point(place.folder / "current", f"releases/{after.release}")
            place.write(after)
        except BaseException:
            for running in started:
                await asyncio.shield(place.instance(running, mine.release).stop(0))
            if gone and before is not None:
                await asyncio.shield(self._revive(place, before))
            raise
        if after.router is not None:
            place.route(after)
        for running, release in before.placed() if before else ():
            if all(running.instance != other.instance for other, _ in after.placed()):
                await place.instance(running, release).stop(running.spec.stop_timeout)
        await asyncio.to_thread(place.settle, after)
        return await _live(place, after)

    async def _routed(self, place: Place, before: State | None, after: State) -> State:
        """With a router where there is more than one instance, and for good: callers keep its address."""
        router = after.router
        if router is None and len(instances(after)) < 2:
            return after
        place.route(before if before is not None and router is not None and instances(before) else after)
        if router is not None and place.instance(router, ROUTER).running():
            return after
        return after.model_copy(update={"router": await self._start_router(place, after, router)})

    async def _start_router(self, place: Place, state: State, before: Running | None) -> Running:
        spec = ServiceSpec(command=(*_ROUTER, str(place.routes)), health=READY)
        bare = replace(state.workload, variables={})
        port = before.port if before else None
        return await self._start(place, ROUTER, spec, bare, port, cwd=place.folder)

    async def _stop_some(self, place: Place, before: State, gone: tuple[Running, ...]) -> None:
        """Stop instances to make room. The state still has them, so that whoever comes after a killed turn
        starts them again or goes on."""
        if before.router is not None:
            ports = {running.port for running in gone}
            rows = [row for row in before.routes() if row["port"] not in ports]
            place.route_to(rows or before.routes())
        names = {running.instance for running in gone}
        for running, release in before.placed():
            if running.instance in names:
                await place.instance(running, release).stop(running.spec.stop_timeout)

    async def _drop_other(self, place: Place, before: State) -> None:
        """What was being brought in has failed: what ran before runs alone again."""
        alone = before.model_copy(update={"other": None, "incoming": False, "weight": 0})
        place.write(alone)
        if alone.router is not None:
            place.route(alone)
        await place.end_strangers(alone)
        await asyncio.to_thread(place.settle, alone)

    async def _revive(self, place: Place, state: State) -> State:
        """Start again what the state has and what does not run, on the old ports where they are free."""
        for side in state.sides:
            running = [
                old
                if place.instance(old, side.release).running()
                else await self._start(place, side.release, old.spec, side.workload, old.port)
                for old in side.running
            ]
            state = with_instances(state, side.workload, tuple(running))
        if state.router is not None:
            place.route(state)
            if not place.instance(state.router, ROUTER).running():
                router = await self._start_router(place, state, state.router)
                state = state.model_copy(update={"router": router})
        place.write(state)
        return state

    async def _start(
        self,
        place: Place,
        name: str,
        spec: ServiceSpec,
        workload: Workload,
        port: int | None = None,
        cwd: Path | None = None,
    ) -> Running:
        """One instance, healthy; on `port` if it is free."""
        instance = Path(tempfile.mkdtemp(dir=place.instances, prefix="")).name
        port = free_port(port, frozenset(self._ports))
        self._ports.add(port)
        try:
            running = Running(instance=instance, port=port, spec=spec)
            await place.instance(running, name).start(
                cwd or place.release(name), spec, workload, self._health_timeout
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
            if state is None or all(place.instance(*placed).running() for placed in state.placed()):
                return
            revived = await self._revive(place, state)
        except Permanent as error:
            logger.warning("A service was not started again in %s: %s", place.folder, error.message)
            return
        await place.end_strangers(revived)

    async def stop_all(self) -> None:
        """At the platform's end: stop every service and keep the states, from which `resume` brings them
        back."""
        places = await asyncio.to_thread(self._places)
        await asyncio.gather(*(self._stop(place) for place in places))

    async def _stop(self, place: Place) -> None:
        async with self._turn(place):
            state = place.read()
            for running, release in reversed(tuple(state.placed())) if state else ():
                await place.instance(running, release).stop(running.spec.stop_timeout)
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


async def _is_healthy(place: Place, running: Running, release: str) -> bool:
    return not await place.instance(running, release).health(running.spec)


async def _live(place: Place, state: State) -> LiveState:
    workload, other = state.workload, state.other
    live = LiveState(workload.revision, workload.digest, workload.version, state.kind, "healthy")
    if state.incoming and other is not None:
        wrong = await _wrong(place, other)
        revision = other.workload.revision
        candidate = Candidate(revision, state.weight, "unhealthy" if wrong else "healthy", wrong)
        live = replace(live, candidate=candidate)
    wrong, door = await _wrong(place, state.main), state.router or state.running
    if door is not None:
        instance = place.instance(door, state.release if door is state.running else ROUTER)
        live = replace(live, url=instance.url if instance.running() else None)
        if not wrong and not instance.running():
            wrong = "The way to the service is shut; deploy it again."
    return replace(live, health="unhealthy" if wrong else "healthy", message=wrong)


async def _wrong(place: Place, side: Side) -> str:
    """What is wrong with a side; empty when all of it runs and answers."""
    if not place.release(side.release).is_dir():
        return "The release's folder is gone; deploy it again."
    for running in side.running:
        if wrong := await place.instance(running, side.release).health(running.spec):
            return wrong
    return ""


def _is_whole(place: Place, release: str) -> bool:
    """Whether a release is as it was unpacked."""
    return place.release(release).is_dir() and not place.altered(release)


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
