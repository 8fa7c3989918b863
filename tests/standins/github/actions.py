"""Workflows, webhooks and statuses of the stand-in's repositories."""

import io
import time
import zipfile
from dataclasses import dataclass, field
from typing import Any

from githubkit_schemas.v2026_03_10 import models

from tests.standins.github.faults import Refused, not_found
from tests.standins.github.repository import Hosted
from tests.standins.github.shapes import Shapes
from tests.standins.github.writing import parsed

_AT = "2026-06-11T09:00:00Z"


@dataclass
class Workflow:
    """`title` is the input that its run-name shows."""

    file: str
    title: str = "slipway_request"
    inputs: frozenset[str] = frozenset({"slipway_request", "target"})


@dataclass
class Automation:
    """Of one repository."""

    workflows: dict[str, Workflow] = field(default_factory=dict)
    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    logs: dict[int, dict[str, str]] = field(default_factory=dict)
    hooks: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def workflow(self, file: str) -> Workflow:
        if file not in self.workflows:
            raise not_found()
        return self.workflows[file]

    def dispatch(self, hosted: Hosted, shapes: Shapes, file: str, number: int, body: object) -> Any:
        workflow = self.workflow(file)
        wanted = parsed(models.ReposOwnerRepoActionsWorkflowsWorkflowIdDispatchesPostBody, body)
        head = hosted.heads.get(wanted.ref)
        if head is None:
            raise Refused(422, f"No ref found for: {wanted.ref}")
        inputs = wanted.model_dump(exclude_unset=True).get("inputs", {})
        if unexpected := sorted(set(inputs) - workflow.inputs):
            raise Refused(422, f"Unexpected inputs provided: {unexpected}")
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        urls = [
            "url",
            "jobs_url",
            "logs_url",
            "check_suite_url",
            "artifacts_url",
            "cancel_url",
            "rerun_url",
            "workflow_url",
        ]
        self.runs[number] = dict.fromkeys(urls, shapes.api(hosted, "actions", "runs", str(number))) | {
            "id": number,
            "node_id": str(number),
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
        run = self.runs[number]
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

    def log(self, number: int) -> bytes:
        if number not in self.logs:
            raise not_found()
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in self.logs[number].items():
                archive.writestr(name, text)
        return file.getvalue()

    def put_hook(self, hosted: Hosted, shapes: Shapes, number: int, body: object) -> Any:
        """A new one, or that one changed. GitHub takes no second hook with the same URL."""
        wanted = parsed(models.ReposOwnerRepoHooksPostBody, body).model_dump(exclude_unset=True)
        config = wanted.get("config", {})
        if not str(config.get("url", "")).startswith(("http://", "https://")):
            raise Refused(422, "Validation Failed", {"resource": "Hook", "code": "custom", "field": "url"})
        for other in self.hooks.values():
            if other["config"]["url"] == config["url"] and other["id"] != number:
                exists = "Hook already exists on this repository"
                raise Refused(
                    422, "Validation Failed", {"resource": "Hook", "code": "custom", "message": exists}
                )
        place = shapes.api(hosted, "hooks", str(number))
        self.hooks[number] = {
            "type": "Repository",
            "id": number,
            "name": "web",
            "active": True,
            "events": wanted.get("events", ["push"]),
            # Whoever reads a hook sees that it has a secret, and no more.
            "config": config | {"secret": "********"},
            "updated_at": _AT,
            "created_at": _AT,
            "url": place,
            "test_url": f"{place}/test",
            "ping_url": f"{place}/pings",
            "last_response": {"code": None, "status": "unused", "message": None},
        }
        return self.hooks[number]

    def add_status(self, hosted: Hosted, shapes: Shapes, sha: str, number: int, body: object) -> Any:
        wanted = parsed(models.ReposOwnerRepoStatusesShaPostBody, body).model_dump(exclude_unset=True)
        if sha not in {
            commit.id.decode() for head in hosted.heads.values() for commit in hosted.history(head)
        }:
            raise Refused(422, f"No commit found for SHA: {sha}")
        row = {
            "url": shapes.api(hosted, "statuses", sha),
            "avatar_url": None,
            "id": number,
            "node_id": str(number),
            "state": wanted["state"],
            "description": wanted.get("description"),
            "target_url": wanted.get("target_url"),
            "context": wanted.get("context", "default"),
            "created_at": _AT,
            "updated_at": _AT,
            "creator": shapes.owner("slipway-bot"),
        }
        self.statuses.setdefault(sha, []).append(row)
        return row

    def combined(self, hosted: Hosted, shapes: Shapes, sha: str) -> Any:
        latest = {row["context"]: row for row in self.statuses.get(hosted.commit(sha).id.decode(), [])}
        states = {row["state"] for row in latest.values()}
        state = (
            "failure"
            if states & {"failure", "error"}
            else ("success" if states == {"success"} else "pending")
        )
        return {
            "state": state,
            "statuses": list(latest.values()),
            "sha": sha,
            "total_count": len(latest),
            "repository": shapes.repository(hosted),
            "commit_url": shapes.api(hosted, "commits", sha),
            "url": shapes.api(hosted, "commits", sha, "status"),
        }
