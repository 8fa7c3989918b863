"""The routes of workflows, webhooks and statuses."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.standins.github.actions import Automation
from tests.standins.github.faults import not_found
from tests.standins.github.repository import Hosted
from tests.standins.github.requests import body_of

if TYPE_CHECKING:
    from tests.standins.github.server import GitHubStandIn


class Automations:
    """Of every repository of one server."""

    def __init__(self, server: "GitHubStandIn") -> None:
        self._server = server
        self._of: defaultdict[int, Automation] = defaultdict(Automation)

    def of(self, hosted: Hosted) -> Automation:
        return self._of[hosted.number]

    def routes(self) -> list[web.RouteDef]:
        on, repo = self._server.on, "/repos/{owner}/{repo}"
        return [
            web.post(repo + "/actions/workflows/{file}/dispatches", on(self._dispatch, "actions")),
            web.get(repo + "/actions/workflows/{file}/runs", on(self._runs)),
            web.get(repo + "/actions/runs/{id}", on(self._run)),
            web.get(repo + "/actions/runs/{id}/logs", on(self._log)),
            web.get(repo + "/hooks", on(self._hooks, "webhooks")),
            web.post(repo + "/hooks", on(self._add_hook, "webhooks")),
            web.patch(repo + "/hooks/{id}", on(self._change_hook, "webhooks")),
            web.delete(repo + "/hooks/{id}", on(self._remove_hook, "webhooks")),
            web.post(repo + "/statuses/{sha}", on(self._add_status, "statuses")),
            web.get(repo + "/commits/{sha}/status", on(self._status)),
        ]

    async def _dispatch(self, request: web.Request, hosted: Hosted) -> Any:
        file, number = request.match_info["file"], self._server.number()
        automation, shapes = self._of[hosted.number], self._server.shapes
        return automation.dispatch(hosted, shapes, file, number, await body_of(request))

    async def _runs(self, request: web.Request, hosted: Hosted) -> Any:
        event, created = request.query.get("event", ""), request.query.get("created", "")
        runs = self._of[hosted.number].listed(request.match_info["file"], event, created)
        return {"total_count": len(runs), "workflow_runs": runs}

    async def _run(self, request: web.Request, hosted: Hosted) -> Any:
        return self._of[hosted.number].run(_id(request))

    async def _log(self, request: web.Request, hosted: Hosted) -> Any:
        return self._server.handed_out(self._of[hosted.number].log(_id(request)))

    async def _hooks(self, request: web.Request, hosted: Hosted) -> Any:
        return self._server.page(request, list(self._of[hosted.number].hooks.values()))

    async def _add_hook(self, request: web.Request, hosted: Hosted) -> Any:
        automation, number = self._of[hosted.number], self._server.number()
        made = automation.put_hook(hosted, self._server.shapes, number, await body_of(request))
        return web.json_response(made, status=201)

    async def _change_hook(self, request: web.Request, hosted: Hosted) -> Any:
        automation, number = self._of[hosted.number], _id(request)
        if number not in automation.hooks:
            raise not_found()
        return automation.put_hook(hosted, self._server.shapes, number, await body_of(request))

    async def _remove_hook(self, request: web.Request, hosted: Hosted) -> Any:
        if self._of[hosted.number].hooks.pop(_id(request), None) is None:
            raise not_found()
        return web.Response(status=204)

    async def _add_status(self, request: web.Request, hosted: Hosted) -> Any:
        automation, sha = self._of[hosted.number], request.match_info["sha"]
        body = await body_of(request)
        made = automation.add_status(hosted, self._server.shapes, sha, self._server.number(), body)
        return web.json_response(made, status=201)

    async def _status(self, request: web.Request, hosted: Hosted) -> Any:
        sha = request.match_info["sha"]
        return self._of[hosted.number].combined(hosted, self._server.shapes, sha)


def _id(request: web.Request) -> int:
    return int(request.match_info["id"])
