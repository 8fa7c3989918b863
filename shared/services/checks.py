"""Checks of pull requests: the build runs the pipeline on the source branch, the policy gate weighs its
verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import RuleBroken
from shared.domain.kernel.events import id_in
from shared.domain.kernel.ids import parse_id
from shared.domain.pipelines.model import PipelineRun
from shared.domain.source.lifecycle import BUILD, PULL_REQUEST
from shared.domain.source.model import Check, CheckStatus, Repository
from shared.services.once import Once
from shared.services.pull_requests import PullRequests


class CheckRuns(Protocol):
    """What checks need of the pipeline runs."""

    async def start_for_check(
        self,
        actor: Actor,
        *,
        repository: Repository,
        pull_request_id: str,
        branch: str,
        sha: str,
        once: Once | None,
    ) -> PipelineRun: ...

    async def release_slot(self, actor: Actor, payload: Mapping[str, Any], once: Once | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Checks:
    pull_requests: PullRequests
    runs: CheckRuns

    async def start_build(self, actor: Actor, payload: Mapping[str, Any], once: Once) -> None:
        """Run the pipeline on the head that the event speaks of, unless the branch has moved on since."""
        request = await self.pull_requests.get(actor, id_in(payload, "pullRequestId", "pr"))
        sha = payload["sourceSha"]
        if request.status in PULL_REQUEST.terminal or request.source_sha != sha:
            return
        repository = await self.pull_requests.units.get(actor, Repository, request.repository)
        try:
            run = await self.runs.start_for_check(
                actor,
                repository=repository,
                pull_request_id=request.id,
                branch=request.source_branch,
                sha=sha,
                # The same run however often it is asked for; the message is done with the last batch.
                once=None,
            )
        except RuleBroken as refused:
            # A check that cannot start has to say so: left pending it would hold the merge for ever.
            verdict = Check(BUILD, CheckStatus.FAILED, detail=refused.message)
            await self.pull_requests.record_check(actor, request.id, sha, verdict, once)
            return
        started = Check(BUILD, CheckStatus.PENDING, detail=f"run {run.build_number}", run=run.id)
        await self.pull_requests.record_check(actor, request.id, sha, started, once)

    async def record_build(self, actor: Actor, payload: Mapping[str, Any], once: Once) -> None:
        """Give the run's slot back and its verdict to the pull request that asked."""
        await self.runs.release_slot(actor, payload, None)
        request_id = parse_id(payload.get("pullRequestId") or "", "pr")
        if request_id is None:
            return
        passed = payload["status"] == "succeeded"
        detail = f"run {payload['buildNumber']} {payload['status']}"
        if payload.get("outcomeReason"):
            detail += f": {payload['outcomeReason']}"
        status = CheckStatus.SUCCEEDED if passed else CheckStatus.FAILED
        run_id = id_in(payload, "pipelineRunId", "run")
        verdict = Check(BUILD, status, detail=detail, run=run_id)
        await self.pull_requests.record_check(actor, request_id, payload["commitSha"], verdict, once)
