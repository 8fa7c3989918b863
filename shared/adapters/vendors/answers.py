"""What goes to a vendor and what comes back, and which of the kernel's errors a refusal is. Sends nothing."""

import json
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from multidict import CIMultiDictProxy
from pydantic import TypeAdapter, ValidationError

from shared.adapters.vendors.guard import shown
from shared.domain.kernel.errors import (
    Conflict,
    DeliveryError,
    Forbidden,
    Invalid,
    NotFound,
    Permanent,
    Transient,
)


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a call is made for. `authorize` gives the Authorization header, afresh for each attempt;
    `secret` is the name of what it is made from, for the sentence that asks to renew it."""

    key: str
    authorize: Callable[[], Awaitable[str]] = field(repr=False)
    secret: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Permanent where it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Permanent(
                f"The vendor answered {self.status} with something that is no JSON; see whether a proxy"
                " stands before it."
            ) from None

    def read[M](self, kind: type[M]) -> M:
        """The JSON body as this model, or list of models. Permanent where it has another shape."""
        try:
            found: M = _adapter(cast(Hashable, kind)).validate_json(self.body)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"])) or "the whole of it"
            raise Permanent(
                f"The vendor answered {self.status} in a shape that is not known here (at {where}); see"
                " whether a proxy stands before it."
            ) from None
        return found

    def said(self, *keys: str) -> str:
        """The first of these members of a JSON body that holds text; empty where there is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return ""
        texts = (found.get(key) for key in keys) if isinstance(found, dict) else ()
        return next((text for text in texts if isinstance(text, str)), "")


@dataclass(frozen=True, slots=True)
class Vendor:
    """How one vendor speaks. `headers` go with every request; `unauthenticated` are the statuses that mean a
    bad token; `permission` names the right that a refused call needs, as far as the answer tells;
    `siblings` are further hosts of its API, which see the token; `downloads` are those that it may send a
    download to, which never do. `*.example.com` is every host below."""

    name: str
    headers: Mapping[str, str] = field(default_factory=dict)
    unauthenticated: frozenset[int] = frozenset({401})
    said: Callable[[Answer], str] = lambda answer: answer.said("message")
    permission: Callable[[Answer], str] = lambda answer: ""
    siblings: frozenset[str] = frozenset()
    downloads: frozenset[str] = frozenset()
    at_once: int = 8

    def denies(self, answer: Answer) -> bool:
        return answer.status in self.unauthenticated


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(Any, kind))


class Unclear(Transient):
    """The call may have been done: its answer was lost. Look before it is made again."""

    code = "vendor_unclear"


class TooLarge(Permanent):
    """There is more of it than the caller reads."""

    code = "vendor_answer_too_large"


def meaning(vendor: Vendor, answer: Answer, account: Account, token: str, *, harmless: bool) -> DeliveryError:
    """The error that an answer stands for, with the vendor's own words, shortened. Unclear where a request
    that may not be repeated (not `harmless`) broke inside the vendor."""
    said = shown(vendor.said(answer), token)
    name, quoted = vendor.name, f": {said.rstrip('.')}" if said else ""
    if vendor.denies(answer):
        return Forbidden(
            f"{name} does not accept the token; set a new version of the secret '{account.secret}'."
        )
    match answer.status:
        case 403:
            needed = shown(vendor.permission(answer))
            grant = f"; give the token in '{account.secret}' the permission {needed}" if needed else ""
            return Forbidden(f"{name} does not allow this{quoted}{grant}.", permission=needed or None)
        case 404 | 410:
            return NotFound(f"{name} does not know this, or its token may not see it{quoted}.")
        case 409 | 412:
            return Conflict(f"{name} has it in another state{quoted}.")
        case 400 | 413 | 422:
            return Invalid(f"{name} does not take this{quoted}.")
        case status if (status >= 500 or status == 408) and not harmless:
            return unclear(vendor, str(status))
        case status if status >= 500 or status == 408:
            return Transient(f"{name} failed with {status}{quoted}; try again.")
        case status:
            return Permanent(f"{name} answered {status}{quoted}.")


def unclear(vendor: Vendor, reason: str) -> Unclear:
    return Unclear(
        f"{vendor.name} may or may not have done this: its answer was lost ({reason}); look, then try again."
    )
