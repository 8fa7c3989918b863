"""Pull requests at vendors, as messages, webhooks and the sweep ask for them: shown there, followed here."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import (
    AlreadyExists,
    DeliveryError,
    Forbidden,
    IllegalTransition,
    Invalid,
    NotFound,
    RuleBroken,
    Transient,
)
from shared.domain.kernel.events import REMINDERS, Event, id_in
from shared.domain.source.host_records import HostWatch, watch_id
from shared.domain.source.model import (
    Provider,
    PullRequest,
    PullRequestIndex,
    Repository,
    RepositoryStatus,
)
from shared.ports.ci_host import HookEvent
from shared.ports.vendor import Vendor
from shared.services.branches import Branches, index_id, place_of
from shared.services.host_twins import HostTwins
from shared.services.host_verdicts import HostVerdicts
from shared.services.once import Once
from shared.services.unit import Unit, Units

OVERLAP = timedelta(hours=1)
"""Looked at again in every comparison: clocks differ, and a vendor's lists may be late."""

REFUSALS = (RuleBroken, AlreadyExists, IllegalTransition, Forbidden, NotFound, Invalid)
"""What asking again at once would not change; the sweep compares anew."""

log = logging.getLogger("slipway.source")


@dataclass(frozen=True, slots=True)
class HostRequests:
    units: Units
    vendors: Mapping[Provider, Vendor]
    branches: Branches
    twins: HostTwins
    verdicts: HostVerdicts

    async def mirror(self, actor: Actor, payload: Mapping[str, Any], once: Once) -> None:
        """Handle MirrorPullRequest: make the vendor show what is recorded now."""
        request = await self.units.get(actor, PullRequest, id_in(payload, "pullRequestId", "pr"))
        repository = await self.units.get(actor, Repository, request.repository)
        if not self._is_there(repository):
            return
        try:
            await self.twins.show(actor, repository, request)
            await self.verdicts.exchange(actor, repository, request.id)
        except REFUSALS as error:
            _refused(repository, f"pr-{request.id}", error)
        except Transient as away:
            await self._later(actor, repository, Event("MirrorPullRequestAgain", payload), away, once)

    async def hear(self, actor: Actor, payload: Mapping[str, Any], once: Once) -> None:
        """Handle HostChanged: catch up with what the vendor told of, by looking there."""
        repository = await self.units.get(actor, Repository, id_in(payload, "repositoryId", "repo"))
        about = payload["about"]
        if not self._is_there(repository):
            return
        try:
            if about == HookEvent.PUSH:
                await self.branches.catch_up(actor, repository)
            if about == HookEvent.PULL_REQUEST:
                await self.follow(actor, repository)
            if about == HookEvent.STATUS:
                for request in await self._open(actor, repository):
                    await self.verdicts.exchange(actor, repository, request)
        except REFUSALS as error:
            _refused(repository, f"what it told of ({about})", error)
        except Transient as away:
            await self._later(actor, repository, Event("HostChangedAgain", payload), away, once)

    async def follow(self, actor: Actor, repository: Repository) -> int:
        """Compare every pull request that is open on either side, or has ended there since the last time; how
        many were not alike. One that is refused is named in the log and does not stop the others."""
        requests, began = self.vendors[repository.provider].requests, self.units.clock.now()
        watch = await self.units.find(actor, HostWatch, watch_id(repository.id))
        since = watch.followed_at if watch is not None and watch.followed_at is not None else began
        moved = 0
        for theirs in await requests.requests(place_of(repository), since=since - OVERLAP):
            try:
                moved += await self.twins.take(actor, repository, theirs)
            except REFUSALS as error:
                _refused(repository, f"its request #{theirs.number}", error)
        for each in await self._open(actor, repository):
            try:
                request = await self.units.get(actor, PullRequest, each)
                if request.host_number is None:
                    moved += await self.twins.show(actor, repository, request)
                await self.verdicts.exchange(actor, repository, each)
            except REFUSALS as error:
                _refused(repository, f"pr-{each}", error)

        async def turn(unit: Unit) -> None:
            key = watch_id(repository.id)
            known = await unit.find(HostWatch, key)
            known = known or HostWatch(id=key, tenant=repository.tenant, repository=repository.id)
            if known.followed_at is None or known.followed_at < began:
                unit.put(replace(known, followed_at=began))

        await self.units.run(actor, Repository.__record__.root_of(repository.id), turn)
        return moved

    def _is_there(self, repository: Repository) -> bool:
        return repository.provider in self.vendors and repository.status is RepositoryStatus.PROVISIONED

    async def _open(self, actor: Actor, repository: Repository) -> Sequence[str]:
        index = await self.units.find(actor, PullRequestIndex, index_id(repository.id))
        return [row.id for row in index.open] if index is not None else ()

    async def _later(
        self, actor: Actor, repository: Repository, command: Event, away: Transient, once: Once
    ) -> None:
        """A vendor that is away is asked again a few times, in messages of their own: an outage must not make
        dead letters. What is owed after that the sweep finds."""
        attempt = command.payload.get("attempt", 0)
        if not isinstance(attempt, int) or attempt >= len(REMINDERS):
            _refused(repository, command.type, away)
            return
        told = away.facts.get("retry_after")
        wait = max(REMINDERS[attempt], timedelta(seconds=told if isinstance(told, int | float) else 0))

        async def turn(unit: Unit) -> None:
            payload = {**command.payload, "attempt": attempt + 1}
            due = unit.now + wait
            unit.emit(replace(command, payload=payload, project=repository.project, not_before=due))

        await self.units.run(actor, Repository.__record__.root_of(repository.id), turn, once)


def _refused(repository: Repository, what: str, error: DeliveryError) -> None:
    log.warning(
        "%s/%s and its vendor differ in %s: %s",
        repository.tenant,
        repository.full_name,
        what,
        error.message,
    )
