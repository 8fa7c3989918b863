"""Branch policies: which branches only pull requests may move, and what a pull request into one needs.

Patterns are branch names in which `*` stands for anything within one segment and `**` for anything at all.
"""

import re
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import NotFound, StaleRevision
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import child_id
from shared.domain.kernel.record import Entity, record
from shared.domain.source.errors import TooManyPolicies

if TYPE_CHECKING:
    from shared.domain.source.model import Repository

BUILD = "build"
POLICY_GATE = "policy-gate"
DEFAULT_POLICY = "default"
MAX_POLICIES = 25


class MergeStrategy(StrEnum):
    """What the source hosts can do today."""

    MERGE = "merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a pull request needs to be merged."""

    required_checks: tuple[str, ...] = (BUILD,)
    minimum_reviewers: int = 0
    author_may_approve: bool = False
    dismiss_stale_reviews: bool = True
    require_up_to_date: bool = False
    allowed_merge_strategies: tuple[MergeStrategy, ...] = (MergeStrategy.MERGE,)
    bypass_roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements(_Asked):
    """Of several policies for one branch, the strictest of each.

    `policies` names those that apply: without one the branch is open to pushes, and its pull requests need
    their build.
    """

    policies: tuple[str, ...] = ()

    @property
    def is_protected(self) -> bool:
        return bool(self.policies)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchPolicyDraft(_Asked):
    """What one policy asks for on the branches of its pattern."""

    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchPolicy(BranchPolicyDraft):
    """One policy of a repository. `id` is its name, chosen by the caller."""

    id: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int = 1

    @classmethod
    def of(cls, draft: BranchPolicyDraft, name: str, by: str, at: datetime) -> "BranchPolicy":
        asked: dict[str, Any] = {each.name: getattr(draft, each.name) for each in fields(draft)}
        return cls(**asked, id=name, created_by=by, created_at=at, updated_at=at)

    def covers(self, branch: str) -> bool:
        return _compiled(self.pattern).fullmatch(branch) is not None


@record("branch-rules", root="repository")
class BranchRules(Entity):
    """The policies of one repository, in one document, because every push asks for all of them. A repository
    without it has the default policy; one whose policies were all deleted has it empty."""

    id: str
    tenant: str
    repository: str
    policies: tuple[BranchPolicy, ...] = ()
    revision: int = 0


def rules_id(repository_id: str) -> str:
    return child_id(repository_id, "branch-rules")


def default_policy(repository: "Repository") -> BranchPolicy:
    """The default branch is born protected: it changes by pull requests whose build has passed."""
    draft = BranchPolicyDraft(pattern=repository.default_branch)
    return BranchPolicy.of(draft, DEFAULT_POLICY, repository.created_by, repository.created_at)


def policies_of(repository: "Repository", rules: BranchRules | None) -> tuple[BranchPolicy, ...]:
    """The policies in force, by name. `rules` is the repository's document, None where it has none."""
    return (default_policy(repository),) if rules is None else rules.policies


def requirements_for(repository: "Repository", rules: BranchRules | None, branch: str) -> Requirements:
    """What changing `branch` needs. The one rule behind every door to it."""
    covering = [policy for policy in policies_of(repository, rules) if policy.covers(branch)]
    if not covering:
        return Requirements()
    strategies = [set(policy.allowed_merge_strategies) for policy in covering]
    roles = [set(policy.bypass_roles) for policy in covering]
    checks = dict.fromkeys(name for policy in covering for name in policy.required_checks)
    return Requirements(
        policies=tuple(policy.id for policy in covering),
        required_checks=tuple(checks),
        minimum_reviewers=max(policy.minimum_reviewers for policy in covering),
        author_may_approve=all(policy.author_may_approve for policy in covering),
        dismiss_stale_reviews=any(policy.dismiss_stale_reviews for policy in covering),
        require_up_to_date=any(policy.require_up_to_date for policy in covering),
        allowed_merge_strategies=tuple(sorted(set.intersection(*strategies))),
        bypass_roles=tuple(sorted(set.intersection(*roles))),
    )


def get_policy(policies: tuple[BranchPolicy, ...], name: str) -> BranchPolicy:
    for policy in policies:
        if policy.id == name:
            return policy
    raise NotFound("There is no such branch policy.")


def put_policy(
    repository: "Repository", rules: BranchRules | None, wanted: BranchPolicy, revision: int | None
) -> tuple[Change[BranchRules], BranchPolicy]:
    """Set the policy of that name, in place of the one there is. Raises StaleRevision, TooManyPolicies."""
    known = policies_of(repository, rules)
    others = tuple(policy for policy in known if policy.id != wanted.id)
    before = next((policy for policy in known if policy.id == wanted.id), None)
    _check_revision(before, revision)
    if before is None and len(known) >= MAX_POLICIES:
        raise TooManyPolicies(
            f"A repository has at most {MAX_POLICIES} branch policies; use patterns, or delete one.",
            limit=MAX_POLICIES,
        )
    if before is not None:
        at, by, count = before.created_at, before.created_by, before.revision + 1
        wanted = replace(wanted, created_at=at, created_by=by, revision=count)
    policies = tuple(sorted((*others, wanted), key=lambda policy: policy.id))
    return _changed(repository, rules, policies, "branch-policy.set", wanted), wanted


def delete_policy(
    repository: "Repository", rules: BranchRules | None, name: str, revision: int | None
) -> Change[BranchRules]:
    """Take the policy away. Raises NotFound, StaleRevision."""
    known = policies_of(repository, rules)
    gone = get_policy(known, name)
    _check_revision(gone, revision)
    rest = tuple(policy for policy in known if policy.id != name)
    return _changed(repository, rules, rest, "branch-policy.deleted", gone)


def _check_revision(before: BranchPolicy | None, revision: int | None) -> None:
    if revision is None:
        return
    if before is None:
        raise StaleRevision("This branch policy is not there any more; leave If-Match out to make it anew.")
    if before.revision != revision:
        raise StaleRevision(
            f"This branch policy is at revision {before.revision}, not {revision}; read it again and decide"
            " anew.",
            revision=before.revision,
        )


def _changed(
    repository: "Repository",
    rules: BranchRules | None,
    policies: tuple[BranchPolicy, ...],
    action: str,
    policy: BranchPolicy,
) -> Change[BranchRules]:
    rules = rules or BranchRules(
        id=rules_id(repository.id), tenant=repository.tenant, repository=repository.id
    )
    payload = {
        "repositoryId": f"repo-{repository.id}",
        "policyId": policy.id,
        "pattern": policy.pattern,
        "change": action.removeprefix("branch-policy."),
    }
    event = Event("BranchPolicyChanged", payload, project=repository.project, module=repository.module)
    return Change(replace(rules, policies=policies), action, (event,))


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    meant = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(meant.get(part, re.escape(part)) for part in parts), re.DOTALL)
