"""The workflows of one of the stand-in's repositories: their runs, and what those leave behind."""

import io
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from githubkit_schemas.v2026_03_10 import models

from tests.standins.github.faults import Refused, invalid, not_found
from tests.standins.github.repository import Hosted
from tests.standins.github.shapes import Shapes, node
from tests.standins.github.writing import parsed

_RUN_URLS = (
    "url",
    "jobs_url",
    "logs_url",
    "check_suite_url",
    "artifacts_url",
    "cancel_url",
    "rerun_url",
    "workflow_url",
)


@dataclass(frozen=True)
class Ending:
    """How a run ends. `jobs` are the names of their steps; `log` is by job; an artifact is its files."""

    conclusion: str = "success"
    jobs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    log: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)


@dataclass
class Workflow:
    """`title` is the input that its run-name shows. With an `ending`, a run ends as soon as it is started."""

    file: str
    title: str = "slipway_request"
    inputs: frozenset[str] = frozenset({"slipway_request", "target"})
    ending: Ending | None = None


@dataclass
class Artifact:
    id: int
    run: int
    name: str
    archive: bytes
    url: str
    created_at: str
    expired: bool = False

    @property
    def told(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "node_id": node(str(self.id)),
            "name": self.name,
            "size_in_bytes": len(self.archive),
            "url": self.url,
            "archive_download_url": f"{self.url}/zip",
            "expired": self.expired,
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "expires_at": self.created_at,
        }


@dataclass
class Automation:
    """Of one repository. `logs` are the files of an archive."""

    workflows: dict[str, Workflow] = field(default_factory=dict)
    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    logs: dict[int, dict[str, str]] = field(default_factory=dict)
    artifacts: dict[int, list[Artifact]] = field(default_factory=dict)

    def workflow(self, file: str) -> Workflow:
        if file not in self.workflows:
            raise not_found()
        return self.workflows[file]

    def dispatch(self, hosted: Hosted, shapes: Shapes, file: str, number: int, body: object) -> Any:
        workflow = self.workflow(file)
        wanted = parsed(models.ReposOwnerRepoActionsWorkflowsWorkflowIdDispatchesPostBody, body)
        # Since 2026-03-10 it always tells the run, and no longer takes what asked for that.
        if isinstance(body, dict) and (unknown := sorted(body.keys() - {"ref", "inputs"})):
            raise invalid(f'Invalid request.\n\n"{unknown[0]}" is not a permitted key.')
        head = hosted.heads.get(wanted.ref)
        if head is None:
            raise invalid(f"No ref found for: {wanted.ref}")
        inputs = wanted.model_dump(exclude_unset=True).get("inputs", {})
        if unexpected := sorted(set(inputs) - workflow.inputs):
            raise invalid(f"Unexpected inputs provided: {unexpected}")
        now = _told(datetime.now(UTC))
        place = shapes.api(hosted, "actions", "runs", str(number))
        run = self.runs[number] = dict.fromkeys(_RUN_URLS, place) | {
            "id": number,
            "node_id": node(str(number)),
            "html_url": shapes.page(hosted, "actions", "runs", str(number)),
            "path": f".github/workflows/{file}",
            "display_title": f"Deploy {inputs.get(workflow.title, '')}",
            "head_branch": wanted.ref,
            "head_sha": head,
            "run_number": number,
            "event": "workflow_dispatch",
            "status": "queued",
            "conclusion": None,
            "workflow_id": 1,
            "pull_requests": [],
            "created_at": now,
            "updated_at": now,
            "run_started_at": now,
            "head_commit": None,
            "repository": shapes.repository(hosted),
            "head_repository": shapes.repository(hosted),
        }
        if workflow.ending is not None:
            self.end(number, workflow.ending, datetime.now(UTC))
        return {"workflow_run_id": number, "run_url": run["url"], "html_url": run["html_url"]}

    def listed(self, file: str, event: str, created: str) -> list[dict[str, Any]]:
        self.workflow(file)
        path, since = f".github/workflows/{file}", created.removeprefix(">=")
        runs = [run for run in self.runs.values() if run["path"] == path and run["created_at"] >= since]
        return [run for run in runs if event in {"", run["event"]}][::-1]

    def run(self, number: int) -> dict[str, Any]:
        if number not in self.runs:
            raise not_found()
        return self.runs[number]

    def begin(self, number: int) -> None:
        """A runner takes it up."""
        self.run(number).update(status="in_progress", updated_at=_told(datetime.now(UTC)))

    def end(self, number: int, ending: Ending, at: datetime) -> None:
        run = self.run(number)
        run.update(status="completed", conclusion=ending.conclusion, updated_at=_told(at))
        numbers = range(number * 1000, number * 1000 + 1000)
        self.jobs[number] = [
            _job(run, each, name, steps, ending.conclusion)
            for each, (name, steps) in zip(numbers, ending.jobs.items(), strict=False)
        ]
        if ending.log:
            self.logs[number] = {f"{at}_{job}.txt": text for at, (job, text) in enumerate(ending.log.items())}
        repository = run["repository"]["url"]
        self.artifacts[number] = [
            Artifact(each, number, name, _zipped(files), f"{repository}/actions/artifacts/{each}", _told(at))
            for each, (name, files) in zip(numbers, ending.artifacts.items(), strict=False)
        ]

    def cancel(self, number: int) -> None:
        if self.run(number)["status"] == "completed":
            raise Refused(409, "Cannot cancel a workflow run that is completed.")
        self.end(number, Ending("cancelled"), datetime.now(UTC))

    def log(self, number: int) -> bytes:
        if number not in self.logs:
            raise not_found()
        return _zipped({name: text.encode() for name, text in self.logs[number].items()})

    def download(self, number: int) -> bytes:
        for each in (each for left in self.artifacts.values() for each in left):
            if each.id == number:
                if each.expired:
                    raise Refused(410, "Artifact has expired")
                return each.archive
        raise not_found()


def _job(
    run: dict[str, Any], number: int, name: str, steps: Sequence[str], conclusion: str
) -> dict[str, Any]:
    times = {"started_at": run["run_started_at"], "completed_at": run["updated_at"]}
    ended = {"status": "completed", "conclusion": conclusion, **times}
    return ended | {
        "id": number,
        "run_id": run["id"],
        "run_url": run["url"],
        "node_id": node(str(number)),
        "head_sha": run["head_sha"],
        "head_branch": run["head_branch"],
        "url": f"{run['repository']['url']}/actions/jobs/{number}",
        "html_url": f"{run['html_url']}/job/{number}",
        "check_run_url": f"{run['repository']['url']}/check-runs/{number}",
        "created_at": run["created_at"],
        "name": name,
        "labels": ["ubuntu-latest"],
        "runner_id": 1,
        "runner_name": "a runner",
        "runner_group_id": 1,
        "runner_group_name": "Default",
        "workflow_name": "a workflow",
        "steps": [{"name": step, "number": at, **ended} for at, step in enumerate(steps, 1)],
    }


def _zipped(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def _told(at: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", at.astimezone(UTC).timetuple())
