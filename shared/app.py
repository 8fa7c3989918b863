"""The composition root: which adapter stands behind which port, and which service is made of what."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.adapters.archives import ArchiveBundles
from shared.adapters.codec import RecordCodec
from shared.adapters.definitions import YamlDefinitions
from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.embedded.system import RandomIds, SystemClock
from shared.adapters.embedded.vault import FileVault
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.manifests import YamlManifests
from shared.adapters.oidc import OidcTokens
from shared.adapters.runners import junit
from shared.adapters.runners.subprocess import SubprocessRunner
from shared.adapters.targets.folder import FolderTarget
from shared.domain.environments.lifecycle import Ladder
from shared.names import INDEXES
from shared.ports.clock import Clock
from shared.ports.ids import Ids
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
from shared.services.unit import Units
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class App:
    """One installation, wired. Ports first, then a service per noun."""

    settings: Settings
    clock: Clock
    ids: Ids
    store: SqliteStore
    bus: SqliteBus
    blobs: FileBlobs
    vault: Vault
    tokens: TokenVerifier
    source_host: EmbeddedGit
    runner: SubprocessRunner
    target: FolderTarget
    units: Units
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


def build_app(settings: Settings, **replacements: Any) -> App:
    """Wire the embedded platform; `replacements` stand in for ports by name (clock, ids, tokens, runner
    ...)."""
    folder = settings.data_dir
    folder.mkdir(parents=True, exist_ok=True)
    port = replacements.get
    clock: Clock = port("clock") or SystemClock()
    ids: Ids = port("ids") or RandomIds()
    store = port("store") or SqliteStore(folder / "store.db", INDEXES, clock)
    blobs = port("blobs") or FileBlobs(folder / "blobs", base_url=settings.base_url, clock=clock)
    host = port("source_host") or EmbeddedGit(folder / "git", clock)
    runner = port("runner") or SubprocessRunner(folder / "work", output_cap=settings.step_output_bytes)
    target = port("target") or FolderTarget(
        folder / "environments", clock, health_timeout=settings.health_timeout_seconds
    )
    tokens = port("tokens") or OidcTokens(
        settings.token_issuer, settings.audience, clock, jwks_url=settings.jwks_url
    )
    definitions, manifests = YamlDefinitions(), YamlManifests()

    units = Units(store, RecordCodec(), clock, ids)
    branches = Branches(units, host)
    repositories = Repositories(units, host, settings.base_url)
    artifacts = Artifacts(units, blobs, ArchiveBundles())
    pull_requests = PullRequests(units, host, branches, clock)
    outputs = BuildOutputs(blobs, junit.count)
    step_timeout = settings.step_timeout_seconds
    executor = RunExecutor(units, host, runner, blobs, definitions, outputs, step_timeout)
    run_timeout = timedelta(seconds=settings.run_timeout_seconds)
    run_logs = RunLogs(units, blobs)
    runs = Runs(units, host, definitions, executor, run_logs, settings.run_limit, run_timeout)
    environments = Environments(units, Ladder.of(settings.approvals))
    lanes = Lanes(units, environments)
    promotions = Promotions(units, environments, lanes)
    desired = DesiredStates(host, repositories, clock)
    live = LiveStates(manifests, blobs, target)
    return App(
        settings=settings,
        clock=clock,
        ids=ids,
        store=store,
        bus=port("bus") or SqliteBus(folder / "bus.db", clock),
        blobs=blobs,
        vault=port("vault") or FileVault(folder / "vault", clock, ids),
        tokens=tokens,
        source_host=host,
        runner=runner,
        target=target,
        units=units,
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
        audit=Audit(store),
        keys=Keys(store, clock),
    )
