"""A plan or a result as text, for terminals and logs."""

from collections.abc import Iterator

from shared.ports.provisioner import ACTIONS, Applied, Plan, PropertyChange, ResourceChange, Value

_MARKS = {
    "create": "+",
    "update": "~",
    "replace": "+-",
    "delete": "-",
    "discard": "x",
    "read": ">",
    "same": " ",
}
_WIDTH = 80


def lines(result: Plan | Applied, duration: float) -> Iterator[str]:
    """`duration` in seconds."""
    for change in result.changes:
        if change.action != "same":
            yield from _change(change)
    if result.outputs:
        yield "outputs:"
        for name, value in sorted(result.outputs.items()):
            yield f"    {name}: {_text(value)}"
    for violation in result.violations:
        where = f" [{violation.urn}]" if violation.urn else ""
        message = " ".join(violation.message.split())
        yield f"policy ({violation.level}) {violation.pack}/{violation.policy}: {message}{where}"
    for diagnostic in result.diagnostics:
        yield f"{diagnostic.severity}: {diagnostic.message}"
    found = ", ".join(f"{result.counts[action]} {action}" for action in ACTIONS if result.counts.get(action))
    name = f"{result.operation} {result.stack.name}"
    yield f"{name}: {found or 'nothing'} ({result.engine_mode}, {duration:.1f} s)"
    yield f"digest {result.digest}"


def _change(change: ResourceChange) -> Iterator[str]:
    notes = [f"because of {', '.join(change.reasons)}"] if change.reasons else []
    notes += ["deleted before it is created"] if change.deleted_first else []
    notes += [f"formerly {change.alias_of}"] if change.alias_of else []
    extra = f" ({'; '.join(notes)})" if notes else ""
    yield f"{_MARKS[change.action]:>2} {change.type} {change.name}{extra}"
    for path in change.paths:
        yield f"       {_path(path)}"
    if change.blocked:
        yield f"       ! {change.blocked}"


def _path(change: PropertyChange) -> str:
    match change.kind:
        case "added":
            return f"+ {change.path}: {_text(change.new)}"
        case "removed":
            return f"- {change.path}: {_text(change.old)}"
        case _:
            return f"~ {change.path}: {_text(change.old)} => {_text(change.new)}"


def _text(value: Value) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}..."
