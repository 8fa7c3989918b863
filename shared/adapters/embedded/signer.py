"""Signatures by HMAC-SHA256 with a key file of the data folder. Must never show the key."""

import hmac
import secrets
from pathlib import Path

from shared.adapters.embedded.secret_file import keep

_KEY_BYTES = 32


class HmacSigner:
    """The Signer port. The key is made on first use; every process of the folder signs with the same one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._key = keep(path, lambda: secrets.token_bytes(_KEY_BYTES))

    def sign(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")

    def verify(self, data: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self.sign(data), signature)
