"""Where code lives: embedded git, GitHub or Azure DevOps. Git's refs are the truth; our records follow.

Every call is for one repository, named by its place. Shas are 40 hex. Branch names are short (`main`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from shared.domain.kernel.errors import Conflict, Invalid, NotFound
from shared.domain.source.model import Provider, Visibility


@dataclass(frozen=True, slots=True)
class Place:
    """A repository on its host: /git/{tenant}/{project}/{name}.git on the embedded one."""

    tenant: str
    project: str
    name: str
    provider: Provider = Provider.EMBEDDED


@dataclass(frozen=True, slots=True)
class FileChange:
    """One path of a commit to be. `content` for add and modify; `source` is the old path of a rename."""

    path: str
    operation: Literal["add", "modify", "delete", "rename"]
    content: bytes | None = None
    source: str | None = None
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    name: str
    email: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CommitInfo:
    sha: str
    tree: str
    parents: tuple[str, ...]
    message: str
    author: str
    committed_at: datetime
    trailers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One path between two trees. `patch` is unified text, None for a binary or a cut file."""

    path: str
    operation: Literal["add", "modify", "delete", "rename"]
    additions: int
    deletions: int
    patch: str | None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """A branch that moved on the host and has to be recorded. `old` or `new` is None for a birth or a
    deletion."""

    place: Place
    branch: str
    old: str | None
    new: str | None
    pushed_by: str
    at: datetime
    token: str
    """Names the journal entry to acknowledge."""


class RepositoryMissing(NotFound):
    code = "repository_missing"


class RepositoryTaken(Conflict):
    """Another repository, which is not ours, has the name on the host."""

    code = "repository_taken"


class UnknownBranch(NotFound):
    code = "unknown_branch"


class UnknownCommit(NotFound):
    code = "unknown_commit"


class HeadMoved(Conflict):
    """The branch is not where the caller believed it to be. `actual` is its head now."""

    code = "head_moved"


class BranchExists(Conflict):
    code = "branch_exists"


class MergeConflict(Conflict):
    """The two sides changed the same lines. `paths` lists the files."""

    code = "merge_conflict"


class BadChange(Invalid):
    """A change that cannot be applied: path escapes, modify of a missing path and so on; lists every one."""

    code = "invalid_changes"


class SourceHost(Protocol):
    """Every method is safe to repeat. Branches only grow by compare-and-swap. Any of them may raise
    ProviderUnavailable, where the place's provider is not set up for its tenant.

    Where nobody else can tell of ref moves, the host journals them until they are acknowledged. A vendor's
    host journals nothing: its branches are compared with our records.
    """

    def clone_url(self, place: Place) -> str:
        """Where git clones it from: a URL, or a path below this installation's own address."""

    async def create(
        self,
        place: Place,
        *,
        default_branch: str,
        author: Signature,
        readme: str,
        visibility: Visibility = Visibility.PRIVATE,
    ) -> str:
        """Make the repository with one initial commit on its default branch (again: the same one); its
        sha. RepositoryTaken where another one has its place."""

    async def exists(self, place: Place) -> bool: ...

    async def branches(self, place: Place) -> dict[str, str]:
        """Short branch name -> head sha."""

    async def head(self, place: Place, branch: str) -> str:
        """UnknownBranch where there is none."""

    async def create_branch(self, place: Place, name: str, at: str, *, by: str) -> None:
        """BranchExists unless it exists at that very sha."""

    async def delete_branch(self, place: Place, name: str, *, expected: str, by: str) -> None:
        """HeadMoved where the branch is elsewhere. A vendor may only look right before it deletes."""

    async def commit(
        self,
        place: Place,
        branch: str,
        changes: Sequence[FileChange],
        *,
        message: str,
        author: Signature,
        expected_head: str | None = None,
        trailers: Sequence[tuple[str, str]] = (),
        once: tuple[str, str] | None = None,
    ) -> CommitInfo:
        """Write one commit on top of the branch and move it there.

        `once` is a trailer (name, value): if one of the branch's last 50 commits carries it, that commit is
        the answer and nothing is written, so that a retry after a lost answer makes no second commit.
        Raises UnknownBranch, HeadMoved, BadChange (nothing written).
        """

    async def merge(
        self,
        place: Place,
        *,
        source: str,
        target: str,
        expected_source: str,
        message: str,
        author: Signature,
        trailers: Sequence[tuple[str, str]] = (),
    ) -> CommitInfo:
        """A real merge commit of branch `source` (at `expected_source`) into branch `target`.

        If `target` already contains a merge commit with the same trailers, that is the answer.
        Raises HeadMoved, MergeConflict (paths in facts; nothing written).
        """

    async def merge_conflicts(self, place: Place, *, source: str, target: str) -> Sequence[str] | None:
        """The paths in which merging commit `source` into commit `target` would conflict; nothing is written.
        None where the host cannot say yet. Raises UnknownCommit."""

    async def merge_base(self, place: Place, one: str, other: str) -> str | None: ...

    async def is_ancestor(self, place: Place, ancestor: str, descendant: str) -> bool: ...

    async def diff(
        self, place: Place, base: str, head: str, *, max_patch_bytes: int = 262144
    ) -> list[FileDiff]:
        """Tree of `base` against tree of `head`, by path; renames are detected."""

    async def info(self, place: Place, sha: str) -> CommitInfo:
        """UnknownCommit where there is none."""

    async def log(
        self, place: Place, head: str, *, until: str | None = None, limit: int = 50
    ) -> list[CommitInfo]:
        """First-parent-and-all history from `head`, newest first, without what `until` already contains."""

    async def read_file(self, place: Place, sha: str, path: str) -> bytes | None:
        """None where the commit's tree has no such file. A link is read as it is stored, or followed."""

    async def list_files(self, place: Place, sha: str, prefix: str = "") -> list[str]: ...

    async def checkout(self, place: Place, sha: str, folder: str) -> None:
        """The exact tree of a commit into an empty folder (no .git; executable bits kept; links inside
        only)."""

    async def pending(self, *, older_than: float = 5.0) -> list[RefUpdate]:
        """Ref moves of every repository that nobody has acknowledged yet, oldest first."""

    async def acknowledge(self, update: RefUpdate) -> None:
        """The move is recorded; forget it. Twice is fine."""

    async def settle(self, place: Place, branch: str, new: str | None) -> None:
        """Acknowledge every pending move of this branch to this sha (None: its deletion). Twice is fine.

        For callers of commit, merge, create_branch and delete_branch, who know what moved and hold no token.
        """
