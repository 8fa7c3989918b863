"""The routes of pipelines, service hooks, statuses and pull requests."""

from datetime import datetime
from typing import Any

from aiohttp import web

from tests.standins.azure_devops import errors
from tests.standins.azure_devops.organization import Organization
from tests.standins.azure_devops.pipelines import Build
from tests.standins.azure_devops.requests import (
    ORGANIZATION,
    PAGE,
    body_of,
    listed,
    needs,
    paged,
    project_of,
    repository_of,
)


class Automations:
    """Of every organization below one URL."""

    def routes(self) -> list[web.RouteDef]:
        project, hooks = "/{org}/{project}/_apis", "/{org}/_apis/hooks/subscriptions"
        builds = project + "/build/{builds:builds|Builds}"
        build = builds + r"/{build:\d+}"
        repository = project + "/git/repositories/{repository}"
        statuses = repository + "/commits/{commit}/statuses"
        pulls = repository + "/{pulls:pullrequests|pullRequests}"
        return [
            web.post(project + "/pipelines", self._add_pipeline),
            web.get(project + r"/pipelines/{pipeline:\d+}", self._pipeline),
            web.get(project + "/build/{definitions:definitions|Definitions}", self._definitions),
            web.get(builds, self._builds),
            web.post(builds, self._queue),
            web.get(build, self._build),
            web.patch(build, self._update_build),
            web.get(build + "/{timeline:timeline|Timeline}", self._timeline),
            web.get(build + "/{timeline:timeline|Timeline}/", self._timeline),
            web.get(build + "/logs", self._logs),
            web.get(build + r"/logs/{log:\d+}", self._log),
            web.get(build + "/artifacts", self._artifacts),
            web.get("/{org}/{project}/_apis/artifact/{key}/content", self._artifact),
            web.get(hooks, self._subscriptions),
            web.post(hooks, self._add_subscription),
            web.get(hooks + "/{subscription}", self._subscription),
            web.put(hooks + "/{subscription}", self._put_subscription),
            web.delete(hooks + "/{subscription}", self._remove_subscription),
            web.get(statuses, self._statuses),
            web.post(statuses, self._add_status),
            web.get(pulls, self._pulls),
            web.post(pulls, self._add_pull),
            web.get(pulls + r"/{pull:\d+}", self._pull),
            web.patch(pulls + r"/{pull:\d+}", self._update_pull),
        ]

    async def _add_pipeline(self, request: web.Request) -> Any:
        needs(request, "EditBuildDefinition")
        project, number = project_of(request), next(request[ORGANIZATION].numbers)
        body = await body_of(request)
        return project.pipelines.define(list(project.repositories.values()), number, _url(request), body)

    async def _pipeline(self, request: web.Request) -> Any:
        return project_of(request).pipelines.pipeline(int(request.match_info["pipeline"]), _url(request))

    async def _definitions(self, request: web.Request) -> Any:
        repository = request.query.get("repositoryId", "")
        if repository and request.query.get("repositoryType") != "TfsGit":
            raise errors.bad("A repositoryId needs the repositoryType.")
        whole = request.query.get("includeAllProperties", "").casefold() == "true"
        return paged(request, project_of(request).pipelines.listed(repository, whole=whole))

    async def _builds(self, request: web.Request) -> Any:
        asked = request.query
        if "minTime" in asked and asked.get("queryOrder") != "queueTimeDescending":
            raise errors.bad("The stand-in knows minTime for the order queueTimeDescending alone.")
        since, of = asked.get("minTime", ""), asked.get("definitions", "")
        found = [
            each.told
            for each in reversed(project_of(request).pipelines.builds.values())
            if (not of or str(each.told["definition"]["id"]) in of.split(","))
            and (not since or _time(each.told["queueTime"]) >= _time(since))
        ]
        return paged(request, found)

    async def _queue(self, request: web.Request) -> Any:
        needs(request, "QueueBuilds")
        project, number = project_of(request), next(request[ORGANIZATION].numbers)
        body = await body_of(request)
        return project.pipelines.queue(list(project.repositories.values()), number, _url(request), body).told

    async def _build(self, request: web.Request) -> Any:
        return project_of(request).pipelines.look(int(request.match_info["build"])).told

    async def _update_build(self, request: web.Request) -> Any:
        needs(request, "StopBuilds")
        if (await body_of(request)).get("status") != "cancelling":
            raise errors.bad("A build can be cancelled, and no more.")
        return project_of(request).pipelines.cancel(int(request.match_info["build"])).told

    async def _timeline(self, request: web.Request) -> Any:
        build = _build(request)
        if not build.records:
            return web.Response(status=204)
        return {
            "id": build.records[0]["id"],
            "changeId": 1,
            "records": build.records,
            "url": str(request.url),
        }

    async def _logs(self, request: web.Request) -> Any:
        return listed(
            [
                {"id": number, "type": "Container", "lineCount": content.count(b"\n")}
                for number, content in _build(request).logs.items()
            ]
        )

    async def _log(self, request: web.Request) -> Any:
        number = int(request.match_info["log"])
        content = _build(request).logs.get(number)
        if content is None:
            raise errors.no_log(number)
        if "text/plain" in request.headers.get("Accept", ""):
            return web.Response(body=content, content_type="text/plain")
        return listed(content.decode().splitlines())

    async def _artifacts(self, request: web.Request) -> Any:
        return listed([each.told for each in _build(request).artifacts])

    async def _artifact(self, request: web.Request) -> Any:
        for build in project_of(request).pipelines.builds.values():
            for each in build.artifacts:
                if each.key == request.match_info["key"]:
                    return web.Response(body=each.archive, content_type="application/zip")
        raise errors.no_artifact(request.match_info["key"])

    async def _subscriptions(self, request: web.Request) -> Any:
        found = request[ORGANIZATION].subscriptions.all.values()
        asked = {key: request.query.get(key) for key in ("publisherId", "eventType", "consumerId")}
        return listed([each for each in found if all(asked[key] in {None, each[key]} for key in asked)])

    async def _add_subscription(self, request: web.Request) -> Any:
        return self._put(request, await body_of(request))

    async def _subscription(self, request: web.Request) -> Any:
        return request[ORGANIZATION].subscriptions.get(request.match_info["subscription"])

    async def _put_subscription(self, request: web.Request) -> Any:
        key = request.match_info["subscription"]
        request[ORGANIZATION].subscriptions.get(key)
        return self._put(request, await body_of(request), key)

    def _put(self, request: web.Request, body: Any, key: str = "") -> Any:
        needs(request, "EditSubscriptions")
        organization: Organization = request[ORGANIZATION]
        projects = {each.id for each in organization.projects.values()}
        return organization.subscriptions.put(projects, _base(request), body, key)

    async def _remove_subscription(self, request: web.Request) -> Any:
        needs(request, "EditSubscriptions")
        request[ORGANIZATION].subscriptions.remove(request.match_info["subscription"])
        return web.Response(status=204)

    async def _statuses(self, request: web.Request) -> Any:
        repository, sha = repository_of(request), request.match_info["commit"]
        latest = request.query.get("latestOnly", "").casefold() == "true"
        rows = project_of(request).statuses(repository).of(repository, sha, latest=latest)
        skip, top = int(request.query.get("skip", 0)), int(request.query.get("top", 1000))
        return listed(rows[skip : skip + top])

    async def _add_status(self, request: web.Request) -> Any:
        repository, sha = repository_of(request), request.match_info["commit"]
        row = project_of(request).statuses(repository).add(repository, sha, await body_of(request))
        return web.json_response(row, status=201)

    async def _pulls(self, request: web.Request) -> Any:
        pulls = project_of(request).pulls(repository_of(request))
        asked = {name.removeprefix("searchCriteria."): value for name, value in request.query.items()}
        skip, top = int(asked.get("$skip", 0)), int(asked.get("$top", PAGE))
        return listed([pulls.view(each, whole=False) for each in pulls.listed(asked)[skip : skip + top]])

    async def _add_pull(self, request: web.Request) -> Any:
        needs(request, "PullRequestContribute")
        pulls, number = project_of(request).pulls(repository_of(request)), next(request[ORGANIZATION].numbers)
        return web.json_response(
            pulls.view(pulls.open(number, await body_of(request)), whole=True), status=201
        )

    async def _pull(self, request: web.Request) -> Any:
        pulls = project_of(request).pulls(repository_of(request))
        return pulls.view(pulls.get(int(request.match_info["pull"])), whole=True)

    async def _update_pull(self, request: web.Request) -> Any:
        needs(request, "PullRequestContribute")
        pulls = project_of(request).pulls(repository_of(request))
        changed = pulls.change(int(request.match_info["pull"]), await body_of(request))
        return pulls.view(changed, whole=True)


def _base(request: web.Request) -> str:
    return f"{request.url.origin()}/{request.match_info['org']}"


def _url(request: web.Request) -> str:
    return f"{_base(request)}/{project_of(request).name}"


def _build(request: web.Request) -> Build:
    return project_of(request).pipelines.build(int(request.match_info["build"]))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
