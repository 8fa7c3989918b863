"""The routes of workflows, webhooks and statuses."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.standins.github.actions import Automation
from tests.standins.github.faults import not_found
from tests.standins.github.notices import Notices
from tests.standins.github.repository import Hosted
from tests.standins.github.requests import body_of

if TYPE_CHECKING:
    from tests.standins.github.server import GitHubStandIn


class Automations:
    """Of every repository of one server."""

    def __init__(self, server: "GitHubStandIn") -> None:
        self._server = server
        self._of: defaultdict[int, Automation] = defaultdict(Automation)
        self._notices: defaultdict[int, Notices] = defaultdict(Notices)

    def of(self, hosted: Hosted) -> Automation:
        return self._of[hosted.number]

    def notices(self, hosted: Hosted) -> Notices:
        return self._notices[hosted.number]

    def routes(self) -> list[web.RouteDef]:
        on, repo = self._server.on, "/repos/{owner}/{repo}"
        run = repo + "/actions/runs/{id:[0-9]+}"
        return [
            web.post(repo + "/actions/workflows/{file}/dispatches", on(self._dispatch, "actions")),
            web.get(repo + "/actions/workflows/{file}/runs", on(self._runs)),
            web.get(run, on(self._run)),
            web.get(run + "/jobs", on(self._jobs)),
            web.get(run + "/logs", on(self._log)),
            web.post(run + "/cancel", on(self._cancel, "actions")),
            web.get(run + "/artifacts", on(self._artifacts)),
            web.get(repo + "/actions/artifacts/{id:[0-9]+}/zip", on(self._artifact)),
            web.get(repo + "/hooks", on(self._hooks, "webhooks")),
            web.post(repo + "/hooks", on(self._add_hook, "webhooks")),
            web.patch(repo + "/hooks/{id:[0-9]+}", on(self._change_hook, "webhooks")),
            web.delete(repo + "/hooks/{id:[0-9]+}", on(self._remove_hook, "webhooks")),
            web.post(repo + "/statuses/{sha}", on(self._add_status, "statuses")),
            web.get(repo + "/commits/{sha}/status", on(self._status)),
        ]

    async def _dispatch(self, request: web.Request, hosted: Hosted) -> Any:
        file, number = request.match_info["file"], self._server.number()
        automation, shapes = self.of(hosted), self._server.shapes
        return automation.dispatch(hosted, shapes, file, number, await body_of(request))

    async def _runs(self, request: web.Request, hosted: Hosted) -> Any:
        event, created = request.query.get("event", ""), request.query.get("created", "")
        runs = self.of(hosted).listed(request.match_info["file"], event, created)
        return self._server.page(request, runs, "workflow_runs")

    async def _run(self, request: web.Request, hosted: Hosted) -> Any:
        return self.of(hosted).run(_id(request))

    async def _jobs(self, request: web.Request, hosted: Hosted) -> Any:
        automation, number = self.of(hosted), _id(request)
        automation.run(number)
        return self._server.page(request, automation.jobs.get(number, []), "jobs")

    async def _log(self, request: web.Request, hosted: Hosted) -> Any:
        return self._server.handed_out(self.of(hosted).log(_id(request)))

    async def _cancel(self, request: web.Request, hosted: Hosted) -> Any:
        self.of(hosted).cancel(_id(request))
        return web.json_response({}, status=202)

    async def _artifacts(self, request: web.Request, hosted: Hosted) -> Any:
        automation, number = self.of(hosted), _id(request)
        automation.run(number)
        rows = [artifact.told for artifact in automation.artifacts.get(number, [])]
        return self._server.page(request, rows, "artifacts")

    async def _artifact(self, request: web.Request, hosted: Hosted) -> Any:
        return self._server.handed_out(self.of(hosted).download(_id(request)))

    async def _hooks(self, request: web.Request, hosted: Hosted) -> Any:
        return self._server.page(request, list(self.notices(hosted).hooks.values()))

    async def _add_hook(self, request: web.Request, hosted: Hosted) -> Any:
        notices, number = self.notices(hosted), self._server.number()
        made = notices.put_hook(hosted, self._server.shapes, number, await body_of(request))
        return web.json_response(made, status=201)

    async def _change_hook(self, request: web.Request, hosted: Hosted) -> Any:
        notices, number = self.notices(hosted), _id(request)
        if number not in notices.hooks:
            raise not_found()
        return notices.put_hook(hosted, self._server.shapes, number, await body_of(request))

    async def _remove_hook(self, request: web.Request, hosted: Hosted) -> Any:
        if self.notices(hosted).hooks.pop(_id(request), None) is None:
            raise not_found()
        return web.Response(status=204)

    async def _add_status(self, request: web.Request, hosted: Hosted) -> Any:
        notices, sha = self.notices(hosted), request.match_info["sha"]
        body = await body_of(request)
        made = notices.add_status(hosted, self._server.shapes, sha, self._server.number(), body)
        return web.json_response(made, status=201)

    async def _status(self, request: web.Request, hosted: Hosted) -> Any:
        sha = request.match_info["sha"]
        return self.notices(hosted).combined(hosted, self._server.shapes, sha)


def _id(request: web.Request) -> int:
    return int(request.match_info["id"])
