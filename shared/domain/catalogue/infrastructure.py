"""Events of infrastructure plans."""

from shared.domain.catalogue.declare import (
    COUNT,
    FLAG,
    NAME,
    TEXT,
    EventType,
    Kind,
    Schema,
    id_of,
    or_null,
    shape,
)

_PLAN: dict[str, Schema] = {
    "infrastructurePlanId": id_of("infra"),
    "stackId": id_of("stack"),
    "stack": NAME,
    "environment": NAME,
}
_CHANGES: dict[str, Schema] = {"changes": shape(create=COUNT, update=COUNT, delete=COUNT, replace=COUNT)}
_DIGEST: dict[str, Schema] = {"planDigest": or_null(TEXT)}
_MODE: dict[str, Schema] = {"engineMode": or_null(TEXT)}
_OUTCOME: dict[str, Schema] = {**_PLAN, **_CHANGES, "outputsRef": or_null(TEXT), **_MODE}
_ORDER: dict[str, Schema] = {"infrastructurePlanId": id_of("infra"), "token": COUNT}

INFRASTRUCTURE = (
    EventType("ProvisionInfrastructure", "Do what is next for a plan.", _ORDER, kind=Kind.COMMAND),
    EventType("ProvisionInfrastructureAgain", "Take it up once more.", _ORDER, kind=Kind.COMMAND),
    EventType("InfrastructureOverdue", "Give it up if nobody has finished.", _ORDER, kind=Kind.COMMAND),
    EventType(
        "InfrastructureProvisionRequested",
        "A change of infrastructure was asked for.",
        {**_PLAN, "engine": NAME, "program": NAME, "operation": NAME, "requestedBy": NAME},
    ),
    EventType(
        "InfrastructurePreviewed",
        "What would change is known.",
        {**_PLAN, **_CHANGES, **_DIGEST, **_MODE, "needsApproval": FLAG},
    ),
    EventType(
        "InfrastructureApproved", "Somebody lets it be applied.", {**_PLAN, **_DIGEST, "approver": NAME}
    ),
    EventType("InfrastructureRejected", "It will not be applied.", {**_PLAN, **_DIGEST, "approver": NAME}),
    EventType("InfrastructureProvisioned", "A plan was applied.", _OUTCOME),
    EventType("InfrastructureDestroyed", "A stack is gone.", _OUTCOME),
    EventType(
        "InfrastructureProvisionFailed",
        "A plan could not be carried out.",
        {**_PLAN, "operation": NAME, "reason": or_null(TEXT), "cause": or_null(TEXT)},
    ),
    EventType(
        "InfrastructureProvisionCancelled", "A plan was taken back.", {**_PLAN, "cause": or_null(TEXT)}
    ),
)
