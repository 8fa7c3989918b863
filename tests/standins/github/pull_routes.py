"""The routes of pull requests, and the few fields of GitHub's GraphQL that only it has."""

from typing import TYPE_CHECKING, Any

from aiohttp import web
from githubkit_schemas.v2026_03_10 import models
from graphql import GraphQLError, build_schema, graphql_sync

from tests.standins.github.access import Token
from tests.standins.github.faults import Refused, invalid, not_found
from tests.standins.github.pull_shapes import pull_node, pull_row, pull_whole
from tests.standins.github.pulls import MERGER, Pull, Pulls
from tests.standins.github.repository import Hosted
from tests.standins.github.requests import body_of
from tests.standins.github.writing import parsed

if TYPE_CHECKING:
    from tests.standins.github.server import GitHubStandIn

_SCHEMA = build_schema("""
scalar GitObjectID
interface Node { id: ID! }
type Commit implements Node { id: ID! oid: GitObjectID! }
type PullRequest implements Node {
  id: ID! number: Int! isDraft: Boolean! merged: Boolean! mergeCommit: Commit mergedBy: Actor
}
interface Actor { login: String! }
type User implements Actor { login: String! }
type Query { nodes(ids: [ID!]!): [Node]! }
input ConvertPullRequestToDraftInput { clientMutationId: String pullRequestId: ID! }
input MarkPullRequestReadyForReviewInput { clientMutationId: String pullRequestId: ID! }
type ConvertPullRequestToDraftPayload { clientMutationId: String pullRequest: PullRequest }
type MarkPullRequestReadyForReviewPayload { clientMutationId: String pullRequest: PullRequest }
type Mutation {
  convertPullRequestToDraft(input: ConvertPullRequestToDraftInput!): ConvertPullRequestToDraftPayload
  markPullRequestReadyForReview(
    input: MarkPullRequestReadyForReviewInput!
  ): MarkPullRequestReadyForReviewPayload
}
""")
_MOST_NODES = 100
_TYPES = {403: "FORBIDDEN", 404: "NOT_FOUND", 422: "UNPROCESSABLE"}


class PullRequests:
    """Of every repository of one server."""

    def __init__(self, server: "GitHubStandIn") -> None:
        self._server = server
        self._of: dict[int, Pulls] = {}

    def of(self, hosted: Hosted) -> Pulls:
        if hosted.number not in self._of:
            self._of[hosted.number] = Pulls(hosted)
        return self._of[hosted.number]

    def routes(self) -> list[web.RouteDef]:
        on, pulls = self._server.on, "/repos/{owner}/{repo}/pulls"
        return [
            web.get(pulls, on(self._list)),
            web.post(pulls, on(self._open, "pull_requests")),
            web.get(pulls + "/{number:[0-9]+}", on(self._get)),
            web.patch(pulls + "/{number:[0-9]+}", on(self._edit, "pull_requests")),
            web.put(pulls + "/{number:[0-9]+}/merge", on(self._merge, "contents")),
            web.post("/graphql", self._graphql),
        ]

    async def _list(self, request: web.Request, hosted: Hosted) -> Any:
        query = request.query
        state, sort = query.get("state", "open"), query.get("sort", "created")
        if state not in {"open", "closed", "all"} or sort not in {"created", "updated"}:
            raise invalid("Validation Failed")
        newest_first = query.get("direction", "desc" if sort == "created" else "asc") == "desc"
        found = [each for each in self.of(hosted).all.values() if state in {each.state, "all"}]
        owner, _, source = query.get("head", "").partition(":")
        # What is not `owner:branch` is no filter at all.
        if source:
            theirs = owner.casefold() != hosted.organization.casefold()
            found = [each for each in found if each.source == source and each.fork == theirs]
        found = [each for each in found if query.get("base", each.target) == each.target]
        found.sort(key=lambda each: (getattr(each, f"{sort}_at"), each.number), reverse=newest_first)
        return self._server.page(request, [pull_row(self._server.shapes, hosted, each) for each in found])

    async def _open(self, request: web.Request, hosted: Hosted) -> Any:
        wanted = parsed(models.ReposOwnerRepoPullsPostBody, await body_of(request))
        asked = wanted.model_dump(exclude_unset=True)
        owner, colon, source = wanted.head.rpartition(":")
        if colon and owner.casefold() != hosted.organization.casefold():
            raise Refused(
                422, "Validation Failed", {"resource": "PullRequest", "field": "head", "code": "invalid"}
            )
        made = self.of(hosted).open(
            source,
            wanted.base,
            asked.get("title", ""),
            asked.get("body"),
            draft=asked.get("draft", False),
            author="slipway-bot",
        )
        return web.json_response(pull_whole(self._server.shapes, hosted, made), status=201)

    async def _get(self, request: web.Request, hosted: Hosted) -> Any:
        return pull_whole(self._server.shapes, hosted, self.of(hosted).get(_number(request)))

    async def _edit(self, request: web.Request, hosted: Hosted) -> Any:
        wanted = parsed(models.ReposOwnerRepoPullsPullNumberPatchBody, await body_of(request))
        asked = wanted.model_dump(exclude_unset=True)
        fields = {name: asked[name] for name in ("title", "body", "state") if name in asked}
        edited = self.of(hosted).edit(_number(request), **fields)
        return pull_whole(self._server.shapes, hosted, edited)

    async def _merge(self, request: web.Request, hosted: Hosted) -> Any:
        wanted = parsed(models.ReposOwnerRepoPullsPullNumberMergePutBody, await body_of(request))
        pulls, number = self.of(hosted), _number(request)
        expected = wanted.sha or None
        if expected is not None and expected != pulls.get(number).head_sha:
            raise Refused(409, "Head branch was modified. Review and try the merge again.")
        sha = pulls.merge(number, wanted.merge_method or "merge")
        return {"sha": sha, "merged": True, "message": "Pull Request successfully merged"}

    async def _graphql(self, request: web.Request) -> web.StreamResponse:
        token = self._server.tokens.of(request.headers.get("Authorization", ""))
        if token is None:
            raise Refused(401, "This endpoint requires you to be authenticated.")
        asked = await body_of(request)
        if not isinstance(asked, dict) or not isinstance(asked.get("query"), str):
            raise Refused(400, "A query attribute must be specified and must be a string.")
        done = graphql_sync(
            _SCHEMA, asked["query"], _Root(self, token), variable_values=asked.get("variables") or {}
        )
        answer: dict[str, Any] = {"data": done.data}
        if done.errors:
            answer["errors"] = [_error(each) for each in done.errors]
        return web.json_response(answer)

    def find(self, token: Token, node: str) -> tuple[Hosted, Pull] | None:
        """What the token may see."""
        for hosted in self._server.organizations.get(token.organization.casefold(), {}).values():
            pulls = self.of(hosted)
            for pull in pulls.all.values():
                if pull_node(hosted, pull) == node and pull.number not in pulls.unresolved:
                    return hosted, pull
        return None

    def told(self, hosted: Hosted, pull: Pull) -> dict[str, Any]:
        merged = pull.merge_sha is not None
        return {
            "__typename": "PullRequest",
            "id": pull_node(hosted, pull),
            "number": pull.number,
            "isDraft": pull.draft,
            "merged": merged,
            "mergeCommit": {"id": pull.merge_sha, "oid": pull.merge_sha} if merged else None,
            "mergedBy": {"__typename": "User", "login": MERGER} if merged else None,
        }


class _Root:
    """Answers the fields of the schema's roots, for one token."""

    def __init__(self, pulls: PullRequests, token: Token) -> None:
        self._pulls = pulls
        self._token = token

    def nodes(self, _: object, ids: list[str]) -> list[dict[str, Any] | Refused]:
        """One that there is not is null, and an error beside."""
        if len(ids) > _MOST_NODES:
            raise invalid(f"You may not provide more than {_MOST_NODES} node ids; you provided {len(ids)}.")
        return [self._node(each) for each in ids]

    def _node(self, key: str) -> dict[str, Any] | Refused:
        found = self._pulls.find(self._token, key)
        if found is None:
            return Refused(404, f"Could not resolve to a node with the global id of '{key}'.")
        return self._pulls.told(*found)

    def convertPullRequestToDraft(self, _: object, input: dict[str, Any]) -> dict[str, Any]:
        return self._turn(input, draft=True)

    def markPullRequestReadyForReview(self, _: object, input: dict[str, Any]) -> dict[str, Any]:
        return self._turn(input, draft=False)

    def _turn(self, wanted: dict[str, Any], *, draft: bool) -> dict[str, Any]:
        found = self._pulls.find(self._token, wanted["pullRequestId"])
        if found is None:
            raise not_found()
        hosted, pull = found
        self._token.require(hosted.organization, "pull_requests")
        self._pulls.of(hosted).turn(pull.number, draft=draft)
        return {"pullRequest": self._pulls.told(hosted, pull)}


def _error(error: GraphQLError) -> dict[str, Any]:
    told: dict[str, Any] = {"message": error.message, "path": error.path}
    if isinstance(error.original_error, Refused):
        told["type"] = _TYPES[error.original_error.status]
    return told


def _number(request: web.Request) -> int:
    return int(request.match_info["number"])
