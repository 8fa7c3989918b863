"""The stacks that are tested: the two that there are, and two that use what those leave out."""

from typing import Any

from infra.recording import SUBSCRIPTION

DIGEST = "sha256:" + "0" * 64
IMAGES = {
    "jobsImage": f"slipway.azurecr.io/slipway-jobs:1.0.0@{DIGEST}",
    "gatewayImage": f"slipway.azurecr.io/slipway-gateway:1.0.0@{DIGEST}",
    "registry": (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/images"
        "/providers/Microsoft.ContainerRegistry/registries/slipway"
    ),
}
APP_SETTINGS: dict[str, Any] = {
    "approvals": {"dev": 0, "prod": 2},
    "azureDevopsCreateProjects": True,
    "azureDevopsOrganizations": {"acme": "acme-azure"},
    "githubOrganizations": {"acme": "acme-corp"},
    "iacAccessToken": "pulumi-token",
    "iacBackend": "deployments",
    "iacOrganization": "acme",
    "iacPrograms": {"Acme.Shop": "infra/shop"},
    "registries": {"acr": "https://acme.azurecr.io"},
    "telemetrySample": 0.1,
    "tiers": {"acme": "premium"},
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "dev": ("dev", {}),
    "prod": ("prod", {}),
    "private": (
        "dev",
        {"private": True, "serviceBus": "Premium", "edge": "Standard", "issuer": "https://login.example"},
    ),
    "everything": (
        "prod",
        {**IMAGES, "deployFrom": "repo:slipway/slipway:environment:prod", "app": APP_SETTINGS},
    ),
}
"""Name -> the stack's file, and what is set above it."""
