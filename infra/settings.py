"""What may differ between stacks. Read from the configuration once, checked as a whole, then frozen."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import pulumi

from infra.app_map import BadApp, read_app
from infra.names import ENVIRONMENT, camel

MEMORY_SIZES = (512, 2048, 4096)
HTTP_CONCURRENCY = 1000
INSTANCES = 1000
_IMAGE = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+(:[\w.-]+@|@)sha256:[0-9a-f]{64}")
_REGISTRY = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.ContainerRegistry/registries/[A-Za-z0-9]+"
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One stack. In the configuration the names are camelCase: `slipway:budgetFrom`."""

    environment: str
    location: str
    owner: str
    cost_center: str
    budget: int
    """Of the billing currency, for a month."""
    budget_from: str
    """First of a month; a date of today would be another budget at every deployment."""
    roles: tuple[str, ...] = ("all",)
    """A function app each: `all`, or `api` and `worker` apart, so that neither scales with the other."""
    instance_memory_mb: int = 2048
    maximum_instances: int = 40
    http_concurrency: int = 32
    """Requests that one instance answers at once before another is started."""
    always_ready: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Instances kept warm, by role and then by `http` or `function:<name>`."""
    cosmos: str = "serverless"
    """Chosen when the account is made: Azure does not turn the one into the other."""
    cosmos_throughput: int = 1000
    """Most request units a second of an autoscaled database; a tenth of it is always paid."""
    service_bus: str = "Standard"
    messaging_units: int = 1
    private: bool = False
    edge: str = "none"
    """Front Door in front: `none`, `Standard`, or `Premium`, whose firewall knows attacks by itself."""
    zone_redundant: bool = False
    protect: bool = False
    """What holds data cannot be destroyed by the program."""
    issuer: str = ""
    """Of the callers' tokens; default the Entra directory that the stack is deployed to."""
    tenant: str = ""
    """Which tenant the callers of that directory belong to; default: one called by the directory's id."""
    audience: str = "slipway"
    public_url: str = ""
    """Default: Front Door's host, or else the app's own."""
    jobs_image: str = ""
    gateway_image: str = ""
    registry: str = ""
    """Resource id of the container registry that the images are pulled from."""
    deploy_from: str = ""
    """Subject of the workflow that may publish code, as in `repo:owner/name:environment:prod`."""
    alert_emails: tuple[str, ...] = ()
    availability: bool = False
    """Ask for the health page from outside, every five minutes from three places."""
    evidence_days: int = 30
    log_days: int = 30
    log_gb_per_day: int = 1
    app: Mapping[str, str] = field(default_factory=dict)
    """Slipway's own settings, of those that `app_map.py` lists; `shared/settings.py` says what they mean."""

    @property
    def registry_name(self) -> str:
        return self.registry.rpartition("/")[2].lower()

    @classmethod
    def load(cls) -> "Settings":
        """From the stack's configuration. Raises RunError, one line per mistake."""
        config = pulumi.Config("slipway")
        given, mistakes = {}, []
        for each in fields(cls):
            key = camel(each.name)
            try:
                value = _read(config, key, each.type)
            except BadApp as error:
                mistakes.append(str(error))
                continue
            except (pulumi.ConfigTypeError, pulumi.ConfigMissingError, TypeError, ValueError):
                mistakes.append(f"slipway:{key} must be {_KINDS[each.type][1]}")
                continue
            if value is not None:
                given[each.name] = value
            elif each.name in REQUIRED:
                mistakes.append(f"slipway:{key} is missing; set it with `pulumi config set {key} VALUE`")
        if not mistakes:
            settings = cls(**given)
            mistakes = list(settings.mistakes())
        if mistakes:
            raise pulumi.RunError("The stack's configuration is wrong:\n  " + "\n  ".join(mistakes))
        return settings

    def mistakes(self) -> Iterator[str]:
        """What Azure would refuse in the middle of a deployment, or accept and never run."""
        yield from self._naming()
        yield from self._scaling()
        yield from self._data()
        yield from self._images()

    def _naming(self) -> Iterator[str]:
        if not ENVIRONMENT.fullmatch(self.environment):
            yield f"slipway:environment `{self.environment}` must be 2 to 5 lower-case letters and digits"
        if self.roles not in {("all",), ("api", "worker")}:
            yield "slipway:roles must be [all], or [api, worker]"
        for key, url in (("issuer", self.issuer), ("publicUrl", self.public_url)):
            if url and (urlsplit(url).scheme != "https" or not urlsplit(url).netloc):
                yield f"slipway:{key} must be an https:// URL"
        if self.edge not in {"none", "Standard", "Premium"}:
            yield "slipway:edge must be none, Standard or Premium"
        if self.deploy_from and not self.deploy_from.startswith("repo:"):
            yield "slipway:deployFrom must be like repo:owner/name:environment:prod"
        elif self.deploy_from and ":environment:" not in self.deploy_from:
            yield "slipway:deployFrom must name an environment, or every branch could publish"
        try:
            first = date.fromisoformat(self.budget_from).day == 1
        except ValueError:
            first = False
        if not first:
            yield "slipway:budgetFrom must be the first of a month, as in 2026-12-01"
        if self.budget < 1:
            yield "slipway:budget must be at least 1"

    def _scaling(self) -> Iterator[str]:
        if self.instance_memory_mb not in MEMORY_SIZES:
            yield f"slipway:instanceMemoryMb must be one of {', '.join(map(str, MEMORY_SIZES))}"
        if not 1 <= self.maximum_instances <= INSTANCES:
            yield f"slipway:maximumInstances must be 1 to {INSTANCES}"
        if not 1 <= self.http_concurrency <= HTTP_CONCURRENCY:
            yield f"slipway:httpConcurrency must be 1 to {HTTP_CONCURRENCY}"
        for role, warm in self.always_ready.items():
            if role not in self.roles:
                yield f"slipway:alwaysReady names the role `{role}`, which this stack does not have"
            for name, count in warm.items():
                if name != "http" and not name.startswith("function:"):
                    yield f"slipway:alwaysReady `{name}` must be http or function:<name>"
                if not 0 <= count <= self.maximum_instances:
                    yield f"slipway:alwaysReady of `{name}` must be 0 to slipway:maximumInstances"

    def _data(self) -> Iterator[str]:
        if self.cosmos not in {"serverless", "autoscale"}:
            yield "slipway:cosmos must be serverless or autoscale"
        if self.cosmos_throughput < 1000 or self.cosmos_throughput % 1000:
            yield "slipway:cosmosThroughput must be a multiple of 1000"
        if self.service_bus not in {"Standard", "Premium"}:
            yield "slipway:serviceBus must be Standard or Premium"
        if self.messaging_units not in {1, 2, 4, 8, 16}:
            yield "slipway:messagingUnits must be 1, 2, 4, 8 or 16"
        if self.private and self.service_bus != "Premium":
            yield "slipway:private needs slipway:serviceBus Premium, which alone has private endpoints"
        if self.zone_redundant and self.cosmos == "serverless":
            yield "slipway:zoneRedundant needs slipway:cosmos autoscale; a serverless account has one zone"
        if not 1 <= self.evidence_days <= 146_000:
            yield "slipway:evidenceDays must be 1 to 146000"
        if not 30 <= self.log_days <= 730:
            yield "slipway:logDays must be 30 to 730"
        if self.log_gb_per_day < 1:
            yield "slipway:logGbPerDay must be at least 1"

    def _images(self) -> Iterator[str]:
        for key, image in (("jobsImage", self.jobs_image), ("gatewayImage", self.gateway_image)):
            if image and not _IMAGE.fullmatch(image):
                yield f"slipway:{key} must be an image with its digest, as in host/name:tag@sha256:..."
            host = image.partition("/")[0]
            if host.endswith(".azurecr.io") and host != f"{self.registry_name}.azurecr.io":
                yield f"slipway:registry must be the resource id of {host}, or nobody may pull slipway:{key}"
        if self.registry and not _REGISTRY.fullmatch(self.registry):
            yield "slipway:registry must be the resource id of a container registry"


REQUIRED = frozenset({"environment", "location", "owner", "cost_center", "budget", "budget_from"})


def keys() -> frozenset[str]:
    """What a stack file may say below `slipway:`."""
    return frozenset(camel(each.name) for each in fields(Settings))


def _texts(config: pulumi.Config, key: str) -> tuple[str, ...] | None:
    value: Any = config.get_object(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError(key)
    return tuple(value)


def _warm(config: pulumi.Config, key: str) -> dict[str, dict[str, int]] | None:
    value: Any = config.get_object(key)
    if value is None:
        return None
    return {
        str(role): {str(name): int(count) for name, count in dict(warm).items()}
        for role, warm in dict(value).items()
    }


def _app(config: pulumi.Config, key: str) -> dict[str, str] | None:
    value: Any = config.get_object(key)
    return None if value is None else read_app(value)


_KINDS: dict[Any, tuple[Any, str]] = {
    str: (pulumi.Config.get, "a text"),
    int: (pulumi.Config.get_int, "a whole number"),
    bool: (pulumi.Config.get_bool, "true or false"),
    tuple[str, ...]: (_texts, "a list of texts"),
    Mapping[str, str]: (_app, "settings by name"),
    Mapping[str, Mapping[str, int]]: (_warm, "counts by name by role, as in {api: {http: 1}}"),
}


def _read(config: pulumi.Config, key: str, kind: Any) -> Any:
    return _KINDS[kind][0](config, key)
