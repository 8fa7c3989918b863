"""Decisions about repositories, branches and pull requests. Pure: what happened on the host comes in as
facts."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import Invalid, Problem
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import child_id
from shared.domain.kernel.machine import Machine
from shared.domain.source.errors import (
    ChecksNotPassed,
    ManagedRepository,
    ProjectExists,
    ProtectedBranch,
    ProviderUnavailable,
    PullRequestExists,
    RepositoryNotReady,
    ReservedProject,
    SameBranch,
)
from shared.domain.source.model import (
    Branch,
    BranchStatus,
    Check,
    CheckStatus,
    Commit,
    OpenPullRequest,
    PolicyEvaluation,
    Project,
    Provider,
    PullRequest,
    PullRequestIndex,
    PullRequestStatus,
    Repository,
    RepositoryStatus,
    project_id,
)

R, B, P = RepositoryStatus, BranchStatus, PullRequestStatus

REPOSITORY = Machine(
    "repository",
    R,
    initial=[R.REQUESTED],
    moves={
        "provision": ((R.REQUESTED, R.FAILED), R.PROVISIONING),
        "complete": ((R.PROVISIONING,), R.PROVISIONED),
        "fail": ((R.PROVISIONING,), R.FAILED),
        "archive": ((R.PROVISIONED,), R.ARCHIVED),
    },
)
BRANCH = Machine(
    "branch",
    B,
    initial=[B.CREATED],
    moves={
        "move": ((B.CREATED, B.MERGED), B.CREATED),
        "merge": ((B.CREATED, B.MERGED), B.MERGED),
        "delete": ((B.CREATED, B.MERGED), B.DELETED),
        "recreate": ((B.DELETED,), B.CREATED),
    },
)
PULL_REQUEST = Machine(
    "pull request",
    P,
    initial=[P.OPEN],
    moves={
        "update": ((P.OPEN, P.BLOCKED), P.OPEN),
        "block": ((P.OPEN, P.BLOCKED), P.BLOCKED),
        "merge": ((P.OPEN, P.BLOCKED), P.MERGED),
        "abandon": ((P.OPEN, P.BLOCKED), P.ABANDONED),
    },
)

RESERVED_PROJECTS = frozenset({"gitops"})
BUILD = "build"
POLICY_GATE = "policy-gate"
ARTIFACT_TRAILER = "Slipway-Artifact"
REQUEST_TRAILER = "Slipway-Request"
PULL_REQUEST_TRAILER = "Slipway-Pull-Request"

_BRANCH_NAME = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]+")
_BRANCH_NAME_BYTES = 244
"""A name is a file to git, and file systems count bytes: 255, less `.lock` and what the host adds."""


def check_branch_name(name: str, field: str) -> None:
    """Git's own rules for a branch name (git-check-ref-format)."""
    parts = name.split("/")
    bad = (
        not _BRANCH_NAME.fullmatch(name)
        or ".." in name
        or "@{" in name
        or name in ("@", "HEAD")
        or name.startswith("-")
        or any(not part or part.startswith(".") or part.endswith((".", ".lock")) for part in parts)
    )
    if len(name.encode("utf-8", "surrogatepass")) > _BRANCH_NAME_BYTES:
        hint = f"Use at most {_BRANCH_NAME_BYTES} bytes; a letter with an accent takes two of them."
        raise Invalid("The branch name is too long.", Problem(field, hint, "invalid_branch_name"))
    if bad:
        hint = "Use letters, digits, dots, dashes and single slashes, as in feature/cancel-reservation."
        raise Invalid("The branch name is not one git accepts.", Problem(field, hint, "invalid_branch_name"))


def name_project(
    known: Project | None, tenant: str, name: str, by: str, at: datetime
) -> Change[Project] | None:
    """The project under its first spelling; None where it is known by this one."""
    if known is None:
        named = Project(id=project_id(tenant, name), tenant=tenant, name=name, created_by=by, created_at=at)
        return Change(named, "project.named")
    if known.name != name:
        raise ProjectExists(
            f"There is a project {known.name}, which differs from {name} only by case; write it like that,"
            " or choose another name.",
            projectId=known.name,
        )
    return None


def request_repository(wanted: Repository) -> Change[Repository]:
    """Accept a repository to be made; making it on the host is the effect that follows."""
    # Where the disk ignores case, `GitOps` would be the very folder of `gitops`.
    if wanted.project.casefold() in RESERVED_PROJECTS and not wanted.is_managed:
        raise ReservedProject(f"The project {wanted.project} is Slipway's own; choose another name.")
    if wanted.provider is not Provider.EMBEDDED:
        raise ProviderUnavailable(
            f"Repositories on {wanted.provider} cannot be provisioned by this installation; use Embedded.",
            provider=str(wanted.provider),
            available=[str(Provider.EMBEDDED)],
        )
    status = REPOSITORY.next(wanted.status, "provision")
    command = Event(
        "ProvisionRepository",
        {"repositoryId": f"repo-{wanted.id}"},
        project=wanted.project,
        module=wanted.module,
    )
    return Change(replace(wanted, status=status), "repository.requested", (command,))


def complete_repository(repository: Repository, at: datetime) -> Change[Repository]:
    payload = {
        "repositoryId": f"repo-{repository.id}",
        "provider": str(repository.provider),
        "remoteUrl": repository.remote_url,
        "defaultBranch": repository.default_branch,
        "visibility": str(repository.visibility),
    }
    done = replace(repository, status=REPOSITORY.next(repository.status, "complete"), updated_at=at)
    fact = Event("RepositoryProvisioned", payload, project=repository.project, module=repository.module)
    return Change(done, "repository.provisioned", (fact,))


def require_ready(repository: Repository) -> None:
    if repository.status is not R.PROVISIONED:
        raise RepositoryNotReady(
            f"The repository {repository.full_name} is {repository.status}; wait until it is provisioned.",
            status=str(repository.status),
        )


def require_writable(repository: Repository) -> None:
    """Desired state gets into its repository by approved promotions only, or approvals would mean nothing."""
    require_ready(repository)
    if repository.is_managed:
        raise ManagedRepository(
            f"{repository.full_name} is kept by Slipway; promote a release to change what it says.",
            repository=repository.full_name,
        )


def require_unprotected(branch: Branch) -> None:
    if branch.is_protected:
        message = (
            f"The branch {branch.name} is protected; commit to another one and open a pull request into it."
        )
        raise ProtectedBranch(message, branch=branch.name)


def new_branch(
    repository: Repository, existing: Branch | None, name: str, head: str, *, by: str, at: datetime
) -> Change[Branch]:
    """Record a branch that exists on the host. The default branch is born protected."""
    if existing is not None:
        status = BRANCH.next(existing.status, "recreate")
        branch = replace(existing, status=status, head=head, from_commit=head, created_by=by, updated_at=at)
    else:
        branch = Branch(
            id=child_id(repository.id, "branch", name),
            tenant=repository.tenant,
            repository=repository.id,
            name=name,
            head=head,
            from_commit=head,
            is_protected=name == repository.default_branch,
            status=B.CREATED,
            created_by=by,
            created_at=at,
            updated_at=at,
        )
    payload = {
        "branchId": f"branch-{branch.id}",
        "repositoryId": f"repo-{repository.id}",
        "name": name,
        "fromCommitSha": head,
        "isProtected": branch.is_protected,
    }
    return Change(branch, "branch.created", (Event("BranchCreated", payload, project=repository.project),))


def move_branch(
    repository: Repository, branch: Branch, head: str, commits: Sequence[Commit], at: datetime
) -> Change[Branch]:
    """Record that a branch now ends in `head`; one CommitCreated for each commit that came with it."""
    moved = replace(branch, status=BRANCH.next(branch.status, "move"), head=head, updated_at=at)
    events = tuple(_commit_created(repository, commit) for commit in commits)
    return Change(moved, "branch.moved", events)


def _commit_created(repository: Repository, commit: Commit) -> Event:
    payload = {
        "commitId": f"commit-{commit.id}",
        "repositoryId": f"repo-{repository.id}",
        "branch": commit.branch,
        "sha": commit.sha,
        "treeHash": commit.tree,
        "artifactId": commit.artifact,
    }
    return Event("CommitCreated", payload, project=repository.project, module=repository.module)


def delete_branch(branch: Branch, at: datetime) -> Change[Branch]:
    return Change(
        replace(branch, status=BRANCH.next(branch.status, "delete"), updated_at=at), "branch.deleted"
    )


def check_branch_pair(source: str, target: str) -> None:
    if source == target:
        raise SameBranch("A pull request needs two different branches.", branch=source)


def open_pull_request(
    wanted: PullRequest, index: PullRequestIndex
) -> tuple[Change[PullRequest], PullRequestIndex]:
    """Give the next number and start the checks. `wanted.number` is ignored."""
    for row in index.open:
        if (row.source_branch, row.target_branch) == (wanted.source_branch, wanted.target_branch):
            raise PullRequestExists(
                f"#{row.number} is open from {row.source_branch} into {row.target_branch} already.",
                pullRequestId=f"pr-{row.id}",
                number=row.number,
            )
    number = index.last_number + 1
    opened = replace(wanted, number=number, checks=fresh_checks())
    row = OpenPullRequest(opened.id, number, opened.source_branch, opened.target_branch)
    event = _fact("PullRequestOpened", opened)
    return (
        Change(opened, "pull-request.opened", (event,)),
        replace(index, last_number=number, open=(*index.open, row)),
    )


def fresh_checks() -> tuple[Check, ...]:
    return (Check(BUILD, CheckStatus.PENDING), Check(POLICY_GATE, CheckStatus.PENDING))


def update_source(pull_request: PullRequest, sha: str, at: datetime) -> Change[PullRequest]:
    """The source branch moved: what was checked is no longer what would be merged."""
    updated = replace(
        pull_request,
        status=PULL_REQUEST.next(pull_request.status, "update"),
        source_sha=sha,
        checks=fresh_checks(),
        policy_evaluation=PolicyEvaluation.PENDING,
        updated_at=at,
    )
    return Change(updated, "pull-request.updated", (_fact("PullRequestUpdated", updated),))


def record_check(
    pull_request: PullRequest, sha: str, check: Check, at: datetime
) -> Change[PullRequest] | None:
    """Take a verdict on `sha`, then evaluate the policy gate. None where it changes nothing.

    A verdict on another head, or for a closed pull request, came too late and is ignored.
    """
    if sha != pull_request.source_sha or pull_request.status in PULL_REQUEST.terminal:
        return None
    settled = {known.name for known in pull_request.checks if known.status is not CheckStatus.PENDING}
    if check.status is CheckStatus.PENDING and check.name in settled:
        return None
    checks = tuple(check if known.name == check.name else known for known in pull_request.checks)
    required = [known for known in checks if known.required and known.name != POLICY_GATE]
    if any(known.status is CheckStatus.FAILED for known in required):
        verdict, gate, verb = PolicyEvaluation.FAILED, CheckStatus.FAILED, "block"
    elif all(known.status is CheckStatus.SUCCEEDED for known in required):
        verdict, gate, verb = PolicyEvaluation.PASSED, CheckStatus.SUCCEEDED, "update"
    else:
        verdict, gate, verb = PolicyEvaluation.PENDING, CheckStatus.PENDING, "update"
    detail = ", ".join(f"{known.name} {known.status}" for known in required)
    checks = tuple(
        replace(known, status=gate, detail=detail) if known.name == POLICY_GATE else known for known in checks
    )
    if checks == pull_request.checks:
        return None
    checked = replace(
        pull_request,
        status=PULL_REQUEST.next(pull_request.status, verb),
        checks=checks,
        policy_evaluation=verdict,
        updated_at=at,
    )
    return Change(checked, "pull-request.checked")


def require_mergeable(pull_request: PullRequest) -> None:
    PULL_REQUEST.next(pull_request.status, "merge")
    if pull_request.policy_evaluation not in (PolicyEvaluation.PASSED, PolicyEvaluation.WAIVED):
        states = {check.name: str(check.status) for check in pull_request.checks}
        open_checks = ", ".join(
            f"{name} is {state}" for name, state in states.items() if state != "succeeded"
        )
        raise ChecksNotPassed(
            f"Pull request #{pull_request.number} cannot be merged yet: {open_checks}.", checks=states
        )


def merge(
    pull_request: PullRequest, *, sha: str, by: str, at: datetime, requested_as: str | None
) -> Change[PullRequest]:
    """Record the merge commit that the host has, whoever made it: the rules were asked before
    (require_mergeable)."""
    merged = replace(
        pull_request,
        status=PULL_REQUEST.next(pull_request.status, "merge"),
        merge_commit=sha,
        merged_by=by,
        merged_at=at,
        merged_as=requested_as,
        updated_at=at,
    )
    fact = _fact("PullRequestMerged", merged, mergeCommitSha=sha, mergedBy=by)
    return Change(merged, "pull-request.merged", (fact,))


def abandon(pull_request: PullRequest, at: datetime) -> Change[PullRequest]:
    status = PULL_REQUEST.next(pull_request.status, "abandon")
    gone = replace(pull_request, status=status, updated_at=at)
    return Change(gone, "pull-request.abandoned", (_fact("PullRequestAbandoned", gone),))


def close_row(index: PullRequestIndex, pull_request: str) -> PullRequestIndex:
    return replace(index, open=tuple(row for row in index.open if row.id != pull_request))


def _fact(event_type: str, pull_request: PullRequest, **more: object) -> Event:
    payload: dict[str, object] = {
        "pullRequestId": f"pr-{pull_request.id}",
        "number": pull_request.number,
        "repositoryId": f"repo-{pull_request.repository}",
        "sourceBranch": pull_request.source_branch,
        "targetBranch": pull_request.target_branch,
        "sourceSha": pull_request.source_sha,
        **more,
    }
    return Event(event_type, payload, project=pull_request.project)
