"""A repository whose pull requests and branch policies are tried through the API."""

from dataclasses import dataclass
from typing import Any

from tests.support.api import SERVICE, Api

ANN, BOB, CAT = "acme/user+ann/admin", "acme/user+bob/admin", "acme/user+cat/operator~developer"
DEVELOPER, CI = "acme/user+dev/developer", "acme/service+ci/service-account"


@dataclass
class Place:
    """One repository whose `main` has the default policy."""

    api: Api
    repository: str

    @property
    def path(self) -> str:
        return f"/repositories/{self.repository}"

    async def policy(self, name: str = "default", **policy: Any) -> Any:
        body = {"pattern": "main", **policy}
        answer = await self.api.expect(200, "PUT", f"{self.path}/branch-policies/{name}", body)
        await self.api.drain()
        return answer

    async def commit(self, branch: str, path: str, text: str = "1\n", token: str = ANN) -> None:
        draft = {
            "branch": branch,
            "message": f"feat: {path}",
            "changes": [{"path": path, "operation": "add", "content": text}],
        }
        await self.api.expect(201, "POST", f"{self.path}/commits", draft, token=token)

    async def branch(self, name: str, path: str, text: str = "1\n") -> None:
        await self.api.expect(201, "POST", f"{self.path}/branches", {"name": name})
        await self.commit(name, path, text)

    async def pull_request(self, branch: str = "feature/x", path: str = "x.txt", **draft: Any) -> str:
        await self.branch(branch, path, draft.pop("text", "1\n"))
        wanted = {
            "repositoryId": self.repository,
            "sourceBranch": branch,
            "targetBranch": "main",
            "title": "X",
        }
        opened = await self.api.expect(201, "POST", "/pull-requests", wanted | draft)
        await self.api.drain()
        return f"/pull-requests/{opened['pullRequestId']}"

    async def get(self, request: str) -> Any:
        return await self.api.expect(200, "GET", request)

    async def review(self, request: str, decision: str, token: str = BOB, status: int = 201) -> Any:
        body = {"decision": decision, "comment": "seen"}
        answer = await self.api.expect(status, "POST", f"{request}/reviews", body, token=token)
        await self.api.drain()
        return answer

    async def report(self, request: str, name: str, status: str, sha: str | None = None) -> Any:
        sha = sha or (await self.get(request))["sourceSha"]
        body = {"name": name, "status": status, "sha": sha, "url": "https://ci.example.com/7"}
        answer = await self.api.expect(201, "POST", f"{request}/checks", body, token=CI)
        await self.api.drain()
        return answer

    async def refused(self, request: str, code: str, body: object = None, token: str = ANN) -> Any:
        answer = await self.api.send("POST", f"{request}/merge", body, token=token)
        assert (answer.status, answer.body["code"]) == (409, code), answer.body
        return answer.body

    async def events(self) -> list[str]:
        found = [
            each.body for each in (await self.api.app.feed.read("", 5000)).documents if each.kind == "outbox"
        ]
        return [body["eventType"] for body in found]


def start_draft() -> dict[str, Any]:
    changes = [{"path": path, "operation": "add", "content": text} for path, text in SERVICE.items()]
    return {"branch": "feature/start", "message": "feat: start", "changes": changes}


def policies_of(request: Any) -> dict[str, str]:
    return {each["policy"]: each["status"] for each in request["policies"]}


async def a_place(api: Api) -> Place:
    """With a service on `main` that builds, merged there by a pull request."""
    made = await api.expect(201, "POST", "/repositories", {"projectId": "proj-x", "name": "api"})
    found = Place(api, made["repositoryId"])
    await found.branch("feature/start", "readme.txt")
    await api.expect(201, "POST", f"{found.path}/commits", start_draft())
    wanted = {
        "repositoryId": found.repository,
        "sourceBranch": "feature/start",
        "targetBranch": "main",
        "title": "Start",
    }
    opened = await api.expect(201, "POST", "/pull-requests", wanted)
    await api.drain()
    await api.expect(200, "POST", f"/pull-requests/{opened['pullRequestId']}/merge")
    await api.drain()
    return found
