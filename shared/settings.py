"""The one settings model, and the only reader of the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.domain.limits.model import CONCURRENT_DEPLOYMENTS
from shared.domain.retention.periods import DEFAULTS, LEAST_FOR_RELEASES

PREFIX = "SLIPWAY_"

LOOPBACK = frozenset({"127.0.0.1", "localhost"})
NEEDED_ON_AZURE = (
    "cosmos_endpoint",
    "servicebus_namespace",
    "keyvault_url",
    "blob_endpoint",
    "issuer",
    "public_url",
)

type Tier = Literal["standard", "premium", "unmetered"]


class BadSettings(Exception):
    """One clear line per mistake."""


def _pairs(value: object) -> object:
    """`dev:0,test:0` as a mapping."""
    if not isinstance(value, str):
        return value
    return dict(part.strip().partition(":")[::2] for part in value.split(",") if part.strip())


def _listed(value: object) -> object:
    """`runs,source` as a tuple."""
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


def _url(value: str) -> str:
    """An https URL; http within this machine, where stand-ins and emulators answer."""
    found = urlsplit(value)
    is_safe = found.scheme == "https" or (found.scheme == "http" and found.hostname in LOOPBACK)
    if value and not (is_safe and found.hostname):
        raise ValueError("give it as https://host/; http is for this machine only")
    return value


def _host(value: str) -> str:
    """A host name, with a port where it is this machine."""
    host, _, port = value.partition(":")
    if "/" in value or (port and host not in LOOPBACK):
        raise ValueError("give the host name alone, as in name.servicebus.windows.net")
    return value


def _distinct(value: dict[str, str]) -> dict[str, str]:
    if "embedded" in value:
        raise ValueError("`embedded` is the platform's own registry; name yours differently")
    return value


def _known_queues(value: tuple[str, ...]) -> tuple[str, ...]:
    from shared.names import QUEUES  # noqa: PLC0415 - few installations name any

    if unknown := set(value) - set(QUEUES):
        raise ValueError(f"there is no queue {', '.join(sorted(unknown))}; there are {', '.join(QUEUES)}")
    return value


def _one_each(value: dict[str, str]) -> dict[str, str]:
    """Two tenants in one organization could see and overwrite each other's repositories."""
    if any(not tenant or not organization for tenant, organization in value.items()):
        raise ValueError("give it as tenant:organization, several with commas between them")
    if len({organization.casefold() for organization in value.values()}) < len(value):
        raise ValueError("give every tenant an organization of its own")
    return value


def _kept_long_enough(value: dict[str, int]) -> dict[str, int]:
    if unknown := sorted(value.keys() - DEFAULTS.keys()):
        raise ValueError(f"there is nothing called {', '.join(unknown)}; there are {', '.join(DEFAULTS)}")
    if any(days < 1 for days in value.values()):
        raise ValueError("give a day at least")
    if value.get("releases", LEAST_FOR_RELEASES) < LEAST_FOR_RELEASES:
        raise ValueError(f"releases and their approvals are kept for {LEAST_FOR_RELEASES} days at least")
    return {**DEFAULTS, **value}


type Url = Annotated[str, AfterValidator(_url)]
type Organizations = Annotated[dict[str, str], BeforeValidator(_pairs), AfterValidator(_one_each)]
type RegistryName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
type Severity = Literal["critical", "high", "medium", "low", "unknown"]


class Settings(BaseModel):
    """Every setting, with its default for the embedded platform. Environment names are SLIPWAY_ + upper
    case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["api", "worker", "all"] = "all"
    """Which functions this deployment of the package registers."""
    platform: Literal["embedded", "azure"] = "embedded"
    """Where documents, messages, secrets and blobs are kept."""
    cosmos_endpoint: Url = ""
    """The Cosmos DB account, as in https://name.documents.azure.com:443/."""
    servicebus_namespace: Annotated[str, AfterValidator(_host)] = ""
    """As in name.servicebus.windows.net."""
    keyvault_url: Url = ""
    """As in https://name.vault.azure.net/."""
    blob_endpoint: Url = ""
    """As in https://name.blob.core.windows.net/."""
    client_id: str = ""
    """Client id of the user-assigned identity to act as; default: the system's, or who signed in."""
    sweep_schedule: str = "*/10 * * * * *"
    """When to look for branch moves that nobody recorded: a timer's six fields. A look wakes an instance."""
    drift_schedule: str = "0 */3 * * * *"
    """When to look whether environments run what git wants, told likewise. A look wakes an instance, too."""
    job_queues: Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_known_queues)] = ()
    """Queues that container jobs work off, as in `runs`; the functions leave them alone."""
    data_dir: Path = Path(".slipway")
    """Where the embedded platform keeps everything; on Azure: repositories, runs in work, deployments."""
    port: Annotated[int, Field(ge=0, le=65535)] = 7071
    public_url: str = ""
    """The URL callers reach this installation by; default http://127.0.0.1:<port>."""
    issuer: str = ""
    """Issuer of the tokens; default the public URL, where the local issuer answers."""
    audience: str = "slipway"
    entra_directories: Annotated[dict[str, str], BeforeValidator(_pairs)] = {}
    """Instead of the issuer: directories of Microsoft Entra ID, each with the tenant that its callers belong
    to, as in `11111111-2222-3333-4444-555555555555:acme`; with no tenant, the tenant claim says it. The
    audience is then the client id of this API's registration."""
    entra_v1_audience: str = ""
    """The App ID URI, where the registration still gives tokens of version 1.0; else they are refused."""
    jwks_url: str = ""
    """Where the issuer's keys are; default: found by its discovery document."""
    tenant_claim: str = ""
    """A claim to take the tenant from when the token has neither tenantId nor tenant_id."""
    github_url: Url = "https://api.github.com"
    """GitHub's API; of an Enterprise Server, https://host/api/v3."""
    github_organizations: Organizations = {}
    """The organization on GitHub that a tenant's repositories are made in, as in `acme:acme-corp`. Its token
    is the tenant's secret `github-token`."""
    azure_devops_url: Url = "https://dev.azure.com"
    """Azure DevOps; of a server of one's own, https://host/."""
    azure_devops_organizations: Organizations = {}
    """The organization (of a server: the collection) on Azure DevOps that a tenant's repositories are made
    in, each in the project of its name, as in `acme:acme-corp`. Its personal access token is the tenant's
    secret `azure-devops-token`."""
    azure_devops_create_projects: bool = False
    """Whether a project that is not there may be made; else repositories go into existing ones only."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    approvals: Annotated[
        dict[str, int], BeforeValidator(_pairs), Field(max_length=CONCURRENT_DEPLOYMENTS)
    ] = {
        "dev": 0,
        "test": 0,
        "staging": 1,
        "prod": 2,
    }
    """Required approvals per environment, in the order of promotion."""
    retention: Annotated[dict[str, int], BeforeValidator(_pairs), AfterValidator(_kept_long_enough)] = {
        **DEFAULTS
    }
    """Days that things are kept after their end, as in `runs:90`; what is not named has its default. Of
    releases it is seven years at least."""
    run_limit: Annotated[int, Field(ge=1)] = 100
    """Active pipeline runs per repository."""
    tiers: Annotated[dict[str, Tier], BeforeValidator(_pairs)] = {}
    """Request rates by tenant, as in `acme:premium`; `*` stands for every other tenant, default standard."""
    run_timeout_seconds: Annotated[float, Field(gt=0)] = 3600
    step_timeout_seconds: Annotated[float, Field(gt=0)] = 600
    step_output_bytes: Annotated[int, Field(gt=0)] = 8 * 1024 * 1024
    """Output kept per step; the rest is dropped and the log says so."""
    health_timeout_seconds: Annotated[float, Field(gt=0)] = 20
    """How long a deployed service may take to become healthy."""
    iac_backend: Literal["local", "automation", "deployments"] = "local"
    """Who carries out infrastructure plans: the embedded simulation, which changes nothing outside its own
    state; the Pulumi CLI beside the workers; or a deployment service."""
    iac_programs: Annotated[dict[str, Path], BeforeValidator(_pairs)] = {}
    """Programs that callers may name, with their folders, as in `Acme.Infra.Shop:infra/shop`."""
    iac_policy_packs: Annotated[tuple[Path, ...], BeforeValidator(_listed)] = ()
    """Folders of the policy packs that every plan has to pass."""
    iac_preview_seconds: Annotated[float, Field(gt=0, le=120)] = 10
    """How long a caller waits for a preview; after that it goes on in a worker."""
    iac_timeout_seconds: Annotated[float, Field(gt=0)] = 3600
    """How long one plan may be at work on its stack."""
    iac_state_url: str = ""
    """Where the CLI keeps the states, as azblob://state?storage_account=name."""
    iac_secrets_provider: str = ""
    """What encrypts secrets in those states, as azurekeyvault://name.vault.azure.net/keys/pulumi."""
    iac_service_url: Url = "https://api.pulumi.com"
    """The deployment service."""
    iac_source: str = ""
    """The git repository that it takes the programs from, and the branch, as https://host/infra.git#main; the
    programs' folders are below its root. Default: the deployment settings of each stack."""
    iac_organization: str = ""
    """Whose stacks they are in the deployment service."""
    iac_access_token: Annotated[str, Field(repr=False)] = ""
    """The deployment service's token; on Azure a reference to the vault."""
    registries: Annotated[dict[RegistryName, Url], BeforeValidator(_pairs), AfterValidator(_distinct)] = {}
    """Container registries beside the embedded one, as in `acr:https://name.azurecr.io`. Each tenant keeps
    its `user:password` in its vault, as `registry-<name>`."""
    image_findings: Annotated[dict[Severity, Annotated[int, Field(ge=0)]], BeforeValidator(_pairs)] = {
        "critical": 0
    }
    """Findings of a scan that an image may have, by severity; with more it goes into quarantine."""
    telemetry: Literal["off", "console", "otlp"] = "off"
    """Where spans and measurements go; off costs nothing and loads nothing."""
    telemetry_endpoint: str = ""
    """The collector, as http://host:4318; default: the exporter's own, by OTEL_EXPORTER_OTLP_ENDPOINT."""
    telemetry_sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the traces that begin here which are kept; a caller's own decision goes before it."""

    @property
    def base_url(self) -> str:
        return (self.public_url or f"http://127.0.0.1:{self.port}").rstrip("/")

    @property
    def vendor_tenants(self) -> frozenset[str]:
        """Those that have an organization on a vendor's host."""
        return frozenset(self.github_organizations) | frozenset(self.azure_devops_organizations)

    @property
    def token_issuer(self) -> str:
        return self.issuer or self.base_url

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> "Settings":
        """From the environment (default: the process's), then `overrides`. Raises BadSettings."""
        source = os.environ if environ is None else environ
        values: dict[str, Any] = {
            name: source[PREFIX + name.upper()]
            for name in cls.model_fields
            if source.get(PREFIX + name.upper())
        }
        values.update({name: value for name, value in overrides.items() if value is not None})
        lines = [
            f"{PREFIX}{name.upper()}: {PREFIX}PLATFORM=azure needs it."
            for name in NEEDED_ON_AZURE
            if values.get("platform") == "azure"
            and not values.get(name)
            and not (name == "issuer" and values.get("entra_directories"))
        ]
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            wrong = [f"{PREFIX}{str(row['loc'][0]).upper()}: {row['msg']}" for row in error.errors()]
            raise BadSettings("\n".join([*wrong, *lines])) from None
        if lines:
            raise BadSettings("\n".join(lines))
        return settings
