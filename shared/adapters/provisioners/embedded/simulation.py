"""One run of a program against the last state: what every registration means, and what is no longer wanted.
Knows no gRPC and starts no process."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from shared.adapters.provisioners.embedded import diff, outputs, urns
from shared.adapters.provisioners.embedded.properties import (
    UNKNOWN,
    Properties,
    holds_special,
    holds_unknown,
    recorded,
    shown_all,
    stand_in,
)
from shared.adapters.provisioners.embedded.state import Resource, Snapshot
from shared.domain.kernel.errors import Invalid
from shared.ports.provisioner import Action, Diagnostic, PropertyChange, ResourceChange, Value

_STACK_REFERENCE = "pulumi:pulumi:StackReference"
_PROTECTED = "is protected; take `protect` off in an update of its own, then {} it."


class BadRegistration(Invalid):
    """The program asks for something that cannot be, or that this engine cannot do. The program hears it as
    an exception where it registered the resource."""

    code = "bad_registration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What a program says about a resource. `inputs` are as they travel, secrets in the clear."""

    type: str
    name: str
    parent: str = ""
    custom: bool = True
    inputs: Properties = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provider: str = ""
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    replace_with: tuple[str, ...] = ()
    replacement_trigger: Any = None
    deleted_with: str = ""
    aliases: tuple[urns.Alias, ...] = ()
    secret_outputs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Registered:
    """The answer to a program. `id` is empty while nobody can know it."""

    urn: str
    id: str
    outputs: Properties


@dataclass(slots=True)
class _Entry:
    """A resource of this run: what is recorded of it if the run succeeds, and what happens to it."""

    resource: Resource
    change: ResourceChange
    sent: Properties
    answered: Properties


type References = Callable[[str], Snapshot | None]
"""The last state of a sibling stack by `stack` or `organization/project/stack`; None when there is none."""


class Simulation:
    """Every answer is a function of the last state and of what a resource depends on; the order of
    independent registrations does not matter. `preview`: what only Azure knows is unknown."""

    def __init__(
        self,
        stack: str,
        project: str,
        folder: Path,
        before: Snapshot,
        *,
        preview: bool,
        references: References,
    ) -> None:
        self._stack = stack
        self._project = project
        self._folder = folder
        self._before = {resource.urn: resource for resource in before.resources}
        self._preview = preview
        self._references = references
        self._shapes: dict[str, outputs.Shape] = {}
        self._entries: dict[str, _Entry] = {}
        self._aliases: dict[str, tuple[str, ...]] = {}
        self._taken: set[str] = set()
        self.diagnostics: list[Diagnostic] = []
        self.finished = False

    def describe(self, kind: str, shape: outputs.Shape) -> None:
        self._shapes[kind] = shape

    def register(self, wanted: Registration) -> Registered:
        """Raises BadRegistration, and AssetMissing from reading an asset."""
        urn = self._new_urn(wanted.type, wanted.name, wanted.parent)
        old = self._find_old(urn, wanted)
        stored = recorded(wanted.inputs, self._folder)
        sent = wanted.inputs
        if old is not None:
            stored = diff.keep_ignored(stored, old.inputs, wanted.ignore_changes)
            sent = diff.keep_ignored(sent, old.inputs, wanted.ignore_changes, hashes=False)
        change = self._decide(urn, wanted, old, stored)
        generation = (old.generation if old else 0) + (change.action == "replace")
        known = not self._preview or change.action in {"same", "update"}
        answer = self._answer(urn, wanted, sent, generation, known)
        if old is not None and old.id and change.action != "replace":
            answer = replace(answer, id=old.id)
        resource = Resource(
            urn=urn,
            type=wanted.type,
            custom=wanted.custom,
            id=answer.id or None,
            inputs=stored,
            outputs=recorded(answer.outputs, self._folder) if wanted.custom else {},
            parent=wanted.parent,
            dependencies=tuple(sorted(wanted.dependencies)),
            property_dependencies=wanted.property_dependencies,
            provider=wanted.provider,
            protect=wanted.protect,
            retain_on_delete=wanted.retain_on_delete,
            deleted_with=wanted.deleted_with,
            replacement_trigger=recorded(wanted.replacement_trigger, self._folder),
            generation=generation,
        )
        self._entries[urn] = _Entry(resource, change, sent, answer.outputs)
        return answer

    def read(self, wanted: Registration, resource_id: str) -> Registered:
        """A resource that somebody else owns: looked up, never changed. Nothing is really looked up."""
        urn = self._new_urn(wanted.type, wanted.name, wanted.parent)
        if (old := self._before.get(urn)) is not None and not old.external:
            text = "was managed by this stack and is only read now: it is forgotten here and not deleted."
            self.diagnostics.append(Diagnostic("warning", f"{wanted.name} {text}", urn))
        self._taken.add(urn)
        known = resource_id not in {"", UNKNOWN}  # then previews look things up too
        answer = self._answer(urn, wanted, wanted.inputs, 0, known)
        answer = replace(answer, id="" if resource_id == UNKNOWN else resource_id)
        change = ResourceChange(
            urn, wanted.type, wanted.name, "read", dependencies=tuple(sorted(wanted.dependencies))
        )
        resource = Resource(
            urn=urn,
            type=wanted.type,
            custom=True,
            id=answer.id or None,
            inputs=recorded(wanted.inputs, self._folder),
            outputs=recorded(answer.outputs, self._folder),
            parent=wanted.parent,
            dependencies=change.dependencies,
            external=True,
        )
        self._entries[urn] = _Entry(resource, change, wanted.inputs, answer.outputs)
        return answer

    def complete(self, urn: str, values: Properties) -> None:
        """The outputs of a component or of the stack itself, which come last."""
        entry = self._entries.get(urn)
        if entry is None:
            raise BadRegistration(f"Outputs of {urn} were registered before the resource.")
        stored = recorded(values, self._folder)
        entry.answered = values
        entry.resource = replace(entry.resource, outputs=stored)
        self.finished = self.finished or entry.resource.type == urns.STACK_TYPE

    def change(self, urn: str) -> ResourceChange:
        return self._entries[urn].change

    def changes(self) -> tuple[ResourceChange, ...]:
        """What happens, in order: dependencies before their dependants, deletions at the end in reverse."""
        kept = (
            self._entries[urn].change for urn in _in_order({u: e.resource for u, e in self._entries.items()})
        )
        return (*kept, *self._deletions())

    def resources(self) -> tuple[Resource, ...]:
        """What the state holds if this run succeeds, in order of dependency."""
        found = {urn: entry.resource for urn, entry in self._entries.items()}
        return tuple(found[urn] for urn in _in_order(found))

    def sent(self, urn: str) -> tuple[Properties, Properties]:
        """Inputs and outputs as they travelled, secrets in the clear: for policies only."""
        entry = self._entries[urn]
        return entry.sent, entry.answered

    def shown_outputs(self) -> dict[str, Value]:
        stack = next((e for e in self._entries.values() if e.resource.type == urns.STACK_TYPE), None)
        return shown_all(stack.resource.outputs) if stack else {}

    def _new_urn(self, kind: str, name: str, parent: str) -> str:
        urn = urns.urn(self._stack, self._project, parent, kind, name)
        if urn in self._entries:
            raise BadRegistration(f"Duplicate resource URN {urn!r}; give one of the two another name.")
        return urn

    def _find_old(self, urn: str, wanted: Registration) -> Resource | None:
        """The recorded resource this one goes on from: of the same name, or of an earlier one."""
        earlier = tuple(
            urns.earlier_names(
                self._stack,
                self._project,
                wanted.parent,
                wanted.type,
                wanted.name,
                wanted.aliases,
                self._aliases.get(wanted.parent, ()),
            )
        )
        self._aliases[urn] = earlier
        for name in (urn, *earlier):
            old = self._before.get(name)
            if old is not None and name not in self._taken:
                self._taken.add(name)
                if not old.external:  # what was only read before is created now
                    return old
        return None

    def _decide(
        self, urn: str, wanted: Registration, old: Resource | None, stored: Properties
    ) -> ResourceChange:
        dependencies = tuple(sorted(wanted.dependencies))
        if old is None:
            return ResourceChange(urn, wanted.type, wanted.name, "create", dependencies=dependencies)
        found = diff.changes(old.inputs, stored)
        paths = [change for _, change in found]
        reasons = diff.forcing(wanted.type, [path for path, _ in found], wanted.replace_on_changes)
        reasons += tuple(self._other_reasons(wanted, old))
        if old.provider != wanted.provider:
            paths.append(PropertyChange("provider", "changed", old.provider, wanted.provider))
        action: Action = "replace" if reasons and wanted.custom else "update" if paths else "same"
        blocked = _PROTECTED.format("replace") if action == "replace" and old.protect else None
        return ResourceChange(
            urn,
            wanted.type,
            wanted.name,
            action,
            tuple(paths),
            dependencies,
            reasons if action == "replace" else (),
            deleted_first=action == "replace" and wanted.delete_before_replace,
            alias_of=old.urn if old.urn != urn else None,
            blocked=blocked,
        )

    def _other_reasons(self, wanted: Registration, old: Resource) -> Iterator[str]:
        trigger = recorded(wanted.replacement_trigger, self._folder)
        if old.type != wanted.type:
            yield "type"
        if trigger is not None and (trigger != old.replacement_trigger or holds_unknown(trigger)):
            yield "replacementTrigger"
        for other in sorted(wanted.replace_with):
            entry = self._entries.get(other)
            if entry is not None and entry.change.action == "replace":
                yield f"replaceWith:{urns.name_of(other)}"

    def _answer(
        self, urn: str, wanted: Registration, sent: Properties, generation: int, known: bool
    ) -> Registered:
        if not wanted.custom:
            return Registered(urn, "", sent)
        if wanted.type == _STACK_REFERENCE:
            return self._reference(urn, wanted)
        shape = self._shapes.get(wanted.type, "any")
        leaf = outputs.invented(urn, sent, generation) if known else outputs.unknown
        answer = outputs.complete(shape, sent, leaf, wanted.secret_outputs)
        return Registered(urn, outputs.invented_id(urn, sent) if known else "", answer)

    def _reference(self, urn: str, wanted: Registration) -> Registered:
        """What a sibling stack gave out at its last update. Its secrets were never stored: a stand-in takes
        their place, marked secret."""
        name = wanted.inputs.get("name", wanted.name)
        if holds_unknown(name):
            return Registered(urn, "", dict(wanted.inputs))
        found = self._references(str(name))
        if found is None:
            raise BadRegistration(
                f"The referenced stack {str(name)!r} has never been applied here; apply it first."
            )
        hidden = sorted(key for key, value in found.outputs.items() if holds_special(value))
        if hidden:
            text = f"Of stack {str(name)!r}, {', '.join(hidden)} are stand-ins: secrets are not stored."
            self.diagnostics.append(Diagnostic("warning", text, urn))
        values = {key: stand_in(value) for key, value in found.outputs.items()}
        answer = {"name": name, "outputs": values, "secretOutputNames": hidden}
        return Registered(urn, str(name), answer)

    def _deletions(self) -> Iterator[ResourceChange]:
        """What the last state holds and the program no longer names; last created, first deleted."""
        gone = [resource for resource in self._before.values() if resource.urn not in self._taken]
        yield from deletions(gone)


def deletions(gone: Iterable[Resource]) -> Iterator[ResourceChange]:
    """The end of recorded resources, dependants before what they depend on."""
    found = {resource.urn: resource for resource in gone}
    for urn in reversed(_in_order(found)):
        resource = found[urn]
        forgotten = resource.external or resource.retain_on_delete
        yield ResourceChange(
            urn,
            resource.type,
            urns.name_of(urn),
            "discard" if forgotten else "delete",
            dependencies=resource.dependencies,
            blocked=_PROTECTED.format("delete") if resource.protect and not resource.external else None,
        )


def _in_order(resources: Mapping[str, Resource]) -> list[str]:
    """URNs with everything after its parent and its dependencies; otherwise by name, so that the order in
    which a program's threads came to register does not show."""
    order: dict[str, None] = {}

    def visit(urn: str, above: tuple[str, ...]) -> None:
        if urn in order or urn not in resources or urn in above:
            return
        resource = resources[urn]
        for before in (resource.parent, *resource.dependencies):
            visit(before, (*above, urn))
        order[urn] = None

    for urn in sorted(resources):
        visit(urn, ())
    return list(order)
