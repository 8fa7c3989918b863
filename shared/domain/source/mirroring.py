"""What a vendor is shown of a pull request here, and when there is something new to show. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.kernel.actor import Actor, ActorKind, system_actor
from shared.domain.kernel.events import Event
from shared.domain.source.eligibility import is_open
from shared.domain.source.model import Check, CheckStatus, Provider, PullRequest, PullRequestStatus
from shared.domain.source.policies import POLICY_GATE
from shared.domain.source.twins import Words

SEEN_AFTER = timedelta(seconds=30)
"""A vendor that finds out by itself that a request is merged needs a moment; told to close it, it would."""
CONTEXT = "slipway/"
"""How our statuses are called at a vendor; what is not called so is somebody else's."""
MAX_DESCRIPTION = 140
VENDORS = {Provider.GITHUB: "github", Provider.AZURE_DEVOPS: "azure-devops"}
_STATES = {
    CheckStatus.PENDING: "pending",
    CheckStatus.SUCCEEDED: "success",
    CheckStatus.FAILED: "failure",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A status of a commit as vendors show it: `state` is pending, success or failure."""

    context: str
    state: str
    description: str


def person(provider: Provider, tenant: str, name: str) -> Actor:
    """Somebody as the vendor names them. No token can speak as them; whether it is a person is not known."""
    return Actor(subject=f"{VENDORS[provider]}:{name}", kind=ActorKind.SERVICE, tenant=tenant)


def vendor_actor(provider: Provider, tenant: str) -> Actor:
    """Whoever did something at the vendor, which does not say who."""
    return system_actor(tenant, VENDORS[provider])


def is_of_vendor(check: Check) -> bool:
    """Whether the vendor's own statuses gave this verdict: shown there already."""
    return (check.reported_by or "").startswith(tuple(f"{name}:" for name in VENDORS.values()))


def words_of(request: PullRequest) -> Words:
    return Words(request.title, request.description, request.is_draft, is_open(request))


def verdicts_of(request: PullRequest) -> tuple[Verdict, ...]:
    """The statuses of its head."""
    return tuple(
        Verdict(
            CONTEXT + ("policy" if check.name == POLICY_GATE else check.name),
            _STATES[check.status],
            _shortened(check.detail),
        )
        for check in request.checks
        if not is_of_vendor(check)
    )


def is_owed(request: PullRequest) -> bool:
    """Whether the vendor does not know yet what is said here."""
    twin = request.twin
    return twin is not None and (twin.number is None or words_of(request).sealed() != twin.here)


def mirrored(before: PullRequest, after: PullRequest, at: datetime) -> tuple[Event, ...]:
    """The command to show a decision at the vendor; none where nothing of it shows. What came from there is
    agreed already, and is not sent back."""
    if after.twin is None:
        return ()
    has_news = words_of(before) != words_of(after) and is_owed(after)
    has_verdicts = is_open(after) and _shown(before) != _shown(after)
    if not (has_news or has_verdicts):
        return ()
    is_merged = after.status is PullRequestStatus.MERGED
    payload = {"pullRequestId": f"pr-{after.id}", "repositoryId": f"repo-{after.repository}"}
    later = at + SEEN_AFTER if is_merged else None
    return (Event("MirrorPullRequest", payload, project=after.project, not_before=later),)


def _shown(request: PullRequest) -> tuple[str, tuple[Verdict, ...]]:
    return request.source_sha, verdicts_of(request)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_DESCRIPTION else line[: MAX_DESCRIPTION - 1] + "…"
