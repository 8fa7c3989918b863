"""An OCI distribution server as strict as real ones: tokens with scopes, upload sessions, digests, ranges.

Keeps everything in memory, and never more than a test puts there.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from aiohttp import web

_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ROUTE = re.compile(r"/v2/(?P<name>.+)/(?P<kind>blobs|manifests|tags)/(?P<rest>.*)")
_RANGE = re.compile(r"([0-9]+)-([0-9]+)")
_KINDS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


@dataclass
class Repository:
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """The next `times` requests whose method and path match get this instead of an answer."""

    method: str
    path: str
    kind: str
    times: int = 1


class Refused(Exception):
    def __init__(self, status: int, code: str, **headers: str) -> None:
        super().__init__(code)
        self.status, self.code, self.headers = status, code, headers


class RegistryStandin:
    """`users` are names with their passwords. `auth` is how it asks: `bearer`, `basic` or `none`."""

    def __init__(self, users: dict[str, str], *, auth: str = "bearer", page: int = 2) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self.token_requests = 0
        self.mounts = True
        self.url = ""
        self._users, self._auth, self._page = users, auth, page
        self._tokens: dict[str, frozenset[str]] = {}
        self._uploads: dict[str, tuple[str, bytearray]] = {}
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> str:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("GET", "/token", self._token)
        app.router.add_route("POST", "/_standin/faults", self._add_fault)
        app.router.add_route("*", "/v2/{rest:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self.url

    async def aclose(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def revoke_tokens(self) -> None:
        self._tokens.clear()

    async def _add_fault(self, request: web.Request) -> web.Response:
        self.faults.append(Fault(**(await request.json())))
        return web.Response(status=204)

    async def _token(self, request: web.Request) -> web.Response:
        self.token_requests += 1
        user = self._user(request)
        if user is None and request.headers.get("Authorization"):
            return web.json_response({"details": "wrong credentials"}, status=401)
        if request.query.get("service") != "standin":
            return web.json_response({"details": "unknown service"}, status=400)
        granted = set()
        for scope in request.query.getall("scope", []):
            kind, name, actions = scope.split(":")
            # Anybody may pull what is public; pushing takes an account.
            allowed = {"pull", "push"} if user else ({"pull"} if name.startswith("public/") else set())
            granted |= {f"{kind}:{name}:{action}" for action in actions.split(",") if action in allowed}
        token = secrets.token_urlsafe(16)
        self._tokens[token] = frozenset(granted)
        return web.json_response({"token": token, "expires_in": 300})

    def _user(self, request: web.Request) -> str | None:
        scheme, _, told = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return None
        user, _, password = base64.b64decode(told).decode().partition(":")
        return user if self._users.get(user) == password else None

    def _authorise(self, request: web.Request, name: str) -> None:
        action = "pull" if request.method in ("GET", "HEAD") else "push"
        if self._auth == "none":
            return
        if self._auth == "basic":
            if self._user(request) is None:
                raise Refused(401, "UNAUTHORIZED", **{"WWW-Authenticate": 'Basic realm="standin"'})
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        scope = f"repository:{name}:{action}"
        if scheme == "Bearer" and scope in self._tokens.get(token, frozenset()):
            return
        wanted = f"repository:{name}:{'pull' if action == 'pull' else 'pull,push'}"
        challenge = f'Bearer realm="{self.url}/token",service="standin",scope="{wanted}"'
        raise Refused(401, "UNAUTHORIZED", **{"WWW-Authenticate": challenge})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.path_qs))
        for fault in self.faults:
            if fault.times and fault.method == request.method and fault.path in request.path:
                fault.times -= 1
                if fault.kind == "drop":
                    assert request.transport is not None
                    request.transport.close()
                    return web.Response(status=500)
                if fault.kind == "lost":
                    await self._answer(request, body)
                    assert request.transport is not None
                    request.transport.close()
                    return web.Response(status=500)
                after = {"Retry-After": "0"} if fault.kind == "429" else {}
                return web.Response(status=int(fault.kind), headers=after)
        return await self._answer(request, body)

    async def _answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        try:
            found = _ROUTE.fullmatch(request.path)
            if found is None or _NAME.fullmatch(found["name"]) is None:
                raise Refused(404, "NAME_INVALID")
            self._authorise(request, found["name"])
            handler: Callable[[web.Request, str, str, bytes], Awaitable[web.Response]] = {
                "blobs": self._blobs,
                "manifests": self._manifests,
                "tags": self._tags,
            }[found["kind"]]
            return await handler(request, found["name"], found["rest"], body)
        except Refused as refused:
            told = {"errors": [{"code": refused.code, "message": "the stand-in says no", "detail": None}]}
            return web.json_response(told, status=refused.status, headers=refused.headers)

    async def _blobs(self, request: web.Request, name: str, rest: str, body: bytes) -> web.Response:
        if rest.startswith("uploads/"):
            return self._upload(request, name, rest.removeprefix("uploads/"), body)
        content = self._repository(name).blobs.get(rest)
        if content is None:
            raise Refused(404, "BLOB_UNKNOWN")
        headers = {"Docker-Content-Digest": rest, "Content-Type": "application/octet-stream"}
        return web.Response(body=content, headers=headers)

    def _upload(self, request: web.Request, name: str, session: str, body: bytes) -> web.Response:
        if not session:
            if request.method != "POST":
                raise Refused(405, "UNSUPPORTED")
            return self._begin(request, name)
        owner, held = self._uploads.get(session, ("", bytearray()))
        if owner != name:
            raise Refused(404, "BLOB_UPLOAD_UNKNOWN")
        if parse_qs(request.query_string).get("_state") != [session[::-1]]:
            raise Refused(400, "BLOB_UPLOAD_INVALID")
        if request.method == "DELETE":
            del self._uploads[session]
            return web.Response(status=204)
        if request.headers.get("Content-Type") != "application/octet-stream":
            raise Refused(415, "UNSUPPORTED")
        if request.method == "PATCH":
            told = _RANGE.fullmatch(request.headers.get("Content-Range", ""))
            if told is None or (int(told[1]), int(told[2])) != (len(held), len(held) + len(body) - 1):
                raise Refused(416, "BLOB_UPLOAD_INVALID")
            held.extend(body)
            return web.Response(
                status=202, headers={"Location": self._place(name, session), "Range": f"0-{len(held) - 1}"}
            )
        held.extend(body)
        content, digest = bytes(held), request.query.get("digest", "")
        del self._uploads[session]
        if digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
            raise Refused(400, "DIGEST_INVALID")
        self._repository(name).blobs[digest] = content
        return self._created(f"/v2/{name}/blobs/{digest}", digest)

    def _begin(self, request: web.Request, name: str) -> web.Response:
        mount, source = request.query.get("mount"), request.query.get("from", "")
        if mount and self.mounts and mount in self._repository(source).blobs:
            self._repository(name).blobs[mount] = self._repository(source).blobs[mount]
            return self._created(f"/v2/{name}/blobs/{mount}", mount)
        session = secrets.token_hex(8)
        self._uploads[session] = (name, bytearray())
        return web.Response(status=202, headers={"Location": self._place(name, session), "Range": "0-0"})

    async def _manifests(self, request: web.Request, name: str, reference: str, body: bytes) -> web.Response:
        held = self._repository(name)
        if request.method == "PUT":
            return self._put_manifest(request, name, reference, body)
        digest = held.tags.get(reference, reference)
        if digest not in held.manifests:
            raise Refused(404, "MANIFEST_UNKNOWN")
        kind, content = held.manifests[digest]
        if kind not in request.headers.get("Accept", ""):
            raise Refused(404, "MANIFEST_UNKNOWN")
        return web.Response(body=content, headers={"Content-Type": kind, "Docker-Content-Digest": digest})

    def _put_manifest(self, request: web.Request, name: str, reference: str, body: bytes) -> web.Response:
        held, kind = self._repository(name), request.headers.get("Content-Type", "")
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if _DIGEST.fullmatch(reference):
            if reference != digest:
                raise Refused(400, "DIGEST_INVALID")
        elif _TAG.fullmatch(reference) is None:
            raise Refused(400, "TAG_INVALID")
        told = json.loads(body)
        if kind not in _KINDS or told.get("mediaType", kind) != kind:
            raise Refused(400, "MANIFEST_INVALID")
        children = [each["digest"] for each in told.get("manifests", [])]
        config = [told["config"]] if "config" in told else []
        blobs = [each["digest"] for each in (*told.get("layers", []), *config)]
        if not held.manifests.keys() >= set(children) or not held.blobs.keys() >= set(blobs):
            raise Refused(400, "MANIFEST_BLOB_UNKNOWN")
        held.manifests[digest] = (kind, body)
        if reference != digest:
            held.tags[reference] = digest
        return self._created(f"/v2/{name}/manifests/{reference}", digest)

    async def _tags(self, request: web.Request, name: str, rest: str, body: bytes) -> web.Response:
        if rest != "list" or name not in self.repositories:
            raise Refused(404, "NAME_UNKNOWN")
        after = request.query.get("last", "")
        left = [tag for tag in sorted(self._repository(name).tags) if tag > after]
        page = left[: min(self._page, int(request.query.get("n", self._page)))]
        more = {"Link": f'</v2/{name}/tags/list?last={page[-1]}>; rel="next"'} if page != left else {}
        return web.json_response({"name": name, "tags": page}, headers=more)

    def _repository(self, name: str) -> Repository:
        return self.repositories.setdefault(name, Repository())

    def _place(self, name: str, session: str) -> str:
        return f"/v2/{name}/blobs/uploads/{session}?_state={session[::-1]}"

    def _created(self, place: str, digest: str) -> web.Response:
        return web.Response(status=201, headers={"Location": place, "Docker-Content-Digest": digest})
