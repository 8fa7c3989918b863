"""Branch policies: set per repository, asked at every door to a branch, and told to what they concern."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.events import id_in
from shared.domain.source.lifecycle import check_pattern, protect_branch, require_writable
from shared.domain.source.model import Branch, PullRequest, PullRequestIndex, Repository
from shared.domain.source.policies import (
    BranchPolicy,
    BranchPolicyDraft,
    BranchRules,
    delete_policy,
    get_policy,
    policies_of,
    put_policy,
    requirements_for,
    rules_id,
)
from shared.domain.source.pull_requests import govern
from shared.ports.source_host import SourceHost
from shared.ports.store import Query
from shared.services.branches import index_id, place_of
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units

MARKED_AT_ONCE = 40
"""Branches per batch: a document and an audit entry each, below the batch limit of 100."""


@dataclass(frozen=True, slots=True)
class BranchPolicies:
    units: Units
    host: SourceHost

    async def put(
        self,
        actor: Actor,
        repository_id: str,
        name: str,
        draft: BranchPolicyDraft,
        once: Once | None,
        *,
        revision: int | None = None,
    ) -> BranchPolicy:
        """Set the policy of that name. It holds from now on; what shows it follows by the event."""
        check_pattern(draft.pattern, "pattern")

        async def turn(unit: Unit) -> BranchPolicy:
            repository = await unit.get(Repository, repository_id)
            require_writable(repository)
            rules = await unit.find(BranchRules, rules_id(repository_id))
            wanted = BranchPolicy.of(draft, name, actor.subject, unit.now)
            change, policy = put_policy(repository, rules, wanted, revision)
            unit.apply(change)
            return policy

        return await self.units.run(actor, Repository.__record__.root_of(repository_id), turn, once)

    async def delete(
        self, actor: Actor, repository_id: str, name: str, once: Once | None, *, revision: int | None = None
    ) -> None:
        """Take it away. Branches that no other policy covers are open to pushes from now on."""

        async def turn(unit: Unit) -> None:
            repository = await unit.get(Repository, repository_id)
            require_writable(repository)
            rules = await unit.find(BranchRules, rules_id(repository_id))
            unit.apply(delete_policy(repository, rules, name, revision))

        await self.units.run(actor, Repository.__record__.root_of(repository_id), turn, once)

    async def get(self, actor: Actor, repository_id: str, name: str) -> BranchPolicy:
        return get_policy((await self.list(actor, repository_id)).items, name)

    async def list(self, actor: Actor, repository_id: str) -> Page[BranchPolicy]:
        """All of them, by name; there are few."""
        repository = await self.units.get(actor, Repository, repository_id)
        return Page(policies_of(repository, await self._rules(actor, repository_id)))

    async def protected(self, actor: Actor, repository: Repository) -> frozenset[str]:
        """The branches that only pull requests may move: those that the host has and a policy covers."""
        rules = await self._rules(actor, repository.id)
        heads = await self.host.branches(place_of(repository))
        return frozenset(name for name in heads if requirements_for(repository, rules, name).is_protected)

    async def reflect(self, actor: Actor, payload: Mapping[str, Any]) -> None:
        """Handle BranchPolicyChanged: show on branches and open pull requests what the policies say now."""
        repository = await self.units.get(actor, Repository, id_in(payload, "repositoryId", "repo"))
        await self._govern(actor, repository)
        query = Query("branch", {"repository": repository.id}, "name", limit=MARKED_AT_ONCE)
        branches = [branch.id async for branch in self.units.every(actor, Branch, query)]
        for some in batched(branches, MARKED_AT_ONCE, strict=False):
            await self._mark(actor, repository, some)

    async def _govern(self, actor: Actor, repository: Repository) -> None:
        """Hold every open pull request to the policies that are in force now, each in a batch of its own."""
        index = await self.units.find(actor, PullRequestIndex, index_id(repository.id))
        for row in index.open if index is not None else ():

            async def turn(unit: Unit, request_id: str = row.id) -> None:
                rules = await unit.find(BranchRules, rules_id(repository.id))
                request = await unit.get(PullRequest, request_id)
                change = govern(request, requirements_for(repository, rules, request.target_branch), unit.now)
                if change is not None:
                    unit.apply(change)

            await self.units.run(actor, Repository.__record__.root_of(repository.id), turn)

    async def _mark(self, actor: Actor, repository: Repository, branches: Sequence[str]) -> None:
        async def turn(unit: Unit) -> None:
            rules = await unit.find(BranchRules, rules_id(repository.id))
            await unit.load(*(Branch.__record__.document(branch) for branch in branches))
            for key in branches:
                branch = await unit.get(Branch, key)
                requirements = requirements_for(repository, rules, branch.name)
                change = protect_branch(branch, requirements, unit.now)
                if change is not None:
                    unit.apply(change)

        await self.units.run(actor, Repository.__record__.root_of(repository.id), turn)

    async def _rules(self, actor: Actor, repository_id: str) -> BranchRules | None:
        return await self.units.find(actor, BranchRules, rules_id(repository_id))
