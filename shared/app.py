"""The composition root: which adapter stands behind which port, and which service is made of what."""

import asyncio
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from shared.adapters.archives import ArchiveBundles
from shared.adapters.codec import RecordCodec
from shared.adapters.definitions import YamlDefinitions
from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.bus_watch import BusWatch
from shared.adapters.embedded.signer import HmacSigner
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.embedded.system import RandomIds, SystemClock
from shared.adapters.embedded.vault import FileVault
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.manifests import YamlManifests
from shared.adapters.oidc import OidcTokens
from shared.adapters.runners import junit
from shared.adapters.runners.subprocess import SubprocessRunner
from shared.adapters.targets.folder import FolderTarget
from shared.adapters.traced import TracedRunner, TracedStore, TracedTarget
from shared.domain.environments.lifecycle import Ladder
from shared.domain.limits.model import Tariff
from shared.names import INDEXES
from shared.ports.clock import Clock
from shared.ports.ids import Ids
from shared.ports.runner import Runner
from shared.ports.signer import Signer
from shared.ports.store import Store
from shared.ports.target import Target
from shared.ports.telemetry import OFF, Telemetry
from shared.ports.tokens import TokenVerifier
from shared.ports.vault import Vault
from shared.services.artifacts import Artifacts
from shared.services.audit import Audit
from shared.services.branches import Branches
from shared.services.build_results import BuildOutputs
from shared.services.checks import Checks
from shared.services.commits import Commits
from shared.services.deployments import Deployments
from shared.services.desired_state import DesiredStates
from shared.services.environments import Environments, Lanes
from shared.services.gitops import GitOps
from shared.services.keys import Keys
from shared.services.limits import Limits
from shared.services.live_states import LiveStates
from shared.services.pipelines import Pipelines
from shared.services.promotions import Promotions
from shared.services.pull_requests import PullRequests
from shared.services.releases import Releases
from shared.services.repositories import Repositories
from shared.services.rollouts import Rollouts
from shared.services.run_executor import RunExecutor
from shared.services.run_logs import RunLogs
from shared.services.runs import Runs
from shared.services.telemetry import MeasuredRuns, TracedUnits
from shared.services.unit import Units
from shared.services.views import Views
from shared.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What stands behind the ports of one installation."""

    settings: Settings
    clock: Clock
    ids: Ids
    store: SqliteStore
    bus: SqliteBus
    telemetry: Telemetry
    blobs: FileBlobs
    vault: Vault
    signer: Signer
    tokens: TokenVerifier
    source_host: EmbeddedGit
    runner: SubprocessRunner
    target: FolderTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class App(Ports):
    """One installation, wired: its ports, and a service per noun."""

    units: Units
    views: Views
    repositories: Repositories
    branches: Branches
    commits: Commits
    artifacts: Artifacts
    pull_requests: PullRequests
    checks: Checks
    pipelines: Pipelines
    runs: Runs
    releases: Releases
    promotions: Promotions
    environments: Environments
    deployments: Deployments
    gitops: GitOps
    audit: Audit
    keys: Keys
    limits: Limits

    @property
    def feed(self) -> SqliteStore:
        """The change feed that the relay reads."""
        return self.store

    async def start(self) -> None:
        """Take up what an earlier process of this installation left: its scratch folders, its services."""
        await self.runner.sweep()
        await self.target.resume()

    async def housekeep(self) -> None:
        """Free what has expired, as the service does by itself; a bounded part each time."""
        await self.store.purge(limit=5000)

    async def aclose(self) -> None:
        """Stop what this installation runs and close its files. What was deployed comes back with `start`."""
        await self.target.stop_all()
        await self.store.aclose()
        await self.bus.aclose()
        await asyncio.to_thread(self.telemetry.shutdown)


def build_app(settings: Settings, **replacements: Any) -> App:
    """Wire the embedded platform; `replacements` stand in for ports by name (clock, ids, tokens ...)."""
    ports = _embedded(settings, replacements)
    clock, host, blobs, telemetry = ports.clock, ports.source_host, ports.blobs, ports.telemetry
    definitions, manifests = YamlDefinitions(), YamlManifests()
    # The services get ports that tell what they do; the host, which needs more of them, has them bare.
    documents, steps, places = _told(telemetry, ports.store, ports.runner, ports.target)
    views = Views(documents, INDEXES, feed=ports.store)
    units = _units(telemetry, documents, ports, views)
    branches = Branches(units, host)
    repositories = Repositories(units, host, settings.base_url)
    artifacts = Artifacts(units, blobs, ArchiveBundles())
    pull_requests = PullRequests(units, host, branches, clock)
    runs = _runs(settings, ports, units, steps, definitions)
    environments = Environments(units, Ladder.of(settings.approvals))
    lanes = Lanes(units, environments)
    promotions = Promotions(units, environments, lanes)
    desired = DesiredStates(host, repositories, clock)
    live = LiveStates(manifests, blobs, places)
    return App(
        **{each.name: getattr(ports, each.name) for each in fields(ports)},
        units=units,
        views=views,
        repositories=repositories,
        branches=branches,
        commits=Commits(units, host, branches, artifacts, clock),
        artifacts=artifacts,
        pull_requests=pull_requests,
        checks=Checks(pull_requests, runs),
        pipelines=Pipelines(units, host, definitions, branches),
        runs=runs,
        releases=Releases(units, environments, promotions, host),
        promotions=promotions,
        environments=environments,
        deployments=Deployments(units, lanes, manifests, desired),
        gitops=GitOps(units, environments, desired, live, Rollouts(units, lanes, desired, live)),
        audit=Audit(documents),
        keys=Keys(documents, clock),
        limits=Limits(documents, clock, Tariff(settings.tiers)),
    )


def _embedded(settings: Settings, replacements: dict[str, Any]) -> Ports:
    """SQLite, files, real git and real processes below the data folder."""
    folder, port = settings.data_dir, replacements.get
    folder.mkdir(parents=True, exist_ok=True)
    clock: Clock = port("clock") or SystemClock()
    ids: Ids = port("ids") or RandomIds()
    health = settings.health_timeout_seconds
    telemetry: Telemetry = port("telemetry") or _telemetry(settings)
    telemetry.watch(BusWatch(folder / "bus.db", clock))
    issuer = (settings.token_issuer, settings.audience, clock)
    return Ports(
        settings=settings,
        clock=clock,
        ids=ids,
        store=port("store") or SqliteStore(folder / "store.db", INDEXES, clock),
        bus=port("bus") or SqliteBus(folder / "bus.db", clock),
        telemetry=telemetry,
        blobs=port("blobs") or FileBlobs(folder / "blobs", base_url=settings.base_url, clock=clock),
        vault=port("vault") or FileVault(folder / "vault", clock, ids),
        signer=port("signer") or HmacSigner(folder / "signing.key"),
        tokens=port("tokens") or OidcTokens(*issuer, jwks_url=settings.jwks_url),
        source_host=port("source_host") or EmbeddedGit(folder / "git", clock),
        runner=port("runner") or SubprocessRunner(folder / "work", output_cap=settings.step_output_bytes),
        target=port("target") or FolderTarget(folder / "environments", clock, health_timeout=health),
    )


def _units(telemetry: Telemetry, documents: Store, ports: Ports, views: Views) -> Units:
    made_with = (documents, RecordCodec(), ports.clock, ports.ids)
    if telemetry is OFF:
        return Units(*made_with, views=views)
    return TracedUnits(*made_with, telemetry, views=views)


def _runs(
    settings: Settings, ports: Ports, units: Units, steps: Runner, definitions: YamlDefinitions
) -> Runs:
    host, blobs, telemetry = ports.source_host, ports.blobs, ports.telemetry
    outputs = BuildOutputs(blobs, junit.count)
    step_timeout = settings.step_timeout_seconds
    executor = RunExecutor(units, host, steps, blobs, definitions, outputs, step_timeout)
    run_timeout = timedelta(seconds=settings.run_timeout_seconds)
    run_logs = RunLogs(units, blobs)
    made_of = (units, host, definitions, executor, run_logs, settings.run_limit, run_timeout)
    return Runs(*made_of) if telemetry is OFF else MeasuredRuns(*made_of, telemetry)


def _telemetry(settings: Settings) -> Telemetry:
    """Off, or what the settings ask for; the SDK is loaded only then."""
    if settings.telemetry == "off":
        return OFF
    from shared.adapters.telemetry import exporting  # noqa: PLC0415

    endpoint, sample = settings.telemetry_endpoint, settings.telemetry_sample
    return exporting(settings.telemetry, endpoint, sample, settings.role)


def _told(telemetry: Telemetry, store: Store, runner: Runner, target: Target) -> tuple[Store, Runner, Target]:
    """The ports as the services see them, telling what they do; just as they are where nobody watches."""
    if telemetry is OFF:
        return store, runner, target
    return TracedStore(store, telemetry), TracedRunner(runner, telemetry), TracedTarget(target, telemetry)
