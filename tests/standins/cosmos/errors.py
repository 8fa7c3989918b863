"""What the service refuses, with the status, substatus and words it answers."""

from typing import Any

MAX_BYTES = 2 * 1024 * 1024
"""Of one request, one item, one batch."""
MAX_OPERATIONS = 100


class Refused(Exception):
    """An answer of 400 or above. Nothing was written."""

    def __init__(self, status: int, code: str, message: str, substatus: int = 0, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.substatus = substatus
        self.headers = headers

    def body(self, activity: str) -> dict[str, Any]:
        return {"code": self.code, "message": f"{self.message}\r\nActivityId: {activity}, Stand-in/1.0"}


def bad_request(message: str, substatus: int = 0) -> Refused:
    return Refused(400, "BadRequest", message, substatus)


def not_offered(what: str) -> Refused:
    """For what the service does and the stand-in does not: never a guess at the answer."""
    return bad_request(f"The stand-in does not offer {what}; Azure may. Extend the stand-in or do without.")


def not_found() -> Refused:
    return Refused(404, "NotFound", "Resource Not Found. Learn more: https://aka.ms/cosmosdb-tsg-not-found")


def owner_not_found() -> Refused:
    return Refused(404, "NotFound", "Message: Owner resource does not exist", 1003)


def conflict() -> Refused:
    return Refused(
        409,
        "Conflict",
        "Entity with the specified id already exists in the system., "
        "or a unique index constraint was violated.",
    )


def precondition_failed() -> Refused:
    return Refused(
        412,
        "PreconditionFailed",
        "Operation cannot be performed because one of the specified precondition is not met.",
    )


def too_large() -> Refused:
    return Refused(413, "RequestEntityTooLarge", "Request size is too large")


def key_mismatch() -> Refused:
    return bad_request(
        "PartitionKey extracted from document doesn't match the one specified in the header. "
        "Learn more: https://aka.ms/CosmosDB/sql/errors/wrong-pk-value",
        1001,
    )


def unauthorized(message: str) -> Refused:
    return Refused(401, "Unauthorized", message)


def no_role(principal: str, action: str, resource: str) -> Refused:
    return Refused(
        403,
        "Forbidden",
        f"Request blocked by Auth stand-in : Request is blocked because principal [{principal}] does not "
        f"have required RBAC permissions to perform action [Microsoft.DocumentDB/databaseAccounts/{action}] "
        f"on resource [{resource}]. Learn more: https://aka.ms/cosmos-native-rbac.",
        5301,
    )


def not_in_the_data_plane(method: str, path: str) -> Refused:
    return Refused(
        403,
        "Forbidden",
        f"Request blocked by Auth stand-in : The given request [{method} {path}] cannot be authorized by AAD "
        "token in data plane. Learn more: https://aka.ms/cosmos-native-rbac.",
        5300,
    )
