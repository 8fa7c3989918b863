"""Slipway's own settings, as a stack may give them below `slipway:app`: which there are, and which are not
meant for Azure. Names only: what a value has to be is the app's to say.
"""

from collections.abc import Mapping
from typing import Any

from infra.names import camel

CONFIGURABLE = frozenset(
    {
        "approvals",
        "azure_devops_create_projects",
        "azure_devops_organizations",
        "azure_devops_url",
        "drift_schedule",
        "entra_v1_audience",
        "github_organizations",
        "github_url",
        "health_timeout_seconds",
        "iac_backend",
        "iac_organization",
        "iac_policy_packs",
        "iac_preview_seconds",
        "iac_programs",
        "iac_secrets_provider",
        "iac_service_url",
        "iac_source",
        "iac_state_url",
        "iac_timeout_seconds",
        "image_findings",
        "jwks_url",
        "log_level",
        "registries",
        "retention",
        "run_limit",
        "run_timeout_seconds",
        "step_output_bytes",
        "step_timeout_seconds",
        "telemetry",
        "telemetry_endpoint",
        "telemetry_sample",
        "tenant_claim",
        "tiers",
    }
)
SECRETS = frozenset({"iac_access_token"})
"""Given as the name of a secret in the stack's vault; no value of one is in a file, a state or a setting."""
NOT_ON_AZURE: Mapping[str, str] = {"port": "the Functions host says where it listens"}


class BadApp(Exception):
    """What `slipway:app` says is not to be read; the text says why."""


def read_app(value: object) -> dict[str, str]:
    """The map as texts of the environment, by the app's own names. Raises BadApp."""
    if not isinstance(value, dict):
        raise BadApp("slipway:app must be settings by name, as in {approvals: {dev: 0, prod: 2}}")
    known = {camel(name): name for name in CONFIGURABLE | SECRETS}
    if unknown := sorted(set(map(str, value)) - known.keys()):
        raise BadApp(f"slipway:app names {', '.join(unknown)}; a stack may give {', '.join(sorted(known))}")
    return {known[key]: _text(key, given) for key, given in value.items()}


def variable(name: str) -> str:
    """What the app reads a setting from."""
    return f"SLIPWAY_{name.upper()}"


def _text(key: str, given: Any) -> str:
    match given:
        case bool():
            return str(given).lower()
        case dict():
            return ",".join(f"{_plain(key, name)}:{_plain(key, each)}" for name, each in given.items())
        case list():
            return ",".join(_plain(key, each) for each in given)
        case _:
            return str(given)


def _plain(key: str, part: object) -> str:
    text = str(part)
    if "," in text or isinstance(part, dict | list):
        raise BadApp(f"slipway:app {key} must hold plain values without commas")
    return text
