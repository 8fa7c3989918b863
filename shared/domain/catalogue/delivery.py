"""Events of releases, approvals, promotions, deployments, environments and what runs in them."""

from shared.domain.approvals.model import Decision
from shared.domain.catalogue.declare import (
    COUNT,
    DIGEST,
    FLAG,
    NAME,
    SHA,
    TEXT,
    EventType,
    Kind,
    Schema,
    id_of,
    many,
    one_of,
    or_null,
)
from shared.domain.gitops.model import DriftKind, Severity
from shared.domain.releases.model import Strategy

RELEASE: dict[str, Schema] = {"releaseId": id_of("rel"), "version": NAME}
PROMOTION: dict[str, Schema] = {"promotionId": id_of("prom"), **RELEASE, "environment": NAME}
_DEPLOYMENT: dict[str, Schema] = {
    "deploymentId": id_of("dep"),
    "promotionId": id_of("prom"),
    "releaseId": id_of("rel"),
    "environment": NAME,
}
_ORDER: dict[str, Schema] = {
    **_DEPLOYMENT,
    "token": {**COUNT, "description": "Fences off workers that come late."},
}
_ROLLOUT: dict[str, Schema] = {
    "deploymentId": id_of("dep"),
    "promotionId": id_of("prom"),
    "environment": NAME,
    "strategy": one_of(Strategy),
    "step": COUNT,
    "weight": {"type": "integer", "minimum": 0, "maximum": 100},
}
_CAUSE: dict[str, Schema] = {"cause": or_null(TEXT)}


def _of_promotion(name: str, summary: str, /, **more: Schema) -> EventType:
    return EventType(name, summary, {**PROMOTION, **more})


DELIVERY = (
    EventType(
        "ReleasePlanned",
        "A release was planned into an environment.",
        {
            **RELEASE,
            "number": COUNT,
            "releaseDigest": DIGEST,
            "buildResultId": id_of("build"),
            "promotionId": id_of("prom"),
            "targetEnvironment": NAME,
            "strategy": one_of(Strategy),
            "requiredApprovals": COUNT,
            "plannedBy": NAME,
        },
        {"repositoryId": id_of("repo"), "commitSha": SHA},
    ),
    EventType(
        "PromotionReady",
        "A release goes on into one more environment.",
        {**PROMOTION, "strategy": one_of(Strategy), "requestedBy": NAME},
    ),
    _of_promotion("PromotionRequested", "A promotion is open; its gates are asked."),
    EventType("PromotionDue", "Ask its gates again.", {"promotionId": id_of("prom")}, kind=Kind.COMMAND),
    EventType(
        "ApprovalRecorded",
        "Somebody decided on a promotion.",
        {
            "approvalId": id_of("appr"),
            "promotionId": id_of("prom"),
            "releaseId": id_of("rel"),
            "environment": NAME,
            "approver": NAME,
            "decision": one_of(Decision),
        },
    ),
    _of_promotion(
        "ReleaseApproved",
        "Policy and approvals let it in.",
        approvalId=or_null(id_of("appr")),
        approver=or_null(NAME),
        approvers=many(NAME),
        approvalsGranted=COUNT,
        approvalsRequired=COUNT,
    ),
    _of_promotion("ReleaseRejected", "It will not go there.", **_CAUSE),
    _of_promotion("ReleaseCancelled", "It was taken back.", **_CAUSE),
    _of_promotion("ReleaseDelayed", "It waits for a window of time.", **_CAUSE),
    _of_promotion("ReleaseSuperseded", "Another release runs in its place.", supersededBy=id_of("prom")),
    _of_promotion("ReleaseRolledBack", "What ran before it runs again.", **_CAUSE),
    _of_promotion("FreezeOverrideGranted", "Freezes do not hold it up.", grantedBy=NAME, reason=TEXT),
    _of_promotion("PromotionFailed", "Its deployment did not succeed.", **_CAUSE),
    _of_promotion(
        "DeploymentPromoted",
        "A release runs in an environment.",
        fromEnvironment=or_null(NAME),
        toEnvironment=NAME,
        manifestRevision=SHA,
        images=many(NAME),
        strategy=one_of(Strategy),
    ),
    EventType("DeploymentRequested", "Make the environment run it.", _ORDER, kind=Kind.COMMAND),
    EventType("DeploymentRequestedAgain", "Take it up once more.", _ORDER, kind=Kind.COMMAND),
    EventType(
        "DeploymentRolledBack",
        "A deployment was undone; what ran before runs again.",
        {**_DEPLOYMENT, "previousReleaseId": or_null(id_of("rel")), **_CAUSE},
    ),
    EventType("RolloutDue", "See to the next step of a rollout.", _ROLLOUT, kind=Kind.COMMAND),
    EventType("RolloutDueAgain", "Take the step up once more.", _ROLLOUT, kind=Kind.COMMAND),
    EventType(
        "RolloutAdvanced",
        "A progressive rollout goes on to its next step.",
        {**_ROLLOUT, "nextWeight": COUNT},
        {"advancedBy": NAME, "reason": TEXT},
    ),
    EventType("RetirementDue", "Stop what a switch has replaced.", _ROLLOUT, kind=Kind.COMMAND),
    EventType(
        "EnvironmentRulesChanged",
        "An environment's rules were changed; whoever waits there is asked again.",
        {"environment": NAME, "change": NAME},
        {
            "reason": TEXT,
            "freezeWindowId": id_of("frz"),
            "requiredApprovals": COUNT,
            "humanRequired": FLAG,
        },
    ),
    EventType(
        "ReconcileRequested",
        "Bring one component to what git wants.",
        {"environment": NAME, "componentId": NAME},
        {"deploymentId": id_of("dep"), "token": COUNT},
        kind=Kind.COMMAND,
    ),
    EventType(
        "CheckDrift",
        "Look whether an environment runs what git wants, beginning after a sync state.",
        {"environment": NAME, "after": TEXT},
        kind=Kind.COMMAND,
    ),
    EventType(
        "DesiredStateCommitted",
        "Follow what git wants since a commit.",
        {"repositoryId": id_of("repo"), "sha": SHA},
        kind=Kind.COMMAND,
    ),
    EventType(
        "GitOpsDriftDetected",
        "What runs is not what git wants; told once for as long as it stays.",
        {
            "syncStateId": id_of("sync"),
            "environment": NAME,
            "desiredRevision": or_null(SHA),
            "kind": one_of(DriftKind),
            "desired": or_null(TEXT),
            "actual": or_null(TEXT),
            "severity": one_of(Severity),
            "hash": DIGEST,
        },
    ),
    EventType(
        "GitOpsSynced",
        "What runs is what git wants.",
        {
            "syncStateId": id_of("sync"),
            "environment": NAME,
            "desiredRevision": or_null(SHA),
            "liveRevision": or_null(SHA),
            "driftResolved": FLAG,
        },
    ),
    EventType(
        "RetentionEnded",
        "Something was kept for as long as it has to be, and is gone; `archive` still has it.",
        {"kind": NAME, "resourceId": NAME},
        {"archive": TEXT},
    ),
    EventType(
        "MessageParked",
        "A worker put a message aside, with why; an operator redrives it.",
        {
            "queue": NAME,
            "session": or_null(TEXT),
            "code": NAME,
            "reason": TEXT,
            "envelope": {"type": "object"},
        },
        kind=Kind.COMMAND,
    ),
)
