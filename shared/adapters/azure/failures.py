"""What a storage or vault call's failure means to the core. Must not quote what the call carried."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from shared.domain.kernel.errors import DeliveryError, Permanent, Transient

_PASSING = frozenset({408, 429, 500, 502, 503, 504})


@asynccontextmanager
async def told(service: str, role: str, seconds: float | None = None) -> AsyncIterator[None]:
    """Turn what the SDK raises into Transient or Permanent, and a call that takes too long into Transient.

    `service` begins the sentence, as in `The vault https://...`; `role` is the one to grant.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise Transient(f"{service} did not answer within {seconds:g} seconds; try again.") from None
    except AzureError as error:
        # Not chained: an SDK's error holds its request, and that holds values and tokens.
        raise meaning(error, service, role) from None


def meaning(error: AzureError, service: str, role: str) -> DeliveryError:
    """Transient where the same call may succeed later, Permanent where a person has to look."""
    if isinstance(error, ClientAuthenticationError):
        return Permanent(
            f"{service} does not accept who this process says it is. In Azure, assign its managed identity; "
            "on your machine, run `az login` in the right directory."
        )
    code = code_of(error)
    if is_passing(error):
        return Transient(f"{service} cannot be reached or is busy ({code}); try again.")
    status = getattr(error, "status_code", None)
    if status == 403:
        return Permanent(
            f"{service} does not let this process do that. Grant its identity the role {role}, wait a few "
            "minutes, and see that the firewall lets it in."
        )
    if code == "ContainerNotFound":
        return Permanent(f"{service} has no such container; deploy the infrastructure, or set its name.")
    return Permanent(f"{service} answered {status} ({code}); look into its logs.")


def is_passing(error: AzureError) -> bool:
    """Whether the same call may succeed later. Whether this one had its effect is not known."""
    if isinstance(error, HttpResponseError):
        # Without a status, the answer broke off.
        return error.status_code is None or error.status_code in _PASSING
    return isinstance(error, ServiceRequestError | ServiceResponseError)


def code_of(error: AzureError) -> str:
    """The service's own word for it, the innermost there is: `SecretDisabled`, `BlobNotFound`."""
    if found := getattr(error, "error_code", None):
        return str(getattr(found, "value", found))
    detail = getattr(error, "error", None)
    inner = getattr(detail, "innererror", None)
    if isinstance(inner, dict) and inner.get("code"):
        return str(inner["code"])
    return str(getattr(detail, "code", None) or type(error).__name__)


def checked_endpoint(url: str, what: str) -> str:
    """Without its last `/`. Raises Permanent for anything but https, which tokens must not leave."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise Permanent(f"{what} must be an https:// URL without a query; set it as the portal shows it.")
    return url.rstrip("/")
