"""The little that GitHub tells and takes by GraphQL alone: drafts, and what a merge made."""

from collections.abc import Sequence

from pydantic import BaseModel, Field
from yarl import URL

from shared.adapters.hosts.github_api import Remote
from shared.adapters.vendors.guard import shown
from shared.domain.kernel.errors import Forbidden, Invalid, Transient

_MOST_NODES = 100
_REFUSALS = frozenset({"UNPROCESSABLE", "NOT_FOUND"})
_MERGES = """\
query($ids: [ID!]!) {
  nodes(ids: $ids) { ... on PullRequest { id mergeCommit { oid } mergedBy { login } } }
}"""
_TURN = "mutation($id: ID!) {{ {name}(input: {{pullRequestId: $id}}) {{ clientMutationId }} }}"
_DRAFT, _READY = "convertPullRequestToDraft", "markPullRequestReadyForReview"


class GraphError(BaseModel):
    type: str = ""
    message: str = ""


class MergeCommit(BaseModel):
    oid: str


class Merger(BaseModel):
    login: str


class Merged(BaseModel):
    """Members are missing where the node is something else; the merger also where the account is gone."""

    id: str = ""
    merge_commit: MergeCommit | None = Field(default=None, alias="mergeCommit")
    merged_by: Merger | None = Field(default=None, alias="mergedBy")

    @property
    def sha(self) -> str | None:
        return None if self.merge_commit is None else self.merge_commit.oid

    @property
    def by(self) -> str | None:
        return None if self.merged_by is None else self.merged_by.login


class Data(BaseModel):
    nodes: list[Merged | None] = []


class Reply(BaseModel):
    data: Data | None = None
    errors: list[GraphError] = []

    @property
    def said(self) -> str:
        return shown("; ".join(error.message for error in self.errors))

    def check(self, *, fine: str | None = None) -> None:
        """The kernel's error for what GitHub refused; it answers 200 to that, too. One type may be fine.

        What is asked here never changes, so an error of no known type is GitHub's own, and passes.
        """
        kinds = {error.type for error in self.errors if error.type != fine}
        if "FORBIDDEN" in kinds:
            raise Forbidden(f"GitHub does not allow this: {self.said}.", permission="pull_requests=write")
        if kinds & _REFUSALS:
            raise Invalid(f"GitHub does not take this: {self.said}.")
        if kinds:
            raise Transient(f"GitHub failed with '{self.said}'; try again.")


async def merges(remote: Remote, nodes: Sequence[str]) -> dict[str, Merged]:
    """What the target branches got and who merged, by the node id of the merged pull request."""
    found: dict[str, Merged] = {}
    for start in range(0, len(nodes), _MOST_NODES):
        reply = await _ask(remote, _MERGES, ids=list(nodes[start : start + _MOST_NODES]))
        # What is not there is null among the nodes, and an error beside them.
        reply.check(fine="NOT_FOUND")
        found |= {node.id: node for node in (reply.data.nodes if reply.data else ()) if node is not None}
    return found


async def turn(remote: Remote, node: str, *, into_draft: bool) -> Reply:
    """Make a pull request a draft, or ready. Who asks looks at what became of it before the reply's errors:
    to make it what it is already may be one."""
    return await _ask(remote, _TURN.format(name=_DRAFT if into_draft else _READY), id=node)


async def _ask(remote: Remote, query: str, **variables: object) -> Reply:
    """All that is asked here may be repeated."""
    answer = await remote.http.send(
        remote.account,
        "POST",
        address(remote.http.base),
        body={"query": query, "variables": variables},
        repeatable=True,
    )
    return answer.read(Reply)


def address(rest: URL) -> str:
    """Where GraphQL is: below the address of the REST API, or beside it on an Enterprise Server (/api/v3)."""
    return str(rest.with_path(rest.path.rstrip("/").removesuffix("/v3") + "/graphql"))
