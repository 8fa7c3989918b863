"""Verifies bearer tokens of one issuer for one audience. Must not believe a token about its own proof."""

import base64
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from shared.adapters.jwks import (
    ALGORITHMS,
    Document,
    Fetch,
    Keys,
    LocalKeys,
    RemoteKeys,
    discovered,
    fetch_json,
)
from shared.ports.clock import Clock
from shared.ports.tokens import TokenRefused

MOST_CHARACTERS = 16 * 1024
LEEWAY_SECONDS = 60
REMEMBERED = 10_000
REMEMBERED_SECONDS = 300
_LATEST = 253_402_300_799  # the last second of the year 9999
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
# Each would let the token choose its own key, its own rules, or another reading of its content.
_FORBIDDEN_HEADERS = ("crit", "jku", "jwk", "x5u", "x5c", "b64", "cty", "enc", "zip")

type Claims = Mapping[str, object]


class _Remembered(NamedTuple):
    claims: Claims
    until: float


class OidcTokens:
    """The TokenVerifier port. A verified token is remembered until it expires, for at most five minutes, and
    for so long outlives the withdrawal of its key."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        clock: Clock,
        *,
        jwks_url: str = "",
        fetch: Fetch | None = None,
        keys: Callable[[], Document] | None = None,
    ) -> None:
        """`keys` gives the JWKS of an issuer in this process; else it is fetched, by discovery if need be.

        `fetch` gets a URL and gives its JSON object, or raises Transient.
        """
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._keys: Keys = (
            LocalKeys(keys)
            if keys is not None
            else RemoteKeys(discovered(issuer, jwks_url, fetch or fetch_json), clock)
        )
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def verify(self, token: str) -> Claims:
        if len(token) > MOST_CHARACTERS or not token.isascii():
            raise TokenRefused(f"The token is longer than {MOST_CHARACTERS} characters, or not ASCII text.")
        # The hash stands for the token, so that a dump of this process's memory does not hold live ones.
        mark = hashlib.sha256(token.encode("ascii")).digest()
        now = self._clock.now().timestamp()
        known = self._remembered.get(mark)
        if known is not None and now < known.until:
            self._remembered.move_to_end(mark)
            return known.claims
        claims, expires = await self._check(token)
        self._remembered[mark] = _Remembered(claims, min(expires, now + REMEMBERED_SECONDS))
        self._remembered.move_to_end(mark)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return claims

    async def _check(self, token: str) -> tuple[Claims, int]:
        """The claims, and when they expire. Nothing of the payload is read before the signature holds."""
        segments = token.split(".")
        if len(segments) != 3:
            raise TokenRefused("The token does not have the three segments of a signed JWT.")
        header, payload, signature = (_decoded(segment) for segment in segments)
        key_id, algorithm = _header(_json_object(header, "header"))
        verify = await self._keys.find(key_id, algorithm)
        if verify is None:
            raise TokenRefused(f"The token names a key that the issuer does not publish for {algorithm}.")
        if not verify(token.rpartition(".")[0].encode("ascii"), signature):
            raise TokenRefused("The token's signature does not hold; it was forged or damaged.")
        claims = _json_object(payload, "claims")
        self._check_names(claims)
        return MappingProxyType(claims), self._check_times(claims)

    def _check_names(self, claims: dict[str, object]) -> None:
        if claims.get("iss") != self._issuer:
            raise TokenRefused(f"The token's issuer (iss) is not {self._issuer}; get a token there.")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(one, str) for one in audiences) or self._audience not in audiences:
            raise TokenRefused(f"The token's audience (aud) is not {self._audience}; ask for a token for it.")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject.strip():
            raise TokenRefused("The token names no subject (sub).")

    def _check_times(self, claims: dict[str, object]) -> int:
        """By our clock and not by PyJWT, which reads the wall's. Returns `exp`."""
        now = self._clock.now().timestamp()
        expires = _seconds(claims, "exp")
        if expires is None:
            raise TokenRefused("The token has no expiry (exp).")
        if now >= expires:
            raise TokenRefused("The token has expired; get a new one.")
        for name, meaning in (("nbf", "is not valid yet"), ("iat", "was issued in the future")):
            at = _seconds(claims, name)
            if at is not None and at > now + LEEWAY_SECONDS:
                raise TokenRefused(f"The token {meaning} ({name}); compare the issuer's clock with ours.")
        return expires


def _decoded(segment: str) -> bytes:
    """Strict base64url: one text for one content, or a token could be varied and still be signed."""
    if not _SEGMENT.fullmatch(segment) or len(segment) % 4 == 1:
        raise TokenRefused("A segment of the token is not base64url.")
    content = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(content).rstrip(b"=") != segment.encode("ascii"):
        raise TokenRefused("A segment of the token is not canonical base64url.")
    return content


def _json_object(content: bytes, part: str) -> dict[str, object]:
    try:
        text = content.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
        if "\\" in text:  # an escaped lone surrogate cannot be written out again, and would fail much later
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise TokenRefused(f"The token's {part} is not sound JSON, or names something twice.") from None
    if not isinstance(value, dict):
        raise TokenRefused(f"The token's {part} is not a JSON object.")
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):  # which of two an issuer meant and which a reader takes can differ
        raise ValueError("duplicate name")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _header(header: dict[str, object]) -> tuple[str, str]:
    """(key id, algorithm): words to look up in what the issuer publishes, never instructions."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefused(f"The token's algorithm (alg) is not one of {', '.join(sorted(ALGORITHMS))}.")
    for name in _FORBIDDEN_HEADERS:
        if name in header:
            raise TokenRefused(f"The token's header carries {name}, which is not accepted.")
    kind = header.get("typ")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenRefused("The token's type (typ) is neither JWT nor at+jwt; send an access token.")
    key_id = header.get("kid")
    if not isinstance(key_id, str):
        raise TokenRefused("The token's header names no key (kid).")
    return key_id, algorithm


def _seconds(claims: dict[str, object], name: str) -> int | None:
    """A time claim as whole seconds since 1970; None where there is none."""
    if name not in claims:
        return None
    value = claims[name]
    # bool is an int to Python; a float or a text here was not written by a sound issuer.
    if type(value) is not int or not 0 <= value <= _LATEST:
        raise TokenRefused(f"The token's {name} is not a whole number of seconds since 1970.")
    return value
