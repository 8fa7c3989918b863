"""What a stack was at its last successful update, one file per stack in the layout of Pulumi's deployments
(version 3), and the lock that keeps its updates apart."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.adapters import folders
from shared.adapters.provisioners.embedded.properties import Properties, shown_all
from shared.adapters.provisioners.embedded.urns import STACK_TYPE, name_of
from shared.domain.kernel.errors import Permanent
from shared.ports.provisioner import (
    Action,
    Operation,
    Progress,
    Stack,
    StackBusy,
    StackResource,
    StackState,
    Value,
)

ENGINE = "slipway-local-simulation"
_VERSION = 3
_NEVER = datetime.min.replace(tzinfo=UTC)


class BadState(Permanent):
    """The file of a stack is not one of ours, or damaged."""

    code = "stack_state_damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One recorded resource. `inputs` and `outputs` hold no secret and no content. `generation` counts its
    replacements."""

    urn: str
    type: str
    custom: bool
    id: str | None = None
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provider: str = ""
    protect: bool = False
    external: bool = False
    retain_on_delete: bool = False
    deleted_with: str = ""
    replacement_trigger: Any = None
    generation: int = 0

    def written(self) -> dict[str, Any]:
        return {
            "urn": self.urn,
            "custom": self.custom,
            "type": self.type,
            **({"id": self.id} if self.id else {}),
            "inputs": self.inputs,
            "outputs": self.outputs,
            **({"parent": self.parent} if self.parent else {}),
            "dependencies": list(self.dependencies),
            "propertyDependencies": {name: list(urns) for name, urns in self.property_dependencies.items()},
            **({"provider": self.provider} if self.provider else {}),
            "protect": self.protect,
            "external": self.external,
            "retainOnDelete": self.retain_on_delete,
            **({"deletedWith": self.deleted_with} if self.deleted_with else {}),
            "replacementTrigger": self.replacement_trigger,
            "generation": self.generation,
        }

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "Resource":
        return cls(
            urn=fields["urn"],
            type=fields["type"],
            custom=fields["custom"],
            id=fields.get("id"),
            inputs=fields.get("inputs", {}),
            outputs=fields.get("outputs", {}),
            parent=fields.get("parent", ""),
            dependencies=tuple(fields.get("dependencies", ())),
            property_dependencies={
                name: tuple(urns) for name, urns in fields.get("propertyDependencies", {}).items()
            },
            provider=fields.get("provider", ""),
            protect=fields.get("protect", False),
            external=fields.get("external", False),
            retain_on_delete=fields.get("retainOnDelete", False),
            deleted_with=fields.get("deletedWith", ""),
            replacement_trigger=fields.get("replacementTrigger"),
            generation=fields.get("generation", 0),
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stack as recorded. `resources` are in order: nobody comes before what they depend on."""

    resources: tuple[Resource, ...] = ()
    digest: str = ""
    operation: Operation = "up"
    counts: Mapping[Action, int] = field(default_factory=dict)
    updated_at: datetime = _NEVER

    @property
    def outputs(self) -> Properties:
        return next((r.outputs for r in self.resources if r.type == STACK_TYPE), {})

    def shown_outputs(self) -> dict[str, Value]:
        return shown_all(self.outputs)

    def public(self, stack: Stack) -> StackState:
        resources = tuple(
            StackResource(r.urn, r.type, name_of(r.urn), r.id, shown_all(r.inputs), r.dependencies, r.protect)
            for r in self.resources
        )
        return StackState(
            stack, "local-simulation", self.digest, self.updated_at, resources, self.shown_outputs()
        )

    def written(self) -> bytes:
        document = {
            "version": _VERSION,
            "deployment": {
                "manifest": {"time": self.updated_at.isoformat(), "magic": "", "version": ENGINE},
                "resources": [resource.written() for resource in self.resources],
                "metadata": {
                    "engine": ENGINE,
                    "digest": self.digest,
                    "operation": self.operation,
                    "counts": dict(self.counts),
                },
            },
        }
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def read(cls, data: bytes) -> "Snapshot":
        """Raises KeyError, TypeError or ValueError for what `written` did not write."""
        document = json.loads(data)
        if document["version"] != _VERSION:
            raise ValueError("another version")
        deployment = document["deployment"]
        metadata = deployment["metadata"]
        return cls(
            tuple(Resource.read(fields) for fields in deployment["resources"]),
            metadata["digest"],
            metadata["operation"],
            metadata["counts"],
            datetime.fromisoformat(deployment["manifest"]["time"]),
        )


@dataclass(frozen=True, slots=True)
class StackFolder:
    """`root/<tenant>/<program>/<stack>`: `state.json`, `events.jsonl`, `cancel`, `lock`."""

    folder: Path

    @classmethod
    def of(cls, root: Path, stack: Stack) -> "StackFolder":
        parts = (folders.segment(part) for part in (stack.tenant, stack.program, stack.name))
        return cls(root.absolute().joinpath(*parts))

    def load(self) -> Snapshot | None:
        try:
            return Snapshot.read((self.folder / "state.json").read_bytes())
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError):
            raise BadState(
                f"{self.folder / 'state.json'} is damaged; restore it from a backup before the next update."
            ) from None

    def save(self, snapshot: Snapshot) -> None:
        folders.write_atomically(self.folder / "state.json", snapshot.written())

    @contextlib.contextmanager
    def locked(self, owner: Mapping[str, str | int]) -> Iterator[Mapping[str, Any]]:
        """Hold the stack, and leave word who holds it. Yields what an owner left who died, else nothing.

        The kernel's lock on the file decides, and the kernel frees it when its owner dies, however that
        comes. Raises StackBusy.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackBusy(
                    "Another update of this stack is under way; try again when it has ended, or cancel it."
                ) from None
            left = self._owner()
            self._write_owner(handle, json.dumps(dict(owner)).encode())
            try:
                yield left
            finally:
                self._write_owner(handle, b"")
        finally:
            os.close(handle)

    def _owner(self) -> Mapping[str, Any]:
        try:
            found = json.loads((self.folder / "lock").read_bytes() or b"{}")
        except (FileNotFoundError, ValueError):  # never held, or its owner died while writing
            return {}
        return found if isinstance(found, dict) else {}

    @staticmethod
    def _write_owner(handle: int, text: bytes) -> None:
        os.ftruncate(handle, 0)
        os.pwrite(handle, text, 0)

    def is_busy(self) -> bool:
        """Whether somebody, in any process, holds the lock. The word an owner left is only doubted when there
        is one: trying the lock could make another's start fail."""
        if not self._owner():
            return False
        handle = os.open(self.folder / "lock", os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(handle)

    def ask_to_cancel(self) -> None:
        (self.folder / "cancel").touch()

    def asked_to_cancel(self) -> bool:
        return (self.folder / "cancel").exists()

    def forget_cancel(self) -> None:
        (self.folder / "cancel").unlink(missing_ok=True)

    def start_log(self) -> None:
        (self.folder / "events.jsonl").write_bytes(b"")

    def append(self, event: Progress) -> None:
        fields = {"kind": event.kind, "line": event.line, "urn": event.urn, "action": event.action}
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")

    def events(self) -> tuple[Progress, ...]:
        try:
            lines = (self.folder / "events.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return ()
        return tuple(Progress(**json.loads(line)) for line in lines if line.endswith("}"))
