"""Who may do what: by tokens of Entra ID and roles of the data plane. Keys are refused."""

from urllib.parse import unquote

from tests.standins.cosmos.errors import no_role, unauthorized
from tests.standins.identity import Issuer, TokenRefused

AUDIENCE = "https://cosmos.azure.com"
ACTIONS = {
    "read": "items/read",
    "read-feed": "items/read",
    "create": "items/create",
    "upsert": "items/upsert",
    "replace": "items/replace",
    "delete": "items/delete",
    "batch": "items/create",
    "query": "executeQuery",
    "query-plan": "executeQuery",
    "feed": "readChangeFeed",
}
"""What a caller needs for a kind of request; for any other it is the right to read metadata."""


def check(issuer: Issuer, authorization: str | None, host: str, kind: str, resource: str) -> None:
    """Refused with 401 where the token is missing, not ours or not for this account; 403 without a role."""
    if not authorization:
        raise unauthorized(
            "Required Header authorization is missing. Ensure a valid Authorization token is passed."
        )
    fields = dict(part.partition("=")[::2] for part in unquote(authorization).split("&"))
    if fields.get("type") == "master":
        raise unauthorized("Local Authorization is disabled. Use an AAD token to authorize all requests.")
    if fields.get("type") != "aad" or fields.get("ver") != "1.0":
        raise unauthorized(
            "Authorization header doesn't confirm to required format. Please verify and try again."
        )
    try:
        caller = issuer.verify(fields.get("sig", ""), f"https://{host.partition(':')[0]}", AUDIENCE)
    except TokenRefused as refused:
        raise unauthorized(f"Entra ID token is not valid here: {refused}.") from None
    if not caller.has_roles:
        action = f"sqlDatabases/containers/{ACTIONS[kind]}" if kind in ACTIONS else "readMetadata"
        raise no_role(caller.principal, action, resource)
