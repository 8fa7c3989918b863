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
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "dev": ("dev", {}),
    "prod": ("prod", {}),
    "private": ("dev", {"private": True, "serviceBus": "Premium", "edge": "Standard"}),
    "everything": ("prod", {**IMAGES, "deployFrom": "repo:slipway/slipway:environment:prod"}),
}
"""Name -> the stack's file, and what is set above it."""
