"""What Pulumi's engine tells while it runs, in the JSON of its event log, as plans and progress."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shared.domain.kernel.canonical import digest
from shared.ports.provisioner import (
    ACTIONS,
    Action,
    Config,
    Diagnostic,
    EngineMode,
    Operation,
    Plan,
    PlanBlocked,
    PlanChanged,
    PolicyViolation,
    Progress,
    PropertyChange,
    ResourceChange,
    Stack,
    StackResource,
    Value,
)

type Event = Mapping[str, Any]

_ACTIONS: Final[Mapping[str, Action]] = {
    "same": "same",
    "create": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "read": "read",
    "read-replacement": "read",
    "discard": "discard",
    "import": "create",
    "import-replacement": "replace",
}
"""The steps of a replacement besides `replace` itself are part of it; a refresh changes nothing."""
_KINDS: Final = {"add": "added", "delete": "removed", "update": "changed"}
_UNKNOWN: Final = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",  # texts
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # truth values
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # numbers
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # lists
        "030794c1-ac77-496b-92df-f27374a8bd58",  # assets
        "e48ece36-62e2-4504-bad9-02848725956a",  # archives
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # objects
    }
)
"""What the engine writes for a value of each type that nobody can know yet."""
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - says that a value is one
_SEGMENT: Final = re.compile(r"\[(\d+)\]|\[\"([^\"]+)\"\]|([^.\[\]]+)")


@dataclass(slots=True)
class Story:
    """What a run has told so far. Values in it are as they may be shown."""

    changes: dict[str, ResourceChange] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    violations: list[PolicyViolation] = field(default_factory=list)
    wanted: dict[str, Value] = field(default_factory=dict)

    def hear(self, event: Event) -> Progress | None:
        """Take an event in; what of it is worth a line."""
        if step := event.get("resourcePreEvent"):
            return self._step(step["metadata"])
        if said := event.get("diagnosticEvent"):
            return self._diagnostic(said)
        if found := event.get("policyEvent"):
            return self._violation(found)
        return None

    def plan(self, stack: Stack, operation: Operation, mode: EngineMode, config: Config) -> Plan:
        """The plan that these events make. The digest covers secrets by theirs."""
        changes = tuple(self.changes.values())
        told = {
            "operation": operation,
            "stack": [stack.tenant, stack.program, stack.name],
            "config": dict(config.values),
            "secrets": digest(dict(config.secrets)),
            "changes": sorted([change.urn, change.action] for change in changes),
            "wanted": self.wanted,
        }
        counts = dict.fromkeys(ACTIONS, 0) | Counter(change.action for change in changes)
        said, found = tuple(self.diagnostics), tuple(self.violations)
        return Plan(stack, operation, mode, digest(told), counts, changes, {}, said, found)

    def refuse_violations(self) -> None:
        """Of a run that was to change something. Raises PlanBlocked."""
        for found in self.violations:
            if found.level == "mandatory":
                raise PlanBlocked(f"{found.policy} ({found.pack}) forbids it: {found.message}")

    def _step(self, step: Mapping[str, Any]) -> Progress | None:
        action = _ACTIONS.get(step["op"])
        if action is None:
            return None
        urn, old, new = step["urn"], step.get("old") or {}, step.get("new") or {}
        before, after = old.get("inputs") or {}, new.get("inputs") or {}
        name = urn.rpartition("::")[2]
        change = ResourceChange(
            urn,
            step["type"],
            name,
            action,
            tuple(_paths(step.get("detailedDiff") or {}, before, after)),
            tuple(sorted(new.get("dependencies") or ())),
            tuple(step.get("keys") or ()) if action == "replace" else (),
        )
        if action in {"delete", "replace"} and old.get("protect"):
            change = replace(change, blocked=f"is protected; take `protect` off before you {action} it.")
        self.changes[urn] = change
        self.wanted[urn] = shown(after)
        return Progress("resource", f"{action} {step['type']} {name}", urn, action)

    def _diagnostic(self, said: Mapping[str, Any]) -> Progress | None:
        if said.get("ephemeral"):
            return None
        text = re.sub(r"<\{%.*?%\}>", "", said["message"]).strip()
        level = said["severity"].partition("#")[0]
        if not text or level not in {"info", "warning", "error"}:
            return None
        self.diagnostics.append(Diagnostic(level, text, said.get("urn")))
        return Progress("diagnostic", f"{level}: {text}", said.get("urn"))

    def _violation(self, found: Mapping[str, Any]) -> Progress:
        text = re.sub(r"<\{%.*?%\}>", "", found["message"]).strip()
        violation = PolicyViolation(
            found["policyPackName"],
            found["policyName"],
            "mandatory" if found["enforcementLevel"] == "mandatory" else "advisory",
            text,
            found.get("resourceUrn"),
        )
        self.violations.append(violation)
        line = f"{violation.level}: {violation.policy}: {text}"
        return Progress("violation", line, violation.urn)


def deletions(resources: Iterable[Mapping[str, Any]]) -> Story:
    """The end of everything that a state holds, last created first."""
    story = Story()
    for resource in reversed(list(resources)):
        if resource["type"].startswith("pulumi:providers:"):
            continue
        forgotten = resource.get("external") or resource.get("retainOnDelete")
        step = {
            "op": "discard" if forgotten else "delete",
            "urn": resource["urn"],
            "type": resource["type"],
            "old": {"inputs": resource.get("inputs"), "protect": resource.get("protect")},
            "new": {"dependencies": resource.get("dependencies")},
        }
        story.hear({"resourcePreEvent": {"metadata": step}})
        story.wanted[resource["urn"]] = shown(resource.get("inputs") or {})
    return story


def shown(value: Any) -> Value:
    """A value as callers may see it: secrets and what is not yet known are marks."""
    match value:
        case dict() if value.get(_SIGNATURE) == _SECRET:
            return "[secret]"
        case dict():
            return {key: shown(each) for key, each in value.items() if not key.startswith("__")}
        case list():
            return [shown(each) for each in value]
        case str() if value in _UNKNOWN:
            return "[unknown]"
        case bool() | int() | float() | str() | None:
            return value
        case _:
            return str(value)


def resource(found: Mapping[str, Any]) -> StackResource:
    """One resource of an exported state."""
    inputs = {key: shown(value) for key, value in (found.get("inputs") or {}).items()}
    name, dependencies = found["urn"].rpartition("::")[2], tuple(found.get("dependencies") or ())
    protect = bool(found.get("protect"))
    return StackResource(found["urn"], found["type"], name, found.get("id"), inputs, dependencies, protect)


def outputs(resources: Iterable[Mapping[str, Any]]) -> dict[str, Value]:
    """What the program of an exported state gave out."""
    root = next((each for each in resources if each["type"] == "pulumi:pulumi:Stack"), {})
    return {key: shown(value) for key, value in (root.get("outputs") or {}).items()}


def check(plan: Plan, approved: str) -> None:
    """Raises PlanChanged and PlanBlocked."""
    if plan.digest != approved:
        raise PlanChanged("The plan is no longer the approved one; preview it again.", digest=plan.digest)
    if obstacles := plan.obstacles:
        raise PlanBlocked(f"The plan may not be applied: {obstacles[0]}", obstacles=list(obstacles))


def _paths(detailed: Mapping[str, Any], before: Any, after: Any) -> Iterable[PropertyChange]:
    for path, diff in sorted(detailed.items()):
        kind = _KINDS[diff["diffKind"].partition("-")[0]]
        yield PropertyChange(path, kind, shown(_at(before, path)), shown(_at(after, path)))  # type: ignore[arg-type]


def _at(value: Any, path: str) -> Any:
    for index, quoted, name in _SEGMENT.findall(path):
        if index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        elif not index and isinstance(value, dict):
            value = value.get(quoted or name)
        else:
            return None
    return value
