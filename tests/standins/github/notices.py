"""Webhooks and statuses of one of the stand-in's repositories."""

from dataclasses import dataclass, field
from typing import Any

from githubkit_schemas.v2026_03_10 import models

from tests.standins.github.faults import Refused
from tests.standins.github.repository import Hosted
from tests.standins.github.shapes import Shapes
from tests.standins.github.writing import parsed

_AT = "2026-06-11T09:00:00Z"


@dataclass
class Notices:
    hooks: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

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
