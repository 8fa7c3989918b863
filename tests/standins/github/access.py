"""Who may do what: fine-grained tokens, each for one organization, with rights and an hourly limit."""

import time
from dataclasses import dataclass, field
from typing import Literal

from tests.standins.github.faults import Refused, not_found

HOURLY = 5000

type Right = Literal["contents", "administration", "pull_requests", "actions", "webhooks", "statuses"]
RIGHTS: frozenset[Right] = frozenset(
    {"contents", "administration", "pull_requests", "actions", "webhooks", "statuses"}
)


@dataclass
class Token:
    """`rights` are those it may write with; reading comes with any of them. `reset` is in epoch seconds."""

    organization: str
    rights: frozenset[Right] = RIGHTS
    limit: int = HOURLY
    remaining: int = HOURLY
    reset: int = field(default_factory=lambda: int(time.time()) + 3600)

    def spend(self) -> None:
        """Count a request. Refused once the hour's are used up."""
        if time.time() >= self.reset:
            self.remaining, self.reset = self.limit, int(time.time()) + 3600
        if self.remaining <= 0:
            raise Refused(403, "API rate limit exceeded for user ID 1.", headers=self.headers)
        self.remaining -= 1

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
            "X-RateLimit-Used": str(self.limit - self.remaining),
            "X-RateLimit-Resource": "core",
        }

    def require(self, organization: str, right: Right) -> None:
        """404 for another's organization, as if it were not there; 403 with the missing right."""
        if organization.casefold() != self.organization.casefold():
            raise not_found()
        if right not in self.rights:
            raise Refused(
                403,
                "Resource not accessible by personal access token",
                headers={"X-Accepted-GitHub-Permissions": f"{right}=write"},
            )


class Tokens:
    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def grant(self, value: str, organization: str, *, rights: frozenset[Right] = RIGHTS) -> Token:
        self._tokens[value] = Token(organization, rights)
        return self._tokens[value]

    def revoke(self, value: str) -> None:
        del self._tokens[value]

    def of(self, authorization: str) -> Token | None:
        """None for an anonymous call; 401 for a token that is not, or no longer, good."""
        if not authorization:
            return None
        scheme, _, value = authorization.partition(" ")
        if scheme.casefold() not in {"bearer", "token"} or value not in self._tokens:
            raise Refused(401, "Bad credentials")
        return self._tokens[value]
