"""A pull request and its twin at a vendor: what either side said when both last agreed, and what has changed
since. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from shared.domain.kernel.canonical import sha256_hex


@dataclass(frozen=True, slots=True)
class Words:
    """What both sides say of one pull request."""

    title: str
    description: str
    is_draft: bool
    is_open: bool

    def sealed(self) -> "Words":
        """As it is kept for comparison: the texts as digests."""
        return replace(self, title=_digest(self.title), description=_digest(self.description))


FIELDS = tuple(field.name for field in fields(Words))


@dataclass(frozen=True, slots=True)
class Twin:
    """The same pull request at a vendor. `here` and `there` are sealed, and are two because a vendor may cut
    or reformat what it is given. `number` and `url` are the vendor's, None until it has one."""

    here: Words
    there: Words
    number: int | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """The fields that changed since the sides agreed. What changed on both is the vendor's: `inward`, and
    `contested` as well."""

    inward: frozenset[str]
    outward: frozenset[str]
    contested: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.inward or self.outward)


def begun(words: Words) -> Twin:
    """Of a pull request that its vendor has still to be told of."""
    return Twin(words.sealed(), words.sealed())


def compare(twin: Twin, here: Words, there: Words) -> Difference:
    """Three ways: against what each side said when they agreed. What both changed alike is no difference."""
    ours, theirs = here.sealed(), there.sealed()
    apart = {name for name in FIELDS if getattr(ours, name) != getattr(theirs, name)}
    ours_moved = {name for name in apart if getattr(ours, name) != getattr(twin.here, name)}
    theirs_moved = {name for name in apart if getattr(theirs, name) != getattr(twin.there, name)}
    return Difference(
        frozenset(theirs_moved), frozenset(ours_moved - theirs_moved), frozenset(ours_moved & theirs_moved)
    )


def agreed(twin: Twin, here: Words, there: Words, names: Iterable[str] = FIELDS) -> Twin:
    """Both sides know of each other's fields of these names."""
    ours, theirs = here.sealed(), there.sealed()
    return replace(
        twin,
        here=replace(twin.here, **{name: getattr(ours, name) for name in names}),
        there=replace(twin.there, **{name: getattr(theirs, name) for name in names}),
    )


def is_rendering(text: str, shown: str) -> bool:
    """Whether a vendor shows this text so: with other line ends, or cut."""
    plain, seen = _plain(text), _plain(shown)
    return plain == seen or (len(seen) > 0 and plain.startswith(seen))


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def _digest(text: str) -> str:
    return sha256_hex(text.encode("utf-8", "surrogatepass"))
