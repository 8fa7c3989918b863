"""What Event Grid tells of the vault, as CloudEvents 1.0: the one queue whose messages are not our envelope.

What is odd raises: after three deliveries the bus dead-letters it with its reason, and an alert tells people.
"""

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from functions.http.logs import with_fields
from shared.domain.kernel.errors import Permanent
from shared.services.secret_expiry import Ending, SecretNews

if TYPE_CHECKING:
    from shared.app import App

log = logging.getLogger("slipway.workers")

_ENDINGS = {
    "Microsoft.KeyVault.SecretNearExpiry": Ending.NEAR,
    "Microsoft.KeyVault.SecretExpired": Ending.OVER,
}


class _Data(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Annotated[Literal["Secret"], Field(alias="ObjectType")]
    name: Annotated[str, Field(alias="ObjectName", pattern=r"^[0-9A-Za-z-]{1,127}$")]
    version: Annotated[str, Field(alias="Version", pattern=r"^[0-9A-Za-z]{1,64}$")]
    expires: Annotated[float, Field(alias="EXP", gt=0, lt=1e11)]
    """Seconds since 1970."""


class _CloudEvent(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    specversion: Literal["1.0"]
    id: Annotated[str, Field(min_length=1, max_length=200)]
    type: Literal["Microsoft.KeyVault.SecretNearExpiry", "Microsoft.KeyVault.SecretExpired"]
    data: _Data


def read_news(body: bytes) -> SecretNews:
    """Raises Permanent for what the vault does not send."""
    try:
        told = _CloudEvent.model_validate_json(body)
    except ValidationError as error:
        wrong = ", ".join(sorted({".".join(map(str, row["loc"])) or "body" for row in error.errors()}))
        raise Permanent(f"The message is no news of a secret that ends: {wrong}.") from None
    at = datetime.fromtimestamp(told.data.expires, UTC)
    return SecretNews(told.id, told.data.name, told.data.version, _ENDINGS[told.type], at)


async def receive(body: bytes, app: "App") -> None:
    """Handle one message: tell the tenant by an event, and the operators by a line in the log."""
    news = read_news(body)
    facts = {"secret": news.key, "expiresAt": news.expires_at.isoformat(), "event": str(news.ending)}
    log.warning("secret expires: %s", news.key, extra=with_fields(**facts))
    await app.secret_expiry.tell(news)
