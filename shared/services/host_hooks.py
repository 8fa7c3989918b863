"""Webhooks of repositories at vendors: registered, admitted by their signature, and taken as a hint to look.

Must not believe a payload: it only names a repository to catch up with.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from shared.domain.kernel.actor import Actor, system_actor
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.errors import DeliveryError, NotFound
from shared.domain.kernel.events import Event
from shared.domain.kernel.ids import parse_id
from shared.domain.source.host_records import HostWatch, watch_id
from shared.domain.source.model import Provider, Repository, RepositoryStatus
from shared.ports.ci_host import HookEvent, Notice
from shared.ports.ids import Ids
from shared.ports.tokens import TokenRefused
from shared.ports.vault import Vault
from shared.ports.vendor import Vendor
from shared.services.branches import place_of
from shared.services.once import AlreadyDone, Inbox
from shared.services.unit import Unit, Units

RENEWED_EVERY = timedelta(days=1)
"""A webhook that somebody removed or changed at the vendor is whole again after that."""
ASKED_EVERY = timedelta(minutes=10)
"""Of a vendor that refused it, or could not be reached."""

log = logging.getLogger("slipway.source")


LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

type ReadNotice = Callable[[Mapping[str, str], bytes], Notice]


class SignatureRefused(TokenRefused):
    code = "signature_refused"


@dataclass(frozen=True, slots=True)
class HostHooks:
    """`base_urls` are where a provider's messages reach this installation; one that is not in it cannot.
    `notices` read what each of them sends."""

    units: Units
    vendors: Mapping[Provider, Vendor]
    vault: Vault
    ids: Ids
    base_urls: Mapping[Provider, str]
    notices: Mapping[Provider, ReadNotice]
    tenants: frozenset[str]

    async def settle(self, actor: Actor, repository: Repository) -> None:
        """The webhook that a repository of this status has."""
        if repository.status is RepositoryStatus.PROVISIONED:
            await self.ensure(actor, repository)
        if repository.status is RepositoryStatus.ARCHIVED:
            await self.remove(actor, repository)

    async def ensure(self, actor: Actor, repository: Repository) -> None:
        """Register the repository's webhook where it is not, or renew it once a day. A vendor that refuses is
        named in the log: without a webhook the sweep alone brings the news.

        The secret is kept before the vendor is told of it, so that what it signs can always be verified.
        """
        base = self.base_urls.get(repository.provider)
        if base is None or repository.provider not in self.vendors:
            return
        watch, now = await self._watch(actor, repository), self.units.clock.now()
        url = f"{base}/host-events/{repository.tenant}/repo-{repository.id}"
        every = RENEWED_EVERY if watch.hook_url == url else ASKED_EVERY
        if watch.hook_asked_at is not None and now - watch.hook_asked_at < every:
            return
        secret = await self._secret(repository)
        hooks, place = self.vendors[repository.provider].hooks, place_of(repository)
        try:
            if watch.hook_url not in (None, url):
                await self._take_away(repository, watch)
            await hooks.add_hook(place, url, secret, tuple(HookEvent))
        except DeliveryError as error:
            log.warning("%s/%s gets no webhook: %s", repository.tenant, repository.full_name, error.message)
            await self._record(actor, repository, watch.hook_url, now)
        else:
            await self._record(actor, repository, url, now)

    async def remove(self, actor: Actor, repository: Repository) -> None:
        """Of a repository that is archived; the sweep asks a vendor again that is away. Its secret goes last:
        until then its messages are genuine. From there on it may be registered anew at once."""
        watch = await self._watch(actor, repository)
        if watch.hook_url is None or repository.provider not in self.vendors:
            return
        try:
            await self._take_away(repository, watch)
        except DeliveryError as error:
            log.warning("%s/%s keeps its webhook: %s", repository.tenant, repository.full_name, error.message)
            return
        await self.vault.delete(repository.tenant, secret_of(repository.id))
        await self._record(actor, repository, None, None)

    async def admit(
        self, tenant: str, repository_id: str, headers: Mapping[str, str], body: bytes
    ) -> Repository:
        """The repository whose vendor has signed this. SignatureRefused, in the same words, for a wrong
        signature and for whatever there is not."""
        refused = SignatureRefused("This is not signed by the webhook of a repository here.")
        key = parse_id(repository_id, "repo")
        if tenant not in self.tenants or key is None:
            raise refused
        repository = await self.units.find(system_actor(tenant, "source"), Repository, key)
        if repository is None or repository.provider not in self.vendors:
            raise refused
        try:
            secret = await self.vault.get(tenant, secret_of(key))
        except NotFound:
            raise refused from None
        if not self.vendors[repository.provider].hooks.is_genuine(headers, body, secret.value):
            raise refused
        return repository

    async def note(self, repository: Repository, headers: Mapping[str, str], body: bytes) -> None:
        """Have a worker look, once for every delivery."""
        notice = self.notices[repository.provider](headers, body)
        if notice.about is None:
            return
        payload = {"repositoryId": f"repo-{repository.id}", "about": str(notice.about)}
        event = Event("HostChanged", payload, project=repository.project, module=repository.module)

        async def turn(unit: Unit) -> None:
            unit.emit(event)

        # What has no name is known by its content.
        name = notice.delivery.encode() or body
        once = Inbox("host-events", sha256_hex(name)[:32])
        actor = system_actor(repository.tenant, "source")
        try:
            await self.units.run(actor, Repository.__record__.root_of(repository.id), turn, once)
        except AlreadyDone:
            log.debug("the vendor's message was taken before")

    async def _take_away(self, repository: Repository, watch: HostWatch) -> None:
        hooks, place = self.vendors[repository.provider].hooks, place_of(repository)
        for hook in await hooks.hooks(place):
            if hook.url == watch.hook_url:
                await hooks.remove_hook(place, hook.id)

    async def _secret(self, repository: Repository) -> str:
        name = secret_of(repository.id)
        try:
            return (await self.vault.get(repository.tenant, name)).value
        except NotFound:
            await self.vault.set(repository.tenant, name, self.ids.new() + self.ids.new())
        # Read back: of two that made one at once, both register the later.
        return (await self.vault.get(repository.tenant, name)).value

    async def _watch(self, actor: Actor, repository: Repository) -> HostWatch:
        known = await self.units.find(actor, HostWatch, watch_id(repository.id))
        return known or _unwatched(repository)

    async def _record(
        self, actor: Actor, repository: Repository, url: str | None, asked_at: datetime | None
    ) -> None:
        async def turn(unit: Unit) -> None:
            known = await unit.find(HostWatch, watch_id(repository.id)) or _unwatched(repository)
            wanted = replace(known, hook_url=url, hook_asked_at=asked_at)
            if wanted != known:
                unit.put(wanted)

        await self.units.run(actor, Repository.__record__.root_of(repository.id), turn)


def reachable(base_url: str, vendor_url: str) -> bool:
    """Whether a vendor can send to this installation: by https from outside, or both are on this machine."""
    here, there = urlsplit(base_url), urlsplit(vendor_url)
    if here.hostname in LOOPBACK:
        return there.hostname in LOOPBACK
    return here.scheme == "https"


def secret_of(repository_id: str) -> str:
    """The secret's name in the tenant's vault."""
    return f"host-hook-{repository_id}"


def _unwatched(repository: Repository) -> HostWatch:
    return HostWatch(id=watch_id(repository.id), tenant=repository.tenant, repository=repository.id)
