"""The one settings model, and the only reader of the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.domain.limits.model import CONCURRENT_DEPLOYMENTS

PREFIX = "SLIPWAY_"

type Tier = Literal["standard", "premium", "unmetered"]


class BadSettings(Exception):
    """One clear line per mistake."""


def _pairs(value: object) -> object:
    """`dev:0,test:0` as a mapping."""
    if not isinstance(value, str):
        return value
    return dict(part.strip().partition(":")[::2] for part in value.split(",") if part.strip())


class Settings(BaseModel):
    """Every setting, with its default for the embedded platform. Environment names are SLIPWAY_ + upper
    case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["api", "worker", "all"] = "all"
    """Which functions this deployment of the package registers."""
    platform: Literal["embedded"] = "embedded"
    data_dir: Path = Path(".slipway")
    """Where the embedded platform keeps everything."""
    port: Annotated[int, Field(ge=0, le=65535)] = 7071
    public_url: str = ""
    """The URL callers reach this installation by; default http://127.0.0.1:<port>."""
    issuer: str = ""
    """Issuer of the tokens; default the public URL, where the local issuer answers."""
    audience: str = "slipway"
    jwks_url: str = ""
    """Where the issuer's keys are; default: found by its discovery document."""
    tenant_claim: str = ""
    """A claim to take the tenant from when the token has neither tenantId nor tenant_id."""
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
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [f"{PREFIX}{str(row['loc'][0]).upper()}: {row['msg']}" for row in error.errors()]
            raise BadSettings("\n".join(lines)) from None
