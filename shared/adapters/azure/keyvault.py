"""Secrets in Azure Key Vault. Must not let a value reach a log, an error or a tag."""

import asyncio
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, NamedTuple

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.keyvault.secrets import KeyVaultSecret, SecretProperties
from azure.keyvault.secrets.aio import SecretClient

from shared.adapters.azure.failures import checked_endpoint, code_of, told
from shared.adapters.azure.secret_places import (
    GONE,
    SecretPlace,
    is_gone,
    is_version,
    name_in,
    order_in,
    owner_in,
)
from shared.adapters.azure.turns import Turns
from shared.adapters.secret_rules import checked_value
from shared.domain.kernel.errors import Forbidden, NotFound, Permanent, Transient
from shared.ports.clock import Clock
from shared.ports.vault import Secret, SecretOwner, SecretVersion

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

ROLE = "Key Vault Secrets Officer"
KEPT_SECONDS = 30
"""How old a current version may be when it is read: how long a rotation elsewhere goes unseen here."""
KEPT_SECRETS = 1000
_CALL_SECONDS = 45.0
_REVIVALS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses while the vault is still deleting or recovering what is set anew."""


class _Kept(NamedTuple):
    secret: Secret
    until: float


class KeyVault:
    """The Vault port over one Key Vault with soft delete, in which every tenant has its own space.

    The current version of a secret is kept for half a minute, so that a busy installation stays far below the
    4,000 reads in 10 seconds that a vault allows; what this process writes, it reads at once. A version that
    is asked for by its id is always read. Deleted secrets stay recoverable, by people, for as long as the
    vault keeps them: every version is disabled and tagged `gone` first, so that none of them comes back to
    life when the name is set again.
    """

    def __init__(self, url: str, credential: "AsyncTokenCredential", clock: Clock) -> None:
        self._url = checked_endpoint(url, "The Key Vault's URL")
        self._clock = clock
        self._client = SecretClient(
            self._url,
            credential,
            retry_total=4,
            retry_backoff_factor=0.4,
            retry_backoff_max=8,
            connection_timeout=5,
            read_timeout=10,
        )
        self._turns = Turns()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._writes = 0

    async def aclose(self) -> None:
        await self._client.close()

    async def set(self, tenant: str, name: str, value: str) -> SecretVersion:
        """Raises Invalid for a bad name, or a value over 25 KB. Where an answer was lost, a retry of the SDK
        may leave two versions of the one value."""
        place = SecretPlace.of(tenant, name)
        checked_value(value)
        # In turn, so that the order of `setAt` is the vault's order.
        async with self._turns.of(place.key), self._told():
            try:
                made = await self._set(place, value)
            finally:
                self._forget(place)
        return _shown(made.properties, place)

    async def get(self, tenant: str, name: str, version: str | None = None) -> Secret:
        place = SecretPlace.of(tenant, name)
        if version is not None and not is_version(version):
            raise _unknown(place, version)
        if version is None and (kept := self._recent(place)) is not None:
            return kept
        writes = self._writes
        async with self._told():
            found = await self._get(place, version)
        secret = _secret(found, place)
        # A write meanwhile: what was read may be from before it, and would hide it for half a minute.
        if version is None and writes == self._writes:
            self._keep(place, secret)
        return secret

    async def versions(self, tenant: str, name: str) -> list[SecretVersion]:
        place = SecretPlace.of(tenant, name)
        async with self._told():
            found = await self._listed(place)
        # One that is gone takes all older ones with it, also where a process died half-way through `delete`.
        return [_shown(one, place) for one in takewhile(lambda one: not is_gone(one.tags), found)]

    async def owner(self, key: str) -> SecretOwner | None:
        """Whose secret lies under a name of the vault itself; None for what was not set by us, and for what
        is gone. Asks for tags alone, never for a value."""
        async with self._told():
            try:
                found = [one async for one in self._client.list_properties_of_secret_versions(key)]
            except ResourceNotFoundError:
                return None
        for one in found:
            owner = None if is_gone(one.tags) else owner_in(one.tags)
            # Tags can be written by whoever may write to the vault; the place cannot be made up.
            if owner is not None and SecretPlace.of(owner.tenant, owner.name).key == key.lower():
                return owner
        return None

    async def disable(self, tenant: str, name: str, version: str) -> None:
        """Disabling twice is fine. NotFound for an unknown version. Others may read it for half a minute."""
        place = SecretPlace.of(tenant, name)
        if not is_version(version):
            raise _unknown(place, version)
        async with self._told():
            try:
                changed = await self._client.update_secret_properties(place.key, version, enabled=False)
            except ResourceNotFoundError:
                raise _unknown(place, version) from None
            finally:
                self._forget(place)
        if is_gone(changed.tags):
            raise _unknown(place, version)

    async def delete(self, tenant: str, name: str) -> None:
        """Needs no right to purge, which a vault with purge protection gives nobody."""
        place = SecretPlace.of(tenant, name)
        async with self._turns.of(place.key), self._told():
            try:
                # The newest first: from then on nobody finds the secret, whatever happens to this process.
                for one in await self._listed(place):
                    await self._mark_gone(place, one)
                await self._client.delete_secret(place.key)
            except (ResourceNotFoundError, ResourceExistsError):
                return  # it is not there, or is being deleted by somebody else
            finally:
                self._forget(place)

    async def _set(self, place: SecretPlace, value: str) -> KeyVaultSecret:
        for pause in _REVIVALS:
            try:
                return await self._client.set_secret(place.key, value, tags=place.tags(self._clock.now()))
            except ResourceExistsError as error:  # deleted before: its name is taken until it is recovered
                if code_of(error) == "ObjectIsDeletedButRecoverable":
                    await self._revive(place)
                else:
                    await asyncio.sleep(pause)
        raise Transient(
            f"The secret {place.name} is still being deleted or recovered in {self._url}; try again."
        )

    async def _revive(self, place: SecretPlace) -> None:
        try:
            newest = await self._newest_deleted(place)
            await self._client.recover_deleted_secret(place.key)
        except (ResourceNotFoundError, ResourceExistsError):
            return  # somebody else sets it anew and was quicker
        # Deleted by an operator, or set while we were deleting it, it came back unmarked. What is newer than
        # the deletion is somebody's new value, and stays.
        for one in dropwhile(lambda one: one.version != newest, await self._listed(place)):
            await self._mark_gone(place, one)

    async def _newest_deleted(self, place: SecretPlace) -> str | None:
        try:
            return (await self._client.get_deleted_secret(place.key)).properties.version
        except HttpResponseError as error:
            if code_of(error) != "SecretDisabled":
                raise
            return None  # by `delete`, which marked every version

    async def _mark_gone(self, place: SecretPlace, one: SecretProperties) -> None:
        if not is_gone(one.tags):
            tags = (one.tags or {}) | {GONE: "true"}
            await self._client.update_secret_properties(place.key, one.version, enabled=False, tags=tags)

    async def _get(self, place: SecretPlace, version: str | None) -> KeyVaultSecret:
        try:
            found = await self._client.get_secret(place.key, version)
        except ResourceNotFoundError:
            raise _unknown(place, version) from None
        except HttpResponseError as error:
            if error.status_code == 403 and code_of(error) == "SecretDisabled":
                raise await self._disabled(place, version) from None
            raise
        if is_gone(found.properties.tags):
            raise _unknown(place, version)
        return found

    async def _disabled(self, place: SecretPlace, version: str | None) -> NotFound | Forbidden:
        """The vault says nothing else about a disabled version; the list tells whether it was deleted."""
        found = [one for one in await self._listed(place) if version in (None, one.version)]
        if not found or is_gone(found[0].tags):
            return _unknown(place, version)
        return Forbidden(
            f"Version {found[0].version} of the secret {place.name} is disabled; set a new version."
        )

    async def _listed(self, place: SecretPlace) -> list[SecretProperties]:
        """Newest first, those that are gone among them."""
        try:
            found = [one async for one in self._client.list_properties_of_secret_versions(place.key)]
        except ResourceNotFoundError:
            return []
        return sorted(found, key=lambda one: (one.created_on, order_in(one.tags), one.version), reverse=True)

    def _recent(self, place: SecretPlace) -> Secret | None:
        kept = self._kept.get(place.key)
        if kept is None or self._clock.now().timestamp() >= kept.until:
            return None
        self._kept.move_to_end(place.key)
        return kept.secret

    def _keep(self, place: SecretPlace, secret: Secret) -> None:
        self._kept[place.key] = _Kept(secret, self._clock.now().timestamp() + KEPT_SECONDS)
        self._kept.move_to_end(place.key)
        if len(self._kept) > KEPT_SECRETS:
            self._kept.popitem(last=False)

    def _forget(self, place: SecretPlace) -> None:
        self._writes += 1
        self._kept.pop(place.key, None)

    def _told(self) -> AbstractAsyncContextManager[None]:
        return told(f"The vault {self._url}", ROLE, _CALL_SECONDS)


def _unknown(place: SecretPlace, version: str | None) -> NotFound:
    what = f"secret {place.name}" if version is None else f"version {version} of the secret {place.name}"
    return NotFound(f"There is no {what}.")


def _shown(one: SecretProperties, place: SecretPlace) -> SecretVersion:
    if one.version is None or one.created_on is None:  # optional to the SDK alone
        raise Permanent(f"The vault answered a version of the secret {place.name} without its id or age.")
    return SecretVersion(name_in(one.tags, place.name), one.version, one.created_on, bool(one.enabled))


def _secret(found: KeyVaultSecret, place: SecretPlace) -> Secret:
    shown = _shown(found.properties, place)
    return Secret(shown.name, shown.version, found.value or "", shown.created_at, shown.enabled)
