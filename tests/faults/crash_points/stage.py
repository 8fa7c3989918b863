"""The world before an operation, with the steps that bring it where the operation is to be tried."""

from dataclasses import dataclass
from typing import Any

from shared.domain.kernel.ids import Root
from shared.ports.source_host import FileChange, Place, Signature
from shared.ports.store import Write
from tests.faults.crash_points.faults import Killed, Mode
from tests.faults.crash_points.installation import Installation
from tests.faults.crash_points.operations import Delivery, Operation, Request
from tests.support.api import Api, World


@dataclass(frozen=True)
class Stage:
    """The world before an operation, to be added to. It holds one thing of every kind."""

    installation: Installation
    world: World

    async def post(self, path: str, body: object = None, caller: str = "acme/user+ann/admin") -> Any:
        api = Api(self.installation.app)
        answer = await api.send("POST", path, body, token=caller)
        assert answer.status in (200, 201), f"{path}: {answer.status} {answer.body}"
        return answer.body

    async def drain(self) -> None:
        assert await self.installation.drain() is None

    async def delivery(self, event_type: str) -> Delivery:
        """The next event of a type, with everything before it done and itself not yet relayed."""
        document = await self.installation.drain(before=event_type)
        assert document is not None, f"there is no {event_type}"
        return Delivery(document.body)

    async def delivery_after_loss(self, event_type: str) -> Delivery:
        """The same, where nothing since was relayed either: the messages before it came to nothing."""
        return Delivery((await self.installation.lose_until(event_type)).body)

    async def tamper(self, kind: str, **changed: str) -> None:
        """The documents of a kind say something else now, as if the world had moved on without them."""
        store = self.installation.app.store
        for document in (await store.read("", 5000)).documents:
            if document.kind == kind:
                body = {**document.body, **changed}
                root = Root(*document.root.split(":", 1))
                write = Write("replace", document.id, kind, body, document.etag)
                await store.open(document.tenant).partition(root).commit([write])

    async def die_in(self, operation: Operation, call: str, nth: int = 1) -> None:
        """The process dies just before the operation's nth call of this name, and nobody tries it again."""
        faults = self.installation.faults
        faults.at, faults.only, faults.mode, faults.armed = nth, call, Mode.CRASH_BEFORE, True
        try:
            await operation.attempt(self.installation, 1)
        except Killed:
            await self.installation.restart()
            return
        raise AssertionError(f"{operation} does not call {call} {nth} times")

    def path(self, text: str) -> str:
        """`{camelCase}` parameters filled with the ids of the world."""
        return text.format(**self.world.ids)

    async def push(self, branch: str) -> None:
        """The branch moves on the host, and nobody has recorded it."""
        author = Signature("Ann", "ann@example.com", self.installation.clock.now())
        await self.installation.app.source_host.commit(
            Place("acme", "proj-x", "api"),
            branch,
            [FileChange("pushed.py", "add", b"pushed = True\n")],
            message="feat: push",
            author=author,
        )

    async def changed_branch(self, name: str) -> str:
        """A branch with one commit; the repository's path."""
        place = self.path("/repositories/{repositoryId}")
        await self.post(f"{place}/branches", {"name": name})
        await self.post(f"{place}/commits", a_commit(name, "first.py"))
        return place

    async def policy(self, **requirements: object) -> None:
        """What the default branch needs, beside its build."""
        path = self.path("/repositories/{repositoryId}/branch-policies/default")
        body = {"pattern": "main", **requirements}
        await Api(self.installation.app).expect(200, "PUT", path, body)

    async def pull_request(self, branch: str, **more: object) -> str:
        """An open pull request whose checks have passed; its path."""
        await self.changed_branch(branch)
        request = await self.post("/pull-requests", self.a_pull_request(branch) | more)
        await self.drain()
        return f"/pull-requests/{request['pullRequestId']}"

    def a_pull_request(self, branch: str) -> dict[str, object]:
        return {
            "repositoryId": self.world.ids["repositoryId"],
            "sourceBranch": branch,
            "targetBranch": "main",
            "title": f"Take {branch}",
        }

    async def build(self) -> str:
        """One more finished build of another commit."""
        request = await self.pull_request("feature/b")
        await self.post(f"{request}/merge")
        started = await self.post(self.path("/pipelines/{pipelineId}/run"), {"reason": "ci"})
        await self.drain()
        run = await Api(self.installation.app).expect(
            200, "GET", f"/pipeline-runs/{started['pipelineRunId']}"
        )
        assert run["status"] == "Succeeded", run
        return str(run["buildResultId"])

    async def promote(self, environment: str) -> None:
        await self.post("/promotions", self.a_hop(environment))

    def a_hop(self, environment: str) -> dict[str, str]:
        return {"releaseId": self.world.ids["releaseId"], "toEnvironment": environment}

    def a_run(self) -> Request:
        return Request("POST", self.path("/pipelines/{pipelineId}/run"), {"reason": "ci"})


def a_commit(branch: str, path: str) -> dict[str, Any]:
    changes = [{"path": path, "operation": "add", "content": "x = 1\n"}]
    return {"branch": branch, "message": f"feat: add {path}", "changes": changes}
