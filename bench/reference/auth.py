"""Bearer tokens: RS256 by PyJWT with a cached key set, then the scope. Async, so that it costs no thread."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from bench.reference.settings import ReferenceSettings, get_settings

bearer = HTTPBearer(auto_error=False)


@dataclass(frozen=True, slots=True)
class Caller:
    tenant: str
    subject: str
    scopes: frozenset[str]


@cache
def key_client(url: str) -> jwt.PyJWKClient:
    return jwt.PyJWKClient(url, cache_keys=True, lifespan=3600)


def refused(reason: str) -> HTTPException:
    return HTTPException(401, reason, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


async def get_caller(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    settings: Annotated[ReferenceSettings, Depends(get_settings)],
) -> Caller:
    if credentials is None:
        raise refused("Send a bearer token.")
    try:
        key = key_client(settings.jwks_url).get_signing_key_from_jwt(credentials.credentials)
        claims: dict[str, Any] = jwt.decode(
            credentials.credentials,
            key,
            algorithms=["RS256"],
            audience=settings.audience,
            issuer=settings.issuer,
            leeway=60,
            options={"require": ["exp", "iat", "sub", "aud", "iss"]},
        )
    except jwt.PyJWTError as error:
        raise refused("The token is not valid.") from error
    tenant = claims.get("tenantId")
    if not isinstance(tenant, str) or not tenant:
        raise refused("The token names no tenant.")
    return Caller(tenant, claims["sub"], frozenset(claims.get("scope", "").split()))


def requires(scope: str) -> Callable[[Caller], Awaitable[Caller]]:
    async def check(caller: Annotated[Caller, Depends(get_caller)]) -> Caller:
        if scope not in caller.scopes:
            raise HTTPException(403, f"This needs the scope {scope}.")
        return caller

    return check
