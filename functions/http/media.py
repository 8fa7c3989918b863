"""Accept and Content-Type: what a caller gets, and what it sent (RFC 9110 sections 8.3 and 12.5)."""

import re
from dataclasses import dataclass
from functools import lru_cache

_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")
# Separators inside quotes do not separate. No look-ahead: these run over headers that a caller wrote.
_BETWEEN_COMMAS = re.compile(r'(?:[^,"]|"[^"]*"?)+')
_BETWEEN_SEMICOLONS = re.compile(r'(?:[^;"]|"[^"]*"?)+')


@dataclass(frozen=True, slots=True)
class Offer:
    """A representation a surface has: its bare type, its version, and the header it answers with."""

    media_type: str
    version: str
    content_type: str


@dataclass(frozen=True, slots=True)
class _Range:
    media_type: str
    version: str | None
    weight: float

    def fit(self, offer: Offer) -> int:
        """How exactly this range names the offer; 0 where it does not."""
        if self.version not in (None, offer.version):
            return 0
        if self.media_type == offer.media_type:
            return 3 if self.version is None else 4
        if self.media_type == offer.media_type.partition("/")[0] + "/*":
            return 2
        return 1 if self.media_type == "*/*" else 0


@lru_cache(maxsize=256)
def choose(offers: tuple[Offer, ...], accept: str) -> Offer | None:
    """The offer that the header likes best, the first one where it likes several equally, or None."""
    if not accept.strip():
        return offers[0]
    ranges = [_range(part) for part in _BETWEEN_COMMAS.findall(accept) if part.strip()]
    best, best_weight = None, 0.0
    for offer in offers:
        # The most exact range decides, so that `application/json;q=0, */*` does exclude JSON.
        fit, weight = max(((one.fit(offer), one.weight) for one in ranges), default=(0, 0.0))
        if fit and weight > best_weight:
            best, best_weight = offer, weight
    return best


def _range(text: str) -> _Range:
    media_type, parameters = parse_media_type(text)
    weight = parameters.get("q", "1")
    return _Range(media_type, parameters.get("version"), float(weight) if _WEIGHT.fullmatch(weight) else 1.0)


def parse_media_type(text: str) -> tuple[str, dict[str, str]]:
    """`Application/JSON; Version="1"` as (`application/json`, {version: 1})."""
    media_type, *parts = _BETWEEN_SEMICOLONS.findall(text) or [""]
    parameters = {}
    for part in parts:
        name, _, value = part.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    return media_type.strip().lower(), parameters


@lru_cache(maxsize=256)
def is_taken(content_type: str, consumes: tuple[str, ...]) -> bool:
    """Whether a body of this type, in UTF-8, is one of `consumes`; `type/*` and `*/*` stand for any."""
    media_type, parameters = parse_media_type(content_type)
    wanted = {media_type, media_type.partition("/")[0] + "/*", "*/*"}
    return not wanted.isdisjoint(consumes) and parameters.get("charset", "utf-8").lower() in ("utf-8", "utf8")
