"""Events of tenants' secrets. No value of one is in any of them."""

from shared.domain.catalogue.declare import NAME, TIME, EventType, Schema

_SECRET: dict[str, Schema] = {"name": NAME, "version": NAME, "expiresAt": TIME}

SECRETS = (
    EventType("SecretExpiryNeared", "A version of a secret is about to expire; set a new one.", _SECRET),
    EventType("SecretExpired", "A version of a secret has expired; what needs it fails.", _SECRET),
)
