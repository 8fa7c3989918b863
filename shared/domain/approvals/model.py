"""Votes on promotions. A vote binds to the digest it was cast on and to the person who cast it."""

from datetime import datetime
from enum import StrEnum

from shared.domain.kernel.actor import ActorKind
from shared.domain.kernel.ids import child_id
from shared.domain.kernel.record import Entity, record


class Decision(StrEnum):
    APPROVED = "approved"
    REJECTED = "rejected"
    DELAYED = "delayed"
    """Not now: recorded, and the same approver may still decide."""


class ApprovalStatus(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
    VOID = "void"


@record("approval", root="environment")
class Approval(Entity):
    """One vote. `approver_for` is whom the approver acts for: both count as the same voice."""

    id: str
    tenant: str
    promotion: str
    environment: str
    release: str
    release_digest: str
    approver: str
    approver_for: str | None
    approver_kind: ActorKind
    decision: Decision
    comment: str
    status: ApprovalStatus
    created_at: datetime
    updated_at: datetime
    revision: int = 0

    @property
    def principals(self) -> frozenset[str]:
        return frozenset(name for name in (self.approver, self.approver_for) if name)


def approval_id(promotion: str, approver: str) -> str:
    return child_id(promotion, "approval", approver)
