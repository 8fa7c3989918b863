"""The gateway for long-lived streams, which functions cannot hold open: a container behind HTTP/2."""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_azure_native import app

from infra.app_settings import Setting
from infra.components.containers import Containers, references, registries, variables
from infra.components.site import Component, Site, Text

PORT = 8080
MOST_REPLICAS = 10


class Gateway(Component):
    """Served straight from its own ingress: what stands before the API does not carry gRPC for sure."""

    def __init__(
        self,
        site: Site,
        containers: Containers,
        *,
        identity_id: Text,
        environment: Mapping[str, Setting],
        secrets: Mapping[str, Setting],
        after: Sequence[pulumi.Resource],
    ) -> None:
        super().__init__(site, "gateway")
        self.app = app.ContainerApp(
            "gateway",
            container_app_name=site.names("ca-gateway"),
            environment_id=containers.environment.id,
            workload_profile_name="Consumption",
            identity=app.ManagedServiceIdentityArgs(
                type=app.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[identity_id]
            ),
            configuration=app.ConfigurationArgs(
                active_revisions_mode=app.ActiveRevisionsMode.SINGLE,
                registries=registries(site, identity_id),
                secrets=references(secrets, identity_id),
                ingress=app.IngressArgs(
                    external=True,
                    transport=app.IngressTransportMethod.HTTP2,
                    target_port=PORT,
                    allow_insecure=False,
                ),
            ),
            template=app.TemplateArgs(
                containers=[
                    app.ContainerArgs(
                        name="gateway",
                        image=site.settings.gateway_image,
                        resources=app.ContainerResourcesArgs(cpu=0.5, memory="1Gi"),
                        env=variables(environment, secrets),
                        probes=[_probe(app.Type.LIVENESS), _probe(app.Type.READINESS)],
                    )
                ],
                scale=app.ScaleArgs(min_replicas=0, max_replicas=MOST_REPLICAS),
            ),
            opts=self.under(depends_on=list(after)),
            **site.place,
        )
        self.host: Text = self.app.configuration.apply(_host)
        self.register_outputs({})


def _host(configuration: object) -> str:
    ingress = getattr(configuration, "ingress", None)
    return getattr(ingress, "fqdn", None) or ""


def _probe(kind: app.Type) -> app.ContainerAppProbeArgs:
    """By connection: an HTTP probe would speak HTTP/1.1 to a port that does not."""
    return app.ContainerAppProbeArgs(
        type=kind,
        tcp_socket=app.ContainerAppProbeTcpSocketArgs(port=PORT),
        period_seconds=10,
        failure_threshold=3,
    )
