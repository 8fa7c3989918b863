"""A DEVELOPMENT token issuer: mints access tokens with a key kept in a folder.

Must not stand before anything that matters: it has no users, no consent and no revocation, and whoever reads
its folder can mint any token.
"""

import base64
import fcntl
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shared.adapters.embedded.secret_file import keep, private_folder, replace
from shared.domain.kernel.actor import ActorKind
from shared.domain.kernel.errors import Permanent

type Document = dict[str, Any]

RETIRED_SECONDS = 24 * 3600
"""How long a key that signs no more stays published, for the tokens it signed."""
_WARNING = "Slipway's local development issuer. Not for production: use your identity provider there."


@dataclass(frozen=True, slots=True)
class _KeyRing:
    """What keys.json says: the key that signs, and everything published."""

    signing: RSAPrivateKey
    kid: str
    retired: tuple[tuple[Document, float], ...]
    """(public JWK, when it was retired in epoch seconds)"""


class Issuer:
    """Mints RS256 access tokens. Several processes may share the folder; each sees another's rotation."""

    def __init__(
        self, data_dir: Path, issuer: str, audience: str, *, now: Callable[[], float] = time.time
    ) -> None:
        """`now` gives epoch seconds. The key pair is made in `data_dir/issuer` on first use."""
        self.issuer = issuer
        self.audience = audience
        self._now = now
        self._folder = private_folder(data_dir / "issuer")
        self._file = self._folder / "keys.json"
        self._ring: tuple[tuple[int, int], _KeyRing] | None = None
        keep(self._file, lambda: _written(_new_pem(), ()))

    def mint(
        self,
        *,
        tenant: str,
        subject: str,
        scopes: Sequence[str] = (),
        roles: Sequence[str] = (),
        kind: ActorKind | str | None = None,
        on_behalf_of: str | None = None,
        expires_in: int = 3600,
        now: datetime | None = None,
    ) -> str:
        """An access token (RFC 9068). Delegated as RFC 8693 has it: `sub` for whom, `act.sub` who acts."""
        issued = int(now.timestamp() if now is not None else self._now())
        claims: Document = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": on_behalf_of or subject,
            "tenantId": tenant,
            "scope": " ".join(scopes),
            "roles": list(roles),
            "iat": issued,
            "nbf": issued,
            "exp": issued + expires_in,
            "jti": secrets.token_hex(16),
        }
        if kind is not None:
            claims["kind"] = str(kind)
        if on_behalf_of:
            claims["act"] = {"sub": subject}
        ring = self._keys()
        return jwt.encode(claims, ring.signing, "RS256", headers={"kid": ring.kid, "typ": "at+jwt"})

    def jwks(self) -> Document:
        """The signing key, and those retired within the last day, as RFC 7517 writes public keys."""
        ring, oldest = self._keys(), self._now() - RETIRED_SECONDS
        kept = [key for key, retired_at in ring.retired if retired_at > oldest]
        return {"keys": [_public_jwk(ring.signing, ring.kid), *kept]}

    def discovery(self) -> Document:
        """OpenID Connect Discovery 1.0, as far as client credentials go."""
        base = self.issuer.rstrip("/")
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{base}/.well-known/jwks.json",
            "token_endpoint": f"{base}/oauth2/token",
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            # The field wants a URL of something readable; this one carries its text with it.
            "service_documentation": f"data:text/plain,{quote(_WARNING)}",
        }

    def rotate(self) -> str:
        """Sign with a new key from now on; returns its kid. The private part of the old one is forgotten."""
        with locked(self._folder):
            ring, now = self._keys(), self._now()
            kept = tuple(one for one in ring.retired if one[1] > now - RETIRED_SECONDS)
            old = _public_jwk(ring.signing, ring.kid)
            replace(self._file, _written(_new_pem(), ((old, now), *kept)))
            return self._keys().kid

    def _keys(self) -> _KeyRing:
        # A replaced file has another inode: one stat tells whether another process has rotated.
        status = self._file.stat()
        version = (status.st_ino, status.st_mtime_ns)
        if self._ring is None or self._ring[0] != version:
            self._ring = version, _read(self._file)
        return self._ring[1]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone among the processes that change this folder's files. The system frees it when a process dies."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def thumbprint(jwk: Document) -> str:
    """The RFC 7638 thumbprint of an RSA key."""
    members = json.dumps({name: jwk[name] for name in ("e", "kty", "n")}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def _new_pem() -> str:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _written(pem: str, retired: tuple[tuple[Document, float], ...]) -> bytes:
    rows = [{"key": key, "retired_at": at} for key, at in retired]
    return json.dumps({"signing": pem, "retired": rows}, indent=1).encode()


def _read(file: Path) -> _KeyRing:
    try:
        document = json.loads(file.read_bytes())
        signing = cast(RSAPrivateKey, load_pem_private_key(document["signing"].encode(), password=None))
        retired = tuple((row["key"], float(row["retired_at"])) for row in document["retired"])
    except (ValueError, KeyError, TypeError):
        # `from None`: the text of a parser's error may quote the key.
        raise Permanent(
            f"{file} is damaged. Remove it to get a new key; tokens minted before stop working."
        ) from None
    return _KeyRing(signing, thumbprint(_public_jwk(signing)), retired)


def _public_jwk(key: RSAPrivateKey, kid: str = "") -> Document:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": public["n"], "e": public["e"]}
