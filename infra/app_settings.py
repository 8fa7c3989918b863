"""The settings that a function app or a container is started with. Everything is reached as an identity:
there is no key, no connection string and no secret among them.
"""

from dataclasses import dataclass, replace

import pulumi

from infra.app_map import SECRETS, variable
from infra.settings import Settings
from shared.names import COSMOS, INFRASTRUCTURE, RUNS, SERVICE_BUS

type Setting = pulumi.Input[str]

SCRATCH = "/tmp/slipway"  # noqa: S108 - the one folder that an instance may write to, and its own
SWEEP_MINUTES = 15
"""Between two looks for branch moves that nobody recorded; each wakes an instance of the workers."""
DRIFT_MINUTES = 3
"""Between two looks whether environments run what git wants, unless a stack says otherwise; each wakes one,
too."""
JOB_QUEUES = (RUNS, INFRASTRUCTURE)
"""Queues whose work may outlast a function's time; a container works them where the stack has an image."""


@dataclass(frozen=True, kw_only=True)
class Backends:
    """Where the parts of one stack are, and as whom they are asked."""

    client_id: Setting
    host_storage: Setting
    service_bus: Setting
    """Fully qualified: name.servicebus.windows.net."""
    cosmos: Setting
    vault: Setting
    blobs: Setting
    insights: Setting
    """Application Insights' connection string, which says where it is and opens nothing."""
    directory: Setting
    """The Entra directory that the stack is deployed to."""
    public_url: Setting

    def seen_by(self, client_id: Setting) -> "Backends":
        """The same places, asked as somebody else."""
        return replace(self, client_id=client_id)


def function_settings(role: str, settings: Settings, backends: Backends) -> dict[str, Setting]:
    """All settings of a function app: the host's connections, telemetry, and Slipway's own."""
    return {
        **_connection("AzureWebJobsStorage", "accountName", backends.host_storage, backends),
        **_connection(SERVICE_BUS, "fullyQualifiedNamespace", backends.service_bus, backends),
        **_connection(COSMOS, "accountEndpoint", backends.cosmos, backends),
        **container_settings(role, settings, backends),
        **{
            name: pulumi.Output.concat("@Microsoft.KeyVault(SecretUri=", place, ")")
            for name, place in secret_places(settings, backends).items()
        },
    }


def secret_places(settings: Settings, backends: Backends) -> dict[str, Setting]:
    """Settings whose values are in the vault, and where there."""
    return {
        variable(name): pulumi.Output.concat(backends.vault, "secrets/", secret)
        for name, secret in settings.app.items()
        if name in SECRETS
    }


def container_settings(role: str, settings: Settings, backends: Backends) -> dict[str, Setting]:
    """Telemetry and Slipway's own settings: what the same code needs wherever it runs."""
    return {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": backends.insights,
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": pulumi.Output.concat(
            "ClientId=", backends.client_id, ";Authorization=AAD"
        ),
        "SLIPWAY_PLATFORM": "azure",
        "SLIPWAY_ROLE": role,
        # The package's own folder, which is the default's, can only be read.
        "SLIPWAY_DATA_DIR": SCRATCH,
        "SLIPWAY_CLIENT_ID": backends.client_id,
        "SLIPWAY_COSMOS_ENDPOINT": backends.cosmos,
        "SLIPWAY_SERVICEBUS_NAMESPACE": backends.service_bus,
        "SLIPWAY_KEYVAULT_URL": backends.vault,
        "SLIPWAY_BLOB_ENDPOINT": backends.blobs,
        **_issuer(settings, backends),
        "SLIPWAY_SWEEP_SCHEDULE": f"0 */{SWEEP_MINUTES} * * * *",
        "SLIPWAY_DRIFT_SCHEDULE": f"0 */{DRIFT_MINUTES} * * * *",
        "SLIPWAY_AUDIENCE": settings.audience,
        "SLIPWAY_PUBLIC_URL": backends.public_url,
        "SLIPWAY_JOB_QUEUES": ",".join(JOB_QUEUES) if settings.jobs_image else "",
        **{variable(name): value for name, value in settings.app.items() if name not in SECRETS},
    }


def _issuer(settings: Settings, backends: Backends) -> dict[str, Setting]:
    """Whose tokens are taken: of one issuer, or of the stack's directory, whose callers are one tenant."""
    if settings.issuer:
        return {"SLIPWAY_ISSUER": settings.issuer}
    tenant = settings.tenant or backends.directory
    return {"SLIPWAY_ENTRA_DIRECTORIES": pulumi.Output.concat(backends.directory, ":", tenant)}


def _connection(name: str, where: str, value: Setting, backends: Backends) -> dict[str, Setting]:
    """A trigger's connection by identity, as the Functions host reads it."""
    return {
        f"{name}__{where}": value,
        f"{name}__credential": "managedidentity",
        f"{name}__clientId": backends.client_id,
    }
