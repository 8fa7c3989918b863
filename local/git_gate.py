"""Who may fetch and push over git, and what a push sets off: the same rules as the API, asked of the same
services."""

from collections.abc import Sequence
from dataclasses import dataclass

from functions.http.caller import actor_from
from local.git_http import Access
from shared.app import App
from shared.domain.kernel.errors import Forbidden, NotFound
from shared.domain.kernel.policy import is_granted
from shared.domain.source.lifecycle import require_readable, require_ready, require_writable
from shared.ports.source_host import RefUpdate
from shared.services.trace import CURRENT, new_trace

READ, WRITE = "devops.repositories.read", "devops.repositories.write"
WRITE_DESIRED = "devops.gitops.write"
"""Of the repository that says what environments run. A push there brings back what once was approved, or ends
degraded: reconciliation refuses content that no promotion has put there."""


class GitScopeMissing(Forbidden):
    code = "scope_missing"


@dataclass(frozen=True, slots=True)
class GitGate:
    """Implements git_http.Gate over the App."""

    app: App

    async def authorise(self, token: str, tenant: str, project: str, name: str, *, write: bool) -> Access:
        """A foreign tenant's repository answers exactly as one that is not there."""
        actor = actor_from(await self.app.tokens.verify(token), self.app.settings.tenant_claim)
        repository = None
        if actor.tenant == tenant:
            repository = await self.app.repositories.find_named(actor, project, name)
        is_desired = repository is not None and repository.is_managed
        scope = (WRITE_DESIRED if is_desired else WRITE) if write else READ
        if not is_granted(scope, actor.grants):
            raise GitScopeMissing(f"This needs the scope {scope}.", scope=scope)
        if repository is None:
            raise NotFound("There is no such repository.")
        if not write:
            require_readable(repository)
            return Access(subject=actor.subject)
        if is_desired:
            require_ready(repository)
            return Access(subject=actor.subject, kept=frozenset({repository.default_branch}))
        require_writable(repository)
        return Access(actor.subject, await self.app.branch_policies.protected(actor, repository))

    async def pushed(self, access: Access, updates: Sequence[RefUpdate]) -> None:
        """Record every branch that moved. What fails stays in the host's journal for the sweep."""
        token = CURRENT.set(new_trace())
        try:
            for update in updates:
                await self.app.branches.record_update(update)
        finally:
            CURRENT.reset(token)
