"""What has changed between two OpenAPI documents for those who call. Pure: documents in, findings out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

type Node = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One difference of one operation. What is not breaking is an addition."""

    operation: str
    what: str
    is_breaking: bool

    def __str__(self) -> str:
        return f"{self.operation}: {self.what}"


def compare(old: Node, new: Node) -> list[Finding]:
    """What callers of `old` meet in `new`, sorted."""
    before, after = _operations(old), _operations(new)
    found = [Finding(name, "is new", False) for name in after.keys() - before.keys()]
    for name, was in before.items():
        if name not in after:
            found.append(Finding(name, "is removed", True))
        else:
            comparison = _Comparison(name, old, new)
            found += comparison.operation(was, after[name])
    return sorted(set(found))


def _operations(document: Node) -> dict[str, Node]:
    return {
        operation["operationId"]: {**operation, "at": f"{method.upper()} {path}"}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


class _Narrows(Protocol):
    def __call__(self, was: Any, now: Any, /) -> bool: ...


# Key of a JSON schema -> whether a change of it from one value to another lets less through.
_NARROWS: Mapping[str, _Narrows] = {
    "minLength": lambda was, now: (now or 0) > (was or 0),
    "minItems": lambda was, now: (now or 0) > (was or 0),
    "minimum": lambda was, now: now is not None and (was is None or now > was),
    "maximum": lambda was, now: now is not None and (was is None or now < was),
    "maxLength": lambda was, now: now is not None and (was is None or now < was),
    "maxItems": lambda was, now: now is not None and (was is None or now < was),
    "pattern": lambda was, now: now is not None and now != was,
    "const": lambda was, now: now is not None and now != was,
    "additionalProperties": lambda was, now: now is False and was is not False,
}


class _Comparison:
    """One operation in two documents. `is_request` says which way a schema is read: what a request takes may
    widen, what an answer gives may narrow."""

    def __init__(self, name: str, old: Node, new: Node) -> None:
        self._name = name
        self._old = old
        self._new = new
        self._seen: set[tuple[str, str, bool]] = set()

    def operation(self, was: Node, now: Node) -> Iterator[Finding]:
        if was["at"] != now["at"]:
            yield self._breaks(f"moves from {was['at']} to {now['at']}")
        if was.get("security") != now.get("security"):
            yield self._breaks(f"needs {_scopes(now)} instead of {_scopes(was)}")
        if now.get("deprecated") and not was.get("deprecated"):
            yield self._adds("is deprecated")
        yield from self._parameters(was, now)
        yield from self._bodies(was.get("requestBody"), now.get("requestBody"))
        yield from self._answers(was["responses"], now["responses"])
        if _plain(was) != _plain(now):
            yield self._adds("is described in other words")

    def _parameters(self, was: Node, now: Node) -> Iterator[Finding]:
        before, after = _parameters_of(was, self._old), _parameters_of(now, self._new)
        for where, name in before.keys() | after.keys():
            said = f"{where} parameter {name}"
            one, other = before.get((where, name)), after.get((where, name))
            if other is None:
                yield self._breaks(f"{said} is removed")
            elif one is None:
                yield self._found(f"{said} is new", is_breaking=other["required"])
            else:
                if other["required"] and not one["required"]:
                    yield self._breaks(f"{said} is required now")
                yield from self._schemas(said, one["schema"], other["schema"], is_request=True)

    def _bodies(self, was: Node | None, now: Node | None) -> Iterator[Finding]:
        if was is None or now is None:
            if was is not now:
                yield self._found("takes a body now" if now else "takes no body any more", is_breaking=True)
            return
        if now["required"] and not was["required"]:
            yield self._breaks("the body is required now")
        yield from self._contents("the body", was["content"], now["content"], is_request=True)

    def _answers(self, was: Node, now: Node) -> Iterator[Finding]:
        for status in was.keys() | now.keys():
            said, is_success = f"status {status}", status.startswith("2")
            if status not in now:
                # A failure that can no longer happen surprises nobody.
                yield self._found(f"{said} is removed", is_breaking=is_success)
            elif status not in was:
                yield self._found(f"{said} is new", is_breaking=is_success)
            else:
                one, other = _resolved(was[status], self._old), _resolved(now[status], self._new)
                for header in one.get("headers", {}).keys() - other.get("headers", {}).keys():
                    yield self._breaks(f"{said}: header {header} is removed")
                yield from self._contents(
                    said, one.get("content", {}), other.get("content", {}), is_request=False
                )

    def _contents(self, said: str, was: Node, now: Node, *, is_request: bool) -> Iterator[Finding]:
        for media_type in was.keys() | now.keys():
            if media_type not in now:
                yield self._breaks(f"{said} is no longer {media_type}")
            elif media_type not in was:
                yield self._adds(f"{said} may be {media_type}")
            else:
                one, other = was[media_type]["schema"], now[media_type]["schema"]
                yield from self._schemas(said, one, other, is_request=is_request)

    def _schemas(self, at: str, was: Node, now: Node, *, is_request: bool) -> Iterator[Finding]:
        visit = (was.get("$ref", ""), now.get("$ref", ""), is_request)
        if all(visit[:2]):
            if visit in self._seen:
                return
            self._seen.add(visit)
        was, now = _resolved(was, self._old), _resolved(now, self._new)
        before, after = _types(was, self._old), _types(now, self._new)
        lost, gained = sorted(before - after), sorted(after - before)
        if lost or gained:
            # "any" takes and gives everything, so leaving it narrows and reaching it widens.
            narrows, widens = bool(lost) and "any" not in after, bool(gained) and "any" not in before
            is_breaking = narrows if is_request else widens
            yield self._found(f"{at} is {_or(after)} instead of {_or(before)}", is_breaking=is_breaking)
        yield from self._limits(at, was, now, is_request=is_request)
        yield from self._words(at, was, now, is_request=is_request)
        yield from self._members(at, was, now, is_request=is_request)
        if "items" in was and "items" in now:
            yield from self._schemas(f"{at}[]", was["items"], now["items"], is_request=is_request)
        for one, other in zip(_choices(was), _choices(now), strict=False):
            yield from self._schemas(at, one, other, is_request=is_request)

    def _limits(self, at: str, was: Node, now: Node, *, is_request: bool) -> Iterator[Finding]:
        for key, narrows in _NARROWS.items():
            one, other = was.get(key), now.get(key)
            if one != other:
                is_breaking = narrows(one, other) if is_request else narrows(other, one)
                yield self._found(f"{at}: {key} is {other} instead of {one}", is_breaking=is_breaking)

    def _words(self, at: str, was: Node, now: Node, *, is_request: bool) -> Iterator[Finding]:
        before, after = was.get("enum"), now.get("enum")
        if before is None and after is not None:
            yield self._found(f"{at} is one of {after} now", is_breaking=is_request)
        elif before is not None and after is None:
            yield self._found(f"{at} may be any word now", is_breaking=not is_request)
        elif before is not None and after is not None:
            for word in before:
                if word not in after:
                    yield self._breaks(f"{at}: the word {word} is removed")
            for word in after:
                if word not in before:
                    yield self._adds(f"{at}: the word {word} is new")

    def _members(self, at: str, was: Node, now: Node, *, is_request: bool) -> Iterator[Finding]:
        before, after = was.get("properties", {}), now.get("properties", {})
        had, has = set(was.get("required", ())), set(now.get("required", ()))
        for name in before.keys() | after.keys():
            said = f"{at}.{name}"
            if name not in after:
                yield self._breaks(f"{said} is removed")
            elif name not in before:
                yield self._found(f"{said} is new", is_breaking=is_request and name in has)
            else:
                if (name in had) != (name in has):
                    word = "required" if name in has else "optional"
                    yield self._found(f"{said} is {word} now", is_breaking=(name in has) == is_request)
                yield from self._schemas(said, before[name], after[name], is_request=is_request)

    def _breaks(self, what: str) -> Finding:
        return Finding(self._name, what, True)

    def _adds(self, what: str) -> Finding:
        return Finding(self._name, what, False)

    def _found(self, what: str, *, is_breaking: bool) -> Finding:
        return Finding(self._name, what, is_breaking)


def _resolved(node: Node, document: Node) -> Node:
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def _parameters_of(operation: Node, document: Node) -> dict[tuple[str, str], Node]:
    parameters = [_resolved(one, document) for one in operation.get("parameters", ())]
    return {(one["in"], one["name"]): one for one in parameters}


def _types(node: Node, document: Node) -> set[str]:
    if choices := _choices(node):
        return set().union(*(_types(_resolved(one, document), document) for one in choices))
    said = node.get("type")
    if said is None:
        return {_NAMES[type(node["const"])]} if "const" in node else {"any"}
    return {said} if isinstance(said, str) else set(said)


_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def _choices(node: Node) -> list[Node]:
    return node.get("anyOf") or node.get("oneOf") or []


def _or(types: set[str]) -> str:
    return " or ".join(sorted(types))


def _scopes(operation: Node) -> str:
    scopes = [scope for need in operation.get("security", ()) for each in need.values() for scope in each]
    return ", ".join(scopes) or "no scope"


def _plain(operation: Node) -> tuple[object, ...]:
    return tuple(operation.get(key) for key in ("summary", "description", "tags"))
