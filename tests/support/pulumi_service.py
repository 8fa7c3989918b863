"""A small stand-in for Pulumi Cloud: stacks, tags, deployments that run through their states, events, states.

What a program wants is the `config` of its deployment: one `demo` resource for each plain value.
"""

import re
import shlex
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOKEN = "pul-of-the-tests"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
STATES = ("not-started", "accepted", "running")


@dataclass
class Job:
    operation: str
    config: dict[str, str]
    polls: int = 0
    status: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class CloudStack:
    tags: dict[str, str] = field(default_factory=dict)
    things: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)


@dataclass
class PulumiService:
    """`failing` answers the next requests with these statuses; `stuck` jobs do not end by themselves."""

    url: str = ""
    stacks: dict[str, CloudStack] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)
    stuck: bool = False
    breaks: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"token {TOKEN}":
            return web.json_response({"code": 401, "message": "Unauthorized"}, status=401)
        if self.failing:
            return web.json_response({"code": 0, "message": "no"}, status=self.failing.pop(0))
        body = await request.json() if request.can_read_body else {}
        found = re.fullmatch(r"/api/stacks/acme-org/([^/]+)(?:/([^/]+)(/.*)?)?", request.path)
        assert found is not None, request.path
        project, name, rest = found.groups()
        if name is None:
            self.stacks[f"{project}/{body['stackName']}"] = CloudStack()
            return web.json_response({})
        stack = self.stacks.get(f"{project}/{name}")
        if stack is None:
            return web.json_response({"code": 404, "message": "Not Found: Stack not found"}, status=404)
        return web.json_response(self._of(stack, f"{request.method} {rest or ''}", body, request.query))

    def _of(self, stack: CloudStack, asked: str, body: Any, query: Any) -> Any:
        """What the service tells."""
        told: Any = {}
        match asked.split("/"):
            case ["GET "]:
                told = {"tags": stack.tags}
            case ["POST ", "tags"]:
                stack.tags[body["name"]] = body["value"]
            case ["GET ", "export"]:
                told = {"version": 3, "deployment": _exported(stack.things)}
            case ["POST ", "deployments"]:
                told = self._start(stack, body)
            case ["GET ", "deployments"]:
                rows = [{"id": key, "status": self._status(job)} for key, job in stack.jobs.items()]
                told = {"deployments": rows[::-1][: int(query["pageSize"])]}
            case ["GET ", "deployments", key]:
                job = stack.jobs[key]
                job.polls += 1
                told = {"id": key, "status": self._advance(stack, job), "version": 1}
            case ["POST ", "deployments", key, "cancel"]:
                stack.jobs[key].status = "skipped"
            case ["GET ", "deployments", key, "updates"]:
                kind = {"preview": "Pupdate"}.get(stack.jobs[key].operation, stack.jobs[key].operation)
                told = [{"info": {"kind": kind, "result": "succeeded"}, "updateID": key, "version": 1}]
            case ["GET ", "deployments", _, "logs"]:
                told = {"lines": [{"line": "Updating...\n"}], "nextToken": ""}
            case ["GET ", "update" | "destroy", key, "events"]:
                events, at = stack.jobs[key].events, int(query.get("continuationToken", 0))
                told = {"events": events[at : at + 2]}
                if at + 2 < len(events):
                    told["continuationToken"] = str(at + 2)
            case _:
                raise AssertionError(f"the stand-in does not know {asked}")
        return told

    def _start(self, stack: CloudStack, body: dict[str, Any]) -> Any:
        self.bodies.append(body)
        commands = [shlex.split(line) for line in body["operationContext"]["preRunCommands"]]
        config = {line[-3]: line[-1] for line in commands if "--secret" not in line}
        key = str(uuid.uuid5(uuid.NAMESPACE_OID, str(len(self.bodies))))
        stack.jobs[key] = Job(body["operation"], config)
        return {"id": key, "version": 1, "consoleUrl": "https://example"}

    def _status(self, job: Job) -> str:
        return job.status or STATES[min(job.polls, len(STATES) - 1)]

    def _advance(self, stack: CloudStack, job: Job) -> str:
        if not job.status and job.polls > 2 and not self.stuck:
            wanted = {} if job.operation == "destroy" else job.config
            job.events = _events(stack.things, wanted)
            job.status = "failed" if self.breaks or "violate" in wanted else "succeeded"
            if self.breaks:
                said = {"message": "<{%reset%}>boom<{%reset%}>", "severity": "error", "color": "never"}
                job.events.append({"diagnosticEvent": said})
            if job.operation != "preview" and job.status == "succeeded":
                stack.things = wanted
        return self._status(job)


@asynccontextmanager
async def a_service() -> AsyncIterator[PulumiService]:
    service, application = PulumiService(), web.Application()
    application.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        service.url = f"http://{host}:{port}"
        yield service
    finally:
        await runner.cleanup()


def _exported(things: dict[str, str]) -> dict[str, Any]:
    if not things:
        return {"manifest": {"time": "2026-06-11T09:00:00Z"}, "resources": []}
    root = {"urn": _urn("stack"), "type": "pulumi:pulumi:Stack", "outputs": {"key": SECRET, "n": len(things)}}
    rows = [
        {"urn": _urn(name), "type": "demo:index:Thing", "id": name, "inputs": {"size": size, "key": SECRET}}
        for name, size in things.items()
    ]
    return {"manifest": {"time": "2026-06-11T09:00:00Z"}, "resources": [root, *rows]}


def _events(before: dict[str, str], wanted: dict[str, str]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [{"preludeEvent": {"config": {}}}]
    for name in sorted({*before, *wanted}):
        old, new = before.get(name), wanted.get(name)
        operation = (
            "create" if old is None else "delete" if new is None else "same" if old == new else "update"
        )
        step = {
            "op": operation,
            "urn": _urn(name),
            "type": "demo:index:Thing",
            "old": {"inputs": {"size": old, "key": "[secret]"}} if old else None,
            "new": {"inputs": {"size": new, "key": "[secret]"}} if new else None,
            "detailedDiff": {"size": {"diffKind": "update"}} if operation == "update" else None,
        }
        events.append({"resourcePreEvent": {"metadata": step}})
    if "violate" in wanted:
        found = {"message": wanted["violate"], "policyName": "no", "policyPackName": "house"}
        events.append({"policyEvent": {**found, "enforcementLevel": "mandatory"}})
    events.append({"summaryEvent": {"resourceChanges": {}}})
    return events


def _urn(name: str) -> str:
    return f"urn:pulumi:dev::shop::demo:index:Thing::{name}"
