"""Tokens for tests: sound ones, a verifier that believes them, and forged ones of every make."""

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm, RSAPSSAlgorithm

from shared.adapters.oidc import OidcTokens
from shared.ports.clock import Clock
from tests.support.app import START, SteppingClock

ISSUER = "https://issuer.test"
AUDIENCE = "slipway"
NOW = int(START.timestamp())

type Claims = dict[str, Any]


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key per name and process: making one costs a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def sign(algorithm: str, text: str, key: str = "main") -> bytes:
    """The signature of `text` by the key of that name; HS256 signs with the PUBLIC RSA key, as forgers do."""
    content = text.encode()
    match algorithm:
        case "RS256":
            return RSAAlgorithm(RSAAlgorithm.SHA256).sign(content, rsa_key(key))
        case "PS256":
            return RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256).sign(content, rsa_key(key))
        case "ES256":
            return ECAlgorithm(ECAlgorithm.SHA256).sign(content, ec_key(key))
        case "HS256":
            public = rsa_key(key).public_key()
            secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            return hmac.digest(secret, content, "sha256")
        case _:
            return b""


def public_jwk(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, kid: str, **members: str) -> Claims:
    public = (
        RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        if isinstance(key, rsa.RSAPrivateKey)
        else ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    )
    return {**public, "kid": kid, "use": "sig", **members}


class Tokens:
    """A throwaway issuer with an RSA key (kid `main`) and an EC key (kid `curve`)."""

    def __init__(self, clock: Clock | None = None, *, issuer: str = ISSUER, audience: str = AUDIENCE) -> None:
        self.clock = clock or SteppingClock()
        self.issuer = issuer
        self.audience = audience

    def jwks(self) -> Claims:
        return {"keys": [public_jwk(rsa_key("main"), "main"), public_jwk(ec_key("main"), "curve")]}

    def verifier(self) -> OidcTokens:
        return OidcTokens(self.issuer, self.audience, self.clock, keys=self.jwks)

    def mint(
        self,
        *,
        tenant: str = "acme",
        subject: str = "ann",
        scopes: Sequence[str] = (),
        roles: Sequence[str] = (),
        **claims: object,
    ) -> str:
        """A token the verifier believes, valid for an hour from the clock's now; `claims` add or replace."""
        now = int(self.clock.now().timestamp())
        own = {"tenantId": tenant, "sub": subject, "scope": " ".join(scopes), "roles": list(roles)}
        return self.forge(claims=self.claims(now) | own | claims)

    def claims(self, now: int = NOW) -> Claims:
        """The claims of a sound token."""
        return {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": "ann",
            "tenantId": "acme",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
        }

    def forge(
        self,
        *,
        header: Mapping[str, object] | str | None = None,
        claims: Mapping[str, object] | str | None = None,
        algorithm: str = "RS256",
        key: str = "main",
    ) -> str:
        """A token with any header and claims (a text stands as it is), signed by `key` with `algorithm`.

        `header` adds to or replaces alg, typ and kid; a member that is None is left out.
        """
        if not isinstance(header, str):
            kid = "curve" if algorithm == "ES256" else "main"
            members = {"alg": algorithm, "typ": "JWT", "kid": kid} | dict(header or {})
            header = json.dumps({name: value for name, value in members.items() if value is not None})
        if not isinstance(claims, str):
            claims = json.dumps(self.claims() if claims is None else dict(claims))
        text = f"{base64url(header.encode())}.{base64url(claims.encode())}"
        return f"{text}.{base64url(sign(algorithm, text, key))}"
