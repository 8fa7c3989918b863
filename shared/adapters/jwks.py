"""An issuer's verification keys: read strictly, cached, and fetched again only as often as is polite.

Must not take a key, or a place to find one, from a token.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from shared.domain.kernel.errors import Transient
from shared.ports.clock import Clock

if TYPE_CHECKING:  # a tenth of a second to import, and only a first token needs it
    from jwt.types import JWKDict

type Document = dict[str, Any]
type Fetch = Callable[[str], Awaitable[Document]]
type Verify = Callable[[bytes, bytes], bool]
"""(what was signed, the signature) -> whether the signature holds."""
type KeyTable = dict[tuple[str, str], Verify]
"""(key id, algorithm) -> verification. A pair that is not there verifies nothing."""

ALGORITHMS = frozenset({"RS256", "PS256", "ES256"})
FRESH_SECONDS = 3600.0
STALE_SECONDS = 24 * 3600.0
COOLDOWN_SECONDS = 30.0
RETRY_SECONDS = 1.0
"""How soon an issuer is asked again while we have no key at all."""
ABSENT_SECONDS = 300.0
ABSENT_KEPT = 1000
_FETCH_SECONDS = 5.0
_FETCH_BYTES = 1024 * 1024
_LEAST_RSA_BITS = 2048
_PRIVATE_PARTS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class Keys(Protocol):
    async def find(self, key_id: str, algorithm: str) -> Verify | None:
        """None for a key the issuer does not publish for this algorithm. Transient when no key can be had."""


class LocalKeys:
    """The keys of an issuer in this very process: always current, no fetch."""

    def __init__(self, read: Callable[[], Document]) -> None:
        self._read = read
        self._document: Document | None = None
        self._table: KeyTable = {}

    async def find(self, key_id: str, algorithm: str) -> Verify | None:
        document = self._read()
        if document != self._document:
            self._document, self._table = document, key_table(document)
        return self._table.get((key_id, algorithm))


class RemoteKeys:
    """The keys behind a URL. Old ones keep serving for a day while the issuer cannot be reached."""

    def __init__(self, load: Callable[[], Awaitable[Document]], clock: Clock) -> None:
        """`load` raises Transient when it cannot get the document."""
        self._load = load
        self._clock = clock
        self._table: KeyTable = {}
        self._loaded_at: float | None = None
        self._tried_at: float | None = None
        self._failure = "The issuer's keys are not known yet; try again in a moment."
        self._absent: dict[tuple[str, str], float] = {}
        self._flight: asyncio.Task[None] | None = None

    async def find(self, key_id: str, algorithm: str) -> Verify | None:
        wanted = (key_id, algorithm)
        now = self._now()
        if self._usable(now) and (found := self._table.get(wanted)) is not None:
            if not self._within(self._loaded_at, FRESH_SECONDS, now) and self._may_try(now):
                self._fly()  # beside: a slow issuer must not slow down callers whose key we have
            return found
        if self._may_try(now) and not self._within(self._absent.get(wanted), ABSENT_SECONDS, now):
            self._fly()
        asked = self._flight
        if asked is not None:
            await asyncio.shield(asked)  # one caller's cancellation must not fail the others
        if not self._usable(self._now()):
            raise Transient(self._failure)
        found = self._table.get(wanted)
        # Only where the issuer was asked: a key it has just begun to use must not be written off unasked.
        if found is None and asked is not None and not self._failure:
            self._remember_absent(wanted)
        return found

    def _fly(self) -> None:
        if self._flight is None:
            self._tried_at = self._now()
            self._flight = asyncio.get_running_loop().create_task(self._refresh())

    async def _refresh(self) -> None:
        try:
            document = await self._load()
        except Transient as error:
            self._failure = error.message
        else:
            self._table, self._loaded_at, self._failure = key_table(document), self._now(), ""
        finally:
            self._flight = None

    def _remember_absent(self, wanted: tuple[str, str]) -> None:
        self._absent.pop(wanted, None)
        self._absent[wanted] = self._now()
        if len(self._absent) > ABSENT_KEPT:  # forgers choose key ids freely
            del self._absent[next(iter(self._absent))]

    def _usable(self, now: float) -> bool:
        return self._within(self._loaded_at, STALE_SECONDS, now)

    def _may_try(self, now: float) -> bool:
        pause = COOLDOWN_SECONDS if self._usable(now) else RETRY_SECONDS
        return not self._within(self._tried_at, pause, now)

    @staticmethod
    def _within(since: float | None, seconds: float, now: float) -> bool:
        return since is not None and now - since < seconds

    def _now(self) -> float:
        return self._clock.now().timestamp()


def discovered(issuer: str, jwks_url: str, fetch: Fetch) -> Callable[[], Awaitable[Document]]:
    """Loads the key document at `jwks_url`, or at the place the issuer's discovery document names."""

    async def load() -> Document:
        return await fetch(jwks_url or await locate())

    async def locate() -> str:
        page = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        document = await fetch(page)
        if document.get("issuer") != issuer:
            raise Transient(
                f"{page} speaks for another issuer; set the issuer exactly as it is written there."
            )
        place = document.get("jwks_uri")
        secure = "https://" if issuer.startswith("https://") else ("https://", "http://")
        if not isinstance(place, str) or not place.startswith(secure):
            raise Transient(f"{page} names no usable jwks_uri; have the issuer mended or set the JWKS URL.")
        return place

    return load


def key_table(document: Document) -> KeyTable:
    """The usable signature keys of a JWKS, without what is unfit (encryption, private, short, unknown)."""
    keys = document.get("keys")
    table: KeyTable = {}
    for key in keys if isinstance(keys, list) else ():
        if isinstance(key, dict):
            for algorithm, verify in _verifiers(key):
                table.setdefault((key["kid"], algorithm), verify)
    return table


def _verifiers(key: "JWKDict") -> Iterable[tuple[str, Verify]]:
    operations = key.get("key_ops")
    fit = (
        isinstance(key.get("kid"), str)
        and key.get("use", "sig") == "sig"
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
        and not _PRIVATE_PARTS & key.keys()
    )
    algorithms = {"RSA": ("RS256", "PS256"), "EC": ("ES256",)}.get(str(key.get("kty")), ()) if fit else ()
    for algorithm in algorithms:
        if key.get("alg", algorithm) == algorithm and (verify := _verifier(key, algorithm)):
            yield algorithm, verify


def _verifier(key: "JWKDict", algorithm: str) -> Verify | None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from jwt import PyJWK, PyJWTError  # noqa: PLC0415

    try:
        parsed = PyJWK(key, algorithm)
        public = parsed.Algorithm.prepare_key(parsed.key)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None  # one broken key must not take the others with it
    if isinstance(public, RSAPublicKey) and public.key_size < _LEAST_RSA_BITS:
        return None
    return lambda signed, signature: bool(parsed.Algorithm.verify(signed, public, signature))


async def fetch_json(url: str) -> Document:
    """GET one JSON object: 5 seconds, 1 MB, no redirect. Raises Transient whatever goes wrong."""
    import aiohttp  # noqa: PLC0415 - used once an hour, and not at all on the embedded platform

    limit = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(url, allow_redirects=False, headers={"accept": "application/json"}) as response,
        ):
            if response.status != 200:
                raise Transient(
                    f"{url} answered {response.status}; the issuer's keys cannot be read from it."
                )
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _FETCH_BYTES:
                    raise Transient(
                        f"{url} answered more than {_FETCH_BYTES} bytes; that is no key document."
                    )
        document = json.loads(body)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Transient(f"{url} cannot be reached ({type(error).__name__}); try again later.") from error
    except (ValueError, RecursionError):
        raise Transient(f"{url} did not answer JSON; check that it is the issuer's address.") from None
    if not isinstance(document, dict):
        raise Transient(f"{url} did not answer a JSON object; check that it is the issuer's address.")
    return document
