"""The whole stack, in the order in which its parts need each other. Called by Pulumi, and by the tests."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import authorization, resources

from infra import access
from infra.access import APP, JOBS
from infra.app_settings import JOB_QUEUES, Backends, container_settings, secret_places
from infra.components.alerts import Alerts
from infra.components.compute import Around, FunctionApp, host_name
from infra.components.containers import Containers
from infra.components.data import Data
from infra.components.edge import Edge
from infra.components.gateway import Gateway
from infra.components.governance import Governance
from infra.components.grants import Grants, Scopes
from infra.components.identity import Identities
from infra.components.jobs import QueueJobs
from infra.components.messaging import Messaging, queue_ids
from infra.components.network import Network
from infra.components.observability import Observability
from infra.components.site import Site, Text
from infra.components.storage import Storage
from infra.components.vault import Vault
from infra.names import PROJECT, Names
from infra.settings import Settings
from shared.names import QUEUES, ROTATION

type Outputs = dict[str, pulumi.Input[object]]


@dataclass(frozen=True, kw_only=True)
class Base:
    """What everything that runs stands on."""

    site: Site
    observability: Observability
    identities: Identities
    network: Network | None
    storage: Storage
    data: Data
    messaging: Messaging
    vault: Vault
    edge: Edge | None


def build() -> Outputs:
    """Every resource of the stack; what its operators and the publishing workflow need to know of it."""
    base = _base(_site(Settings.load()))
    before = [_grants(base), *(base.network.endpoints if base.network else [])]
    backends = _backends(base)
    apps = {role: _function_app(base, role, backends, before) for role in base.site.settings.roles}
    front = next(iter(apps.values())).site_resource.default_host_name
    if base.edge:
        base.edge.lead_to(front)
    outputs = _containers(base, backends, before)
    sites = [(role, app.site_resource.id) for role, app in apps.items()]
    Grants(base.site, "deploy-grants", base.identities.principals, {access.SITES: sites}, base.data)
    Alerts(base.site, base.observability, base.messaging, pulumi.Output.from_input(backends.public_url))
    Governance(base.site)
    return {
        "apiUrl": backends.public_url,
        "functionApps": {role: app.site_resource.name for role, app in apps.items()},
        "resourceGroup": base.site.group,
        "cosmosEndpoint": base.data.endpoint,
        "serviceBusNamespace": base.messaging.host,
        "keyVaultUrl": base.vault.uri,
        "blobEndpoint": backends.blobs,
        "identities": {who: each.client_id for who, each in base.identities.by_role.items()},
        **outputs,
    }


def _site(settings: Settings) -> Site:
    names = Names.of(
        pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack(), settings.environment
    )
    tags = {
        "application": PROJECT,
        "environment": settings.environment,
        "owner": settings.owner,
        "cost-center": settings.cost_center,
        "managed-by": "pulumi",
    }
    group = resources.ResourceGroup(
        "group",
        resource_group_name=names("rg"),
        location=settings.location,
        tags=tags,
        opts=pulumi.ResourceOptions(protect=settings.protect or None),
    )
    deployer = authorization.get_client_config_output()
    return Site(
        settings=settings,
        names=names,
        group=group.name,
        group_id=group.id,
        subscription=deployer.subscription_id,
        tenant=deployer.tenant_id,
        tags=tags,
    )


def _base(site: Site) -> Base:
    observability = Observability(site)
    base = Base(
        site=site,
        observability=observability,
        identities=Identities(site),
        network=Network(site, observability) if site.settings.private else None,
        storage=Storage(site, observability),
        data=Data(site, observability),
        messaging=Messaging(site, observability),
        vault=Vault(site, observability),
        edge=Edge(site, observability) if site.settings.edge != "none" else None,
    )
    if base.network:
        base.network.connect("host-blob", base.storage.host.id, "blob")
        base.network.connect("host-table", base.storage.host.id, "table")
        base.network.connect("data-blob", base.storage.data.id, "blob")
        base.network.connect("bus", base.messaging.namespace.id, "namespace")
        base.network.connect("cosmos", base.data.account.id, "Sql")
        base.network.connect("vault", base.vault.vault.id, "vault")
    return base


def _grants(base: Base) -> Grants:
    """Everything that is granted before anything runs."""
    settings, storage, messaging = base.site.settings, base.storage, base.messaging
    by_jobs = JOB_QUEUES if settings.jobs_image else ()
    by_app = tuple(queue for queue in (*QUEUES, ROTATION) if queue not in by_jobs)
    sent = tuple(name for name in messaging.queues if name != ROTATION)
    registry = [("registry", pulumi.Output.from_input(settings.registry))] if settings.registry else []
    scopes: Scopes = {
        access.HOST_STORAGE: [("host-storage", storage.host.id)],
        access.DATA_STORAGE: [("data-storage", storage.data.id)],
        access.BLOBS: [("blobs", storage.blobs.id)],
        access.EVIDENCE: [("evidence", storage.evidence.id)],
        access.RELEASES: [("releases", storage.releases.id)],
        access.QUEUES: queue_ids(messaging, sent),
        access.APP_QUEUES: queue_ids(messaging, by_app),
        access.JOB_QUEUES: queue_ids(messaging, by_jobs),
        access.ROTATION: queue_ids(messaging, (ROTATION,)),
        access.DATABASE: [("database", base.data.scope)],
        access.VAULT: [("vault", base.vault.vault.id)],
        access.TELEMETRY: [("insights", base.observability.insights.id)],
        access.REGISTRY: registry,
    }
    principals = {**base.identities.principals, access.EXPIRIES: base.vault.principal}
    grants = Grants(base.site, "grants", principals, scopes, base.data)
    base.vault.tell(messaging.queues[ROTATION].id, [grants])
    return grants


def _backends(base: Base) -> Backends:
    site, settings = base.site, base.site.settings
    own_host: Text = pulumi.Output.from_input(host_name(site, settings.roles[0]))
    host = base.edge.endpoint.host_name if base.edge else own_host
    return Backends(
        client_id=base.identities[APP].client_id,
        host_storage=base.storage.host.name,
        service_bus=base.messaging.host,
        cosmos=base.data.endpoint,
        vault=base.vault.uri,
        blobs=base.storage.data.primary_endpoints.apply(lambda endpoints: endpoints.blob),
        insights=base.observability.insights.connection_string,
        directory=site.tenant,
        public_url=settings.public_url or pulumi.Output.concat("https://", host),
    )


def _function_app(base: Base, role: str, backends: Backends, before: list[pulumi.Resource]) -> FunctionApp:
    around = Around(
        identity_id=base.identities[APP].id,
        backends=backends,
        storage=base.storage,
        observability=base.observability,
        edge=base.edge,
        subnet=base.network.subnets[role].id if base.network else None,
    )
    return FunctionApp(base.site, role, around, before)


def _containers(base: Base, backends: Backends, before: list[pulumi.Resource]) -> Outputs:
    """The jobs and the gateway, each where the stack has its image."""
    settings = base.site.settings
    if not (settings.jobs_image or settings.gateway_image):
        return {}
    subnet = base.network.subnets["containers"].id if base.network else None
    containers = Containers(base.site, base.observability, subnet)
    if settings.jobs_image:
        jobs = base.identities[JOBS]
        QueueJobs(
            base.site,
            containers,
            JOB_QUEUES,
            namespace=base.messaging.namespace.name,
            identity_id=jobs.id,
            environment=container_settings("worker", settings, backends.seen_by(jobs.client_id)),
            secrets=secret_places(settings, backends),
            after=before,
        )
    if not settings.gateway_image:
        return {}
    gateway = Gateway(
        base.site,
        containers,
        identity_id=base.identities[APP].id,
        environment=container_settings("api", settings, backends),
        secrets=secret_places(settings, backends),
        after=before,
    )
    return {"gatewayHost": gateway.host}
