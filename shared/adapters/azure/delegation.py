"""URLs that read one blob until they expire, signed as the identity of this process, with no account key."""

import asyncio
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from azure.storage.blob import BlobSasPermissions, UserDelegationKey, generate_blob_sas
from azure.storage.blob.aio import BlobClient, BlobServiceClient

from shared.adapters.blob_paths import content_type
from shared.domain.kernel.errors import Invalid
from shared.ports.clock import Clock

SKEW = timedelta(minutes=15)
"""How far Azure's clocks and ours may differ before a new URL is refused as one of the future."""
KEY_LIFE = timedelta(days=1)
LONGEST_KEY = timedelta(days=7)
"""Azure's own limit; no URL outlives the key that signed it."""
LONGEST = LONGEST_KEY - 2 * SKEW
_SHOWN = ("text/plain", "application/json")


class Delegation:
    """Signs with a user delegation key, which is fetched about once a day and replaced before it is too short
    for what is asked."""

    def __init__(self, service: BlobServiceClient, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._key: UserDelegationKey | None = None
        self._key_ends: datetime | None = None
        self._fetching = asyncio.Lock()

    async def url(self, blob: BlobClient, path: str, expires_in: timedelta) -> str:
        """Raises Invalid for more than seven days, less half an hour."""
        if expires_in > LONGEST:
            raise Invalid("A blob's URL lasts at most a little less than seven days; ask for less.")
        now = self._clock.now()
        # What a browser would run as a page is handed over as a file.
        kind = content_type(path)
        disposition = "inline" if kind.startswith(_SHOWN) else "attachment"
        signature = generate_blob_sas(
            account_name=str(self._service.account_name),
            container_name=blob.container_name,
            blob_name=blob.blob_name,
            user_delegation_key=await self._key_until(now, now + expires_in),
            permission=BlobSasPermissions(read=True),
            start=now - SKEW,
            expiry=now + expires_in,
            protocol="https",
            content_type=kind,
            content_disposition=disposition,
        )
        return f"{urlsplit(blob.url)._replace(query='').geturl()}?{signature}"

    async def _key_until(self, now: datetime, end: datetime) -> UserDelegationKey:
        async with self._fetching:  # many first callers share one fetch
            if self._key is None or self._key_ends is None or self._key_ends < end:
                ends = min(max(end + SKEW, now + KEY_LIFE), now + LONGEST_KEY - SKEW)
                self._key = await self._service.get_user_delegation_key(now - SKEW, ends)
                self._key_ends = ends
            return self._key
