"""Ports that tell what they do, each around another adapter of the same port. They change no answer."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from shared.domain.kernel.ids import Root
from shared.ports.runner import OnOutput, Runner, ShouldStop, Step, StepOutcome, Workspace
from shared.ports.store import Document, Partition, Query, Store, TenantStore, Walk, Write
from shared.ports.target import LiveState, Split, Target, Workload
from shared.ports.telemetry import STORE_DURATION, Attributes, Telemetry


@dataclass(frozen=True, slots=True)
class TracedStore:
    """Around a Store: a span and a measurement per operation. Says how many documents, never which."""

    store: Store
    telemetry: Telemetry

    def open(self, tenant: str) -> TenantStore:
        return _TracedTenant(self.store.open(tenant), self.telemetry)

    async def ready(self) -> None:
        await self.store.ready()

    async def aclose(self) -> None:
        await self.store.aclose()


@dataclass(frozen=True, slots=True)
class _TracedTenant:
    tenant: TenantStore
    telemetry: Telemetry

    def partition(self, root: Root) -> Partition:
        return _TracedPartition(self.tenant.partition(root), self.telemetry, root.kind)

    async def query(self, query: Query) -> list[Document]:
        with _operation(self.telemetry, "query", {"slipway.kind": query.kind}):
            return await self.tenant.query(query)

    async def walk(self, query: Query) -> Walk:
        with _operation(self.telemetry, "walk", {"slipway.kind": query.kind}):
            return await self.tenant.walk(query)


@dataclass(frozen=True, slots=True)
class _TracedPartition:
    partition: Partition
    telemetry: Telemetry
    root: str

    async def read(self, ids: Sequence[str]) -> dict[str, Document]:
        with _operation(self.telemetry, "read", {"slipway.root": self.root, "slipway.documents": len(ids)}):
            return await self.partition.read(ids)

    async def scan(self, prefix: str, *, after: str = "", limit: int = 100) -> list[Document]:
        with _operation(self.telemetry, "scan", {"slipway.root": self.root}):
            return await self.partition.scan(prefix, after=after, limit=limit)

    async def commit(self, writes: Sequence[Write]) -> dict[str, str]:
        told: Attributes = {"slipway.root": self.root, "slipway.documents": len(writes)}
        with _operation(self.telemetry, "commit", told):
            return await self.partition.commit(writes)


@contextmanager
def _operation(telemetry: Telemetry, name: str, attributes: Attributes) -> Iterator[None]:
    started = perf_counter()
    with telemetry.begin(f"store {name}", attributes=attributes):
        try:
            yield
        finally:
            telemetry.measure(STORE_DURATION, perf_counter() - started, {"operation": name})


@dataclass(frozen=True, slots=True)
class TracedRunner:
    """Around a Runner: a span per step."""

    runner: Runner
    telemetry: Telemetry

    async def open(self, name: str) -> Workspace:
        return _TracedWorkspace(await self.runner.open(name), self.telemetry)

    async def sweep(self, keep: Sequence[str] = ()) -> int:
        return await self.runner.sweep(keep)


@dataclass(frozen=True, slots=True)
class _TracedWorkspace:
    workspace: Workspace
    telemetry: Telemetry

    @property
    def folder(self) -> Path:
        return self.workspace.folder

    async def run(self, step: Step, *, on_output: OnOutput, should_stop: ShouldStop) -> StepOutcome:
        with self.telemetry.begin(f"run step {step.name}") as span:
            outcome = await self.workspace.run(step, on_output=on_output, should_stop=should_stop)
            if outcome.exit_code is not None:
                span.set("process.exit.code", outcome.exit_code)
            if outcome.status != "succeeded":
                span.fail(outcome.status)
            return outcome

    async def aclose(self) -> None:
        await self.workspace.aclose()


@dataclass(frozen=True, slots=True)
class TracedTarget:
    """Around a Target: a span per look and per change."""

    target: Target
    telemetry: Telemetry

    async def observe(self, tenant: str, environment: str, component: str) -> LiveState:
        with self.telemetry.begin("target observe", attributes={"slipway.environment": environment}):
            return await self.target.observe(tenant, environment, component)

    async def apply(
        self, workload: Workload, artifact: Callable[[], Awaitable[Path]], split: Split | None = None
    ) -> LiveState:
        told = {"slipway.environment": workload.environment, "slipway.version": workload.version}
        with self.telemetry.begin("target apply", attributes=told):
            return await self.target.apply(workload, artifact, split)

    async def remove(self, tenant: str, environment: str, component: str) -> None:
        with self.telemetry.begin("target remove", attributes={"slipway.environment": environment}):
            await self.target.remove(tenant, environment, component)
