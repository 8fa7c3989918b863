"""The Provisioner port on Pulumi Deployments: the service runs programs of a git repository on its own
machines. The digest that was carried out last is a tag of the stack."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from shlex import quote
from typing import Any, Final

import aiohttp

from shared.adapters.provisioners.engine_events import Story, check, deletions, outputs, resource
from shared.domain.kernel.errors import NotFound, Permanent, Transient
from shared.ports.provisioner import (
    Applied,
    Config,
    Diagnostic,
    EngineLost,
    EngineUnavailable,
    OnEvent,
    Operation,
    Plan,
    Program,
    ProgramFailed,
    Progress,
    Stack,
    StackBusy,
    StackState,
    UnknownProgram,
    UnknownStack,
    UpdateCancelled,
)

TAG: Final = "slipway:plan"
_GOING: Final = frozenset({"not-started", "accepted", "running"})
_OPERATIONS: Final[Mapping[Operation, str]] = {"up": "update", "destroy": "destroy"}
_REQUEST_SECONDS: Final = aiohttp.ClientTimeout(total=30)


@dataclass(frozen=True, slots=True)
class _Service:
    """One stack's corner of the REST API. Answers are JSON; what the service refuses is raised by kind."""

    session: aiohttp.ClientSession
    base: str

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Raises NotFound, StackBusy, EngineUnavailable, and Transient where asking again may help."""
        try:
            async with self.session.request(method, f"{self.base}{path}", json=body) as answer:
                status = answer.status
                content = await answer.json() if answer.content_type == "application/json" else None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Transient(f"The deployment service does not answer ({type(error).__name__}).") from error
        said = content.get("message", "") if isinstance(content, dict) else ""
        if status in {401, 403}:
            raise EngineUnavailable(
                "The deployment service refuses our token; renew SLIPWAY_IAC_ACCESS_TOKEN and give it the"
                " stacks of the organization."
            )
        if status == 404:
            raise NotFound(f"The deployment service knows no {path.partition('?')[0] or 'such stack'}.")
        if status == 409:
            raise StackBusy("Another update of this stack is under way.")
        if status == 429 or status >= 500:
            raise Transient(f"The deployment service is busy ({status}); try again.")
        if status >= 400:
            raise Permanent(f"The deployment service refuses the request ({status}): {said}")
        return content


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentsProvisioner:
    """`programs` have their folder below the root of the `source` repository (URL and branch, as
    `https://host/infra.git#main`); without a source, stacks have deployment settings of their own. Tenants
    have the stacks whose names begin with theirs. `poll` is in seconds."""

    programs: Mapping[str, Program]
    url: str
    organization: str
    token: str = field(repr=False)
    source: str = ""
    poll: float = 2.0

    def __post_init__(self) -> None:
        if not (self.organization and self.token):
            raise EngineUnavailable(
                "Pulumi Deployments needs SLIPWAY_IAC_ORGANIZATION and SLIPWAY_IAC_ACCESS_TOKEN; set both."
            )

    async def preview(
        self, stack: Stack, config: Config, *, on_event: OnEvent, destroy: bool = False
    ) -> Plan:
        """See the port. Of a destruction it is read from the state: the service has no preview of one."""
        async with self._service(stack) as service:
            return await self._plan(service, stack, config, on_event, destroy=destroy)

    async def apply(self, stack: Stack, config: Config, digest: str, *, on_event: OnEvent) -> Applied:
        """See the port."""
        return await self._carry_out(stack, config, digest, "up", on_event)

    async def destroy(self, stack: Stack, config: Config, digest: str, *, on_event: OnEvent) -> Applied:
        """See the port."""
        return await self._carry_out(stack, config, digest, "destroy", on_event)

    async def cancel(self, stack: Stack) -> bool:
        """See the port."""
        async with self._service(stack) as service:
            try:
                listed = await service.call("GET", "/deployments?pageSize=20")
            except NotFound:
                return False
            going = [each["id"] for each in listed["deployments"] if each["status"] in _GOING]
            for deployment in going:
                await service.call("POST", f"/deployments/{deployment}/cancel")
        return bool(going)

    async def state(self, stack: Stack) -> StackState:
        """See the port."""
        async with self._service(stack) as service:
            deployment = await self._exported(service, stack)
            operation, digest, _ = await self._tagged(service)
            resources = deployment.get("resources") or []
            if not resources or operation == "destroy":
                raise UnknownStack(f"Stack {stack.name!r} has never been applied, or was destroyed.")
            return StackState(
                stack,
                "deployments",
                digest,
                datetime.fromisoformat(deployment["manifest"]["time"]),
                tuple(map(resource, resources)),
                outputs(resources),
            )

    async def log(self, stack: Stack) -> tuple[Progress, ...]:
        """See the port: the lines of the last deployment."""
        async with self._service(stack) as service:
            try:
                listed = (await service.call("GET", "/deployments?pageSize=1"))["deployments"]
            except NotFound:
                return ()
            lines: list[Progress] = []
            for each in listed:
                lines += [line async for line in self._lines(service, each["id"])]
            return tuple(lines)

    async def _carry_out(
        self, stack: Stack, config: Config, digest: str, operation: Operation, on_event: OnEvent
    ) -> Applied:
        """A run of an earlier call under the same digest is waited for, or found done."""
        async with self._service(stack) as service:
            known, tagged, deployment = await self._tagged(service)
            mine = (known, tagged) == (operation, digest)
            status = await self._status(service, deployment) if mine else None
            plan: Plan | None = None
            if status not in {*_GOING, "succeeded"}:
                plan = await self._plan(service, stack, config, on_event, destroy=operation == "destroy")
                check(plan, digest)
                deployment = await self._start(service, stack, config, _OPERATIONS[operation])
                await service.call(
                    "POST", "/tags", {"name": TAG, "value": f"{operation} {digest} {deployment}"}
                )
            story = await self._follow(service, deployment, on_event)
            done = story.plan(stack, operation, "deployments", config)
            story.refuse_violations()
            is_gone = operation == "destroy"
            resources = [] if is_gone else (await self._exported(service, stack)).get("resources") or []
        counts = plan.counts if plan else done.counts
        return Applied(
            stack,
            operation,
            "deployments",
            digest,
            counts,
            done.changes,
            outputs(resources),
            done.diagnostics,
            done.violations,
            repeated=status == "succeeded",
        )

    async def _plan(
        self, service: _Service, stack: Stack, config: Config, on_event: OnEvent, *, destroy: bool
    ) -> Plan:
        if destroy:
            resources = (await self._exported(service, stack)).get("resources") or []
            if not resources:
                raise UnknownStack(f"Stack {stack.name!r} holds nothing to destroy.")
            return deletions(resources).plan(stack, "destroy", "deployments", Config())
        await self._ensure(service, stack)
        deployment = await self._start(service, stack, config, "preview")
        story = await self._follow(service, deployment, on_event)
        return story.plan(stack, "up", "deployments", config)

    async def _ensure(self, service: _Service, stack: Stack) -> None:
        try:
            await service.call("GET", "")
        except NotFound:
            whole = _Service(service.session, service.base.rpartition("/")[0])
            await whole.call("POST", "", {"stackName": _name(stack)})

    async def _start(self, service: _Service, stack: Stack, config: Config, operation: str) -> str:
        """Values are set in the run's own copy of the stack's file; secrets travel as such, and are named by
        variables in the commands."""
        where = f"--stack {quote(f'{self.organization}/{stack.program}/{_name(stack)}')}"
        set_plain = [
            f"pulumi config set {where} {quote(key)} -- {quote(value)}"
            for key, value in config.values.items()
        ]
        variables = {f"SLIPWAY_SECRET_{at}": value for at, value in enumerate(config.secrets.values())}
        set_secret = [
            f'pulumi config set {where} --secret {quote(key)} -- "${variable}"'
            for key, variable in zip(config.secrets, variables, strict=True)
        ]
        body: dict[str, Any] = {
            "operation": operation,
            "inheritSettings": True,
            "operationContext": {
                "preRunCommands": [*set_plain, *set_secret],
                "environmentVariables": {name: {"secret": value} for name, value in variables.items()},
            },
        }
        if self.source:
            repository, _, branch = self.source.partition("#")
            folder = self._program(stack).folder.as_posix()
            git = {"repoURL": repository, "branch": f"refs/heads/{branch or 'main'}", "repoDir": folder}
            body["sourceContext"] = {"git": git}
        return str((await service.call("POST", "/deployments", body))["id"])

    async def _follow(self, service: _Service, deployment: str, on_event: OnEvent) -> Story:
        """Until it has ended. Raises ProgramFailed, UpdateCancelled and EngineLost."""
        while (status := await self._status(service, deployment)) in _GOING:
            await on_event(Progress("phase", f"The deployment is {status}."))
            await asyncio.sleep(self.poll)
        story = Story()
        for update in await service.call("GET", f"/deployments/{deployment}/updates"):
            kind = update["info"]["kind"].removeprefix("P")
            async for event in self._events(service, f"/{kind}/{update['updateID']}/events"):
                if (line := story.hear(event)) is not None:
                    await on_event(line)
        if status == "skipped":
            raise UpdateCancelled("The deployment was cancelled; the stack is as it was.")
        if status == "failed" and not any(each.level == "mandatory" for each in story.violations):
            lines = [line.line async for line in self._lines(service, deployment)]
            errors = [each for each in story.diagnostics if each.severity == "error"]
            last = Diagnostic("error", "\n".join(lines[-20:]))
            raise ProgramFailed("The deployment failed; its log says why.", *(errors or [last]))
        if status not in {"succeeded", "failed"}:
            raise EngineLost(f"The deployment is {status}, which nobody here knows.")
        return story

    async def _status(self, service: _Service, deployment: str) -> str:
        return str((await service.call("GET", f"/deployments/{deployment}"))["status"])

    async def _events(self, service: _Service, path: str) -> AsyncIterator[Mapping[str, Any]]:
        token: str | None = ""
        while token is not None:
            page = await service.call("GET", f"{path}?continuationToken={token}" if token else path)
            for event in page["events"]:
                yield event
            token = page.get("continuationToken")

    async def _lines(self, service: _Service, deployment: str) -> AsyncIterator[Progress]:
        token: str | None = ""
        while token is not None:
            path = f"/deployments/{deployment}/logs"
            page = await service.call("GET", f"{path}?continuationToken={token}" if token else path)
            for line in page.get("lines") or ():
                yield Progress("output", str(line.get("line", "")).rstrip())
            token = page.get("nextToken") or None

    async def _exported(self, service: _Service, stack: Stack) -> Mapping[str, Any]:
        try:
            found = await service.call("GET", "/export")
        except NotFound:
            raise UnknownStack(f"Stack {stack.name!r} has never been applied; apply it first.") from None
        deployment: Mapping[str, Any] = found["deployment"] or {}
        return deployment

    async def _tagged(self, service: _Service) -> tuple[str, str, str]:
        """Operation, digest and deployment of what was carried out last, as far as anybody said."""
        try:
            tags = (await service.call("GET", "")).get("tags") or {}
        except NotFound:
            tags = {}
        operation, _, rest = str(tags.get(TAG, "")).partition(" ")
        digest, _, deployment = rest.partition(" ")
        return operation, digest, deployment

    def _program(self, stack: Stack) -> Program:
        found = self.programs.get(stack.program)
        if found is None:
            raise UnknownProgram(f"No program {stack.program!r} is registered; name one of those that are.")
        return found

    @asynccontextmanager
    async def _service(self, stack: Stack) -> AsyncIterator[_Service]:
        self._program(stack)
        headers = {"Authorization": f"token {self.token}", "Accept": "application/vnd.pulumi+8"}
        async with aiohttp.ClientSession(headers=headers, timeout=_REQUEST_SECONDS) as session:
            path = f"/api/stacks/{self.organization}/{stack.program}/{_name(stack)}"
            yield _Service(session, f"{self.url.rstrip('/')}{path}")


def _name(stack: Stack) -> str:
    """Tenants are told apart by the part before the first dot, which no tenant's name has."""
    return f"{stack.tenant}.{stack.name}"
