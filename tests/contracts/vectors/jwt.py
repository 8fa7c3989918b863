"""Bearer tokens and what any TokenVerifier must make of them. Data only: the tests run them."""

from collections.abc import Callable
from typing import NamedTuple

from tests.support.tokens import AUDIENCE, ISSUER, NOW, Tokens, base64url, sign

ACCEPTED = "accepted"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Row(NamedTuple):
    """`expected` is ACCEPTED, or a word that the refusal's sentence must hold."""

    name: str
    build: Callable[[Tokens], str]
    expected: str


def _claims(**claims: object) -> Callable[[Tokens], str]:
    """A sound token with these claims; None leaves one out."""

    def build(tokens: Tokens) -> str:
        members = tokens.claims() | claims
        return tokens.forge(claims={name: value for name, value in members.items() if value is not None})

    return build


def _claims_text(text: str) -> Callable[[Tokens], str]:
    return lambda tokens: tokens.forge(claims=text)


def _with_exp(literal: str) -> Callable[[Tokens], str]:
    """`exp` as it stands in the JSON text."""
    return _claims_text(f'{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"ann","exp":{literal}}}')


def _header(**header: object) -> Callable[[Tokens], str]:
    """A sound token with these header members; None leaves one out."""
    return lambda tokens: tokens.forge(header=header)


def _header_text(text: str) -> Callable[[Tokens], str]:
    return lambda tokens: tokens.forge(header=text)


def _signed(algorithm: str, *, said: str | None = None, key: str = "main") -> Callable[[Tokens], str]:
    """Really signed with `algorithm`, while the header says `said`."""
    header = {} if said is None else {"alg": said}
    return lambda tokens: tokens.forge(algorithm=algorithm, header=header, key=key)


def _crossed(algorithm: str, kid: str) -> Callable[[Tokens], str]:
    return lambda tokens: tokens.forge(algorithm=algorithm, header={"kid": kid})


def _bent(bend: Callable[[str], str]) -> Callable[[Tokens], str]:
    """A sound token's text, altered."""
    return lambda tokens: bend(tokens.forge())


def _segments(bend: Callable[[str, str, str], str]) -> Callable[[Tokens], str]:
    def build(tokens: Tokens) -> str:
        header, payload, signature = tokens.forge().split(".")
        return bend(header, payload, signature)

    return build


def _loose_bits(segment: str) -> str:
    """The same bytes with other unused bits at the end (2048-bit signatures leave four of them)."""
    last = _ALPHABET.index(segment[-1])
    return segment[:-1] + _ALPHABET[last ^ 1]


def _nested(tokens: Tokens) -> str:
    text = f"{base64url(b'{"alg":"RS256","typ":"JWT","kid":"main"}')}.{base64url(tokens.forge().encode())}"
    return f"{text}.{base64url(sign('RS256', text))}"


def _not_utf8(tokens: Tokens) -> str:
    text = f"{base64url(b'{"alg":"RS256","typ":"JWT","kid":"main"}')}.{base64url(b'{"sub":"\xff"}')}"
    return f"{text}.{base64url(sign('RS256', text))}"


_JWK = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}
_HEADER = '"alg":"RS256","typ":"JWT","kid":"main"'

ROWS = (
    Row("sound RS256", _claims(), ACCEPTED),
    Row("sound PS256", _signed("PS256"), ACCEPTED),
    Row("sound ES256", _signed("ES256"), ACCEPTED),
    Row("typ at+jwt", _header(typ="at+jwt"), ACCEPTED),
    Row("typ application/at+jwt", _header(typ="application/at+jwt"), ACCEPTED),
    Row("typ in lower case", _header(typ="jwt"), ACCEPTED),
    Row("x5t, a mere thumbprint", _header(x5t="main"), ACCEPTED),
    Row("aud list that holds ours", _claims(aud=["other", AUDIENCE]), ACCEPTED),
    Row("no nbf and no iat", _claims(nbf=None, iat=None), ACCEPTED),
    Row("nbf within the leeway", _claims(nbf=NOW + 55), ACCEPTED),
    Row("iat within the leeway", _claims(iat=NOW + 55), ACCEPTED),
    Row("unicode subject", _claims(sub="Zoë 張"), ACCEPTED),
    Row("escaped emoji in a claim", _claims_text(
        f'{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"\\ud83d\\ude00","exp":{NOW + 60}}}'), ACCEPTED),
    Row("exp a second ahead", _claims(exp=NOW + 1), ACCEPTED),
    # The algorithm is ours to choose.
    Row("alg none with no signature", _signed("none"), "base64url"),
    Row("alg none with a signature", _signed("RS256", said="none"), "algorithm"),
    Row("alg None", _signed("RS256", said="None"), "algorithm"),
    Row("alg nOnE", _signed("RS256", said="nOnE"), "algorithm"),
    Row("alg empty", _signed("RS256", said=""), "algorithm"),
    Row("alg missing", _header(alg=None), "algorithm"),
    Row("alg a number", _header(alg=256), "algorithm"),
    Row("alg a list", _header(alg=["RS256"]), "algorithm"),
    Row("alg in lower case", _header(alg="rs256"), "algorithm"),
    Row("alg HS256 keyed with the public key", _signed("HS256"), "algorithm"),
    Row("alg HS256 signature under RS256", _signed("HS256", said="RS256"), "signature"),
    Row("alg RS512", _header(alg="RS512"), "algorithm"),
    Row("alg RS1", _header(alg="RS1"), "algorithm"),
    Row("alg EdDSA", _header(alg="EdDSA"), "algorithm"),
    Row("alg ES256K", _header(alg="ES256K"), "algorithm"),
    Row("ES256 signature, RSA key id", _crossed("ES256", "main"), "key"),
    Row("RS256 signature, EC key id", _crossed("RS256", "curve"), "key"),
    Row("RS256 said, PS256 signed", _signed("PS256", said="RS256"), "signature"),
    Row("PS256 said, RS256 signed", _signed("RS256", said="PS256"), "signature"),
    # The key is the issuer's to publish.
    Row("kid missing", _header(kid=None), "key"),
    Row("kid unknown", _header(kid="other"), "key"),
    Row("kid empty", _header(kid=""), "key"),
    Row("kid a path", _header(kid="../../../../dev/null"), "key"),
    Row("kid an SQL injection", _header(kid="main' UNION SELECT 'x' --"), "key"),
    Row("kid a URL", _header(kid="https://evil.test/jwks.json"), "key"),
    Row("kid a command", _header(kid="main|id"), "key"),
    Row("kid with a NUL", _header(kid="main\0"), "key"),
    Row("kid in other case", _header(kid="MAIN"), "key"),
    Row("kid a number", _header(kid=1), "key"),
    Row("kid a list", _header(kid=["main"]), "key"),
    Row("jku", _header(jku="https://evil.test/jwks.json"), "jku"),
    Row("jwk", _header(jwk=_JWK), "jwk"),
    Row("x5u", _header(x5u="https://evil.test/cert.pem"), "x5u"),
    Row("x5c", _header(x5c=["MIIB"]), "x5c"),
    Row("signed by another key", _signed("RS256", key="stranger"), "signature"),
    Row("ES256 signed by another key", _signed("ES256", key="stranger"), "signature"),
    Row("ES256 signature of zeros", lambda tokens: (
        tokens.forge(algorithm="ES256").rpartition(".")[0] + "." + base64url(bytes(64))), "signature"),
    # The header is no place for instructions.
    Row("crit", _header(crit=["exp"]), "crit"),
    Row("crit empty", _header(crit=[]), "crit"),
    Row("b64 false", _header(b64=False), "b64"),
    Row("zip", _header(zip="DEF"), "zip"),
    Row("typ of an ID token event", _header(typ="logout+jwt"), "type"),
    Row("typ missing", _header(typ=None), "type"),
    Row("typ a list", _header(typ=["JWT"]), "type"),
    Row("duplicate alg in the header", _header_text(f'{{{_HEADER},"alg":"none"}}'), "twice"),
    Row("header a list", _header_text("[]"), "JSON object"),
    Row("header not JSON", _header_text("{alg:RS256}"), "JSON"),
    Row("header nested beyond reason", _header_text("[" * 11_500), "JSON"),
    # Who it is for, and from.
    Row("aud another", _claims(aud="other"), "audience"),
    Row("aud missing", _claims(aud=None), "audience"),
    Row("aud list without ours", _claims(aud=["other"]), "audience"),
    Row("aud empty list", _claims(aud=[]), "audience"),
    Row("aud list with a number", _claims(aud=[AUDIENCE, 1]), "audience"),
    Row("aud an object", _claims(aud={AUDIENCE: True}), "audience"),
    Row("aud ours and more in one text", _claims(aud=f"{AUDIENCE} other"), "audience"),
    Row("aud in other case", _claims(aud=AUDIENCE.upper()), "audience"),
    Row("iss another", _claims(iss="https://evil.test"), "issuer"),
    Row("iss with a trailing slash", _claims(iss=ISSUER + "/"), "issuer"),
    Row("iss missing", _claims(iss=None), "issuer"),
    Row("iss a list", _claims(iss=[ISSUER]), "issuer"),
    Row("iss in other case", _claims(iss=ISSUER.upper()), "issuer"),
    Row("sub missing", _claims(sub=None), "subject"),
    Row("sub empty", _claims(sub=""), "subject"),
    Row("sub blank", _claims(sub="  "), "subject"),
    Row("sub a number", _claims(sub=42), "subject"),
    Row("sub a list", _claims(sub=["ann"]), "subject"),
    # When.
    Row("exp missing", _claims(exp=None), "expiry"),
    Row("exp null", _with_exp("null"), "whole number"),
    Row("exp past", _claims(exp=NOW - 1), "expired"),
    Row("exp just now", _claims(exp=NOW), "expired"),
    Row("exp a float", _with_exp(f"{NOW + 60}.5"), "whole number"),
    Row("exp in exponent form", _with_exp("9e9"), "whole number"),
    Row("exp a text", _with_exp(f'"{NOW + 60}"'), "whole number"),
    Row("exp huge", _with_exp("9" * 40), "whole number"),
    Row("exp of too many digits to read", _with_exp("9" * 6000), "JSON"),
    Row("exp infinite", _with_exp("Infinity"), "JSON"),
    Row("exp NaN", _with_exp("NaN"), "JSON"),
    Row("exp beyond a float", _with_exp("1e999"), "whole number"),
    Row("exp negative", _with_exp("-1"), "whole number"),
    Row("exp true", _with_exp("true"), "whole number"),
    Row("exp a list", _with_exp(f"[{NOW + 60}]"), "whole number"),
    Row("nbf beyond the leeway", _claims(nbf=NOW + 65), "not valid yet"),
    Row("nbf a text", _claims(nbf=str(NOW)), "whole number"),
    Row("iat beyond the leeway", _claims(iat=NOW + 65), "future"),
    Row("iat a float", _claims(iat=NOW + 0.5), "whole number"),
    Row("iat false", _claims(iat=False), "whole number"),
    # The claims as text.
    Row("duplicate sub in the claims", _claims_text(
        f'{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"ann","sub":"root","exp":{NOW + 60}}}'), "twice"),
    Row("duplicate sub, one escaped", _claims_text(
        f'{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"ann","s\\u0075b":"root","exp":{NOW + 60}}}'), "twice"),
    Row("duplicate name inside a claim", _claims_text(
        f'{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"ann","exp":{NOW + 60},"a":{{"b":1,"b":2}}}}'),
        "twice"),
    Row("lone surrogate in a claim", _claims_text(
        f'{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"\\ud800","exp":{NOW + 60}}}'), "JSON"),
    Row("claims a list", _claims_text("[]"), "JSON object"),
    Row("claims a text", _claims_text('"ann"'), "JSON object"),
    Row("claims null", _claims_text("null"), "JSON object"),
    Row("claims cut off", _claims_text('{"sub":"ann"'), "JSON"),
    Row("claims with something after", _claims_text('{"sub":"ann"} {}'), "JSON"),
    Row("claims nested beyond reason", _claims_text("[" * 11_500), "JSON"),
    Row("claims not UTF-8", _not_utf8, "JSON"),
    Row("a JWT inside a JWT", _nested, "JSON"),
    Row("cty JWT", _header(cty="JWT"), "cty"),
    # The token as text.
    Row("empty", lambda tokens: "", "segments"),
    Row("one word", lambda tokens: "token", "segments"),
    Row("two segments", _segments(lambda h, p, s: f"{h}.{p}"), "segments"),
    Row("four segments", _bent(lambda text: text + ".AAAA"), "segments"),
    Row("five segments, as a JWE", _bent(lambda text: text + ".AAAA.AAAA"), "segments"),
    Row("no signature, trailing dot", _segments(lambda h, p, s: f"{h}.{p}."), "base64url"),
    Row("no header", _segments(lambda h, p, s: f".{p}.{s}"), "base64url"),
    Row("no claims", _segments(lambda h, p, s: f"{h}..{s}"), "base64url"),
    Row("truncated", _bent(lambda text: text[:-2]), "signature"),
    Row("one byte of the signature changed", _segments(
        lambda h, p, s: f"{h}.{p}.{'B' if s[0] == 'A' else 'A'}{s[1:]}"), "signature"),
    Row("claims of another token", _segments(
        lambda h, p, s: f"{h}.{base64url(b'{"sub":"root"}')}.{s}"), "signature"),
    Row("padding", _bent(lambda text: text + "=="), "base64url"),
    Row("standard alphabet", _segments(lambda h, p, s: f"{h}.{p}.+/{s[2:]}"), "base64url"),
    Row("trailing bits not zero", _segments(lambda h, p, s: f"{h}.{p}.{_loose_bits(s)}"), "canonical"),
    Row("a segment of an impossible length", _segments(lambda h, p, s: f"{h}.{p}.{s[:-1]}"), "base64url"),
    Row("leading blank", _bent(lambda text: " " + text), "base64url"),
    Row("trailing line feed", _bent(lambda text: text + "\n"), "base64url"),
    Row("blank within", _segments(lambda h, p, s: f"{h}. {p}.{s}"), "base64url"),
    Row("with its scheme", _bent(lambda text: "Bearer " + text), "base64url"),
    Row("fullwidth letters", _bent(lambda text: "\uff45" + text[1:]), "ASCII"),
    Row("lone surrogate", _bent(lambda text: text + "\ud800"), "ASCII"),
    Row("NUL at the end", _bent(lambda text: text + "\0"), "base64url"),
    Row("100 KB", _claims(padding="x" * 75_000), "longer"),
    Row("100 KB of dots", lambda tokens: "." * 100_000, "longer"),
)  # fmt: skip
