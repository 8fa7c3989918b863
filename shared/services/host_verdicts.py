"""Verdicts of pull requests, shown as commit statuses at their vendor, whose own are taken in as checks."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import DeliveryError, Transient
from shared.domain.source.eligibility import is_open
from shared.domain.source.mirroring import CONTEXT, VENDORS, is_of_vendor, vendor_actor, verdicts_of
from shared.domain.source.model import Check, CheckStatus, Provider, PullRequest, Repository
from shared.domain.source.reviews import OURS
from shared.ports.ci_host import CommitStatus
from shared.ports.source_host import UnknownCommit
from shared.ports.vendor import Vendor
from shared.services.branches import place_of
from shared.services.checks import Checks
from shared.services.unit import Units

MAX_NAME = 100
_STATES: Mapping[str, CheckStatus] = {
    "pending": CheckStatus.PENDING,
    "success": CheckStatus.SUCCEEDED,
    "failure": CheckStatus.FAILED,
    "error": CheckStatus.FAILED,
}

log = logging.getLogger("slipway.source")


@dataclass(frozen=True, slots=True)
class HostVerdicts:
    """`public_url` is where people reach this installation, empty where nobody said."""

    units: Units
    vendors: Mapping[Provider, Vendor]
    checks: Checks
    public_url: str

    async def exchange(self, actor: Actor, repository: Repository, pull_request_id: str) -> None:
        """Make the head's statuses there say what is recorded, and record what others say there.

        What is shown is compared first, so late and doubled calls set nothing.
        """
        request = await self.units.get(actor, PullRequest, pull_request_id)
        if not is_open(request):
            return
        hooks, place, sha = self.vendors[repository.provider].hooks, place_of(repository), request.source_sha
        try:
            found = await hooks.statuses(place, sha)
        except UnknownCommit:
            return  # pushed away since: the branch's move brings the next head
        shown = {status.context: (status.state, status.description) for status in found}
        target = f"{self.public_url}/pull-requests/pr-{request.id}" if self.public_url else ""
        for verdict in verdicts_of(request):
            if shown.get(verdict.context) != (verdict.state, verdict.description):
                status = CommitStatus(verdict.context, verdict.state, verdict.description, target)
                await hooks.set_status(place, sha, status)
        for status in found:
            if not status.context.startswith(CONTEXT):
                await self._take(repository, request, status)

    async def _take(self, repository: Repository, request: PullRequest, status: CommitStatus) -> None:
        """Somebody else's status is a check here, by the way of every reported one. It does not overrule what
        a system reported here itself, which took a right that setting a status there does not."""
        check = _check_of(repository.provider, status)
        known = next((each for each in request.checks if check and each.name == check.name), None)
        if check is None or known == check or (known and known.reported_by and not is_of_vendor(known)):
            return
        actor = vendor_actor(repository.provider, repository.tenant)
        try:
            await self.checks.report(actor, request.id, request.source_sha, check, None)
        except Transient:
            raise
        except DeliveryError as error:
            log.warning("a status of %s was not taken: %s", repository.full_name, error.message)


def _check_of(provider: Provider, status: CommitStatus) -> Check | None:
    """None for what cannot be the name or the verdict of a reported check."""
    name, state = " ".join(status.context.split()), _STATES.get(status.state)
    if not name or len(name) > MAX_NAME or name in OURS or state is None:
        return None
    is_link = status.target_url.startswith(("https://", "http://"))
    return Check(
        name,
        state,
        required=False,
        detail=status.description,
        url=status.target_url if is_link else None,
        reported_by=f"{VENDORS[provider]}:statuses",
    )
