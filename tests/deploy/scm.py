"""The deployment site of a Flex Consumption app, on loopback: refuses what the real one refuses.

After the public description of One Deploy and of what Azure's own command line sends; a deployment to Azure
has not been tried.
"""

import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from tests.standins.identity import Issuer, TokenRefused

AUDIENCE = "https://management.azure.com"
PENDING, BUILDING, FAILED, SUCCEEDED, CANCELLED = 0, 1, 3, 4, 5


@dataclass
class Deployment:
    """One publish. It needs `looks` looks before it ends as `outcome`."""

    package: bytes
    remote_build: bool
    outcome: int
    looks: int = 2
    log: tuple[str, ...] = ()


@dataclass
class ScmStandIn:
    """`refusals` are statuses it answers first, in order. `outcome` is how the next deployments end. `live`
    is the package that the app runs."""

    issuer: Issuer
    refusals: list[int] = field(default_factory=list)
    outcome: int = SUCCEEDED
    looks: int = 2
    drops: int = 0
    """How many status requests find the site restarting."""
    deployments: dict[str, Deployment] = field(default_factory=dict)
    live: bytes | None = None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        app = web.Application(client_max_size=1 << 30)
        app.add_routes(
            [
                web.post("/api/publish", self._publish),
                web.get("/api/deployments/{id}", self._status),
                web.get("/api/deployments/{id}/log", self._log),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()

    async def _publish(self, request: web.Request) -> web.Response:
        package = await request.read()
        if refusal := self._unauthorized(request):
            return refusal
        if self.refusals:
            return web.Response(status=self.refusals.pop(0), text="not now")
        if request.content_type != "application/zip":
            return web.Response(status=415, text="Unsupported Media Type")
        if request.query.get("RemoteBuild") not in ("true", "false"):
            return web.Response(status=400, text="RemoteBuild has to be true or false.")
        if not zipfile.is_zipfile(io.BytesIO(package)):
            return web.Response(status=400, text="The package is not a zip file.")
        running = [each for each in self.deployments.values() if each.looks > 0]
        if running:
            return web.Response(status=409, text="There is a deployment currently in progress.")
        log = ("Preparing deployment.", "ERROR: No matching distribution found for no-such-package")
        deployment = Deployment(
            package,
            request.query["RemoteBuild"] == "true",
            self.outcome,
            self.looks,
            log if self.outcome == FAILED else log[:1],
        )
        name = f"dep-{len(self.deployments) + 1}"
        self.deployments[name] = deployment
        return web.json_response(name, status=202)

    async def _status(self, request: web.Request) -> web.Response:
        if refusal := self._unauthorized(request):
            return refusal
        if self.drops:
            self.drops -= 1
            return web.Response(status=503, text="The site is restarting.")
        deployment = self.deployments.get(request.match_info["id"])
        if deployment is None:
            return web.Response(status=404)
        if deployment.looks > 0:
            deployment.looks -= 1
            return web.json_response({"id": request.match_info["id"], "status": BUILDING}, status=202)
        if deployment.outcome == SUCCEEDED:
            self.live = deployment.package
        told: dict[str, Any] = {"id": request.match_info["id"], "status": deployment.outcome}
        return web.json_response(told)

    async def _log(self, request: web.Request) -> web.Response:
        if refusal := self._unauthorized(request):
            return refusal
        deployment = self.deployments[request.match_info["id"]]
        return web.json_response([{"log_time": "", "message": line} for line in deployment.log])

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            if kind != "Bearer":
                raise TokenRefused("no bearer token")
            self.issuer.verify(token, AUDIENCE)
        except TokenRefused:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="site"'})
        return None
