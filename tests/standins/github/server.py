"""The HTTP side: routes, tokens, limits, pages, faults. What repositories hold and may do is elsewhere."""

import asyncio
import base64
import itertools
import re
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from dulwich.objects import Blob, Commit, Tree
from githubkit_schemas.v2026_03_10 import models

from tests.standins.github import writing
from tests.standins.github.access import Right, Tokens
from tests.standins.github.archive import archived
from tests.standins.github.automations import Automations
from tests.standins.github.faults import Fault, Faults, Refused, not_found
from tests.standins.github.pull_routes import PullRequests
from tests.standins.github.repository import Hosted
from tests.standins.github.requests import body_of, paging
from tests.standins.github.shapes import Shapes

_BODY_BYTES = 60 * 1024 * 1024
_VERSIONS = frozenset({"2022-11-28", "2026-03-10"})
_READING = frozenset({"GET", "HEAD"})


class GitHubStandIn:
    """GitHub at `url`. `calls` are `GET /repos/x/y` and so on. Call its methods only while no request is
    under way, or from the loop it runs in."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.tokens = Tokens()
        self.faults = Faults()
        self.calls: list[str] = []
        self.automations = Automations(self)
        self.pulls = PullRequests(self)
        self.organizations: dict[str, dict[str, Hosted]] = {}
        self._numbers = itertools.count(1)
        self._downloads: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_organization(self, name: str) -> None:
        self.organizations.setdefault(name.casefold(), {})

    def number(self) -> int:
        """A new one."""
        return next(self._numbers)

    def repository(self, organization: str, name: str) -> Hosted:
        """404 where there is none; names have no case."""
        found = self.organizations.get(organization.casefold(), {}).get(name.casefold())
        if found is None:
            raise not_found()
        return found

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="slipway-github-")
        app = web.Application(middlewares=[self._guarded], client_max_size=_BODY_BYTES)
        repo = "/repos/{owner}/{repo}"
        app.add_routes(self.automations.routes())
        app.add_routes(self.pulls.routes())
        app.add_routes(
            [
                web.post("/orgs/{org}/repos", self._create),
                web.get(repo, self.on(self._get)),
                web.get(repo + "/branches", self.on(self._branches)),
                web.post(repo + "/branches/{branch}/rename", self.on(self._rename, "administration")),
                web.get(repo + "/git/ref/{ref:.+}", self.on(self._ref)),
                web.post(repo + "/git/refs", self.on(self._make_ref, "contents")),
                web.patch(repo + "/git/refs/{ref:.+}", self.on(self._move_ref, "contents")),
                web.delete(repo + "/git/refs/{ref:.+}", self.on(self._delete_ref, "contents")),
                web.get(repo + "/git/commits/{sha}", self.on(self._commit)),
                web.post(repo + "/git/commits", self.on(self._make_commit, "contents")),
                web.get(repo + "/git/trees/{sha}", self.on(self._tree)),
                web.post(repo + "/git/trees", self.on(self._make_tree, "contents")),
                web.get(repo + "/git/blobs/{sha}", self.on(self._blob)),
                web.post(repo + "/git/blobs", self.on(self._make_blob, "contents")),
                web.get(repo + "/commits", self.on(self._commits)),
                web.get(repo + "/compare/{between:.+}", self.on(self._compare)),
                web.get(repo + "/contents/{path:.+}", self.on(self._content)),
                web.put(repo + "/contents/{path:.+}", self.on(self._put_file, "contents")),
                web.get(repo + "/tarball/{revision:.+}", self.on(self._tarball)),
                web.get("/_codeload/{key}", self._download),
                web.post("/_standin/faults", self._add_faults),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        self.shapes = Shapes(self.url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        for repositories in self.organizations.values():
            for hosted in repositories.values():
                hosted.close()
        self._folder.cleanup()

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        limits: dict[str, str] = {}
        fault = None
        try:
            if request.path.startswith("/_"):
                return await handler(request)
            self.calls.append(f"{request.method} {request.path}")
            fault = self.faults.take(request.method, request.path)
            if fault is not None:
                await _before(request, fault)
            if not request.headers.get("User-Agent"):
                raise Refused(403, "Request forbidden by administrative rules.")
            if request.headers.get("X-GitHub-Api-Version", "2022-11-28") not in _VERSIONS:
                raise Refused(400, "The version of the API is not supported.")
            token = self.tokens.of(request.headers.get("Authorization", ""))
            if token is not None:
                token.spend()
                limits = token.headers
            answer = await handler(request)
        except Refused as error:
            answer = web.json_response(error.body, status=error.status, headers=error.headers)
        except web.HTTPException as error:
            refusal = Refused(error.status, error.reason)
            answer = web.json_response(refusal.body, status=error.status)
        for name, value in limits.items():
            answer.headers.setdefault(name, value)
        answer.headers.setdefault("Date", formatdate(usegmt=True))
        if fault is not None and fault.kind == "lost":
            _cut(request)
        return answer

    def on(
        self, handler: Callable[[web.Request, Hosted], Awaitable[Any]], right: Right | None = None
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """With the repository, for who may see it; `right` is needed to write."""

        async def handle(request: web.Request) -> web.StreamResponse:
            hosted = self.repository(request.match_info["owner"], request.match_info["repo"])
            token = self.tokens.of(request.headers.get("Authorization", ""))
            ours = token is not None and token.organization.casefold() == hosted.organization.casefold()
            if not ours and (hosted.visibility != "public" or right is not None):
                raise not_found()
            if token is not None and right is not None:
                token.require(hosted.organization, right)
            answer = await handler(request, hosted)
            return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

        return handle

    async def _create(self, request: web.Request) -> web.StreamResponse:
        organization = request.match_info["org"]
        token = self.tokens.of(request.headers.get("Authorization", ""))
        if token is None or organization.casefold() not in self.organizations:
            raise not_found()
        token.require(organization, "administration")
        wanted = writing.parsed(models.OrgsOrgReposPostBody, await body_of(request))
        # GitHub takes any name, and makes one of it that it can use.
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted.name).removesuffix(".git")
        theirs = self.organizations[organization.casefold()]
        if not name.strip(".") or len(name) > 100:
            raise _creation("name", "name is not valid")
        if name.casefold() in theirs:
            raise _creation("name", "name already exists on this account")
        visibility = wanted.visibility or ("private" if wanted.private else "public")
        number = next(self._numbers)
        hosted = theirs[name.casefold()] = Hosted(
            organization,
            name,
            Path(self._folder.name) / str(number),
            number,
            description=str(wanted.description) if wanted.description else None,
            visibility=str(visibility),
        )
        return web.json_response(self.shapes.repository(hosted), status=201)

    async def _get(self, request: web.Request, hosted: Hosted) -> Any:
        return self.shapes.repository(hosted)

    async def _branches(self, request: web.Request, hosted: Hosted) -> Any:
        rows = [self.shapes.branch(hosted, *row) for row in hosted.heads.items()]
        return self.page(request, rows)

    async def _rename(self, request: web.Request, hosted: Hosted) -> Any:
        wanted = writing.parsed(models.ReposOwnerRepoBranchesBranchRenamePostBody, await body_of(request))
        branch = request.match_info["branch"]
        if branch not in hosted.heads:
            raise Refused(404, "Branch not found")
        head = hosted.heads[branch]
        hosted.make_ref(f"refs/heads/{wanted.new_name}", head)
        if branch == hosted.default_branch:
            hosted.switch_default(wanted.new_name)
        hosted.delete_ref(f"refs/heads/{branch}")
        return web.json_response(self.shapes.branch(hosted, wanted.new_name, head), status=201)

    async def _ref(self, request: web.Request, hosted: Hosted) -> Any:
        hosted.require_commits()
        ref = f"refs/{request.match_info['ref']}"
        head = hosted.heads.get(ref.removeprefix("refs/heads/"))
        if head is None:
            raise not_found()
        return self.shapes.ref(hosted, ref, head)

    async def _make_ref(self, request: web.Request, hosted: Hosted) -> Any:
        hosted.require_commits()
        wanted = writing.parsed(models.ReposOwnerRepoGitRefsPostBody, await body_of(request))
        hosted.make_ref(wanted.ref, wanted.sha)
        return web.json_response(self.shapes.ref(hosted, wanted.ref, wanted.sha), status=201)

    async def _move_ref(self, request: web.Request, hosted: Hosted) -> Any:
        ref = f"refs/{request.match_info['ref']}"
        wanted = writing.parsed(models.ReposOwnerRepoGitRefsRefPatchBody, await body_of(request))
        hosted.move_ref(ref, wanted.sha, force=wanted.force is True)
        return self.shapes.ref(hosted, ref, wanted.sha)

    async def _delete_ref(self, request: web.Request, hosted: Hosted) -> Any:
        hosted.delete_ref(f"refs/{request.match_info['ref']}")
        return web.Response(status=204)

    async def _commit(self, request: web.Request, hosted: Hosted) -> Any:
        hosted.require_commits()
        found = hosted.find(request.match_info["sha"], Commit)
        if found is None:
            raise not_found()
        return self.shapes.git_commit(hosted, found)

    async def _make_commit(self, request: web.Request, hosted: Hosted) -> Any:
        hosted.require_commits()
        made = writing.make_commit(hosted, await body_of(request))
        return web.json_response(self.shapes.git_commit(hosted, made), status=201)

    async def _tree(self, request: web.Request, hosted: Hosted) -> Any:
        hosted.require_commits()
        # Any value of `recursive` means yes, even `false`.
        return self.shapes.tree(hosted, request.match_info["sha"], recursive="recursive" in request.query)

    async def _make_tree(self, request: web.Request, hosted: Hosted) -> Any:
        hosted.require_commits()
        made = writing.make_tree(hosted, await body_of(request))
        found = self.shapes.tree(hosted, made.id.decode(), recursive=False)
        return web.json_response(found, status=201)

    async def _blob(self, request: web.Request, hosted: Hosted) -> Any:
        hosted.require_commits()
        found = hosted.find(request.match_info["sha"], Blob)
        if found is None:
            raise not_found()
        if "raw" in request.headers.get("Accept", ""):
            return web.Response(body=found.data, content_type="application/vnd.github.raw+json")
        return self.shapes.blob(hosted, found)

    async def _make_blob(self, request: web.Request, hosted: Hosted) -> Any:
        hosted.require_commits()
        sha = writing.make_blob(hosted, await body_of(request)).id.decode()
        url = self.shapes.api(hosted, "git/blobs", sha)
        return web.json_response({"sha": sha, "url": url}, status=201)

    async def _commits(self, request: web.Request, hosted: Hosted) -> Any:
        hosted.require_commits()
        commit = hosted.commit(request.query.get("sha", hosted.default_branch))
        rows = [self.shapes.commit(hosted, each) for each in hosted.history(commit.id.decode())]
        return self.page(request, rows)

    async def _compare(self, request: web.Request, hosted: Hosted) -> Any:
        hosted.require_commits()
        base, dots, head = request.match_info["between"].partition("...")
        one, other = (hosted.find(hosted.heads.get(each, each), Commit) for each in (base, head))
        if not dots or one is None or other is None:
            raise not_found()
        first, second = one.id.decode(), other.id.decode()
        between = hosted.merge_base(first, second)
        if between is None:
            raise Refused(404, f"No common ancestor between {base} and {head}.")
        page, size = paging(request)
        return self.shapes.comparison(hosted, first, second, between, page, size)

    async def _content(self, request: web.Request, hosted: Hosted) -> Any:
        path = request.match_info["path"]
        commit = hosted.commit(request.query.get("ref", hosted.default_branch))
        tree = hosted.find(commit.tree.decode(), Tree)
        assert tree is not None
        listed = {name: (mode, sha) for name, mode, sha in hosted.entries(tree, recursive=True)}
        if path not in listed:
            raise not_found()
        mode, sha = listed[path]
        if mode == 0o040000:
            return [{"type": "file", "path": name} for name in listed if name.startswith(f"{path}/")]
        content = hosted.content(sha)
        common = {
            "name": path.rpartition("/")[2],
            "path": path,
            "sha": sha.decode(),
            "size": len(content),
            **dict.fromkeys(("url", "git_url", "html_url", "download_url"), self.shapes.api(hosted, path)),
            "_links": {"git": None, "html": None, "self": self.shapes.api(hosted, path)},
        }
        if mode == 0o120000:
            target = content.decode()
            if target not in listed:
                return common | {"type": "symlink", "target": target}
            content = hosted.content(listed[target][1])
        if len(content) > 1024 * 1024:
            return common | {"type": "file", "encoding": "none", "content": ""}
        return common | {
            "type": "file",
            "encoding": "base64",
            "content": base64.encodebytes(content).decode(),
        }

    async def _put_file(self, request: web.Request, hosted: Hosted) -> Any:
        made = writing.put_file(hosted, request.match_info["path"], await body_of(request))
        found = {"content": None, "commit": self.shapes.git_commit(hosted, made)}
        return web.json_response(found, status=201)

    async def _tarball(self, request: web.Request, hosted: Hosted) -> Any:
        sha = hosted.commit(request.match_info["revision"]).id.decode()
        return self.handed_out(archived(hosted, sha))

    def handed_out(self, content: bytes) -> web.Response:
        """A redirect to where the content can be had once, by whoever knows the address."""
        key = f"{next(self._numbers)}"
        self._downloads[key] = content
        place = f"{self.url}/_codeload/{key}?token=SIGNED{key}"
        return web.Response(status=302, headers={"Location": place})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        if request.query.get("token") != f"SIGNED{key}" or "Authorization" in request.headers:
            raise web.HTTPBadRequest
        return web.Response(body=self._downloads.pop(key), content_type="application/octet-stream")

    async def _add_faults(self, request: web.Request) -> web.StreamResponse:
        for fault in await request.json():
            self.faults.add(Fault(**fault))
        return web.json_response({"waiting": len(self.faults.waiting)})

    def page(self, request: web.Request, rows: Sequence[Any], name: str = "") -> web.StreamResponse:
        """One page of a list; some are the member `name` of an object that tells how many there are."""
        page, size = paging(request)
        last = max(-(-len(rows) // size), 1)
        links: dict[str, int] = {}
        if page < last:
            links |= {"next": page + 1, "last": last}
        if page > 1:
            links |= {"first": 1, "prev": page - 1}
        told = [
            f'<{self.url}{request.rel_url.update_query(page=str(number))}>; rel="{name}"'
            for name, number in links.items()
        ]
        headers = {"Link": ", ".join(told)} if told else {}
        found = rows[(page - 1) * size : page * size]
        return web.json_response({"total_count": len(rows), name: found} if name else found, headers=headers)


async def _before(request: web.Request, fault: Fault) -> None:
    wait = {"Retry-After": f"{fault.seconds:g}"}
    match fault.kind:
        case "secondary":
            raise Refused(403, "You have exceeded a secondary rate limit. Please wait.", headers=wait)
        case "throttled":
            raise Refused(429, "You have exceeded a secondary rate limit.", headers=wait)
        case "bad-gateway":
            raise Refused(502, "Server Error")
        case "unavailable":
            raise Refused(503, "Unavailable")
        case "redirect":
            raise Refused(301, "Moved Permanently", headers={"Location": fault.to})
        case "dropped":
            _cut(request)
            raise Refused(500, "never sent")
        case "slow":
            await asyncio.sleep(fault.seconds)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _creation(field: str, message: str) -> Refused:
    error = {"resource": "Repository", "code": "custom", "field": field, "message": message}
    return Refused(422, "Repository creation failed.", error)
