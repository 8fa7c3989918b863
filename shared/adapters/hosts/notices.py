"""What vendors call the events that we ask them to tell of, and what the messages of their webhooks say of
themselves: which delivery, and of what they tell.

Nothing else of a message is read: whoever hears of a change looks at the vendor for it.
"""

import json
from collections.abc import Mapping

from shared.ports.ci_host import HookEvent, Notice

GITHUB_WORDS: Mapping[HookEvent, str] = {
    HookEvent.PUSH: "push",
    HookEvent.PULL_REQUEST: "pull_request",
    HookEvent.RUN: "workflow_run",
    HookEvent.STATUS: "status",
}
AZURE_DEVOPS_EVENTS: Mapping[str, HookEvent] = {
    "git.push": HookEvent.PUSH,
    "git.pullrequest.created": HookEvent.PULL_REQUEST,
    "git.pullrequest.updated": HookEvent.PULL_REQUEST,
    "git.pullrequest.merged": HookEvent.PULL_REQUEST,
    "ms.vss-pipelines.run-state-changed-event": HookEvent.RUN,
}
"""Several of theirs are one to us; none is about a commit's status."""
_GITHUB = {word: event for event, word in GITHUB_WORDS.items()}


def read_github(headers: Mapping[str, str], body: bytes) -> Notice:
    return Notice(headers.get("x-github-delivery", ""), _GITHUB.get(headers.get("x-github-event", "")))


def read_azure_devops(headers: Mapping[str, str], body: bytes) -> Notice:
    """Azure DevOps tells all of it in the body. One that is no message of it tells of nothing."""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return Notice("", None)
    return Notice(str(said.get("id", "")), AZURE_DEVOPS_EVENTS.get(str(said.get("eventType", ""))))
