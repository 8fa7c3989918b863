"""Ports that can fail at any one call, in each way that a call over a network can fail.

They know nothing of what is called: a call is a name and something to await.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.domain.kernel.errors import DeliveryError, Transient
from shared.domain.kernel.ids import Root
from shared.ports.store import Store, StoreConflict, Write

type Perform = Callable[[], Awaitable[Any]]


class Killed(BaseException):
    """The process died here. No handler in the code under test may catch it."""


class Mode(StrEnum):
    CRASH_BEFORE = "crash before"
    """The process dies with the call not made."""
    CRASH_AFTER = "crash after"
    """The process dies with the call made and its answer unread."""
    ANSWER_LOST = "answer lost"
    """The call has its effect; its caller is told of a time-out."""
    THROTTLED = "throttled"
    """The call has no effect; its caller is told to come back."""
    CONFLICT = "conflict"
    """A batch is refused as if another writer had won, though nobody has written."""
    LATE = "late"
    """Its caller is told of a time-out; the effect comes with the retry's first call."""
    RACED = "raced"
    """Its caller is told of a time-out; the effect comes just before the retry makes the same call."""
    OVERTAKEN = "overtaken"
    """Before the call, another process does the whole operation from its beginning to its end."""

    @property
    def kills(self) -> bool:
        return self in (Mode.CRASH_BEFORE, Mode.CRASH_AFTER)


READS = frozenset(
    f"{port}.{call}"
    for port, calls in {
        "store": ("read", "scan", "query", "walk", "changes", "ready"),
        "blobs": ("read", "info", "signed_url"),
        "vault": ("get", "versions"),
        "target": ("observe",),
        "provisioner": ("preview", "state", "log"),
        "ci": ("find", "jobs", "log", "artifacts", "download"),
        "registry": ("has_blob", "read_blob", "find_manifest", "tags"),
        "source_host": (
            *("exists", "branches", "head", "merge_base", "is_ancestor", "diff"),
            *("info", "log", "read_file", "list_files", "pending"),
        ),
        "host_hooks": ("hooks", "statuses"),
        "host_requests": ("find_request", "requests"),
    }.items()
    for call in calls
)


@dataclass(frozen=True, slots=True)
class Point:
    """The `at`-th call of an operation. A nested one happens while another call holds its locks."""

    at: int
    call: str
    is_nested: bool

    @property
    def writes(self) -> bool:
        return self.call not in READS

    def modes(self) -> tuple[Mode, ...]:
        """The ways to fail that differ in what they leave behind: of a call that only reads, losing the
        answer is being throttled, and nothing can come late."""
        left_out = set() if self.writes else {Mode.ANSWER_LOST, Mode.LATE, Mode.RACED}
        if self.call != "store.commit":
            left_out.add(Mode.CONFLICT)
        if self.is_nested:
            left_out.add(Mode.OVERTAKEN)
        if self.call.startswith("ci."):
            # A vendor that is away is asked again by a later turn, which is another effect than this one's.
            left_out |= {Mode.ANSWER_LOST, Mode.THROTTLED, Mode.LATE, Mode.RACED}
        return tuple(mode for mode in Mode if mode not in left_out)


@dataclass
class Faults:
    """What goes wrong with the calls of one process. While armed, calls count, and the `at`-th (of those
    named `only`) fails, once."""

    at: int = 0
    only: str = ""
    mode: Mode | None = None
    overtake: Perform | None = None
    armed: bool = False
    calls: list[Point] = field(default_factory=list)
    _depth: int = 0
    _is_dead: bool = False
    _late: Perform | None = None
    _lands_in: int = 0

    async def call(self, name: str, perform: Perform) -> Any:
        if self._is_dead:
            # While a killed process unwinds, its clean-up code runs here; in the real one it does not.
            raise Killed
        is_nested = self._depth > 0
        if not is_nested:
            await self._land_when_due()
        self._depth += 1
        try:
            if self.armed:
                self.calls.append(Point(len(self.calls) + 1, name, is_nested))
                if self.only in ("", name) and self._count() == self.at:
                    self.armed = False
                    return await self._fail(name, perform)
            return await perform()
        finally:
            self._depth -= 1

    def client_retries(self) -> None:
        """A retry begins: what is late lands on its way."""
        self.armed = False
        self._lands_in = self.at if self.mode is Mode.RACED else 1

    async def land(self) -> None:
        """What is late lands now. Nobody waits for its answer."""
        late, self._late = self._late, None
        if late is not None:
            try:
                await late()
            except (DeliveryError, OSError):
                return  # refused, or what it was to fetch is gone with the caller

    def _count(self) -> int:
        return sum(1 for point in self.calls if self.only in ("", point.call))

    async def _land_when_due(self) -> None:
        if self._late is not None and self._lands_in > 0:
            self._lands_in -= 1
            if self._lands_in == 0:
                await self.land()

    async def _fail(self, name: str, perform: Perform) -> Any:
        match self.mode:
            case Mode.CRASH_BEFORE:
                self._is_dead = True
                raise Killed
            case Mode.CRASH_AFTER:
                await perform()
                self._is_dead = True
                raise Killed
            case Mode.ANSWER_LOST:
                await perform()
                raise Transient(f"{name} did not answer in time.")
            case Mode.THROTTLED:
                raise Transient(f"{name} is busy; ask again.")
            case Mode.CONFLICT:
                raise StoreConflict("Another writer was faster.", "none")
            case Mode.LATE | Mode.RACED:
                self._late = perform
                raise Transient(f"{name} did not answer in time.")
            case Mode.OVERTAKEN:
                assert self.overtake is not None
                await self.overtake()
                return await perform()
            case None:
                raise AssertionError("nothing is to fail")


class FaultyPort:
    """Any port: each of its coroutine methods is a call. What it opens is a port again."""

    def __init__(self, faults: Faults, name: str, inner: Any) -> None:
        self._faults = faults
        self._name = name
        self._inner = inner

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._inner, attribute)
        if not inspect.iscoroutinefunction(found):
            return found
        name = f"{self._name}.{attribute}"

        async def call(*arguments: Any, **named: Any) -> Any:
            # Read now: a call that comes late has sent its bytes long before.
            sent = [await _sent(argument) for argument in arguments]

            async def perform() -> Any:
                return await found(*sent, **named)

            return await self._faults.call(name, perform)

        return call


async def _sent(argument: Any) -> Any:
    return b"".join([chunk async for chunk in argument]) if hasattr(argument, "__aiter__") else argument


class FaultyRunner(FaultyPort):
    """A runner whose workspaces can fail too."""

    async def open(self, name: str) -> FaultyPort:
        workspace = await self._faults.call("runner.open", lambda: self._inner.open(name))
        return FaultyPort(self._faults, "workspace", workspace)


class FaultyStore(FaultyPort):
    """The store and its change feed. Opening a tenant or a partition asks nobody, so it is no call."""

    def open(self, tenant: str) -> "_FaultyTenant":
        return _FaultyTenant(self._faults, self._name, self._inner.open(tenant))


class _FaultyTenant(FaultyPort):
    def partition(self, root: Root) -> FaultyPort:
        return _FaultyPartition(self._faults, self._name, self._inner.partition(root))


class _FaultyPartition(FaultyPort):
    async def commit(self, writes: Sequence[Write]) -> Any:
        """What replaces whatever is there cannot lose to another writer, so it is another call."""
        name = "store.upsert" if all(write.op == "upsert" for write in writes) else "store.commit"
        return await self._faults.call(name, lambda: self._inner.commit(writes))


def faulty_ports(faults: Faults, store: Store, **ports: Any) -> dict[str, Any]:
    """Every port by the name that `build_app` knows it by."""
    wrapped = {name: FaultyPort(faults, name, port) for name, port in ports.items() if name != "runner"}
    return {
        "store": FaultyStore(faults, "store", store),
        "runner": FaultyRunner(faults, "runner", ports["runner"]),
    } | wrapped
