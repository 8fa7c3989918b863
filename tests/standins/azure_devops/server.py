"""Azure DevOps on http: signing in, api-version, routes and faults. What git says is elsewhere."""

import asyncio
import base64
import binascii
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from tests.standins.azure_devops import errors
from tests.standins.azure_devops.automations import Automations
from tests.standins.azure_devops.errors import SIGN_IN, Refused
from tests.standins.azure_devops.locations import locations
from tests.standins.azure_devops.organization import IN_THE_MAKING, Organization
from tests.standins.azure_devops.pushes import push, receive_pack
from tests.standins.azure_devops.repository import Repository
from tests.standins.azure_devops.requests import (
    DENIED,
    ORGANIZATION,
    PAGE,
    body_of,
    listed,
    needs,
    repository_of,
)

_MOST_BODY = 200 << 20
_UNVERSIONED = ("/_git/", "/_apis/artifact/")
_PROCESS = "adcc42ab-9882-485e-a3ed-7678f01f66bc"


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls the next request whose `METHOD /path` has `on` in it.

    `busy`: 429, and `away`: 503, with `seconds` as Retry-After; `broken`: 502 from a proxy. `slow`: waits
    that long. `lost`: does what was asked, and drops the connection.
    """

    kind: Literal["busy", "away", "broken", "slow", "lost"]
    on: str = ""
    seconds: float = 0


class AzureDevOpsStandIn:
    """Organizations at `url`. Each fault meets one request; `calls` are `GET /org/_apis/...` and so on."""

    def __init__(self, port: int = 0) -> None:
        self.organizations: dict[str, Organization] = {}
        self.faults: deque[Fault] = deque()
        self.calls: list[str] = []
        self.port = port
        self._pushes = 0

    def add_organization(self, name: str, token: str, project: str = "") -> Organization:
        """Safe from another thread."""
        made = Organization(name, {token: frozenset()})
        if project:
            made.add_project(project)
        self.organizations[name] = made
        return made

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._guarded], client_max_size=_MOST_BODY)
        at = "/{org}/{project}/_apis/git/repositories"
        one = at + "/{repository}"
        app.add_routes(
            [
                web.options("/{org}/_apis", self._locations),
                web.get("/{org}/_apis/process/processes", self._processes),
                web.get("/{org}/_apis/projects", self._projects),
                web.post("/{org}/_apis/projects", self._add_project),
                web.get("/{org}/_apis/projects/{project}", self._project),
                web.get("/{org}/_apis/operations/{operation}", self._operation),
                web.get(at, self._repositories),
                web.post(at, self._add_repository),
                web.get(one, self._repository),
                web.patch(one, self._update_repository),
                web.get(one + "/refs", self._refs),
                web.post(one + "/refs", self._update_refs),
                web.post(one + "/pushes", self._push),
                web.get(one + "/commits", self._commits),
                web.get(one + "/commits/{commit}", self._commit),
                web.get(one + "/commits/{commit}/{bases:mergebases|mergeBases}", self._merge_bases),
                web.get(one + "/trees/{sha}", self._tree),
                web.get(one + "/blobs/{sha}", self._blob),
                web.post(one + "/blobs", self._blobs),
                web.get(one + "/items", self._item),
                web.post("/{org}/{project}/_git/{repository}/git-receive-pack", self._receive_pack),
                *Automations().routes(),
                web.post("/_standin/faults", self._add_faults),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        if request.path.startswith("/_standin/"):
            return web.json_response(await handler(request))
        call = f"{request.method} {request.path}"
        self.calls.append(call)
        fault = next((each for each in self.faults if each.on in call), None)
        if fault is not None:
            self.faults.remove(fault)
        try:
            if fault is not None and (answer := await self._befall(fault)) is not None:
                return answer
            if (refused := self._sign_in(request)) is not None:
                return refused
            if request.method != "OPTIONS" and not any(part in request.path for part in _UNVERSIONED):
                _check_version(request)
            answer = await handler(request)
        except Refused as error:
            return web.json_response(error.body, status=error.status)
        if fault is not None and fault.kind == "lost" and request.transport is not None:
            request.transport.abort()
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

    async def _befall(self, fault: Fault) -> web.Response | None:
        headers = {"Retry-After": f"{fault.seconds:g}"}
        match fault.kind:
            case "busy":
                headers |= {"X-RateLimit-Resource": "Core", "X-RateLimit-Remaining": "0"}
                return web.json_response(errors.limited().body, status=429, headers=headers)
            case "away":
                return web.Response(status=503, text="The service is unavailable.", headers=headers)
            case "broken":
                return web.Response(status=502, text="<html><body>Bad Gateway</body></html>")
            case "slow":
                await asyncio.sleep(fault.seconds)
        return None

    def _sign_in(self, request: web.Request) -> web.Response | None:
        """None for a token that the organization knows. Else what a browser would be shown."""
        organization = self.organizations.get(request.match_info.get("org", ""))
        if organization is None:
            return web.Response(
                status=404, text="<html>404 - Page not found</html>", content_type="text/html"
            )
        token = _token(request)
        if token in organization.tokens:
            request[ORGANIZATION], request[DENIED] = organization, organization.tokens[token]
            return None
        if "/_git/" in request.path:
            headers = {"WWW-Authenticate": 'Basic realm="https://tfsprodweu1.visualstudio.com/"'}
            return web.Response(status=401, headers=headers)
        if token is not None and request.method in {"GET", "POST", "OPTIONS"}:
            return web.Response(status=203, text=SIGN_IN, content_type="text/html")
        return web.json_response(errors.unauthorized().body, status=401)

    async def _locations(self, request: web.Request) -> Any:
        return listed(locations())

    async def _processes(self, request: web.Request) -> Any:
        return listed([{"id": _PROCESS, "name": "Agile", "isDefault": True, "type": "system"}])

    async def _projects(self, request: web.Request) -> Any:
        return listed([each.view(self._base(request)) for each in request[ORGANIZATION].projects.values()])

    async def _project(self, request: web.Request) -> Any:
        project = request[ORGANIZATION].project(request.match_info["project"])
        project.look()
        return project.view(self._base(request))

    async def _add_project(self, request: web.Request) -> Any:
        organization, body = request[ORGANIZATION], await body_of(request)
        needs(request, "ManageProject")
        name, capabilities = body.get("name"), body.get("capabilities", {})
        if not name or capabilities.get("versioncontrol", {}).get("sourceControlType") != "Git":
            raise errors.bad("The project needs a name and the capability of version control.")
        if capabilities.get("processTemplate", {}).get("templateTypeId") != _PROCESS:
            raise errors.bad("TF400735: The process template does not exist.")
        if name.casefold() in organization.projects:
            raise errors.project_exists(name)
        project = organization.add_project(name)
        project.looks_left = IN_THE_MAKING
        operation = str(uuid.uuid4())
        organization.operations[operation] = project
        url = f"{self._base(request)}/_apis/operations/{operation}"
        return web.json_response({"id": operation, "status": "queued", "url": url}, status=202)

    async def _operation(self, request: web.Request) -> Any:
        key = request.match_info["operation"]
        is_there = request[ORGANIZATION].operations[key].look()
        return {"id": key, "status": "succeeded" if is_there else "inProgress", "url": str(request.url)}

    async def _repositories(self, request: web.Request) -> Any:
        found = request[ORGANIZATION].project(request.match_info["project"]).repositories.values()
        return listed([each.view() for each in found])

    async def _add_repository(self, request: web.Request) -> Any:
        body = await body_of(request)
        needs(request, "CreateRepository")
        project = request[ORGANIZATION].project(request.match_info["project"])
        name = body.get("name", "")
        if not name or body.get("project", {}).get("id") != project.id:
            raise errors.bad("The repository needs a name, and the id of its project.")
        if name.casefold() in project.repositories:
            raise errors.repository_exists(name)
        base = self._base(request)
        made = Repository(name, project.view(base), f"{base}/{project.name}")
        project.repositories[name.casefold()] = made
        return web.json_response(made.view(), status=201)

    async def _repository(self, request: web.Request) -> Any:
        return repository_of(request).view()

    async def _update_repository(self, request: web.Request) -> Any:
        repository, wanted = repository_of(request), (await body_of(request)).get("defaultBranch")
        if wanted not in repository.refs():
            raise errors.bad(f"TF401019: There is no branch {wanted}.", "GitArgumentException")
        repository.default = wanted
        return repository.view()

    async def _refs(self, request: web.Request) -> Any:
        beginning = "refs/" + request.query.get("filter", "")
        top = min(int(request.query.get("$top", PAGE)), 1000)
        after = _decoded(request.query.get("continuationToken", ""))
        refs = {
            name: sha for name, sha in repository_of(request).refs().items() if name.startswith(beginning)
        }
        names = sorted(name for name in refs if name > after)
        creator = {"displayName": "Token Owner", "id": "7be59e48-a479-4e2b-a453-1234567890ab"}
        rows = [
            {"name": name, "objectId": refs[name], "creator": creator, "url": str(request.url)}
            for name in names[:top]
        ]
        headers = {}
        if len(names) > top:
            headers["x-ms-continuationtoken"] = base64.urlsafe_b64encode(names[top - 1].encode()).decode()
        return web.json_response(listed(rows), headers=headers)

    async def _update_refs(self, request: web.Request) -> Any:
        repository, results = repository_of(request), []
        for each in await body_of(request):
            old, new = each["oldObjectId"], each["newObjectId"]
            denied = "GenericContribute" in request[DENIED]
            status = "writePermissionRequired" if denied else repository.move(each["name"], old, new)
            results.append(
                {
                    "repositoryId": repository.id,
                    "name": each["name"],
                    "oldObjectId": old,
                    "newObjectId": new,
                    "isLocked": False,
                    "updateStatus": status,
                    "success": status.startswith("succeeded"),
                }
            )
        return listed(results)

    async def _push(self, request: web.Request) -> Any:
        repository, body = repository_of(request), await body_of(request)
        needs(request, "GenericContribute")
        self._pushes += 1
        return web.json_response(push(repository, body, lambda: datetime.now(UTC), self._pushes), status=201)

    async def _commits(self, request: web.Request) -> Any:
        asked = {name.removeprefix("searchCriteria."): value for name, value in request.query.items()}
        if asked.get("itemVersion.versionType") != "commit":
            raise errors.bad("Name the commit to begin at with searchCriteria.itemVersion.")
        sha, skip, top = asked.get("itemVersion.version", ""), asked.get("$skip", 0), asked.get("$top", PAGE)
        return listed(repository_of(request).history(sha, int(skip), int(top)))

    async def _commit(self, request: web.Request) -> Any:
        return repository_of(request).commit_view(request.match_info["commit"])

    async def _merge_bases(self, request: web.Request) -> Any:
        repository = repository_of(request)
        found = repository.merge_bases(request.match_info["commit"], request.query["otherCommitId"])
        return listed([{"commitId": sha, "url": str(request.url)} for sha in found])

    async def _tree(self, request: web.Request) -> Any:
        recursive = request.query.get("recursive", "false").casefold() == "true"
        return repository_of(request).tree_view(request.match_info["sha"], recursive=recursive)

    async def _blob(self, request: web.Request) -> Any:
        sha = request.match_info["sha"]
        content = repository_of(request).blob(sha)
        if request.query.get("$format") == "octetstream" or "octet-stream" in request.headers["Accept"]:
            return web.Response(body=content, content_type="application/octet-stream")
        return {"objectId": sha, "size": len(content), "url": str(request.url)}

    async def _blobs(self, request: web.Request) -> Any:
        if request.query.get("$format") != "zip" and "zip" not in request.headers["Accept"]:
            raise errors.bad("Several blobs come as a zip.")
        return web.Response(
            body=repository_of(request).zip(await body_of(request)), content_type="application/zip"
        )

    async def _item(self, request: web.Request) -> Any:
        if request.query.get("versionDescriptor.versionType") != "commit":
            raise errors.bad("Name the commit to look in with versionDescriptor.")
        return repository_of(request).item(
            request.query["versionDescriptor.version"], request.query.get("path", "/")
        )

    async def _receive_pack(self, request: web.Request) -> Any:
        repository = repository_of(request)
        if request.content_type != "application/x-git-receive-pack-request":
            raise errors.bad("This is no push.")
        needs(request, "GenericContribute")
        report = receive_pack(repository, await request.read())
        return web.Response(body=report, content_type="application/x-git-receive-pack-result")

    async def _add_faults(self, request: web.Request) -> Any:
        self.faults.extend(Fault(**fault) for fault in await request.json())
        return {"waiting": len(self.faults)}

    def _base(self, request: web.Request) -> str:
        return f"{self.url}/{request.match_info['org']}"


def _token(request: web.Request) -> str | None:
    """The password of basic authentication, which any user may have; None where there is none."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _check_version(request: web.Request) -> None:
    asked = request.query.get("api-version", "")
    for part in request.headers.get("Accept", "").split(";"):
        name, _, value = part.strip().partition("=")
        asked = asked or (value if name == "api-version" else "")
    if not asked:
        raise errors.no_version(request.method)
    if asked.partition("-")[0] != "7.1":
        raise errors.wrong_version(asked)


def _decoded(token: str) -> str:
    return base64.urlsafe_b64decode(token).decode() if token else ""
