"""Signatures by HMAC-SHA256 with keys that the vault keeps in versions. Must never show a key.

The keys are read when the process starts and by `refresh`; signing and verifying do no I/O.
"""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from shared.domain.kernel.errors import Forbidden, NotFound, Permanent
from shared.ports.clock import Clock
from shared.ports.vault import SecretVersion, Vault

PLATFORM = "system:slipway"
"""The platform's own space in the vault. No tenant's name holds a colon."""
NAME = "signing-key"
REFRESH = timedelta(minutes=5)
"""How often each process has to call `refresh`."""
SETTLED = 3 * REFRESH
"""How old a key is before it signs. By then every process that refreshes in time knows it."""
UNDECIDED_SECONDS = 2.0
"""While the newest key is younger, another that sorts before it may still appear: a vault's times are whole
seconds."""
_LEAST_CHARACTERS = 32
_PREFIX_BYTES = 8
_SIGNATURE_BYTES = _PREFIX_BYTES + hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class _Key:
    prefix: bytes
    signs_from: datetime
    secret: bytes = field(repr=False)


class KeyVaultSigner:
    """The Signer port over a Vault. A signature begins with eight bytes that say which key made it.

    `rotate` makes a new key; it signs a quarter of an hour later, and the old one verifies for as long as its
    version is enabled. Disable that version when nothing it signed is of use any more: a cursor, for one, is
    asked for within minutes.
    """

    def __init__(self, vault: Vault, clock: Clock) -> None:
        """Not ready to sign: use `load`."""
        self._vault = vault
        self._clock = clock
        self._keys: dict[str, _Key] = {}
        self._by_prefix: dict[bytes, _Key] = {}

    @classmethod
    async def load(cls, vault: Vault, clock: Clock, *, undecided: float = UNDECIDED_SECONDS) -> Self:
        """With the keys there are, or a first one made now. Processes that start together agree on the first.

        Raises Permanent where there are keys and every one of them is disabled.
        """
        signer = cls(vault, clock)
        versions = await vault.versions(PLATFORM, NAME)
        if not versions:
            await signer.rotate()
            versions = await vault.versions(PLATFORM, NAME)
        if signer._clock.now() - versions[0].created_at < timedelta(seconds=undecided):
            await asyncio.sleep(undecided)
            versions = await vault.versions(PLATFORM, NAME)
        await signer._take(versions)
        return signer

    def over(self, vault: Vault) -> Self:
        """With the keys it has, and refreshed from that vault: a client stays in the loop that made it."""
        signer = type(self)(vault, self._clock)
        signer._keys, signer._by_prefix = self._keys, self._by_prefix
        return signer

    async def refresh(self) -> None:
        """Learn of new and disabled keys. A failure raises, and the keys stay as they were."""
        await self._take(await self._vault.versions(PLATFORM, NAME))

    async def rotate(self) -> None:
        """Make a new key, which this process knows after its next `refresh`."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - one key in a lifetime

        await self._vault.set(PLATFORM, NAME, AESGCM.generate_key(bit_length=256).hex())

    def sign(self, data: bytes) -> bytes:
        key = self._signing()
        return key.prefix + hmac.digest(key.secret, data, "sha256")

    def verify(self, data: bytes, signature: bytes) -> bool:
        key = self._by_prefix.get(signature[:_PREFIX_BYTES])
        if key is None or len(signature) != _SIGNATURE_BYTES:
            return False
        return hmac.compare_digest(signature[_PREFIX_BYTES:], hmac.digest(key.secret, data, "sha256"))

    def _signing(self) -> _Key:
        """The newest key that is settled; before there is one, the first, which everybody reads at start."""
        now, first = self._clock.now(), None
        for key in self._keys.values():
            if key.signs_from <= now:
                return key
            first = key
        if first is None:
            raise Permanent("The signer has no key. Await KeyVaultSigner.load before it signs.")
        return first

    async def _take(self, versions: list[SecretVersion]) -> None:
        """`versions` as the vault lists them, the newest first. A version's value never changes."""
        keys: dict[str, _Key] = {}
        for version in versions:
            if version.enabled and (key := await self._key(version)) is not None:
                keys[version.version] = key
        if not keys:
            raise Permanent(
                f"Every version of the secret {NAME} of {PLATFORM} is disabled or deleted. Enable one in the "
                "vault; without it, nothing that was signed can be verified."
            )
        self._keys = keys
        self._by_prefix = {key.prefix: key for key in keys.values()}

    async def _key(self, version: SecretVersion) -> _Key | None:
        if (known := self._keys.get(version.version)) is not None:
            return known
        try:
            secret = (await self._vault.get(PLATFORM, NAME, version.version)).value
        except (Forbidden, NotFound):
            return None  # disabled since it was listed
        if len(secret) < _LEAST_CHARACTERS:
            raise Permanent(
                f"Version {version.version} of the secret {NAME} is too short for a key. Disable it, and set "
                f"at least {_LEAST_CHARACTERS} random characters."
            )
        prefix = hashlib.sha256(version.version.encode()).digest()[:_PREFIX_BYTES]
        return _Key(prefix, version.created_at + SETTLED, secret.encode())
