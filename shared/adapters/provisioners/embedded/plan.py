"""Makes plans and results of a run: counts, and the digest that an approval is bound to. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.adapters.provisioners.embedded.state import Resource
from shared.domain.kernel.canonical import digest
from shared.ports.provisioner import (
    ACTIONS,
    Action,
    Diagnostic,
    Operation,
    Plan,
    PolicyViolation,
    ResourceChange,
    Stack,
    Value,
)

LIMITS = tuple(
    Diagnostic("info", text)
    for text in (
        "This is a simulation: nothing outside this machine was read or changed.",
        "Which changes replace a resource is known from names and a short table, not from Azure.",
        "Azure's own checks, quotas, defaults and drift are not seen.",
        "The recorded state is this engine's own; Pulumi cannot import it.",
        "The program could read this machine's files.",
    )
)
"""What every result of this engine has to say about itself."""


def counts(changes: Iterable[ResourceChange]) -> dict[Action, int]:
    """A number for every action, zero too."""
    found: dict[Action, int] = dict.fromkeys(ACTIONS, 0)
    for change in changes:
        found[change.action] += 1
    return found


def plan_digest(
    stack: Stack,
    operation: Operation,
    config: Mapping[str, str],
    changes: Sequence[ResourceChange],
    resources: Iterable[Resource],
) -> str:
    """Over everything an approval is about. Secrets come in as hashes, so that another secret is another
    plan; where a policy or an obstacle may have changed meanwhile, apply looks again."""
    inputs: dict[str, Any] = {resource.urn: resource.inputs for resource in resources}
    outputs = {resource.urn: resource.outputs for resource in resources if not resource.custom}
    return digest(
        {
            "stack": [stack.tenant, stack.program, stack.name],
            "operation": operation,
            "config": digest(dict(config)),
            "outputs": outputs,
            "changes": [
                {
                    "urn": change.urn,
                    "action": change.action,
                    "paths": [[path.path, path.kind, path.old, path.new] for path in change.paths],
                    "reasons": list(change.reasons),
                    "dependencies": list(change.dependencies),
                    "deletedFirst": change.deleted_first,
                    "aliasOf": change.alias_of,
                    "inputs": inputs.get(change.urn),
                }
                for change in changes
            ],
        }
    )


def made(
    stack: Stack,
    operation: Operation,
    plan: str,
    changes: tuple[ResourceChange, ...],
    outputs: Mapping[str, Value],
    diagnostics: Iterable[Diagnostic] = (),
    violations: tuple[PolicyViolation, ...] = (),
) -> Plan:
    said = tuple(dict.fromkeys((*LIMITS, *diagnostics)))
    return Plan(
        stack, operation, "local-simulation", plan, counts(changes), changes, outputs, said, violations
    )
