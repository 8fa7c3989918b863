"""What we read of Azure DevOps' answers. Unknown members are ignored; a missing one is an error here."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Row(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Listed[R](BaseModel):
    """How every list comes, whatever is in it."""

    value: list[R]


class Refusal(Row):
    """`type_key` is the name of the service's exception, which is what may be relied upon."""

    message: str = ""
    type_key: str = ""


class Project(Row):
    id: str
    state: str = "wellFormed"


class Process(Row):
    id: str
    is_default: bool = False


class Operation(Row):
    id: str
    status: str


class Repository(Row):
    """One without a branch has no default branch."""

    default_branch: str | None = None


class Ref(Row):
    name: str
    object_id: str


class RefResult(Row):
    update_status: str


class CommitId(Row):
    commit_id: str


class ListedCommit(CommitId):
    """Of a list: the message may be cut, and what the commit is made of is not told."""

    comment: str = ""
    comment_truncated: bool = False


class Who(Row):
    name: str = ""
    email: str = ""
    date: datetime


class Commit(CommitId):
    tree_id: str
    parents: list[str] = []
    author: Who
    committer: Who
    comment: str = ""


class TreeEntry(Row):
    """`mode` is octal. A blob's size is told, where it is."""

    relative_path: str
    mode: str
    object_id: str
    git_object_type: str
    size: int | None = None


class Tree(Row):
    tree_entries: list[TreeEntry]


class Item(Row):
    object_id: str
    git_object_type: str
