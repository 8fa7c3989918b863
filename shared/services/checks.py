"""Checks of pull requests: the build runs the pipeline on the source branch, other systems report their own,
the host says whether it would merge; and what passes everything is merged where somebody asked for that."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from shared.domain.kernel.actor import Actor, system_actor
from shared.domain.kernel.errors import IllegalTransition, RuleBroken
from shared.domain.kernel.events import id_in
from shared.domain.kernel.ids import parse_id
from shared.domain.pipelines.model import PipelineRun
from shared.domain.source.eligibility import is_open
from shared.domain.source.errors import NotMergeable, RepositoryIsArchived, StaleSource
from shared.domain.source.model import (
    Check,
    CheckReports,
    CheckStatus,
    PullRequest,
    PullRequestIndex,
    Repository,
    reports_id,
)
from shared.domain.source.policies import BUILD
from shared.domain.source.pull_requests import weigh
from shared.domain.source.reviews import record_check, report_check, rerun
from shared.ports.source_host import HeadMoved, MergeConflict, UnknownBranch, UnknownCommit
from shared.services.branches import get_writable, index_id, place_of
from shared.services.once import Once
from shared.services.pull_requests import MergeOrder, PullRequests
from shared.services.unit import Unit


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
        attempt: int = 0,
    ) -> PipelineRun: ...

    async def release_slot(self, actor: Actor, payload: Mapping[str, Any], once: Once | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Checks:
    pull_requests: PullRequests
    runs: CheckRuns

    async def report(
        self, actor: Actor, pull_request_id: str, sha: str, check: Check, once: Once | None
    ) -> CheckReports:
        """Keep what an external system says of a commit; it counts where that is the head, now or later."""

        async def turn(unit: Unit) -> CheckReports:
            request = await get_writable(unit, pull_request_id)
            key = reports_id(pull_request_id, sha)
            known = await unit.find(CheckReports, key) or CheckReports(
                id=key, tenant=actor.tenant, pull_request=pull_request_id, sha=sha
            )
            reported = report_check(request, known, check)
            saved = known if reported is None else unit.apply(reported)
            change = record_check(request, sha, check, unit.now)
            if change is not None:
                unit.apply(change)
            return saved

        return await self.pull_requests.units.run(
            actor, PullRequest.__record__.root_of(pull_request_id), turn, once
        )

    async def reports(self, actor: Actor, pull_request_id: str, sha: str | None) -> CheckReports:
        """What external systems said of one commit, the head unless told."""
        units = self.pull_requests.units
        request = await units.get(actor, PullRequest, pull_request_id)
        sha = sha or request.source_sha
        key = reports_id(pull_request_id, sha)
        found = await units.find(actor, CheckReports, key)
        return found or CheckReports(id=key, tenant=actor.tenant, pull_request=pull_request_id, sha=sha)

    async def rerun(
        self, actor: Actor, pull_request_id: str, name: str | None, once: Once | None
    ) -> PullRequest:
        """Ask for one check anew, or for every one that failed. Other systems hear of it by the event."""

        async def turn(unit: Unit) -> PullRequest:
            request = await get_writable(unit, pull_request_id)
            return unit.apply(rerun(request, name, unit.now))

        return await self.pull_requests.units.run(
            actor, PullRequest.__record__.root_of(pull_request_id), turn, once
        )

    async def start_build(self, actor: Actor, payload: Mapping[str, Any], once: Once) -> None:
        """Run the pipeline on the head that the event speaks of, unless the branch has moved on since."""
        request = await self.weigh(actor, id_in(payload, "pullRequestId", "pr"))
        sha, attempt = payload["sourceSha"], payload.get("attempt", 0)
        if not is_open(request) or (request.source_sha, request.check_attempt) != (sha, attempt):
            return
        if BUILD not in payload.get("checks", (BUILD,)):
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
                attempt=attempt,
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

    async def complete(self, actor: Actor, payload: Mapping[str, Any]) -> None:
        """Handle CompletePullRequest: merge in the name of whoever ordered it. What stands against it after
        all sends the message again when it goes."""
        request = await self.pull_requests.get(actor, id_in(payload, "pullRequestId", "pr"))
        wish = request.auto_complete
        if not is_open(request) or wish is None or request.source_sha != payload["sourceSha"]:
            return
        by = replace(system_actor(actor.tenant, "checks"), subject=wish.by, on_behalf_of=wish.on_behalf_of)
        try:
            await self.pull_requests.merge(by, request.id, None, order=MergeOrder(wish.strategy))
        except (NotMergeable, IllegalTransition, RepositoryIsArchived, StaleSource, HeadMoved, UnknownBranch):
            return
        except MergeConflict:
            await self.weigh(actor, request.id)

    async def resume(self, actor: Actor, payload: Mapping[str, Any]) -> None:
        """Handle RepositoryUnarchived: merge what was ordered before and could not be."""
        units, repository_id = self.pull_requests.units, id_in(payload, "repositoryId", "repo")
        index = await units.find(actor, PullRequestIndex, index_id(repository_id))
        for row in index.open if index is not None else ():
            request = await units.get(actor, PullRequest, row.id)
            ordered = {"pullRequestId": f"pr-{request.id}", "sourceSha": request.source_sha}
            await self.complete(actor, ordered)

    async def weigh(self, actor: Actor, pull_request_id: str) -> PullRequest:
        """Ask the host whether it would merge, and record the answer. A target that is gone gives none."""
        request = await self.pull_requests.units.get(actor, PullRequest, pull_request_id)
        if not is_open(request):
            return request
        repository = await self.pull_requests.units.get(actor, Repository, request.repository)
        place = place_of(repository)
        try:
            target = await self.pull_requests.host.head(place, request.target_branch)
            source = request.source_sha
            conflicts = await self.pull_requests.host.merge_conflicts(place, source=source, target=target)
            is_behind = not await self.pull_requests.host.is_ancestor(place, target, source)
        except (UnknownBranch, UnknownCommit):
            return request

        async def turn(unit: Unit) -> PullRequest:
            current = await unit.get(PullRequest, pull_request_id)
            change = weigh(
                current,
                source_sha=source,
                target_sha=target,
                conflicts=conflicts,
                is_behind=is_behind,
                at=unit.now,
            )
            return current if change is None else unit.apply(change)

        return await self.pull_requests.units.run(
            actor, PullRequest.__record__.root_of(pull_request_id), turn
        )

    async def weigh_all(self, actor: Actor, payload: Mapping[str, Any]) -> None:
        """Handle WeighPullRequests: the target has moved, for every pull request into it."""
        repository_id = id_in(payload, "repositoryId", "repo")
        index = await self.pull_requests.units.find(actor, PullRequestIndex, index_id(repository_id))
        for row in index.open if index is not None else ():
            if row.target_branch == payload["targetBranch"]:
                await self.weigh(actor, row.id)
