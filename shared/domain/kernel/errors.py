"""What can go wrong, by kind. The core knows kinds and sentences; statuses and settlements belong to the
edges.

Every rule that can be broken subclasses one kind, beside the rule. `facts` are data a caller may see:
never put a secret, a token or a foreign tenant's name in them.
"""

from dataclasses import dataclass
from typing import ClassVar


class DeliveryError(Exception):
    """The root of every error the core raises on purpose."""

    code: ClassVar[str] = "delivery_error"

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class NotFound(DeliveryError):
    """The thing does not exist for this tenant. A foreign tenant's thing answers exactly so."""

    code = "not_found"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in an input: where (dotted path), what is wrong and what to do, and a stable code."""

    field: str
    message: str
    code: str = "invalid"


class Invalid(DeliveryError):
    """The input is malformed. Carries every problem at once, so that the caller mends all in one go."""

    code = "invalid_request"

    def __init__(self, message: str, *problems: Problem, **facts: object) -> None:
        super().__init__(message, **facts)
        self.problems = problems


class RuleBroken(DeliveryError):
    """The input is well formed and a business rule says no."""

    code = "rule_broken"


class Conflict(DeliveryError):
    """The state of the thing does not admit this now; another state would."""

    code = "conflict"


class AlreadyExists(Conflict):
    """A create met a thing of the same name."""

    code = "already_exists"


class StaleRevision(Conflict):
    """The caller decided on a revision that is no longer the current one."""

    code = "stale_revision"


class IllegalTransition(Conflict):
    """A state machine does not know this move from here."""

    code = "illegal_transition"


class Forbidden(DeliveryError):
    """The actor is known and may not do this."""

    code = "forbidden"


class Transient(DeliveryError):
    """We could not find out or could not reach it; the same call may succeed later."""

    code = "temporarily_unavailable"


class Permanent(DeliveryError):
    """It failed and will fail again; a person has to look."""

    code = "failed"
