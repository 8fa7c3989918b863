"""Who calls: the bearer token's verified claims as an Actor of one tenant, and what it may do here."""

import base64
import re
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from functions.http.binding import Bound
from functions.http.endpoint import Endpoint
from functions.http.errors import ScopeMissing, TenantMismatch, TokenMissing
from shared.domain.kernel.actor import RESERVED_SUBJECTS, Actor, ActorKind
from shared.domain.kernel.policy import grants_of, is_granted
from shared.ports.tokens import TokenRefused

if TYPE_CHECKING:
    from shared.app import App

type Claims = Mapping[str, object]

ANONYMOUS = Actor(subject="anonymous", kind=ActorKind.SERVICE, tenant="")
"""Whoever calls a public endpoint. Its tenant is no tenant's name, so it can open no store."""

_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")
_BASIC = re.compile(r"(?i:basic) +([A-Za-z0-9+/]+=*)")
_API_KEY = "x-nuget-apikey"
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KINDS = {kind.value: kind for kind in (ActorKind.HUMAN, ActorKind.AGENT, ActorKind.SERVICE)}
_REMEMBERED = 10_000
_actors: OrderedDict[int, tuple[Claims, Actor]] = OrderedDict()
"""By the identity of claims: a verifier gives the same ones for as long as it remembers a token. They are
kept beside their actor, so that their id cannot come to mean others."""


async def authenticate(app: "App", endpoint: Endpoint, headers: Mapping[str, str]) -> Actor:
    """The caller. Raises TokenRefused, or Transient when the issuer's keys cannot be had."""
    if endpoint.is_public:
        return ANONYMOUS
    sent = headers.get("authorization")
    token = feed_token(sent, headers.get(_API_KEY)) if endpoint.dialect.takes_basic else bearer_token(sent)
    claims = await app.tokens.verify(token)
    known = _actors.get(id(claims))
    if known is not None and known[0] is claims:
        return known[1]
    actor = actor_from(claims, app.settings.tenant_claim)
    if isinstance(claims, MappingProxyType):  # which nobody can change; others may differ the next time
        _actors[id(claims)] = claims, actor
        if len(_actors) > _REMEMBERED:
            _actors.popitem(last=False)
    return actor


def bearer_token(header: str | None) -> str:
    """The token of an Authorization header (RFC 6750): one, with nothing around it."""
    if not header:
        raise TokenMissing("Send a bearer token: Authorization: Bearer <token>.")
    found = _BEARER.fullmatch(header)
    if found is None:
        raise TokenRefused("The Authorization header must be exactly `Bearer <token>`.")
    return found[1]


def feed_token(header: str | None, api_key: str | None) -> str:
    """The token as package managers send it: as a bearer token, as the password of Basic, or, where there is
    no Authorization, as the API key of `dotnet nuget push`."""
    if api_key and not header:
        header = f"Bearer {api_key}"
    found = _BASIC.fullmatch(header or "")
    if found is None:
        return bearer_token(header)
    try:
        _, _, password = base64.b64decode(found[1], validate=True).decode("ascii").partition(":")
    except ValueError:
        raise TokenRefused("The Authorization header must be `Basic` with a token as its password.") from None
    return bearer_token(f"Bearer {password}")


def actor_from(claims: Claims, tenant_claim: str = "") -> Actor:
    """Raises TokenRefused with a sentence where the claims do not say who calls, or for which tenant."""
    named = claims.get("sub") or claims.get("user_id")
    act = claims.get("act")
    if act is None:
        subject, on_behalf_of, described = _subject(named), None, claims
    elif isinstance(act, Mapping):
        # RFC 8693: `sub` is whom the token acts for, `act` is who acts and must be judged.
        subject, on_behalf_of, described = _subject(act.get("sub")), _subject(named), act
    else:
        raise TokenRefused("The token's `act` claim must be an object with a `sub`.")
    roles = _words(claims.get("roles"))
    return Actor(
        subject=subject,
        kind=_kind(subject, described, claims),
        tenant=_tenant(claims, tenant_claim),
        roles=roles,
        groups=_words(claims.get("groups")),
        on_behalf_of=on_behalf_of,
        grants=grants_of((*_words(claims.get("scope")), *_words(claims.get("permissions"))), roles),
        tier=tier if isinstance(tier := claims.get("tier"), str) else None,
    )


def authorise(endpoint: Endpoint, actor: Actor) -> None:
    if not endpoint.is_public and not is_granted(endpoint.scope, actor.grants):
        raise ScopeMissing(
            f"This needs the scope {endpoint.scope}; ask for a token or a role that grants it.",
            scope=endpoint.scope,
        )


def check_tenant(endpoint: Endpoint, actor: Actor, bound: Bound) -> None:
    """The token says which tenant it is; a body may repeat it, and may not say another."""
    if endpoint.is_public or bound.document is None:
        return
    field = endpoint.dialect.tenant_field
    if bound.document.get(field) not in (None, actor.tenant):
        raise TenantMismatch(
            f"The body's {field} is not the tenant of the token; leave it out or use the token's tenant."
        )


def _subject(claim: object) -> str:
    if not isinstance(claim, str) or not claim:
        raise TokenRefused("The token does not say who acts: it needs a `sub` claim.")
    if claim.casefold().startswith(RESERVED_SUBJECTS):
        begins = claim.partition(":")[0].casefold()
        raise TokenRefused(f"No token may speak as the platform: its `sub` starts with `{begins}:`.")
    return claim


def _tenant(claims: Claims, tenant_claim: str) -> str:
    for name in ("tenantId", "tenant_id", tenant_claim):
        if name and (claim := claims.get(name)) is not None:
            if isinstance(claim, str) and _TENANT.fullmatch(claim):
                return claim
            raise TokenRefused(
                f"The token's `{name}` must be one tenant: lower-case letters, digits and dashes, 63 at most."
            )
    raise TokenRefused("The token names no tenant: it needs a `tenantId` or `tenant_id` claim.")


def _kind(subject: str, described: Claims, claims: Claims) -> ActorKind:
    """What acts. Only people approve in production, so whatever is not clearly one is a machine."""
    # `kind` describes the subject it stands beside; a delegating human must not lend it to an agent.
    said = described.get("kind") or described.get("actor_kind") or claims.get("actor_kind")
    told = _KINDS.get(said, ActorKind.SERVICE) if isinstance(said, str) else None
    prefix = subject.partition(":")[0].casefold()
    if prefix in ("agent", "service"):
        return told if told not in (None, ActorKind.HUMAN) else _KINDS[prefix]
    if told is not None:
        return told
    is_app = claims.get("idtyp") == "app" or subject in (claims.get("client_id"), claims.get("azp"))
    return ActorKind.SERVICE if said is not None or is_app or described is not claims else ActorKind.HUMAN


def _words(claim: object) -> tuple[str, ...]:
    """A claim that is a list of words or one text with blanks between them; anything else says nothing."""
    if isinstance(claim, str):
        return tuple(claim.split())
    return tuple(word for word in claim if isinstance(word, str)) if isinstance(claim, list | tuple) else ()
