"""Who may speak: verified claims of a bearer token."""

from collections.abc import Mapping
from typing import Protocol

from shared.domain.kernel.errors import DeliveryError


class TokenRefused(DeliveryError):
    """The token is missing a claim, expired, forged, or meant for someone else. The message never quotes
    it."""

    code = "invalid_token"


class TokenVerifier(Protocol):
    async def verify(self, token: str) -> Mapping[str, object]:
        """The claims, after signature, issuer, audience and lifetime were checked.

        Raises TokenRefused, or Transient when the issuer's keys cannot be had.
        """
