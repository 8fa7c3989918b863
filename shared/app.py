"""The composition root: which adapter stands behind which port, and which service is made of what."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from shared.adapters import scan_reports
from shared.adapters.archives import ArchiveBundles
from shared.adapters.bundles import pack, unpack
from shared.adapters.codec import RecordCodec
from shared.adapters.definitions import YamlDefinitions
from shared.adapters.feeds.embedded import BlobFeeds
from shared.adapters.hosts.notices import read_azure_devops, read_github
from shared.adapters.hosts.routed import RoutedHost
from shared.adapters.manifests import YamlManifests
from shared.adapters.runners import reports
from shared.adapters.traced import TracedRunner, TracedStore, TracedTarget
from shared.domain.environments.lifecycle import Ladder
from shared.domain.images.lifecycle import ScanPolicy
from shared.domain.limits.model import Tariff
from shared.domain.retention.periods import Periods
from shared.domain.source.model import Provider
from shared.names import INDEXES
from shared.platforms import Ports, Replacements
from shared.ports.runner import Runner
from shared.ports.store import ChangeFeed, Feed, Store
from shared.ports.target import Target
from shared.ports.telemetry import OFF, Telemetry
from shared.services.artifact_blobs import ArtifactBlobs
from shared.services.artifacts import Artifacts
from shared.services.audit import Audit
from shared.services.blob_retention import BlobRetention
from shared.services.branch_policies import BranchPolicies
from shared.services.branches import Branches
from shared.services.build_ingestion import BuildIngestion
from shared.services.build_results import BuildOutputs
from shared.services.checks import Checks
from shared.services.commits import Commits
from shared.services.container_images import ContainerImages
from shared.services.deployments import Deployments
from shared.services.desired_state import DesiredStates
from shared.services.drift import Drifts
from shared.services.environments import Environments, Lanes
from shared.services.freeze_windows import FreezeWindows
from shared.services.gitops import GitOps
from shared.services.host_hooks import HostHooks, reachable
from shared.services.host_requests import HostRequests
from shared.services.host_twins import HostTwins
from shared.services.host_verdicts import HostVerdicts
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
from shared.services.retention import Retention
from shared.services.reviews import Reviews
from shared.services.rollout_controls import RolloutControls
from shared.services.rollouts import Rollouts
from shared.services.run_executor import RunExecutor
from shared.services.run_logs import RunLogs
from shared.services.runs import Runs
from shared.services.secret_expiry import SecretExpiry
from shared.services.stacks import Stacks, StackTurns
from shared.services.telemetry import MeasuredRuns, MeasuredViews, TracedUnits
from shared.services.tenants import Tenants
from shared.services.unit import Units
from shared.services.vendor_logs import VendorLogs
from shared.services.vendor_outputs import VendorOutputs
from shared.services.vendor_runs import VendorRuns
from shared.services.vendor_sweep import VendorSweep
from shared.services.views import Projection, Views
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
    drifts: Drifts
    tenants: Tenants
    stacks: Stacks
    provisioning: Provisioning
    infrastructure_plans: InfrastructurePlans
    audit: Audit
    performance: DeliveryPerformance
    keys: Keys
    retention: Retention
    limits: Limits
    host_requests: HostRequests
    host_hooks: HostHooks
    vendor_sweep: VendorSweep
    secret_expiry: SecretExpiry

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
        for vendor in self.vendors.values():
            await vendor.aclose()
        for registry in self.registries.values():
            await registry.aclose()
        await self.release()
        await asyncio.to_thread(self.telemetry.shutdown)


def build_app(settings: Settings, **replacements: Any) -> App:
    """Wire the platform of the settings; `replacements` stand in for ports by name (clock, tokens ...)."""
    ports = _ports(settings, replacements)
    clock, host, blobs, telemetry = ports.clock, _host(ports), ports.blobs, ports.telemetry
    definitions, manifests, periods = YamlDefinitions(), YamlManifests(), Periods(settings.retention)
    documents, steps, places = _told(telemetry, ports.store, ports.runner, ports.target)
    facts, tenants = DeploymentFacts(documents, telemetry), Tenants(documents)
    views = _views(telemetry, documents, ports.ordered_feed, (facts, tenants))
    units = _units(telemetry, documents, ports, views)
    repositories = Repositories(units, host, settings.base_url, (Provider.EMBEDDED, *ports.vendors))
    branches, kept = Branches(units, host), ArtifactBlobs(documents, blobs, clock)
    artifacts = Artifacts(units, blobs, ArchiveBundles())
    pull_requests = PullRequests(units, host, branches, clock)
    runs = _runs(settings, ports, units, steps, definitions, kept)
    environments = Environments(units, Ladder.of(settings.approvals))
    checks, lanes = Checks(pull_requests, runs), Lanes(units, environments)
    sweep = _sweep(settings, ports, units, pull_requests, checks)
    promotions = Promotions(units, environments, lanes)
    desired, live = DesiredStates(host, repositories, clock), LiveStates(manifests, blobs, places)
    plans = _infrastructure(settings, ports, units, environments)
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
        build_ingestion=BuildIngestion(units, artifacts, kept),
        container_images=_images(settings, ports, units, artifacts),
        packages=Packages(units, artifacts, BlobFeeds(blobs, ArchiveBundles()), periods),
        pull_requests=pull_requests,
        reviews=Reviews(units),
        checks=checks,
        pipelines=Pipelines(units, host, definitions, branches),
        runs=runs,
        releases=Releases(units, environments, promotions, host, periods),
        promotions=promotions,
        environments=environments,
        deployments=Deployments(units, lanes, manifests, desired),
        rollouts=rollouts,
        rollout_controls=RolloutControls(units, lanes),
        freeze_windows=FreezeWindows(units, environments, lanes),
        gitops=GitOps(units, environments, desired, live, rollouts),
        drifts=Drifts(units, environments, lanes, desired, live),
        tenants=tenants,
        stacks=Stacks(units, plans.files),
        provisioning=plans.provisioning,
        infrastructure_plans=plans,
        audit=Audit(documents),
        performance=DeliveryPerformance(facts, views, clock),
        keys=Keys(documents, clock),
        retention=Retention(units, BlobRetention(kept, units.codec), tenants, periods),
        host_requests=sweep.requests,
        host_hooks=sweep.hooks,
        secret_expiry=SecretExpiry(units, ports.secret_owner),
        vendor_sweep=sweep,
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


def _views(
    telemetry: Telemetry, documents: Store, feed: ChangeFeed | None, others: Sequence[Projection]
) -> Views:
    if telemetry is OFF:
        return Views(documents, INDEXES, feed, others)
    return MeasuredViews(telemetry, documents, INDEXES, feed, others)


def _host(ports: Ports) -> RoutedHost:
    """Every repository's own: the embedded one, or its vendor's."""
    vendors = {provider: vendor.source for provider, vendor in ports.vendors.items()}
    return RoutedHost({Provider.EMBEDDED: ports.source_host, **vendors})


def _runs(
    settings: Settings,
    ports: Ports,
    units: Units,
    steps: Runner,
    definitions: YamlDefinitions,
    kept: ArtifactBlobs,
) -> Runs:
    host, blobs, telemetry = _host(ports), ports.blobs, ports.telemetry
    outputs = BuildOutputs(kept, reports.count)
    step_timeout = settings.step_timeout_seconds
    executor = RunExecutor(units, host, steps, blobs, definitions, outputs, step_timeout)
    run_timeout = timedelta(seconds=settings.run_timeout_seconds)
    run_logs = RunLogs(units, blobs)
    ci = {provider: vendor.ci for provider, vendor in ports.vendors.items()}
    theirs = VendorOutputs(outputs, unpack, pack)
    vendor_runs = VendorRuns(units, host, ci, VendorLogs(blobs, ports.clock), theirs)
    made_of = (units, host, definitions, executor, vendor_runs, run_logs, settings.run_limit, run_timeout)
    return Runs(*made_of) if telemetry is OFF else MeasuredRuns(*made_of, telemetry)


def _sweep(
    settings: Settings, ports: Ports, units: Units, pull_requests: PullRequests, checks: Checks
) -> VendorSweep:
    """With everything that flows between an installation and its vendors."""
    vendors, branches = ports.vendors, pull_requests.branches
    verdicts = HostVerdicts(units, vendors, checks, settings.public_url.rstrip("/"))
    twins = HostTwins(units, vendors, branches, pull_requests)
    requests = HostRequests(units, vendors, branches, twins, verdicts)
    hooks = _hooks(settings, ports, units)
    return VendorSweep(units, branches, requests, hooks, settings.vendor_tenants)


def _hooks(settings: Settings, ports: Ports, units: Units) -> HostHooks:
    urls = {Provider.GITHUB: settings.github_url, Provider.AZURE_DEVOPS: settings.azure_devops_url}
    base = settings.base_url
    bases = {provider: base for provider, vendor in urls.items() if reachable(base, vendor)}
    notices = {Provider.GITHUB: read_github, Provider.AZURE_DEVOPS: read_azure_devops}
    tenants = settings.vendor_tenants
    return HostHooks(units, ports.vendors, ports.vault, ports.ids, bases, notices, tenants)


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
    """The ports as the services see them, telling what they do; just as they are where nobody watches. The
    host, which needs more of them, has them bare."""
    if telemetry is OFF:
        return store, runner, target
    return TracedStore(store, telemetry), TracedRunner(runner, telemetry), TracedTarget(target, telemetry)
