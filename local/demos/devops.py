"""Every route of the DevOps surface, walked in the order of a delivery with the contract's own examples.

It uses nothing but the published API. Each answer is held to the contract field by field.
"""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from local import sample_bundle
from local.demo_client import Caller, DemoFailed, Identities, People, play, server
from local.demos import devops_contract as contract
from local.demos.deliverables import container_image, nuget_package
from local.demos.examples import Example, Known
from local.demos.providers import require_ready
from local.demos.telling import Row, Telling
from local.issuer import Issuer
from local.meter import Meter
from shared.domain.kernel.actor import ActorKind
from shared.domain.pipelines.generators.inputs import path_on
from shared.domain.pipelines.model import Toolchain
from shared.domain.source.model import Provider
from shared.settings import Settings

type Json = Any

TENANT: Final = "connectsoft"
MODULE: Final = "module-reservations-api"
ROUTES: Final = (*contract.CONTRACT, *contract.INTERNAL)
ACCEPT: Final = "application/json; version=1"
UNKNOWN: Final = {"aFieldOfTomorrow": {"isIgnored": True}}
"""In every body: payloads tolerate unknown fields."""
BRANCH: Final = "feature/reservation-cancellation"
DELIVERED: Final = ("Deployed", "Superseded", "Failed", "Rejected", "Cancelled", "RolledBack")
RUNNING: Final = ("Started", "Running")
PATIENCE_SECONDS: Final = 120.0
VENDOR_PATIENCE_SECONDS: Final = 1800.0
"""A vendor's agents come when they are free."""
_SAMPLE = Path(__file__).parent.parent / "sample_reservations"


def run(settings: Settings, provider: Provider, meter_url: str = "") -> int:
    """Walk on a server of its own; 0 when every route answered as the contract says, else 1 with the
    difference. CannotStart where the provider is not set up."""

    async def story(data_dir: Path) -> None:
        await require_ready(settings.model_copy(update={"data_dir": data_dir}), provider, TENANT)
        await _run(provider, Meter(meter_url), data_dir)

    return play(settings, story)


async def _run(provider: Provider, meter: Meter, data_dir: Path) -> None:
    print(f"Slipway's DevOps surface: {len(ROUTES)} routes with the contract's examples, on {provider}")
    telling = Telling(meter, len(ROUTES))
    async with server(data_dir) as url, aiohttp.ClientSession() as session:
        people = Identities(session, url, Issuer(data_dir, url, "slipway"), TENANT)
        telling.between("serve", f"{url}, Accept: {ACCEPT}, and a field nobody knows in every body")
        walk = Walk(telling, people, provider, f"{time.strftime('%m%d-%H%M%S')}-{os.getpid()}")
        await walk.walk()
    telling.table()
    print(f"Everything is kept in {data_dir}:")
    print(f"  repository        {walk.remote_url}")
    print(f"  what was deployed {data_dir / 'environments'}")
    print(f"  infrastructure    {data_dir / 'infrastructure'}")
    print(f"  server log        {data_dir / 'server.log'}")
    print(f"  trace             {people.trace_id}, of every request and all that it caused", flush=True)


class Walk:
    """Each chapter is one part of a delivery; later ones use what earlier ones made. `suffix` tells this
    walk's repository from those of other walks."""

    def __init__(self, telling: Telling, people: People, provider: Provider, suffix: str) -> None:
        self.telling = telling
        self.planner = people.caller("agent:Planner", "agent", kind=ActorKind.AGENT)
        # It may approve by its role: what stops it is the rule, not a missing scope.
        self.eager = people.caller("agent:Planner", "agent", "approver", kind=ActorKind.AGENT)
        self.manager = people.caller("agent:ReleaseManager", "approver", kind=ActorKind.AGENT)
        self.pipeline = people.caller("service:pipeline", "service-account", kind=ActorKind.SERVICE)
        self.provider = provider
        self.files = sample_bundle.files() | sample_bundle.files(_SAMPLE)
        self.remote_url = self.staging = ""
        self.known = Known(
            **{
                "AzureDevOps": provider.value,
                "reservations-api": f"reservations-api-{suffix}",
                ".azuredevops/pipelines/reservations-api.yml": path_on(provider, MODULE),
            }
        )

    async def walk(self) -> None:
        await self.source()
        await self.review()
        await self.build()
        await self.release()
        await self.deliver()
        await self.promote()
        await self.provision()

    async def source(self) -> None:
        """A repository, a branch, and a commit out of an uploaded artifact."""
        provisioned = await self.send(self.planner, contract.PROVISION_REPOSITORY)
        self.remote_url = provisioned["remoteUrl"]
        await self.send(self.planner, contract.CREATE_BRANCH)
        artifact = await self.keep("art-reservations-api-3c", sample_bundle.packed(self.files))
        before = self.files[contract.CONTROLLER].replace(b"Cancel", b"Withdraw").decode()
        # The README is there from the start.
        changes: list[Json] = [
            {"path": path, "operation": "modify" if path == "README.md" else "add"} for path in self.files
        ]
        next(each for each in changes if each["path"] == contract.CONTROLLER)["content"] = before
        draft = {"branch": BRANCH, "message": "chore: start", "artifactId": artifact, "changes": changes}
        await self.planner.post(self.known.path(contract.AUTHOR_COMMIT), draft, status=201)
        self.telling.between(
            "commit", f"{len(changes)} files to begin with, {contract.CONTROLLER} among them"
        )
        await self.send(self.planner, contract.AUTHOR_COMMIT)

    async def review(self) -> None:
        """A pull request, looked at once its build has succeeded, and merged."""
        await self.send(self.planner, contract.OPEN_PULL_REQUEST)
        place = self.known.path(contract.GET_PULL_REQUEST)
        asked = {"reviewers": ["agent:PullRequestCreator"]}
        await self.planner.post(f"{place}/reviewers", asked)
        self.telling.between("reviewers", asked["reviewers"][0])
        checked = await self.until(place, "checks", _checks, lambda seen: "Pending" not in _checks(seen))
        if checked["policyEvaluation"] != "Passed":
            raise DemoFailed(f"the checks did not pass: {checked['checks']}")
        await self.send(self.planner, contract.GET_PULL_REQUEST)
        merged = await self.planner.post(f"{place}/merge")
        self.telling.between("merge", f"{merged['mergeCommitSha'][:10]} on main")
        self.known.words["9f1c2b7d3a5e8f60718293a4b5c6d7e8f9012345"] = merged["mergeCommitSha"]

    async def build(self) -> None:
        """A pipeline and its run on main, and the report of a build that was done elsewhere."""
        # A vendor's agents would take a microservice for .NET; what is built here is the service beside it.
        also = {} if self.provider is Provider.EMBEDDED else {"toolchain": Toolchain.PYTHON}
        await self.send(self.planner, contract.GENERATE_PIPELINE, also)
        started = await self.send(self.planner, contract.RUN_PIPELINE)
        place = f"/pipeline-runs/{started['pipelineRunId']}"
        ended = await self.until(place, "run", _status, lambda seen: seen["status"] not in RUNNING)
        if ended["status"] != "Succeeded":
            raise DemoFailed(f"the run is {ended['status']}: {ended.get('outcomeReason')}")
        self.known.words["build-7711"] = ended["buildResultId"]
        result = await self.planner.get(f"/build-results/{ended['buildResultId']}")
        tests = result.get("tests") or {"passed": 0, "total": 0}
        self.telling.between(
            "build result",
            f"{tests['passed']} of {tests['total']} tests passed at {result['commitSha'][:10]}",
        )
        await self.send(self.pipeline, contract.REPORT_BUILD)

    async def release(self) -> None:
        """A release, refused to its planner and approved by another one."""
        planned = await self.send(self.planner, contract.PLAN_RELEASE)
        self.known.words["1.4.0"] = planned["version"]
        self.staging = planned["promotionId"]
        place = self.known.path(contract.APPROVE_RELEASE)
        refused = await self.eager.call("POST", place, {"decision": "Approved"})
        if refused.status != 403:
            raise DemoFailed(f"the planner could approve its own release: {refused.status} {refused.body}")
        self.telling.between("self-approval", f"403, {refused.body['detail']}")
        await self.send(self.manager, contract.APPROVE_RELEASE)

    async def deliver(self) -> None:
        """What is published of the build: an image, judged by a scan, and a package."""
        await self.keep("art-reservations-api-image", container_image(self.files))
        pushed = await self.send(self.planner, contract.BUILD_IMAGE)
        place = f"/container-images/{pushed['containerImageId']}"
        await self.until(place, "image", _status, lambda seen: seen["status"] not in {"Pending", "Pushing"})
        report = {"SchemaVersion": 2, "Results": [{"Vulnerabilities": [{"Severity": "LOW"}]}]}
        scanned = await self.pipeline.post(f"{place}/scan-results", {"report": report})
        self.telling.between("scan", f"{scanned['status']}, one low finding")
        wanted = self.known.here(contract.PUBLISH_PACKAGE.body)
        package = nuget_package(wanted["packageId"], wanted["version"])
        await self.keep("art-reservations-client", package, "application/zip")
        published = await self.send(self.planner, contract.PUBLISH_PACKAGE)
        place = f"/packages/{published['publicationId']}"
        seen = await self.until(
            place, "package", _status, lambda seen: seen["status"] not in {"Pending", "Publishing"}
        )
        if seen["status"] != "Published":
            raise DemoFailed(f"the package is {seen['status']}: {seen.get('reason')}")

    async def promote(self) -> None:
        """The manifest, and one environment after the other: staging goes by itself once its turn comes."""
        await self.send(self.pipeline, contract.RENDER_MANIFEST)
        promoted = await self.send(self.pipeline, contract.PROMOTE_RELEASE)
        await self.deployed(promoted["promotionId"], "dev")
        hop = {"releaseId": promoted["releaseId"], "toEnvironment": "test"}
        tested = await self.pipeline.post("/promotions", hop, status=201)
        await self.deployed(tested["promotionId"], "test")
        await self.deployed(self.staging, "staging")
        asked = await self.send(self.pipeline, contract.RECONCILE)
        state = asked["syncStates"][0]["syncStateId"]

        def told(seen: Json) -> str:
            return next(str(each["status"]) for each in seen["items"] if each["syncStateId"] == state)

        place = "/gitops/sync-states?environment=staging&limit=100"
        if told(await self.until(place, "sync", told, lambda seen: told(seen) != "Syncing")) != "Synced":
            raise DemoFailed("staging did not come to what git wants; see GET /gitops/sync-states")

    async def deployed(self, promotion: str, environment: str) -> None:
        place = f"/promotions/{promotion}"
        seen = await self.until(place, environment, _status, lambda seen: seen["status"] in DELIVERED)
        if seen["status"] != "Deployed":
            raise DemoFailed(f"{environment} is {seen['status']}: {seen.get('cause') or seen['gates']}")

    async def provision(self) -> None:
        """The stack that the sample program describes, followed until it is applied."""
        planned = await self.send(self.pipeline, contract.PROVISION_INFRASTRUCTURE)
        place = f"/iac/plans/{planned['infrastructurePlanId']}"
        plan = await self.until(
            place, "stack", _status, lambda seen: seen["status"] not in {"Approved", "Applying"}
        )
        if plan["status"] != "Applied":
            raise DemoFailed(f"the plan is {plan['status']}: {plan.get('cause')}")

    async def send(self, caller: Caller, example: Example, also: Mapping[str, Json] | None = None) -> Json:
        """One route with its example; DemoFailed with every difference from what the contract promises."""
        path = self.known.path(example)
        body = None if example.body is None else {**self.known.here(example.body), **UNKNOWN, **(also or {})}
        began = time.monotonic()
        answer = await caller.call(example.method, path, body, Accept=ACCEPT)
        row = Row(example, answer.status, time.monotonic() - began)
        said = f"{example.method} {path}"
        if answer.status != example.status:
            raise DemoFailed(f"{said} answered {answer.status}, not {example.status}: {answer.body}")
        if wrong := self.known.differences(example, answer.body):
            raise DemoFailed(f"{said} is not as the contract says: {'; '.join(wrong)}.")
        self.known.learn(example, answer.body)
        self.telling.route(row, path, answer.body)
        return answer.body

    async def until(
        self, place: str, what: str, told: Callable[[Json], str], done: Callable[[Json], bool]
    ) -> Json:
        """Read until `done`, telling each change."""
        last = ""

        def look(seen: Json) -> bool:
            nonlocal last
            if (now := told(seen)) != last:
                self.telling.between(what, now)
                last = now
            return done(seen)

        is_ours = self.provider is Provider.EMBEDDED
        patience = PATIENCE_SECONDS if is_ours else VENDOR_PATIENCE_SECONDS
        return await self.planner.until(place, look, seconds=patience)

    async def keep(self, word: str, content: bytes, kind: str = "application/gzip") -> str:
        """Upload an artifact, named as in the contract and by its content: another Slipway may have
        uploaded another one. Its name."""
        stem = word.removesuffix("-3c")
        name = self.known.words[word] = f"{stem}-{hashlib.sha256(content).hexdigest()[:8]}"
        await self.planner.upload(f"/artifacts/{name}", content, kind)
        self.telling.between("artifact", f"{name}, {len(content)} bytes")
        return name


def _status(seen: Json) -> str:
    return str(seen["status"])


def _checks(seen: Json) -> str:
    return ", ".join(f"{check['name']} {check['status']}" for check in seen["checks"])
