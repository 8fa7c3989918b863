"""What the messages of vendors' webhooks say of themselves: which delivery, and of what they tell.

Nothing else of a message is read: whoever hears of a change looks at the vendor for it.
"""

import json
from collections.abc import Mapping

from shared.ports.ci_host import HookEvent, Notice

_GITHUB = {
    "push": HookEvent.PUSH,
    "pull_request": HookEvent.PULL_REQUEST,
    "workflow_run": HookEvent.RUN,
    "status": HookEvent.STATUS,
}
_AZURE_DEVOPS = {
    "git.push": HookEvent.PUSH,
    "git.pullrequest.": HookEvent.PULL_REQUEST,
    "build.": HookEvent.RUN,
    "ms.vss-pipelines.": HookEvent.RUN,
}


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
    event = str(said.get("eventType", ""))
    about = next((about for begins, about in _AZURE_DEVOPS.items() if event.startswith(begins)), None)
    return Notice(str(said.get("id", "")), about)
