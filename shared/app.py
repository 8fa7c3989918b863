"""The composition root: which adapter stands behind which port, and which service is made of what."""

import asyncio
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from shared.adapters.archives import ArchiveBundles
from shared.adapters.codec import RecordCodec
from shared.adapters.definitions import YamlDefinitions
from shared.adapters.manifests import YamlManifests
from shared.adapters.runners import junit
from shared.adapters.traced import TracedRunner, TracedStore, TracedTarget
from shared.domain.environments.lifecycle import Ladder
from shared.domain.limits.model import Tariff
from shared.names import INDEXES
from shared.platforms import Ports, Replacements
from shared.ports.runner import Runner
from shared.ports.store import Feed, Store
from shared.ports.target import Target
from shared.ports.telemetry import OFF, Telemetry
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
    def feed(self) -> Feed:
        """What the relay reads."""
        return self.store

    async def start(self) -> None:
        """Take up what an earlier process of this installation left: its scratch folders, its services."""
        await self.runner.sweep()
        await self.target.resume()

    async def housekeep(self) -> None:
        """Free what has expired, as the service does by itself; a bounded part each time."""
        await self.tidy()

    async def aclose(self) -> None:
        """Stop what this installation runs and close its files. What was deployed comes back with `start`."""
        await self.target.stop_all()
        await self.store.aclose()
        await self.bus.aclose()
        await self.release()
        await asyncio.to_thread(self.telemetry.shutdown)


def build_app(settings: Settings, **replacements: Any) -> App:
    """Wire the platform of the settings; `replacements` stand in for ports by name (clock, tokens ...)."""
    ports = _ports(settings, replacements)
    clock, host, blobs, telemetry = ports.clock, ports.source_host, ports.blobs, ports.telemetry
    definitions, manifests = YamlDefinitions(), YamlManifests()
    # The services get ports that tell what they do; the host, which needs more of them, has them bare.
    documents, steps, places = _told(telemetry, ports.store, ports.runner, ports.target)
    views = Views(documents, INDEXES, feed=ports.ordered_feed)
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


def _ports(settings: Settings, replacements: Replacements) -> Ports:
    """Only the platform that is asked for is loaded."""
    if settings.platform == "azure":
        from shared.platforms import azure  # noqa: PLC0415

        return azure.ports(settings, replacements)
    from shared.platforms import embedded  # noqa: PLC0415

    return embedded.ports(settings, replacements)


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


def _told(telemetry: Telemetry, store: Store, runner: Runner, target: Target) -> tuple[Store, Runner, Target]:
    """The ports as the services see them, telling what they do; just as they are where nobody watches."""
    if telemetry is OFF:
        return store, runner, target
    return TracedStore(store, telemetry), TracedRunner(runner, telemetry), TracedTarget(target, telemetry)
