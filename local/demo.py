"""The main job as a caller sees it: from a commit to an approved, reconciled deployment, over HTTP.

It starts a server of its own, uses nothing but the published API and git, and ends by itself.
"""

import asyncio
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import aiohttp

from local import sample_bundle
from local.demo_client import Caller, DemoFailed, Identities, Voice, play, server
from local.issuer import Issuer
from local.meter import Meter
from shared.domain.kernel.actor import ActorKind
from shared.settings import Settings

TENANT: Final = "demo"
MODULE: Final = "module-greeter"
BRANCH: Final = "feature/greeter"


def run(settings: Settings, meter_url: str = "") -> int:
    """Run the whole story; 0 when every step did what it should, else 1 with what went wrong.

    `meter_url` is where the stand-in for Cosmos DB tells what it was asked.
    """
    return play(settings, lambda data_dir: _run(data_dir, Meter(meter_url)))


async def _run(data_dir: Path, meter: Meter) -> None:
    voice = Voice(meter)
    print("Slipway demo: from a commit to a running, approved deployment\n", flush=True)
    async with server(data_dir) as url, aiohttp.ClientSession() as session:
        voice.step("serve", f"{url}, data in {data_dir}")
        people = Identities(session, url, Issuer(data_dir, url, "slipway"), TENANT)
        story = Story(voice, people)
        await story.tell()
        if voice.meter.url:
            print(f"\nAltogether {voice.meter.total}, beside the polling of the change feed.", flush=True)
        print(f"\nDone in {voice.seconds:.1f} s. Everything is kept in {data_dir}:", flush=True)
        print(f"  git repositories  {data_dir / 'git'}", flush=True)
        print(f"  what was deployed {data_dir / 'environments'}, last seen at {story.deployed}", flush=True)
        print(f"  server log        {data_dir / 'server.log'}", flush=True)
        print(f"  trace             {people.trace_id}, of every request and all that it caused", flush=True)
        print("The server stops now; `make run` serves one until you stop it.", flush=True)


class Story:
    """Each chapter is one part of the main job; later ones use what earlier ones found out."""

    def __init__(self, voice: Voice, people: Identities) -> None:
        self.voice = voice
        self.planner = people.caller("agent:Planner", "agent", "developer", kind=ActorKind.AGENT)
        # The planner holds the approver role as well: what stops it is the rule, not a missing scope.
        self.eager = people.caller("agent:Planner", "agent", "approver", kind=ActorKind.AGENT)
        self.approver = people.caller("user:ann", "approver")
        self.operator = people.caller("service:pipeline", "service-account", kind=ActorKind.SERVICE)
        self.auditor = people.caller("user:audrey", "viewer")
        self.project = f"proj-demo-{time.strftime('%H%M%S')}-{os.getpid()}"
        self.deployed = ""

    async def tell(self) -> None:
        repository = await self.source()
        sha = await self.review(repository)
        build = await self.build(repository, sha)
        release = await self.release(build)
        await self.promote(release, sha)
        await self.audit(repository["repositoryId"], release)

    async def source(self) -> Any:
        """A repository with a branch, and the sample service committed to it out of an uploaded artifact."""
        bundle = sample_bundle.bundle()
        artifact = f"art-greeter-{hashlib.sha256(bundle).hexdigest()[:8]}"
        await self.planner.upload(f"/artifacts/{artifact}", bundle, "application/gzip")
        self.voice.step("artifact", f"{artifact}, {len(bundle)} bytes")
        wanted = {"tenantId": TENANT, "projectId": self.project, "moduleId": MODULE, "name": "greeter"}
        repository = await self.planner.post("/repositories", {**wanted, "provider": "Embedded"}, status=201)
        home = f"/repositories/{repository['repositoryId']}"
        self.voice.step("repository", repository["remoteUrl"])
        branch = await self.planner.post(f"{home}/branches", {"name": BRANCH}, status=201)
        self.voice.step("branch", f"{branch['name']} at {branch['fromCommit'][:10]}")
        existing = {"README.md"}
        changes = [
            {"path": path, "operation": "modify" if path in existing else "add"}
            for path in sample_bundle.paths()
        ]
        message = "feat: greet people by name"
        draft = {"branch": BRANCH, "message": message, "artifactId": artifact, "changes": changes}
        commit = await self.planner.post(f"{home}/commits", draft, status=201)
        self.voice.step("commit", f"{commit['sha'][:10]} with {len(changes)} files of the artifact")
        return repository

    async def review(self, repository: Any) -> str:
        """A pull request whose checks run by themselves, merged, and cloned with the real git; the merge's
        sha."""
        draft = {
            "repositoryId": repository["repositoryId"],
            "sourceBranch": BRANCH,
            "targetBranch": "main",
            "title": "Greet people by name",
        }
        request = await self.planner.post("/pull-requests", draft, status=201)
        place = f"/pull-requests/{request['pullRequestId']}"
        self.voice.step(
            "pull request", f"#{request['number']} is {request['status']}, its checks run by themselves"
        )
        checked = await self.planner.until(place, lambda seen: seen["policyEvaluation"] != "Pending")
        verdicts = ", ".join(f"{check['name']} {check['status']}" for check in checked["checks"])
        if checked["policyEvaluation"] != "Passed":
            raise DemoFailed(f"the checks did not pass: {verdicts} {checked['checks'][0].get('detail')}")
        self.voice.step("checks", verdicts)
        merged = await self.planner.post(f"{place}/merge")
        sha: str = merged["mergeCommitSha"]
        self.voice.step("merge", f"{sha[:10]} on main")
        cloned = await _clone(repository["remoteUrl"], self.planner.token)
        if cloned != sha:
            raise DemoFailed(f"git clone gave {cloned}, not the merge {sha}")
        self.voice.step("git clone", "gives the merged code")
        return sha

    async def build(self, repository: Any, sha: str) -> Any:
        """A pipeline, a run of it on main with its log, and the build result."""
        wanted = {
            "repositoryId": repository["repositoryId"],
            "moduleId": MODULE,
            "moduleType": "Microservice",
            "targetFeed": "internal",
        }
        pipeline = await self.planner.post("/pipelines/generate", wanted, status=201)
        self.voice.step("pipeline", f"{pipeline['definitionPath']} is {pipeline['status']}")
        started = {"branch": "main", "reason": "ci"}
        run = await self.planner.post(f"/pipelines/{pipeline['pipelineId']}/run", started, status=201)
        place = f"/pipeline-runs/{run['pipelineRunId']}"
        self.voice.step("run", f"{run['buildNumber']} is {run['status']}")
        offset, lines = 0, 0
        while True:
            page = await self.planner.get(f"{place}/logs?offset={offset}&follow=true")
            for line in page["lines"]:
                lines += 1
                if line["level"] == "info" and line.get("step") is None:
                    self.voice.note(line["text"][:88])
            offset = page["nextOffset"]
            if page["complete"]:
                break
        ended = await self.planner.get(place)
        if ended["status"] != "Succeeded":
            raise DemoFailed(f"the run is {ended['status']}: {ended.get('outcomeReason')}")
        self.voice.step("log", f"{lines} lines followed, the run {ended['status'].lower()}")
        result = await self.planner.get(f"/build-results/{ended['buildResultId']}")
        tests = result["tests"]
        digest = result["artifacts"][0]["digest"]
        self.voice.step(
            "build result", f"{tests['passed']} of {tests['total']} tests passed, {digest[:19]}..."
        )
        self.voice.note(f"built from {result['commitSha'][:10]}, merged as {sha[:10]}")
        return result

    async def release(self, build: Any) -> Any:
        """A release planned for staging, refused to its planner, approved by somebody else."""
        draft = {
            "projectId": self.project,
            "moduleId": MODULE,
            "buildResultId": build["buildResultId"],
            "targetEnvironment": "staging",
            "strategy": "RollingUpdate",
        }
        release = await self.planner.post("/releases", draft, status=201)
        place = f"/releases/{release['releaseId']}/approve"
        needed = release["requiredApprovals"]
        self.voice.step("release", f"{release['version']} is {release['status']}, {needed} approval needed")
        refused = await self.eager.call("POST", place, {"approver": "agent:Planner", "decision": "Approved"})
        if refused.status != 403:
            raise DemoFailed(f"the planner could approve its own release: {refused.status}")
        self.voice.step("self-approval", f"refused: {refused.body['detail']}")
        vote = {"decision": "Approved", "comment": "Looks good"}
        approval = await self.approver.post(place, vote)
        self.voice.step(
            "approval", f"{approval['status']} by {self.approver.subject}, next: {approval['nextStep']}"
        )
        return {**release, "commitSha": build["commitSha"]}

    async def promote(self, release: Any, sha: str) -> None:
        """dev and test by call; staging goes by itself, as it was planned and approved."""
        for environment in ("dev", "test"):
            hop = {"releaseId": release["releaseId"], "toEnvironment": environment}
            promotion = await self.operator.post("/promotions", hop, status=201)
            await self._deployed(promotion["promotionId"], environment)
        staging = await self._deployed(release["promotionId"], "staging")
        url = staging["url"]
        async with self.operator.session.get(url) as response:
            answer = await response.json()
        if (answer["commit"], answer["environment"]) != (release["commitSha"], "staging"):
            raise DemoFailed(f"the service at {url} answers {answer}")
        self.voice.step(
            "service", f"{url} answers version {answer['version']}, commit {answer['commit'][:10]}"
        )
        states = await self.auditor.get("/gitops/sync-states?environment=staging")
        mine = [state for state in states["items"] if state.get("projectId") == self.project]
        if not mine or mine[0]["status"] != "Synced" or mine[0]["desiredRevision"] != mine[0]["liveRevision"]:
            raise DemoFailed(f"staging is not in sync: {mine}")
        self.voice.step("gitops", f"staging is Synced at {mine[0]['liveRevision'][:10]}")
        self.deployed = url

    async def _deployed(self, promotion_id: str, environment: str) -> Any:
        ended = ("Deployed", "Failed", "Rejected", "Cancelled", "RolledBack")
        seen = await self.operator.until(
            f"/promotions/{promotion_id}", lambda promotion: promotion["status"] in ended
        )
        if seen["status"] != "Deployed":
            raise DemoFailed(f"{environment}: {json.dumps(seen)[:900]}")
        self.voice.step("promotion", f"{environment} is {seen['status']}")
        return seen

    async def audit(self, repository_id: str, release: Any) -> None:
        """Recompute every hash of the audit chains here, with nothing but what the API gives."""
        entries = 0
        for resource in (repository_id, release["releaseId"], release["promotionId"]):
            entries += await _verified(self.auditor, resource)
        self.voice.step("audit", f"{entries} entries in 3 chains verify link by link")


async def _verified(caller: Caller, resource: str) -> int:
    previous, after, count = "0" * 64, 0, 0
    while True:
        trail = await caller.get(f"/audit-entries?resourceId={resource}&afterSequence={after}&limit=100")
        for entry in trail["entries"]:
            content = {name: value for name, value in entry.items() if name != "hash"}
            text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            digest = hashlib.sha256(text.encode()).hexdigest()
            if entry["previous"] != previous or digest != entry["hash"]:
                raise DemoFailed(f"the audit chain of {resource} breaks at entry {entry['sequence']}")
            previous, after, count = entry["hash"], entry["sequence"], count + 1
        if trail.get("next") is None:
            break
    if not trail["verified"] or previous != trail["head"]:
        raise DemoFailed(f"the audit chain of {resource} does not end at its head")
    return count


async def _clone(url: str, token: str) -> str:
    """Clone with the real git client; the sha it has checked out."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "HOME": folder}
        # By file, not by argument: a command line can be read by everyone on the machine.
        config = Path(folder) / ".gitconfig"
        config.write_text(f"[http]\n\textraHeader = Authorization: Bearer {token}\n")
        await _git("clone", "--quiet", url, "code", cwd=folder, env=environment)
        return await _git("rev-parse", "HEAD", cwd=f"{folder}/code", env=environment)


async def _git(*arguments: str, cwd: str, env: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        "git", *arguments, cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise DemoFailed(f"git {arguments[0]} failed: {err.decode(errors='replace').strip()}")
    return out.decode().strip()
