"""Decisions about repositories and branches. Pure: what happened on the host comes in as facts."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import Invalid, Problem
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import child_id
from shared.domain.kernel.machine import Machine
from shared.domain.source.errors import (
    DefaultBranch,
    ManagedRepository,
    ProjectExists,
    ProtectedBranch,
    ProviderUnavailable,
    RepositoryIsArchived,
    RepositoryNotReady,
    ReservedProject,
)
from shared.domain.source.model import (
    Branch,
    BranchStatus,
    Commit,
    Project,
    Provider,
    Repository,
    RepositoryStatus,
    project_id,
)
from shared.domain.source.policies import BranchRules, Requirements, requirements_for

R, B = RepositoryStatus, BranchStatus

REPOSITORY = Machine(
    "repository",
    R,
    initial=[R.REQUESTED],
    moves={
        "provision": ((R.REQUESTED, R.FAILED), R.PROVISIONING),
        "complete": ((R.PROVISIONING,), R.PROVISIONED),
        "fail": ((R.PROVISIONING,), R.FAILED),
        "archive": ((R.PROVISIONED,), R.ARCHIVED),
        "unarchive": ((R.ARCHIVED,), R.PROVISIONED),
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

RESERVED_PROJECTS = frozenset({"gitops"})
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


def check_pattern(pattern: str, field: str) -> None:
    """A pattern of a branch policy has to be able to name a branch. Raises Invalid."""
    if "***" in pattern:
        hint = "Use * for anything within one segment and ** for anything at all."
        raise Invalid("The pattern means nothing.", Problem(field, hint, "invalid_pattern"))
    check_branch_name(pattern.replace("*", "x"), field)


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


def request_repository(
    wanted: Repository, available: Collection[Provider] = (Provider.EMBEDDED,)
) -> Change[Repository]:
    """Accept a repository to be made; making it on the host is the effect that follows."""
    # Where the disk ignores case, `GitOps` would be the very folder of `gitops`.
    if wanted.project.casefold() in RESERVED_PROJECTS and not wanted.is_managed:
        raise ReservedProject(f"The project {wanted.project} is Slipway's own; choose another name.")
    if wanted.provider not in available:
        usable = sorted(map(str, available))
        raise ProviderUnavailable(
            f"Repositories on {wanted.provider} cannot be provisioned by this installation until its settings"
            f" name an organization there; use {' or '.join(usable)}.",
            provider=str(wanted.provider),
            available=usable,
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


def fail_repository(repository: Repository, failure: str, at: datetime) -> Change[Repository]:
    """Its host refuses to make it; asking for it again begins anew."""
    status = REPOSITORY.next(repository.status, "fail")
    failed = replace(repository, status=status, failure=failure, updated_at=at)
    return Change(failed, "repository.failed", ())


def archive_repository(repository: Repository, by: str, at: datetime) -> Change[Repository]:
    """It stays to be read, with its open pull requests, and nobody changes anything in it."""
    _require_unmanaged(repository, "it cannot be archived.")
    payload = {"repositoryId": f"repo-{repository.id}", "archivedBy": by}
    archived = replace(repository, status=REPOSITORY.next(repository.status, "archive"), updated_at=at)
    fact = Event("RepositoryArchived", payload, project=repository.project, module=repository.module)
    return Change(archived, "repository.archived", (fact,))


def unarchive_repository(repository: Repository, by: str, at: datetime) -> Change[Repository]:
    payload = {"repositoryId": f"repo-{repository.id}", "unarchivedBy": by}
    back = replace(repository, status=REPOSITORY.next(repository.status, "unarchive"), updated_at=at)
    fact = Event("RepositoryUnarchived", payload, project=repository.project, module=repository.module)
    return Change(back, "repository.unarchived", (fact,))


def require_readable(repository: Repository) -> None:
    if repository.status is not R.ARCHIVED:
        require_ready(repository)


def require_unarchived(repository: Repository) -> None:
    if repository.status is R.ARCHIVED:
        raise RepositoryIsArchived(
            f"The repository {repository.full_name} is archived and can only be read; unarchive it to change"
            " anything in it.",
            status=str(repository.status),
        )


def require_ready(repository: Repository) -> None:
    require_unarchived(repository)
    if repository.status is not R.PROVISIONED:
        raise RepositoryNotReady(
            f"The repository {repository.full_name} is {repository.status}; wait until it is provisioned.",
            status=str(repository.status),
        )


def require_writable(repository: Repository) -> None:
    """Desired state gets into its repository by approved promotions, or approvals would mean nothing; by git
    also from those who may bring back what once was approved."""
    require_ready(repository)
    _require_unmanaged(repository, "promote a release to change what it says.")


def _require_unmanaged(repository: Repository, hint: str) -> None:
    if repository.is_managed:
        raise ManagedRepository(
            f"{repository.full_name} is kept by Slipway; {hint}", repository=repository.full_name
        )


def require_unprotected(name: str, requirements: Requirements) -> None:
    """Commits and pushes go to a branch only where no policy covers it."""
    if requirements.is_protected:
        message = f"The branch {name} is protected; commit to another one and open a pull request into it."
        raise ProtectedBranch(message, branch=name, policies=list(requirements.policies))


def new_branch(
    repository: Repository,
    existing: Branch | None,
    name: str,
    head: str,
    *,
    by: str,
    at: datetime,
    rules: BranchRules | None = None,
) -> Change[Branch]:
    """Record a branch that exists on the host, protected where a policy covers it. The default branch is born
    so."""
    is_protected = requirements_for(repository, rules, name).is_protected
    if existing is not None:
        status = BRANCH.next(existing.status, "recreate")
        branch = replace(
            existing,
            status=status,
            head=head,
            from_commit=head,
            is_protected=is_protected,
            created_by=by,
            updated_at=at,
        )
    else:
        branch = Branch(
            id=child_id(repository.id, "branch", name),
            tenant=repository.tenant,
            repository=repository.id,
            name=name,
            head=head,
            from_commit=head,
            is_protected=is_protected,
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
    """Record that a branch now ends in `head`; one CommitCreated for each commit that came with it. Those of
    the branch that says what environments should run are followed."""
    moved = replace(branch, status=BRANCH.next(branch.status, "move"), head=head, updated_at=at)
    events = tuple(_commit_created(repository, commit) for commit in commits)
    if repository.is_managed and branch.name == repository.default_branch:
        events += tuple(_desired_state_committed(repository, commit) for commit in commits)
    return Change(moved, "branch.moved", events)


def _commit_created(repository: Repository, commit: Commit) -> Event:
    payload = {
        "commitId": f"commit-{commit.id}",
        "repositoryId": f"repo-{repository.id}",
        "branch": commit.branch,
        "sha": commit.sha,
        "treeHash": commit.tree,
        "artifactId": commit.artifact,
        "committedAt": commit.committed_at.isoformat(),
    }
    return Event("CommitCreated", payload, project=repository.project, module=repository.module)


def _desired_state_committed(repository: Repository, commit: Commit) -> Event:
    payload = {"repositoryId": f"repo-{repository.id}", "sha": commit.sha}
    return Event("DesiredStateCommitted", payload, project=repository.project)


def protect_branch(branch: Branch, requirements: Requirements, at: datetime) -> Change[Branch] | None:
    """Show on the branch what the policies say of it now. None where it does."""
    if branch.is_protected is requirements.is_protected:
        return None
    action = "branch.protected" if requirements.is_protected else "branch.unprotected"
    return Change(replace(branch, is_protected=requirements.is_protected, updated_at=at), action)


def require_deletable(repository: Repository, branch: Branch, requirements: Requirements) -> None:
    """The default branch stays, and so does what a policy covers."""
    BRANCH.next(branch.status, "delete")
    if branch.name == repository.default_branch:
        raise DefaultBranch(f"{branch.name} is the default branch; it goes with its repository only.")
    if requirements.is_protected:
        message = f"The branch {branch.name} is protected; delete the policies that cover it first."
        raise ProtectedBranch(message, branch=branch.name, policies=list(requirements.policies))


def delete_branch(repository: Repository, branch: Branch, at: datetime) -> Change[Branch]:
    deleted = replace(branch, status=BRANCH.next(branch.status, "delete"), updated_at=at)
    payload = {
        "branchId": f"branch-{branch.id}",
        "repositoryId": f"repo-{repository.id}",
        "name": branch.name,
        "head": branch.head,
    }
    return Change(deleted, "branch.deleted", (Event("BranchDeleted", payload, project=repository.project),))
