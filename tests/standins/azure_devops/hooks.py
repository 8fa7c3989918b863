"""Service hooks of an organization, and the statuses of a repository's commits. Serves nothing."""

import itertools
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.standins.azure_devops import errors
from tests.standins.azure_devops.pipelines import told
from tests.standins.azure_devops.repository import Repository

_GIT = frozenset({"projectId", "repository", "branch"})
_PUBLISHED = {
    ("tfs", "git.push"): _GIT | {"pushedBy"},
    ("tfs", "git.pullrequest.created"): _GIT | {"pullrequestCreatedBy"},
    ("tfs", "git.pullrequest.updated"): _GIT | {"notificationType", "pullrequestCreatedBy"},
    ("tfs", "git.pullrequest.merged"): _GIT | {"mergeResult", "pullrequestCreatedBy"},
    ("tfs", "build.complete"): frozenset({"projectId", "definitionName", "buildStatus"}),
    ("pipelines", "ms.vss-pipelines.run-state-changed-event"): frozenset(
        {"projectId", "pipelineId", "runStateId", "runResultId"}
    ),
}
"""The inputs of each event, by its publisher."""
_CONSUMED = frozenset(
    {
        "url",
        "httpHeaders",
        "basicAuthUsername",
        "basicAuthPassword",
        "resourceDetailsToSend",
        "messagesToSend",
        "detailedMessagesToSend",
        "acceptUntrustedCerts",
    }
)
_STATES = frozenset({"notSet", "pending", "succeeded", "failed", "error", "notApplicable"})


@dataclass
class Subscriptions:
    """`passwords` by subscription; nobody is told them."""

    all: dict[str, dict[str, Any]] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)

    def put(self, projects: set[str], url: str, body: Any, key: str = "") -> dict[str, Any]:
        """A new one, or that one changed. The service takes any number of one kind."""
        publisher, event = body.get("publisherId"), body.get("eventType")
        inputs, consumer = body.get("publisherInputs", {}), dict(body.get("consumerInputs", {}))
        if (publisher, event) not in _PUBLISHED:
            raise errors.bad(f"The publisher {publisher} has no event {event}.", "NotificationException")
        if unknown := sorted(inputs.keys() - _PUBLISHED[publisher, event]):
            raise _invalid(f"The publisher has no input {unknown[0]}")
        if inputs.get("projectId") not in projects:
            raise _invalid("The project was not found")
        if (body.get("consumerId"), body.get("consumerActionId")) != ("webHooks", "httpRequest"):
            raise _invalid("The consumer was not found")
        if unknown := sorted(consumer.keys() - _CONSUMED):
            raise _invalid(f"The consumer has no input {unknown[0]}")
        if not str(consumer.get("url", "")).startswith(("http://", "https://")):
            raise _invalid("The URL is not valid: it must begin with http:// or https://")
        key, now = key or str(uuid.uuid4()), told(datetime.now(UTC))
        if password := consumer.get("basicAuthPassword"):
            self.passwords[key], consumer["basicAuthPassword"] = password, "********"
        self.all[key] = {
            "id": key,
            "url": f"{url}/_apis/hooks/subscriptions/{key}",
            "status": "enabled",
            "publisherId": publisher,
            "eventType": event,
            "resourceVersion": body.get("resourceVersion"),
            "consumerId": "webHooks",
            "consumerActionId": "httpRequest",
            "createdDate": now,
            "modifiedDate": now,
            "publisherInputs": inputs,
            "consumerInputs": consumer,
        }
        return self.all[key]

    def get(self, key: str) -> dict[str, Any]:
        if key not in self.all:
            raise errors.no_subscription(key)
        return self.all[key]

    def remove(self, key: str) -> None:
        del self.all[self.get(key)["id"]]
        self.passwords.pop(key, None)


@dataclass
class Statuses:
    """Of the commits of a repository."""

    all: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def add(self, repository: Repository, sha: str, body: Any) -> dict[str, Any]:
        repository.commit(sha)
        context = body.get("context") or {}
        if not context.get("name"):
            raise errors.bad("A status needs a context with a name.")
        if body.get("state") not in _STATES:
            raise errors.bad(f"There is no state {body.get('state')}.")
        now = told(datetime.now(UTC))
        row = {
            "id": next(self.numbers),
            "state": body["state"],
            "description": body.get("description"),
            "context": {"name": context["name"], "genre": context.get("genre")},
            "creationDate": now,
            "updatedDate": now,
            "createdBy": {"displayName": "Token Owner"},
            "targetUrl": body.get("targetUrl"),
        }
        self.all.setdefault(sha, []).append(row)
        return row

    def of(self, repository: Repository, sha: str, *, latest: bool) -> list[dict[str, Any]]:
        repository.commit(sha)
        rows = self.all.get(sha, [])
        if latest:
            rows = list({(row["context"]["genre"], row["context"]["name"]): row for row in rows}.values())
        return rows


def _invalid(message: str) -> errors.Refused:
    return errors.bad(f"{message}.", "SubscriptionInputValidationException")
