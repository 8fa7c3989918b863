"""Tokens of Microsoft Entra ID as this platform reads tokens. Must not believe more than Entra has signed.

Entra says with other claims what the platform reads from `sub`, `tenantId`, `scope` and `kind`; here the one
is put into the words of the other, and everything else is left behind.
"""

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from shared.adapters.jwks import Fetch
from shared.adapters.oidc import MOST_CHARACTERS, REMEMBERED, OidcTokens
from shared.domain.kernel.errors import Permanent
from shared.ports.clock import Clock
from shared.ports.tokens import TokenRefused

AUTHORITY = "https://login.microsoftonline.com"
V1_AUTHORITY = "https://sts.windows.net"
_KEPT = ("iss", "aud", "exp", "iat", "nbf", "roles", "groups", "oid", "tid")

type Claims = Mapping[str, object]


class _Told(NamedTuple):
    """What Entra signed, kept so that its identity cannot come to mean other claims, and how we read it."""

    signed: Claims
    read: Claims


class _Trusted(NamedTuple):
    """One issuer: a directory, in one version of its tokens."""

    directory: str
    tokens: OidcTokens


class EntraTokens:
    """The TokenVerifier port for one or more directories of Entra ID."""

    def __init__(
        self,
        directories: Mapping[str, str],
        audience: str,
        clock: Clock,
        *,
        v1_audience: str = "",
        tenant_claim: str = "",
        authority: str = AUTHORITY,
        v1_authority: str = V1_AUTHORITY,
        fetch: Fetch | None = None,
    ) -> None:
        """`directories`: the id of each directory (`tid`), and which tenant its callers belong to; an empty
        one stands for what the token's `tenant_claim` says.

        `audience` is the client id of the API's registration, as v2.0 tokens name it. Where the registration
        still gives v1.0 tokens, `v1_audience` is its App ID URI, and they are taken too; else they are not.
        `authority` differs in sovereign clouds.
        """
        if not directories:
            raise Permanent("Name at least one directory of Entra ID whose tokens are taken.")
        self._directories = {tid.lower(): tenant for tid, tenant in directories.items()}
        self._tenant_claim = tenant_claim
        self._issuers: dict[str, _Trusted] = {}
        for tid in self._directories:
            issuers = {f"{authority}/{tid}/v2.0": audience}
            if v1_audience:
                issuers[f"{v1_authority}/{tid}/"] = v1_audience
            for issuer, expected in issuers.items():
                self._issuers[issuer] = _Trusted(tid, OidcTokens(issuer, expected, clock, fetch=fetch))
        self._told: OrderedDict[int, _Told] = OrderedDict()

    async def verify(self, token: str) -> Claims:
        """Our claims: always the same object for as long as the token is remembered."""
        trusted = self._chosen(token)
        signed = await trusted.tokens.verify(token)
        known = self._told.get(id(signed))
        if known is not None and known.signed is signed:
            self._told.move_to_end(id(signed))
            return known.read
        read = MappingProxyType(self._read(signed, trusted.directory))
        self._told[id(signed)] = _Told(signed, read)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return read

    def _chosen(self, token: str) -> _Trusted:
        """By the issuer that the token claims, which only chooses among ours: the chosen one believes it or
        not. A token that cannot be read goes to the first, to be refused with a reason."""
        first = next(iter(self._issuers.values()))
        return first if len(self._issuers) == 1 else self._issuers.get(_claimed_issuer(token), first)

    def _read(self, signed: Claims, directory: str) -> dict[str, object]:
        if str(signed.get("tid")).lower() != directory:
            raise TokenRefused("The token's directory (tid) is not that of its issuer.")
        subject, client = signed.get("oid"), signed.get("azp") or signed.get("appid")
        if not isinstance(subject, str) or not subject.strip():
            raise TokenRefused(
                "The token names no object (oid); ask Entra for an access token of version 2.0."
            )
        if not isinstance(client, str) or not client:
            # An ID token has the API's audience too where the API signs its users in by itself.
            raise TokenRefused("The token names no client (azp or appid); send an access token, no ID token.")
        # `idtyp` is optional; without it, only what a person has consented to carries `scp`.
        is_human = signed["idtyp"] == "user" if "idtyp" in signed else "scp" in signed
        # A person's app roles are roles. An application's are the permissions it was granted: scopes.
        scopes = signed.get("scp") if is_human else signed.get("roles")
        return {
            **{name: signed[name] for name in _KEPT if name in signed},
            **self._tenant(signed, directory),
            "sub": subject,
            "client_id": client,
            "kind": "human" if is_human else "service",
            "scope": scopes if scopes is not None else "",
        }

    def _tenant(self, signed: Claims, directory: str) -> dict[str, object]:
        if tenant := self._directories[directory]:
            return {"tenantId": tenant}
        return {"tenantId": signed[self._tenant_claim]} if self._tenant_claim in signed else {}


def _claimed_issuer(token: str) -> str:
    import jwt  # noqa: PLC0415 - a tenth of a second to import

    if len(token) > MOST_CHARACTERS:
        return ""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return ""
    return str(claims.get("iss"))
