"""What the service is told by its surroundings; nothing else reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


class BadSettings(Exception):
    """A setting is wrong; the sentence says which and what it should be."""


@dataclass(frozen=True)
class Settings:
    """`commit` and `version` are what a delivery put here, for whoever asks what is running."""

    host: str = "127.0.0.1"
    port: int = 8080
    service: str = "greeter"
    version: str = "0.0.0"
    commit: str = "unknown"
    environment: str = "local"

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        port = environ.get("PORT", str(cls.port))
        if not (port.isascii() and port.isdecimal()) or int(port) > 65535:
            raise BadSettings(f"PORT must be a number from 0 to 65535, not {port!r}.")
        return cls(
            host=environ.get("HOST", cls.host),
            port=int(port),
            service=environ.get("SLIPWAY_COMPONENT", cls.service),
            version=environ.get("SLIPWAY_VERSION", cls.version),
            commit=environ.get("SLIPWAY_COMMIT", cls.commit),
            environment=environ.get("SLIPWAY_ENVIRONMENT", cls.environment),
        )
