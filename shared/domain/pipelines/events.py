"""The facts and commands of pipelines and runs, and the way back from a command to the run it names."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.kernel.errors import Permanent
from shared.domain.kernel.events import Event, id_in, with_reminders
from shared.domain.pipelines.model import BuildResult, BuildStatus, PipelineDefinition, PipelineRun

OVERDUE_AFTER = timedelta(seconds=60)
"""How long past its deadline a run may take to report before it is given up."""


def pipeline_generated(pipeline: PipelineDefinition) -> Event:
    payload = {
        "pipelineId": f"pipe-{pipeline.id}",
        "repositoryId": f"repo-{pipeline.repository}",
        "definitionPath": pipeline.definition_path,
        "moduleType": str(pipeline.module_type),
        "contentHash": pipeline.content_hash,
        "version": pipeline.version,
        "committed": pipeline.committed,
        "provider": str(pipeline.provider),
        "templateVersion": pipeline.template_version,
        "targetFeed": pipeline.target_feed,
    }
    return Event("PipelineGenerated", payload, project=pipeline.project, module=pipeline.module)


def run_ordered(run: PipelineRun) -> tuple[Event, ...]:
    """The command to run it with its reminders, and the one that gives it up if nobody has finished it by
    then.

    All carry everything about the run: whichever comes first can create its record. They go in sessions of
    their own, so that a worker that hangs on the first never holds back the second.
    """
    payload: dict[str, object] = {
        **_facts(run),
        "projectId": run.project,
        "moduleId": run.module,
        "requestedBy": run.requested_by,
        "createdAt": run.created_at.isoformat(),
        "deadlineAt": run.deadline_at.isoformat(),
    }
    overdue_at = run.deadline_at + OVERDUE_AFTER
    command = Event("RunPipeline", payload, project=run.project, module=run.module, session=f"run:{run.id}")
    return (
        *with_reminders(command, run.created_at),
        Event(
            "RunOverdue",
            payload,
            project=run.project,
            module=run.module,
            session=f"overdue:{run.id}",
            not_before=overdue_at,
        ),
    )


def ordered_run(tenant: str, payload: Mapping[str, object]) -> PipelineRun:
    """The pending run that such a command names. Permanent where the command is malformed."""
    try:
        return PipelineRun(
            id=id_in(payload, "pipelineRunId", "run"),
            tenant=tenant,
            project=str(payload["projectId"]),
            module=str(payload["moduleId"]),
            repository=id_in(payload, "repositoryId", "repo"),
            pipeline=id_in(payload, "pipelineId", "pipe"),
            branch=str(payload["branch"]),
            commit_sha=str(payload["commitSha"]),
            reason=str(payload["reason"]),
            build_number=str(payload["buildNumber"]),
            pull_request=id_in(payload, "pullRequestId", "pr") if payload.get("pullRequestId") else None,
            requested_by=str(payload["requestedBy"]),
            deadline_at=datetime.fromisoformat(str(payload["deadlineAt"])),
            created_at=datetime.fromisoformat(str(payload["createdAt"])),
            updated_at=datetime.fromisoformat(str(payload["createdAt"])),
        )
    except (KeyError, ValueError) as error:
        raise Permanent(f"This command does not describe a pipeline run: {error}.") from error


def follow_run(run: PipelineRun, turn: int, due_at: datetime) -> Event:
    """The command to look at the vendor what has become of a run; only the turn that is due is taken."""
    return _in_turn(_event("FollowRun", run, {**_names(run), "turn": turn}), run, due_at)


def cancel_host_run(
    run: PipelineRun, host_run: str | None, turn: int = 1, due_at: datetime | None = None
) -> Event:
    """The command to have the vendor stop a run that is over here. `host_run` is None where nobody knows
    whether one has begun there."""
    payload = {**_names(run), "hostRun": host_run, "turn": turn}
    return _in_turn(_event("CancelHostRun", run, payload), run, due_at)


def _names(run: PipelineRun) -> dict[str, object]:
    return {"pipelineRunId": f"run-{run.id}", "repositoryId": f"repo-{run.repository}"}


def _in_turn(event: Event, run: PipelineRun, due_at: datetime | None) -> Event:
    """In the session of the run's own command: one at a time."""
    return replace(event, session=f"run:{run.id}", not_before=due_at)


def run_started(run: PipelineRun) -> Event:
    facts = _facts(run)
    del facts["pullRequestId"]
    return _event("PipelineRunStarted", run, facts)


def run_completed(run: PipelineRun) -> Event:
    payload = {
        **_facts(run),
        "status": str(run.status),
        "outcomeReason": run.outcome_reason,
        "buildResultId": f"build-{run.build_result}",
    }
    return _event("PipelineRunCompleted", run, payload)


def build_events(run: PipelineRun, result: BuildResult) -> tuple[Event, ...]:
    """That a build is over, and once more for those who only wait for failures."""
    completed = build_completed(run, result)
    if result.status is not BuildStatus.FAILED:
        return (completed,)
    return completed, _event("BuildFailed", run, completed.payload)


def build_completed(run: PipelineRun, result: BuildResult) -> Event:
    tests = result.tests
    counts = None
    if tests is not None:
        counts = {
            "total": tests.total,
            "passed": tests.passed,
            "failed": tests.failed,
            "skipped": tests.skipped,
        }
    payload = {
        "buildResultId": f"build-{result.id}",
        "pipelineRunId": f"run-{run.id}",
        "moduleId": run.module,
        "status": str(result.status),
        "tests": counts,
        "artifacts": [
            {"name": made.name, "kind": made.kind, "ref": made.ref, "digest": made.digest, "size": made.size}
            for made in result.artifacts
        ],
        "logsUri": result.logs_uri,
    }
    return _event("BuildCompleted", run, payload)


def _facts(run: PipelineRun) -> dict[str, object]:
    return {
        "pipelineRunId": f"run-{run.id}",
        "pipelineId": f"pipe-{run.pipeline}",
        "repositoryId": f"repo-{run.repository}",
        "branch": run.branch,
        "commitSha": run.commit_sha,
        "buildNumber": run.build_number,
        "reason": run.reason,
        "pullRequestId": f"pr-{run.pull_request}" if run.pull_request else None,
    }


def _event(kind: str, run: PipelineRun, payload: Mapping[str, object]) -> Event:
    return Event(kind, payload, project=run.project, module=run.module)
