"""The whole App in one process on embedded adapters, called as the host calls it, with its messages
drained at once."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import azure.functions as func

from functions.http.endpoint import Endpoint
from functions.http.serve import serve
from functions.http.surface import endpoint_table
from functions.relay.outbox import relay
from functions.routes import declared
from functions.workers import CONSUMERS
from shared.app import App, build_app
from shared.ports.tokens import TokenRefused
from shared.settings import Settings
from tests.support.app import SteppingClock
from tests.support.event_schemas import require_declared
from tests.support.infrastructure import PROGRAM, MadeUpProvisioner


class KnownTokens:
    """A token is `tenant/subject/roles` or `tenant/subject/roles/scopes`; anything else is refused.

    `+` stands for the `:` of a subject, and `~` stands between roles and between scopes.
    """

    async def verify(self, token: str) -> Mapping[str, object]:
        parts = token.split("/")
        if len(parts) < 3:
            raise TokenRefused("The token is not known here.")
        tenant, subject, roles, *scopes = parts
        return {
            "tenantId": tenant,
            "sub": subject.replace("+", ":"),
            "roles": roles.split("~"),
            "scope": scopes[0].split("~") if scopes else [],
        }


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]
    raw: bytes


@dataclass
class Api:
    """One installation. `send` is one request; `drain` carries every message to its worker until none is
    left."""

    app: App
    checkpoint: int = 0
    handled: list[str] = field(default_factory=list)

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = "acme/user+ann/admin",
        **headers: str,
    ) -> Answer:
        """`body` goes as JSON unless it is bytes. Header names are written with underscores."""
        endpoint, route = find_endpoint(method, path)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent.setdefault("authorization", f"Bearer {token}")
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        _, _, query = path.partition("?")
        request = func.HttpRequest(
            method=method,
            url=f"http://host{path}",
            headers=sent,
            params=dict(pair.split("=", 1) for pair in query.split("&") if pair),
            route_params=route,
            body=raw,
        )
        response = await serve(endpoint, lambda: self.app, request)
        content = response.get_body()
        told = json.loads(content) if content and "json" in response.mimetype else None
        return Answer(response.status_code, told, dict(response.headers), content)

    async def expect(self, status: int, method: str, path: str, body: object = None, **more: Any) -> Any:
        answer = await self.send(method, path, body, **more)
        assert answer.status == status, f"{method} {path}: {answer.status} {answer.body}"
        return answer.body

    async def drain(self) -> None:
        """Relay and handle until nothing moves. A handler that raises is a failure of the test."""
        while True:
            documents = (await self.app.feed.read(str(self.checkpoint), 500)).documents
            if documents:
                self.checkpoint = documents[-1].sequence
            require_declared(each.body for each in documents if each.kind == "outbox")
            feed = [{"kind": each.kind, "body": each.body} for each in documents]
            await relay(feed, self.app.bus, self.app.telemetry)
            moved = bool(documents)
            for consumer in CONSUMERS:
                for received in await self.app.bus.receive(consumer.queue, limit=50):
                    message = received.message
                    sent_by = message.properties.get("traceparent")
                    await consumer.receive(
                        message.body, self.app, message.message_id, message.session_id, sent_by
                    )
                    await self.app.bus.complete(received)
                    self.handled.append(received.message.subject)
                    moved = True
            if not moved:
                return


def find_endpoint(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    """As the host routes: a literal segment beats a parameter."""
    bare = path.partition("?")[0]
    found = [
        (len(endpoint.params), endpoint, match.groupdict())
        for endpoint, pattern in _served()
        if endpoint.method == method and (match := pattern.fullmatch(bare))
    ]
    if not found:
        raise AssertionError(f"no endpoint for {method} {path}")
    _, endpoint, route = min(found, key=lambda one: one[0])
    return endpoint, route


@cache
def _served() -> list[tuple[Endpoint, re.Pattern[str]]]:
    return [
        (endpoint, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", endpoint.path)))
        for endpoint in endpoint_table(declared())
    ]


def an_api(
    folder: Path, *, tiers: str = "*:unmetered", more: Mapping[str, Any] | None = None, **replacements: Any
) -> Api:
    """Unmetered unless told, because a test asks more in a second than a caller may in a minute. `more` are
    further settings."""
    told = {"data_dir": folder, "tiers": tiers, "iac_programs": {PROGRAM: folder}, **(more or {})}
    settings = Settings.load({}, **told)
    made_up = {"clock": SteppingClock(), "provisioner": MadeUpProvisioner(folder / "infrastructure")}
    replacements = {"tokens": KnownTokens(), **made_up, **replacements}
    return Api(build_app(settings, **replacements))


@dataclass(frozen=True)
class World:
    """One thing of every kind, made through the API: the ids a test of all endpoints needs, by path
    parameter."""

    api: Api
    ids: dict[str, str]
    more: dict[str, str]


STACK = {"projectId": "proj-x", "engine": "Pulumi", "program": PROGRAM}
SERVICE = {"slipway.yml": "{}\n", "app/__init__.py": '"""Nothing yet."""\n'}


async def a_world(api: Api) -> World:
    """From repository to a release deployed in dev, in tenant acme."""
    home = {"projectId": "proj-x", "moduleId": "module-x"}
    repository = await api.expect(201, "POST", "/repositories", {**home, "name": "api"})
    request = await _merged(api, repository["repositoryId"])
    pipeline = await api.expect(
        201,
        "POST",
        "/pipelines/generate",
        {"repositoryId": repository["repositoryId"], "moduleId": "module-x", "moduleType": "Worker"},
    )
    started = await api.expect(201, "POST", f"/pipelines/{pipeline['pipelineId']}/run", {"reason": "ci"})
    await api.drain()
    run = await api.expect(200, "GET", f"/pipeline-runs/{started['pipelineRunId']}")
    assert run["status"] == "Succeeded", run
    plan = {**home, "buildResultId": run["buildResultId"], "targetEnvironment": "staging"}
    release = await api.expect(201, "POST", "/releases", plan, token="acme/agent+Planner/admin")
    await api.drain()
    hop = {"releaseId": release["releaseId"], "toEnvironment": "dev"}
    promotion = await api.expect(201, "POST", "/promotions", hop)
    await api.drain()
    deployed = await api.expect(200, "GET", f"/promotions/{promotion['promotionId']}")
    rendered = {"releaseId": release["releaseId"], "environment": "dev"}
    manifest = await api.expect(201, "POST", "/deployment-manifests", rendered)
    freeze = {"name": "Far away", "startsAt": "2190-01-01T00:00:00Z", "endsAt": "2190-01-02T00:00:00Z"}
    frozen = await api.expect(201, "POST", "/environments/dev/freeze-windows", freeze)
    artifact = "art-1"
    ids = {
        "repositoryId": repository["repositoryId"],
        "pullRequestId": request["pullRequestId"],
        "pipelineId": pipeline["pipelineId"],
        "pipelineRunId": started["pipelineRunId"],
        "buildResultId": run["buildResultId"],
        "releaseId": release["releaseId"],
        "promotionId": promotion["promotionId"],
        "deploymentId": deployed["deploymentId"],
        "manifestId": manifest["manifestId"],
        "artifactId": artifact,
        "environmentName": "dev",
        "freezeWindowId": frozen["freezeWindowId"],
        "policyId": "default",
        "reviewer": "user:bob",
        "sha": "a" * 40,
        **await _refs(api, repository["repositoryId"]),
        **await _deliverables(api, run["buildResultId"]),
        **await _a_stack(api),
    }
    return World(api, ids, {"stagingPromotionId": release["promotionId"]})


async def _refs(api: Api, repository: str) -> dict[str, str]:
    """A branch that nobody needs, the commit that it begins at, and what is known of what runs."""
    place = f"/repositories/{repository}"
    branch = await api.expect(201, "POST", f"{place}/branches", {"name": "feature/spare"})
    commits = await api.expect(200, "GET", f"{place}/commits?sha={branch['head']}")
    states = await api.expect(200, "GET", "/gitops/sync-states")
    return {
        "branchId": branch["branchId"],
        "commitId": commits["items"][0]["commitId"],
        "syncStateId": states["items"][0]["syncStateId"],
    }


async def _merged(api: Api, repository: str) -> Any:
    """A pull request that brought a service to `main`, reviewed on its way."""
    place = f"/repositories/{repository}"
    await api.expect(201, "POST", f"{place}/branches", {"name": "feature/x"})
    changes = [{"path": path, "operation": "add", "content": text} for path, text in SERVICE.items()]
    draft = {"branch": "feature/x", "message": "feat: start", "changes": changes}
    await api.expect(201, "POST", f"{place}/commits", draft)
    request = await api.expect(
        201,
        "POST",
        "/pull-requests",
        {
            "repositoryId": repository,
            "sourceBranch": "feature/x",
            "targetBranch": "main",
            "title": "Start",
        },
    )
    await api.drain()
    seen = {"decision": "Commented", "comment": "seen"}
    await api.expect(201, "POST", f"/pull-requests/{request['pullRequestId']}/reviews", seen)
    await api.expect(200, "POST", f"/pull-requests/{request['pullRequestId']}/merge")
    return request


async def _deliverables(api: Api, build: str) -> dict[str, str]:
    """An image of the build that was found clean, and a package of it."""
    # Imported here: what makes them builds on this module.
    from tests.support.builds import a_layout, a_tarball, trivy, upload  # noqa: PLC0415
    from tests.support.packages import an_npm_package  # noqa: PLC0415

    await upload(api, "art-image", a_tarball(a_layout()))
    await upload(api, "art-package", an_npm_package())
    pushing = {"buildResultId": build, "repository": "shop/orders", "tag": "1", "artifactRef": "art-image"}
    image = await api.expect(201, "POST", "/container-images", pushing)
    wanted = {"packageType": "npm", "packageId": "@shop/orders", "version": "1.0.0", "feed": "main"}
    publishing = {**wanted, "buildResultId": build, "artifactRef": "art-package"}
    package = await api.expect(201, "POST", "/packages", publishing)
    await api.drain()
    place = f"/container-images/{image['containerImageId']}"
    await api.expect(200, "POST", f"{place}/scan-results", {"report": trivy()})
    await api.drain()
    return {
        "containerImageId": image["containerImageId"],
        "publicationId": package["publicationId"],
        "feed": "main",
        "npmScope": "@shop",
        "package": "orders",
        "version": "1.0.0",
        "file": package["fileName"],
    }


async def _a_stack(api: Api) -> dict[str, str]:
    """An applied stack in dev."""
    asked = {**STACK, "stack": "booking-dev", "environment": "dev"}
    planned = await api.expect(201, "POST", "/iac/provision", asked)
    await api.drain()
    return {name: planned[name] for name in ("infrastructurePlanId", "stackId")}
