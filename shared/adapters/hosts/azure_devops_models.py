"""What we read of Azure DevOps' answers. Unknown members are ignored; a missing one is an error here."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Row(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Listed[R](BaseModel):
    """How every list comes, whatever is in it."""

    value: list[R]


class Validation(Row):
    message: str = ""


class Validated(Row):
    validation_results: list[Validation] = Field(default=[], alias="ValidationResults")


class Refusal(Row):
    """`type_key` is the name of the service's exception, which is what may be relied upon."""

    message: str = ""
    type_key: str = ""
    custom_properties: Validated | None = None

    @property
    def said(self) -> str:
        """What is wrong with a build is told beside, in one sentence for each thing."""
        found = self.custom_properties.validation_results if self.custom_properties else []
        return " ".join([self.message, *(each.message for each in found)]).strip()


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

    id: str
    name: str
    project: Project
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


class Link(Row):
    href: str = ""


class YamlProcess(Row):
    """Of a definition; one that was clicked together has no file."""

    yaml_filename: str = ""


class Definition(Row):
    """A pipeline, as builds know it."""

    id: int
    name: str
    queue_status: str = "enabled"
    process: YamlProcess | None = None


class Pipeline(Row):
    id: int


class BuildRepository(Row):
    id: str = ""


class BuildLinks(Row):
    web: Link = Link()


class Build(Row):
    """A run of a pipeline. `template_parameters` are what it was started with."""

    id: int
    status: str = "none"
    result: str | None = None
    queue_time: datetime
    start_time: datetime | None = None
    finish_time: datetime | None = None
    source_version: str = ""
    repository: BuildRepository = BuildRepository()
    template_parameters: dict[str, str] | None = None
    links: BuildLinks = Field(default=BuildLinks(), alias="_links")


class LogReference(Row):
    id: int


class Record(Row):
    """Of a timeline: a stage, a phase of one, a job of that, a task of that, or something to wait for."""

    id: str
    parent_id: str | None = None
    type: str
    name: str = ""
    state: str = "pending"
    result: str | None = None
    start_time: datetime | None = None
    finish_time: datetime | None = None
    order: int | None = None
    log: LogReference | None = None


class Timeline(Row):
    records: list[Record] = []


class ArtifactResource(Row):
    download_url: str = ""
    properties: dict[str, str] | None = None


class BuildArtifact(Row):
    id: int
    name: str
    resource: ArtifactResource


class Subscription(Row):
    """A service hook. Secrets among its inputs are told as asterisks."""

    id: str
    event_type: str
    consumer_id: str
    publisher_inputs: dict[str, str | None] = {}
    consumer_inputs: dict[str, str | None] = {}


class StatusContext(Row):
    name: str
    genre: str | None = None


class Status(Row):
    id: int
    state: str
    description: str | None = None
    target_url: str | None = None
    context: StatusContext


class Person(Row):
    display_name: str


class Label(Row):
    name: str
    active: bool = True


class PullRequest(Row):
    """Until its merge was tried, the commits are not told."""

    pull_request_id: int
    status: str
    title: str = ""
    description: str = ""
    source_ref_name: str
    target_ref_name: str
    is_draft: bool = False
    created_by: Person
    creation_date: datetime
    closed_date: datetime | None = None
    closed_by: Person | None = None
    labels: list[Label] = []
    last_merge_source_commit: CommitId | None = None
    last_merge_commit: CommitId | None = None
    fork_source: dict[str, object] | None = None
