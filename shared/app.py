"""The composition root: which adapter stands behind which port, and which service is made of what."""

import asyncio
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from shared.adapters import scan_reports
from shared.adapters.archives import ArchiveBundles
from shared.adapters.codec import RecordCodec
from shared.adapters.definitions import YamlDefinitions
from shared.adapters.feeds.embedded import BlobFeeds
from shared.adapters.hosts.routed import RoutedHost
from shared.adapters.manifests import YamlManifests
from shared.adapters.runners import junit
from shared.adapters.traced import TracedRunner, TracedStore, TracedTarget
from shared.domain.environments.lifecycle import Ladder
from shared.domain.images.lifecycle import ScanPolicy
from shared.domain.limits.model import Tariff
from shared.domain.source.model import Provider
from shared.names import INDEXES
from shared.platforms import Ports, Replacements
from shared.ports.runner import Runner
from shared.ports.store import Feed, Store
from shared.ports.target import Target
from shared.ports.telemetry import OFF, Telemetry
from shared.services.artifacts import Artifacts
from shared.services.audit import Audit
from shared.services.branch_policies import BranchPolicies
from shared.services.branches import Branches
from shared.services.build_ingestion import BuildIngestion
from shared.services.build_results import BuildOutputs
from shared.services.checks import Checks
from shared.services.commits import Commits
from shared.services.container_images import ContainerImages
from shared.services.deployments import Deployments
from shared.services.desired_state import DesiredStates
from shared.services.environments import Environments, Lanes
from shared.services.freeze_windows import FreezeWindows
from shared.services.gitops import GitOps
from shared.services.image_pushes import ImagePushes
from shared.services.infrastructure_plans import InfrastructurePlans
from shared.services.keys import Keys
from shared.services.limits import Limits
from shared.services.live_states import LiveStates
from shared.services.packages import Packages
from shared.services.performance import DeliveryPerformance, DeploymentFacts
from shared.services.pipelines import Pipelines
from shared.services.plan_files import PlanFiles
from shared.services.promotions import Promotions
from shared.services.provisioning import Provisioning
from shared.services.pull_requests import PullRequests
from shared.services.releases import Releases
from shared.services.repositories import Repositories
from shared.services.reviews import Reviews
from shared.services.rollout_controls import RolloutControls
from shared.services.rollouts import Rollouts
from shared.services.run_executor import RunExecutor
from shared.services.run_logs import RunLogs
from shared.services.runs import Runs
from shared.services.stacks import Stacks, StackTurns
from shared.services.telemetry import MeasuredRuns, TracedUnits
from shared.services.unit import Units
from shared.services.vendor_sweep import VendorSweep
from shared.services.views import Views
from shared.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class App(Ports):
    """One installation, wired: its ports, and a service per noun."""

    units: Units
    views: Views
    repositories: Repositories
    branches: Branches
    branch_policies: BranchPolicies
    commits: Commits
    artifacts: Artifacts
    build_ingestion: BuildIngestion
    container_images: ContainerImages
    packages: Packages
    pull_requests: PullRequests
    reviews: Reviews
    checks: Checks
    pipelines: Pipelines
    runs: Runs
    releases: Releases
    promotions: Promotions
    environments: Environments
    deployments: Deployments
    rollouts: Rollouts
    rollout_controls: RolloutControls
    freeze_windows: FreezeWindows
    gitops: GitOps
    stacks: Stacks
    provisioning: Provisioning
    infrastructure_plans: InfrastructurePlans
    audit: Audit
    performance: DeliveryPerformance
    keys: Keys
    limits: Limits
    vendor_sweep: VendorSweep

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
        for host in self.vendor_hosts.values():
            await host.aclose()
        for registry in self.registries.values():
            await registry.aclose()
        await self.release()
        await asyncio.to_thread(self.telemetry.shutdown)


def build_app(settings: Settings, **replacements: Any) -> App:
    """Wire the platform of the settings; `replacements` stand in for ports by name (clock, tokens ...)."""
    ports = _ports(settings, replacements)
    clock, host, blobs, telemetry = ports.clock, _host(ports), ports.blobs, ports.telemetry
    definitions, manifests = YamlDefinitions(), YamlManifests()
    # The services get ports that tell what they do; the host, which needs more of them, has them bare.
    documents, steps, places = _told(telemetry, ports.store, ports.runner, ports.target)
    facts = DeploymentFacts(documents, telemetry)
    views = Views(documents, INDEXES, feed=ports.ordered_feed, others=(facts,))
    units = _units(telemetry, documents, ports, views)
    branches = Branches(units, host)
    providers = (Provider.EMBEDDED, *ports.vendor_hosts)
    repositories = Repositories(units, host, settings.base_url, providers)
    artifacts = Artifacts(units, blobs, ArchiveBundles())
    pull_requests = PullRequests(units, host, branches, clock)
    runs = _runs(settings, ports, units, steps, definitions)
    environments = Environments(units, Ladder.of(settings.approvals))
    lanes = Lanes(units, environments)
    promotions = Promotions(units, environments, lanes)
    desired = DesiredStates(host, repositories, clock)
    plans = _infrastructure(settings, ports, units, environments)
    live = LiveStates(manifests, blobs, places)
    rollouts = Rollouts(units, lanes, desired, live)
    return App(
        **{each.name: getattr(ports, each.name) for each in fields(ports)},
        units=units,
        views=views,
        repositories=repositories,
        branches=branches,
        branch_policies=BranchPolicies(units, host),
        commits=Commits(units, host, branches, artifacts, clock),
        artifacts=artifacts,
        build_ingestion=BuildIngestion(units, artifacts),
        container_images=_images(settings, ports, units, artifacts),
        packages=Packages(units, artifacts, BlobFeeds(blobs, ArchiveBundles())),
        pull_requests=pull_requests,
        reviews=Reviews(units),
        checks=Checks(pull_requests, runs),
        pipelines=Pipelines(units, host, definitions, branches),
        runs=runs,
        releases=Releases(units, environments, promotions, host),
        promotions=promotions,
        environments=environments,
        deployments=Deployments(units, lanes, manifests, desired),
        rollouts=rollouts,
        rollout_controls=RolloutControls(units, lanes),
        freeze_windows=FreezeWindows(units, environments, lanes),
        gitops=GitOps(units, environments, desired, live, rollouts),
        stacks=Stacks(units, plans.files),
        provisioning=plans.provisioning,
        infrastructure_plans=plans,
        audit=Audit(documents),
        performance=DeliveryPerformance(facts, views, clock),
        keys=Keys(documents, clock),
        vendor_sweep=VendorSweep(units, branches, settings.vendor_tenants),
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


def _host(ports: Ports) -> RoutedHost:
    """Every repository's own: the embedded one, or its vendor's."""
    return RoutedHost({Provider.EMBEDDED: ports.source_host, **ports.vendor_hosts})


def _runs(
    settings: Settings, ports: Ports, units: Units, steps: Runner, definitions: YamlDefinitions
) -> Runs:
    host, blobs, telemetry = _host(ports), ports.blobs, ports.telemetry
    outputs = BuildOutputs(blobs, junit.count)
    step_timeout = settings.step_timeout_seconds
    executor = RunExecutor(units, host, steps, blobs, definitions, outputs, step_timeout)
    run_timeout = timedelta(seconds=settings.run_timeout_seconds)
    run_logs = RunLogs(units, blobs)
    made_of = (units, host, definitions, executor, run_logs, settings.run_limit, run_timeout)
    return Runs(*made_of) if telemetry is OFF else MeasuredRuns(*made_of, telemetry)


def _infrastructure(
    settings: Settings, ports: Ports, units: Units, environments: Environments
) -> InfrastructurePlans:
    files, turns = PlanFiles(units, ports.blobs), StackTurns(timedelta(seconds=settings.iac_timeout_seconds))
    provisioning = Provisioning(units, ports.provisioner, ports.vault, files, environments, turns)
    programs, wait = frozenset(settings.iac_programs), settings.iac_preview_seconds
    return InfrastructurePlans(units, provisioning, turns, files, programs, wait)


def _images(settings: Settings, ports: Ports, units: Units, artifacts: Artifacts) -> ContainerImages:
    pushes = ImagePushes(ports.registries, ports.blobs, ArchiveBundles())
    scanner = scan_reports.UploadedReports(ports.blobs)
    policy = ScanPolicy({str(severity): most for severity, most in settings.image_findings.items()})
    return ContainerImages(units, artifacts, pushes, scanner, scan_reports.read, policy)


def _told(telemetry: Telemetry, store: Store, runner: Runner, target: Target) -> tuple[Store, Runner, Target]:
    """The ports as the services see them, telling what they do; just as they are where nobody watches."""
    if telemetry is OFF:
        return store, runner, target
    return TracedStore(store, telemetry), TracedRunner(runner, telemetry), TracedTarget(target, telemetry)
