"""Who acts: the subject of a verified token, or the platform itself."""

from dataclasses import dataclass
from enum import StrEnum

RESERVED_SUBJECTS = ("system:", "github:", "azure-devops:")
"""How subjects begin that no token may have: the platform itself, and whoever a vendor names."""


class ActorKind(StrEnum):
    HUMAN = "human"
    AGENT = "agent"
    SERVICE = "service"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """One caller within one tenant. `grants` are the scopes that its token and roles give."""

    subject: str
    kind: ActorKind
    tenant: str
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    on_behalf_of: str | None = None
    grants: frozenset[str] = frozenset()
    tier: str | None = None
    """Of request rates, where the token names one."""

    @property
    def principals(self) -> frozenset[str]:
        """The identities this actor stands for; segregation of duties compares these, never a name from a
        body."""
        return frozenset({self.subject, self.on_behalf_of} - {None, ""})  # type: ignore[arg-type]

    @property
    def is_human(self) -> bool:
        return self.kind is ActorKind.HUMAN


def system_actor(tenant: str, part: str) -> Actor:
    """The platform acting by itself in a tenant; `part` names the worker, as in `system:pipelines`."""
    return Actor(subject=f"system:{part}", kind=ActorKind.SYSTEM, tenant=tenant)
