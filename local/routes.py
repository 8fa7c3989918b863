"""The host's routing: which function answers a method and a path. It never looks at handlers or bodies.

Templates are ASP.NET's, compared without case: `{id}`, `{id:int}`, `{id?}`, `{*rest}`. Among templates that
fit, each segment from the left prefers a literal, then a constrained parameter, a plain one, a constrained
catch-all, a plain one. A template that fits with another method does not hide one that fits with this one.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

ALL_METHODS: Final = "*"


class BadRoute(Exception):
    """A template the host cannot serve, or one that another function has already."""


@dataclass(frozen=True, slots=True)
class Match[T]:
    """The answering target and the route values by name; an optional value that is absent is left out."""

    target: T
    params: Mapping[str, str]


type Check = Callable[[str], bool]


@dataclass(slots=True)
class _Node[T]:
    """The templates that share their segments so far."""

    literals: "dict[str, _Node[T]]" = field(default_factory=dict)
    parameters: "dict[tuple[str, ...], _Node[T]]" = field(default_factory=dict)
    rests: "dict[tuple[str, ...], _Node[T]]" = field(default_factory=dict)
    leaves: "dict[str, _Leaf[T]]" = field(default_factory=dict)
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class _Leaf[T]:
    target: T
    template: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Segment:
    """One segment of a template: a literal, or the name and constraints of a parameter."""

    literal: str | None
    name: str = ""
    constraints: tuple[str, ...] = ()
    optional: bool = False
    rest: bool = False


class Routes[T]:
    """A tree of segments. Adding is for start-up; matching costs a step per segment, however many routes."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, template: str, methods: Iterable[str] | None, target: T) -> None:
        """Serve a template (no leading slash) with these methods; None means every one. Raises BadRoute."""
        segments = _parse(template)
        names = [segment.name for segment in segments if segment.literal is None]
        if len(set(names)) != len(names):
            raise BadRoute(f"The route {template!r} names a parameter twice.")
        wanted = [ALL_METHODS] if methods is None else [method.upper() for method in methods]
        for length in _lengths(segments):
            node = self._root
            for segment in segments[:length]:
                node = _step(node, segment)
            for method in wanted:
                taken = node.leaves.get(method)
                if taken is not None:
                    raise BadRoute(
                        f"The routes {taken.template!r} and {template!r} answer the same {method} requests;"
                        " change one of them."
                    )
                node.leaves[method] = _Leaf(target, template, tuple(names))

    def match(self, method: str, raw_path: str) -> Match[T] | None:
        """The function for a percent-encoded path, or None: an unknown path and a wrong method look alike."""
        trimmed = raw_path[1:-1] if len(raw_path) > 1 and raw_path.endswith("/") else raw_path[1:]
        segments = trimmed.split("/") if trimmed else []
        if "%" in trimmed:
            segments = [decoded(segment) for segment in segments]
        found = _walk(self._root, method, segments, 0, ())
        if found is None:
            return None
        leaf, values = found
        return Match(leaf.target, dict(zip(leaf.names, values, strict=False)))


def decoded(segment: str) -> str:
    """A path segment without percent-encoding; an encoded slash stays encoded, as on the real host."""
    return unquote(re.sub("%2f", "%252F", segment, flags=re.IGNORECASE))


def _walk[T](
    node: _Node[T], method: str, segments: Sequence[str], at: int, values: tuple[str, ...]
) -> tuple[_Leaf[T], tuple[str, ...]] | None:
    if at == len(segments):
        leaf = node.leaves.get(method) or node.leaves.get(ALL_METHODS)
        return (leaf, values) if leaf is not None else _rest(node, method, "", values)
    segment = segments[at]
    literal = node.literals.get(segment.lower())
    if literal is not None and (found := _walk(literal, method, segments, at + 1, values)) is not None:
        return found
    if segment:
        for parameter in node.parameters.values():
            if all(check(segment) for check in parameter.checks):
                found = _walk(parameter, method, segments, at + 1, (*values, segment))
                if found is not None:
                    return found
    return _rest(node, method, "/".join(segments[at:]), values) if node.rests else None


def _rest[T](
    node: _Node[T], method: str, rest: str, values: tuple[str, ...]
) -> tuple[_Leaf[T], tuple[str, ...]] | None:
    for follower in node.rests.values():
        leaf = follower.leaves.get(method) or follower.leaves.get(ALL_METHODS)
        if leaf is not None and all(check(rest) for check in follower.checks):
            return leaf, (*values, rest) if rest else values
    return None


def _step[T](node: _Node[T], segment: _Segment) -> _Node[T]:
    if segment.literal is not None:
        return node.literals.setdefault(segment.literal.lower(), _Node())
    group = node.rests if segment.rest else node.parameters
    if segment.constraints not in group:
        group[segment.constraints] = _Node(checks=tuple(_check(text) for text in segment.constraints))
        # Constrained ones are asked first, so they must come first whatever the order of declaration.
        ordered = sorted(group.items(), key=lambda item: not item[0])
        group.clear()
        group.update(ordered)
    return group[segment.constraints]


def _lengths(segments: Sequence[_Segment]) -> Iterator[int]:
    """A template with optional segments at its end stands for several without."""
    yield len(segments)
    for at in range(len(segments) - 1, -1, -1):
        if not segments[at].optional:
            return
        yield at


PARAMETER: Final = re.compile(
    r"\{(?P<rest>\*{0,2})(?P<name>\w+)(?P<constraints>(?::[^{}]+)?)(?P<optional>\??)\}"
)


def _parse(template: str) -> list[_Segment]:
    segments = [_segment(part, template) for part in template.strip("/").split("/") if template.strip("/")]
    for at, segment in enumerate(segments):
        last = at == len(segments) - 1
        if segment.rest and not last:
            raise BadRoute(f"In the route {template!r} a catch-all must come last.")
        if segment.optional and not all(later.optional for later in segments[at:]):
            raise BadRoute(f"In the route {template!r} an optional parameter must come last.")
    return segments


def _segment(part: str, template: str) -> _Segment:
    if "{" not in part and "}" not in part:
        if not part:
            raise BadRoute(f"The route {template!r} has an empty segment.")
        return _Segment(part)
    found = PARAMETER.fullmatch(part)
    if found is None:
        raise BadRoute(
            f"The route {template!r} has a segment {part!r} that is neither text nor one parameter."
        )
    constraints = found["constraints"].removesuffix("?")
    optional = bool(found["optional"]) or found["constraints"].endswith("?")
    return _Segment(
        literal=None,
        name=found["name"],
        constraints=tuple(constraints.split(":")[1:]),
        optional=optional,
        rest=bool(found["rest"]),
    )


def _whole(text: str, bits: int) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+", text) is not None and -(2 ** (bits - 1)) <= int(text) < 2 ** (
        bits - 1
    )


GUID: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
PLAIN: Final[Mapping[str, Check]] = {
    "int": lambda text: _whole(text, 32),
    "long": lambda text: _whole(text, 64),
    "bool": lambda text: text.lower() in {"true", "false"},
    "guid": lambda text: GUID.fullmatch(text) is not None,
    "alpha": lambda text: re.fullmatch("[A-Za-z]*", text) is not None,
    "required": bool,
}


def _check(constraint: str) -> Check:
    """The test that a constraint stands for. Raises BadRoute for one this host does not know."""
    if constraint in PLAIN:
        return PLAIN[constraint]
    sized = re.fullmatch(r"(minlength|maxlength|length|min|max|range)\((-?\d+)(?:,(-?\d+))?\)", constraint)
    if sized is None:
        raise BadRoute(f"The route constraint {constraint!r} is not one that the local host knows.")
    name, low = sized[1], int(sized[2])
    high = low if sized[3] is None else int(sized[3])
    bounds: Mapping[str, Check] = {
        "minlength": lambda text: len(text) >= low,
        "maxlength": lambda text: len(text) <= low,
        "length": lambda text: low <= len(text) <= high,
        "min": lambda text: _whole(text, 64) and int(text) >= low,
        "max": lambda text: _whole(text, 64) and int(text) <= low,
        "range": lambda text: _whole(text, 64) and low <= int(text) <= high,
    }
    return bounds[name]
