"""What a journey needs: people of a tenant with their tokens, a small service, and the steps stories share.

It speaks HTTP and git to a running server and never looks inside one.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from local.demo_client import Caller
from local.issuer import Issuer
from shared.domain.kernel.actor import ActorKind
from tests.support.process import ServerProcess

type Json = Any

MODULE = "hello"
DEFINITION = f".slipway/pipelines/{MODULE}.yml"
PACK = f"mkdir -p dist && tar -czf dist/{MODULE}.tar.gz server.py slipway.yml"
ENDED = ("Deployed", "Superseded", "Failed", "Rejected", "Cancelled", "RolledBack")
RUNNING = ("Started", "Running")
PATIENCE = 60.0
"""Seconds: several times what anything here takes, as the machine may be busy."""

_SERVER = """\
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STATUS = {status}


def greeting(name):
    return f"{words}, {{name}}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        told = {{"greeting": greeting("world"), "commit": os.environ["SLIPWAY_COMMIT"]}}
        body = json.dumps(told).encode()
        self.send_response(STATUS)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
_TEST = """\
from server import greeting


def test_a_name_is_greeted():
    assert greeting("Ada") == "{words}, Ada"
"""


def service(words: str = "Hello", *, tested: str | None = None, healthy: bool = True) -> dict[str, str]:
    """The files of a web service that says `words` and its commit; `tested` is what its one test expects."""
    return {
        "server.py": _SERVER.format(words=words, status=200 if healthy else 503),
        "tests/test_server.py": _TEST.format(words=tested or words),
        "slipway.yml": "service: {command: [python3, server.py], health: /healthz, stop_timeout: 1}\n",
    }


def pipeline(script: str = PACK, *, artifact: bool = True) -> dict[str, str]:
    """A definition of one step: what a story takes that is not about the generated one."""
    step = json.dumps({"name": "step", "run": script})
    text = f"version: 1\nmodule: {MODULE}\nmoduleType: Microservice\n"
    text += f"stages: [{{name: build, tasks: [{{name: all, steps: [{step}]}}]}}]\n"
    made = f"artifacts: [{{name: {MODULE}, path: dist/{MODULE}.tar.gz}}]\n" if artifact else ""
    return {DEFINITION: text + made}


class Journey:
    """One module of one project in a tenant, and the people who bring it on its way."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: ServerProcess,
        tenant: str,
        *,
        project: str = "shop",
        caller: type[Caller] = Caller,
    ) -> None:
        self.session, self.server, self.tenant, self.project = session, server, tenant, project
        self._caller = caller
        self._issuer = Issuer(server.data_dir, server.url, "slipway")
        # The planner may approve by its roles: what stops it is the rule, not a missing scope.
        self.planner = self.person("agent:planner", "agent", "approver", kind=ActorKind.AGENT)
        self.approver = self.person("user:ann", "approver")
        self.operator = self.person("service:delivery", "service-account", kind=ActorKind.SERVICE)
        self.auditor = self.person("user:audrey", "viewer")
        self.repository = ""
        self.remote_url = ""
        self._paths = {"README.md"}

    def person(
        self,
        subject: str,
        *roles: str,
        kind: ActorKind = ActorKind.HUMAN,
        tenant: str | None = None,
        scopes: Iterable[str] = (),
    ) -> Caller:
        token = self._issuer.mint(
            tenant=tenant or self.tenant, subject=subject, roles=roles, scopes=tuple(scopes), kind=kind
        )
        return self._caller(self.session, self.server.url, token, subject)

    async def provision(self) -> Json:
        wanted = {"projectId": self.project, "moduleId": MODULE, "name": MODULE}
        made = await self.planner.post("/repositories", wanted, status=201)
        self.repository, self.remote_url = made["repositoryId"], made["remoteUrl"]
        return made

    async def branch(self, name: str) -> Json:
        return await self.planner.post(
            f"/repositories/{self.repository}/branches", {"name": name}, status=201
        )

    async def commit(self, branch: str, message: str, files: Mapping[str, str]) -> Json:
        changes = [
            {"path": path, "operation": "modify" if path in self._paths else "add", "content": content}
            for path, content in files.items()
        ]
        draft = {"branch": branch, "message": message, "changes": changes}
        made = await self.planner.post(f"/repositories/{self.repository}/commits", draft, status=201)
        self._paths.update(files)
        return made

    async def commits(self, branch: str | None = None) -> list[Json]:
        """The recorded commits, newest first."""
        where = f"?branch={branch}" if branch else ""
        page = await self.planner.get(f"/repositories/{self.repository}/commits{where}")
        return list(page["items"])

    async def open(self, branch: str, title: str = "Say hello") -> Json:
        draft = {
            "repositoryId": self.repository,
            "sourceBranch": branch,
            "targetBranch": "main",
            "title": title,
        }
        return await self.planner.post("/pull-requests", draft, status=201)

    async def checked(self, request: Json, sha: str | None = None) -> Json:
        """The pull request once its checks have said something about `sha` (default: what it was opened
        with)."""
        sha = sha or request["sourceSha"]
        return await self.planner.until(
            f"/pull-requests/{request['pullRequestId']}",
            lambda seen: seen["sourceSha"] == sha and seen["policyEvaluation"] != "Pending",
            seconds=PATIENCE,
        )

    async def merge(self, request: Json) -> Json:
        return await self.planner.post(f"/pull-requests/{request['pullRequestId']}/merge")

    async def proposed(self, branch: str, message: str, files: Mapping[str, str]) -> Json:
        """A branch with a commit, and an open pull request into main."""
        await self.branch(branch)
        await self.commit(branch, message, files)
        return await self.open(branch, message)

    async def merged(self, branch: str, message: str, files: Mapping[str, str]) -> Json:
        request = await self.proposed(branch, message, files)
        checked = await self.checked(request)
        assert checked["policyEvaluation"] == "Passed", checked
        return await self.merge(request)

    async def generate(self, branch: str | None = None) -> Json:
        wanted = {"repositoryId": self.repository, "moduleId": MODULE, "moduleType": "Microservice"}
        made = await self.planner.post(
            "/pipelines/generate", {**wanted, **({"branch": branch} if branch else {})}, status=201
        )
        self._paths.add(made["definitionPath"])
        return made

    async def start(self, pipeline_id: str, branch: str = "main") -> Json:
        return await self.planner.post(f"/pipelines/{pipeline_id}/run", {"branch": branch}, status=201)

    async def built(self, run: Json) -> Json:
        """The build result of a run, which has to succeed."""
        place = f"/pipeline-runs/{run['pipelineRunId']}"
        ended = await self.planner.until(place, lambda seen: seen["status"] not in RUNNING, seconds=PATIENCE)
        assert ended["status"] == "Succeeded", ended
        return await self.planner.get(f"/build-results/{ended['buildResultId']}")

    async def plan(self, build: Json, environment: str) -> Json:
        draft = {
            "projectId": self.project,
            "moduleId": MODULE,
            "buildResultId": build["buildResultId"],
            "targetEnvironment": environment,
        }
        return await self.planner.post("/releases", draft, status=201)

    async def promote(self, release: Json, environment: str) -> Json:
        hop = {"releaseId": release["releaseId"], "toEnvironment": environment}
        return await self.operator.post("/promotions", hop, status=201)

    async def ended(self, promotion_id: str) -> Json:
        return await self.operator.until(
            f"/promotions/{promotion_id}", lambda seen: seen["status"] in ENDED, seconds=PATIENCE
        )

    async def deployed(self, promotion_id: str) -> Json:
        """The promotion once it has ended, which has to be well."""
        seen = await self.ended(promotion_id)
        assert seen["status"] == "Deployed", seen
        return seen

    async def answer(self, url: str) -> Json:
        """What a deployed service says."""
        async with self.session.get(url) as response:
            return await response.json(content_type=None)

    async def trail(self, resource: str) -> list[Json]:
        """The audit entries of a resource's root, every hash of them computed again here."""
        entries: list[Json] = []
        after: int | None = 0
        while after is not None:
            page = await self.auditor.get(
                f"/audit-entries?resourceId={resource}&afterSequence={after}&limit=20"
            )
            assert page["verified"], page
            entries += page["entries"]
            after = page.get("next")
        assert_chain(entries, page["head"])
        return entries


def assert_chain(entries: Iterable[Json], head: str) -> None:
    """Each entry holds the hash of the one before it, and the last one is the head."""
    previous = "0" * 64
    for number, entry in enumerate(entries, start=1):
        content = {name: value for name, value in entry.items() if name != "hash"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert entry["sequence"] == number
        assert entry["previous"] == previous
        assert entry["hash"] == hashlib.sha256(text.encode()).hexdigest()
        previous = entry["hash"]
    assert previous == head


@dataclass(frozen=True, slots=True)
class GitAnswer:
    code: int
    out: str
    said: str


@dataclass(frozen=True, slots=True)
class Git:
    """The real git client in a folder of its own, with a token that no command line shows."""

    home: Path
    token: str

    async def try_(self, *arguments: str, at: str = ".") -> GitAnswer:
        self.home.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": "3",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Bearer {self.token}",
            "GIT_CONFIG_KEY_1": "user.name",
            "GIT_CONFIG_VALUE_1": "Bob",
            "GIT_CONFIG_KEY_2": "user.email",
            "GIT_CONFIG_VALUE_2": "bob@example.com",
        }
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            cwd=self.home / at,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, said = await process.communicate()
        return GitAnswer(process.returncode or 0, out.decode().strip(), said.decode().strip())

    async def __call__(self, *arguments: str, at: str = ".") -> str:
        """Its output; an AssertionError with what it said where it fails."""
        done = await self.try_(*arguments, at=at)
        assert done.code == 0, done.said
        return done.out

    async def committed(self, work: str, message: str, files: Mapping[str, str]) -> str:
        """A commit of these files in a clone; its sha."""
        for path, content in files.items():
            (self.home / work / path).parent.mkdir(parents=True, exist_ok=True)
            (self.home / work / path).write_text(content)
        await self("add", "-A", at=work)
        await self("commit", "--quiet", "--message", message, at=work)
        return await self("rev-parse", "HEAD", at=work)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that has to do with a data folder, by its command line, environment or place."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            told = (*process.cmdline(), *process.environ().values(), process.cwd())
        except psutil.Error:
            # It ended while we looked, or belongs to the system.
            continue
        if process.pid != os.getpid() and any(str(folder) in text for text in told):
            found.append(process)
    return found
