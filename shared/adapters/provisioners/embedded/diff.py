"""What changed between two property maps, and what of it forces a replacement. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared.adapters.provisioners.embedded.properties import (
    UNKNOWN,
    Properties,
    holds_special,
    is_unknown,
    shown,
    signature,
)
from shared.ports.provisioner import PropertyChange

type Trail = tuple[str | int, ...]

_PART = re.compile(r"""\["(?P<quoted>[^"]*)"\]|\[(?P<index>\d+|\*)\]|\.?(?P<name>[^.\[\]]+)""")
_ABSENT = object()

REPLACING: Mapping[str, frozenset[str]] = {
    "azure-native:authorization:RoleAssignment": frozenset(
        {"scope", "principalId", "roleDefinitionId", "principalType", "roleAssignmentName"}
    ),
    "azure-native:cosmosdb:SqlResourceSqlContainer": frozenset({"resource.id", "resource.partitionKey"}),
    "azure-native:cosmosdb:SqlResourceSqlRoleAssignment": frozenset({"scope", "roleAssignmentId"}),
    "azure-native:eventgrid:SystemTopic": frozenset({"source", "topicType"}),
    "azure-native:monitor:DiagnosticSetting": frozenset({"resourceUri", "name"}),
    "azure-native:consumption:Budget": frozenset({"scope", "budgetName"}),
    "pulumi:pulumi:StackReference": frozenset(),
}
"""What Azure cannot change in place, beside the names below. Knowledge of the provider, kept by hand."""

_NAMES = re.compile(r"(?!display|friendly|sku|domain|host|fullName|role)[a-z][A-Za-z]*Name|name|location")


def parse(path: str) -> Trail:
    """`a.b[0].c`, `a["with.dot"]`, `a[*].b`, `*`."""
    parts: list[str | int] = []
    for part in _PART.finditer(path):
        index = part["index"]
        if index is not None:
            parts.append(index if index == "*" else int(index))
        else:
            parts.append(part["quoted"] if part["quoted"] is not None else part["name"])
    return tuple(parts)


def written(path: Trail) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "." in part or "[" in part:
            text += f'["{part}"]'
        else:
            text += f".{part}" if text else part
    return text


def changes(old: Properties, new: Properties) -> list[tuple[Trail, PropertyChange]]:
    """Every leaf that differs, in order of path. Special values (secrets, assets, references) are leaves."""
    return [
        (path, PropertyChange(written(path), kind, shown(before), shown(after)))
        for path, kind, before, after in _walk(old, new, ())
    ]


def _walk(old: Any, new: Any, path: Trail) -> Iterator[tuple[Trail, Any, Any, Any]]:
    if old is _ABSENT:
        yield path, "added", None, new
    elif new is _ABSENT:
        yield path, "removed", old, None
    elif _is_map(old) and _is_map(new):
        for key in sorted(old.keys() | new.keys()):
            yield from _walk(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else _ABSENT
            after = new[index] if index < len(new) else _ABSENT
            yield from _walk(before, after, (*path, index))
    elif is_unknown(new) or _differs(old, new):
        yield path, "changed", old, new


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping) and signature(value) is None


def _differs(old: Any, new: Any) -> bool:
    if signature(new) is not None and UNKNOWN in new.values():
        return True
    return type(old) is not type(new) or bool(old != new)


def keep_ignored(
    new: Properties, old: Properties, ignored: Iterable[str], *, hashes: bool = True
) -> Properties:
    """`new` with the old values where the program said `ignore_changes`.

    Without `hashes` a value that is recorded as a hash only (a secret, an asset) stays the new one: there is
    nothing to hand back to a program.
    """
    kept = new
    for path in ignored:
        kept = _keep(kept, old, parse(path), hashes)
    return kept


def _keep(new: Any, old: Any, path: Trail, hashes: bool) -> Any:
    if not path:
        return new if not hashes and holds_special(old) else old
    part, rest = path[0], path[1:]
    if isinstance(new, list) and isinstance(old, list) and (part == "*" or isinstance(part, int)):
        chosen = range(len(new)) if part == "*" else (part,)
        return [
            _keep(item, old[at], rest, hashes) if at in chosen and at < len(old) else item
            for at, item in enumerate(new)
        ]
    if not _is_map(new) or not _is_map(old) or isinstance(part, int):
        return new
    keys = sorted(new.keys() | old.keys()) if part == "*" else [part]
    result = dict(new)
    for key in keys:
        if rest and key not in new:
            continue
        value = _keep(new.get(key, _ABSENT), old.get(key, _ABSENT), rest, hashes)
        if value is _ABSENT:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def forcing(kind: str, paths: Iterable[Trail], asked: Iterable[str]) -> tuple[str, ...]:
    """The changed paths that force a replacement: those the program names (`replace_on_changes`) and those we
    believe Azure cannot change: names, places, and the table above."""
    patterns = [parse(path) for path in asked]
    patterns += [parse(path) for path in REPLACING.get(kind, frozenset())]
    by_name = kind.startswith("azure-native:")
    return tuple(
        written(path)
        for path in paths
        if (by_name and isinstance(path[0], str) and _NAMES.fullmatch(path[0]))
        or any(_touches(pattern, path) for pattern in patterns)
    )


def _touches(pattern: Trail, path: Trail) -> bool:
    """Whether one lies in the other: a change of the whole changes its part."""
    return all(one in ("*", other) for one, other in zip(pattern, path, strict=False))
