"""Names of resources, as Pulumi makes them, and the earlier names that aliases admit."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True, slots=True)
class AliasSpec:
    """An earlier name by its parts; what is empty is as it is now. `parent` None: the present parent."""

    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str | None = None
    no_parent: bool = False


type Alias = str | AliasSpec


def urn(stack: str, project: str, parent: str, kind: str, name: str) -> str:
    """`urn:pulumi:<stack>::<project>::<types of the parents>$<type>::<name>`; the stack prefixes no type."""
    qualified = kind
    if parent and (above := parent.split("::")[2]) != STACK_TYPE:
        qualified = f"{above}${kind}"
    return f"urn:pulumi:{stack}::{project}::{qualified}::{name}"


def name_of(of: str) -> str:
    return of.split("::", 3)[3]


def type_of(of: str) -> str:
    return of.split("::")[2].rpartition("$")[2]


def earlier_names(
    stack: str, project: str, parent: str, kind: str, name: str, own: Iterable[Alias], parents: Iterable[str]
) -> Iterator[str]:
    """Every URN this resource may have had: by its own aliases, its parent's (`parents`), and both together.

    A child whose name begins with its parent's follows a renamed parent.
    """
    own = tuple(own)
    for alias in own:
        yield _alias(stack, project, parent, kind, name, alias)
    for before in parents:
        followed = name
        if name.startswith(name_of(parent)):
            followed = name_of(before) + name.removeprefix(name_of(parent))
        yield urn(stack, project, before, kind, followed)
        for alias in own:
            if isinstance(alias, AliasSpec) and alias.parent is None and not alias.no_parent:
                yield _alias(stack, project, before, kind, followed, alias)


def _alias(stack: str, project: str, parent: str, kind: str, name: str, alias: Alias) -> str:
    if isinstance(alias, str):
        return alias
    above = "" if alias.no_parent else alias.parent if alias.parent is not None else parent
    return urn(alias.stack or stack, alias.project or project, above, alias.type or kind, alias.name or name)
