"""What we read of GitHub's answers. Unknown members are ignored; a missing one is an error at the edge."""

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from shared.adapters.hosts.git_history import split_trailers
from shared.ports.source_host import CommitInfo


class Sha(BaseModel):
    sha: str


class Who(BaseModel):
    name: str
    email: str
    date: datetime


class CommitBody(BaseModel):
    message: str
    tree: Sha
    author: Who
    committer: Who


class GitCommit(CommitBody):
    """Of the git data API."""

    sha: str
    parents: list[Sha]

    def info(self) -> CommitInfo:
        return info(self.sha, self, self.parents)


class ListedCommit(BaseModel):
    """Of lists and comparisons."""

    sha: str
    commit: CommitBody
    parents: list[Sha]

    def info(self) -> CommitInfo:
        return info(self.sha, self.commit, self.parents)


class WrittenFile(BaseModel):
    commit: Sha


class ComparedFile(BaseModel):
    """No patch: binary, too large, or nothing to show."""

    filename: str
    status: str
    additions: int
    deletions: int
    patch: str | None = None
    previous_filename: str | None = None


class Comparison(BaseModel):
    """`head` against `base`. `commits` are a page of those that only `head` has, oldest first; `files` come
    with the first page alone, 300 of them at most."""

    status: str
    merge_base_commit: Sha
    total_commits: int
    commits: list[ListedCommit]
    files: list[ComparedFile] = []

    @property
    def is_descendant(self) -> bool:
        """Whether `head` contains `base`."""
        return self.status in {"ahead", "identical"}


class TreeEntry(BaseModel):
    path: str
    mode: str
    type: str
    sha: str


class GitTree(BaseModel):
    sha: str
    tree: list[TreeEntry]
    truncated: bool


class Ref(BaseModel):
    object: Sha


class BranchRow(BaseModel):
    name: str
    commit: Sha


class Repository(BaseModel):
    default_branch: str
    description: str | None = None


class Content(BaseModel):
    """A file, a link or a submodule. `encoding` is `none`, without content, above a megabyte."""

    type: str
    sha: str
    content: str = ""
    encoding: str = "none"
    target: str | None = None


class FieldError(BaseModel):
    code: str = ""
    field: str = ""
    message: str = ""


class Refusal(BaseModel):
    message: str = ""
    errors: list[FieldError | str] | str = Field(default_factory=list)

    def __str__(self) -> str:
        """Everything it says, in one line."""
        errors = [self.errors] if isinstance(self.errors, str) else self.errors
        parts = [self.message]
        parts += (e if isinstance(e, str) else e.message or f"{e.field} {e.code}" for e in errors)
        return "; ".join(filter(None, parts))


def info(sha: str, body: CommitBody, parents: list[Sha]) -> CommitInfo:
    message, trailers = split_trailers(body.message)
    return CommitInfo(
        sha=sha,
        tree=body.tree.sha,
        parents=tuple(parent.sha for parent in parents),
        message=message,
        author=f"{body.author.name} <{body.author.email}>",
        committed_at=body.committer.date.astimezone(UTC),
        trailers=trailers,
    )
