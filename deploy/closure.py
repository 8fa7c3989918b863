"""What the pinned requirements need, all the way down, as installed here: names, versions and licences."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

type Distributions = dict[str, metadata.Distribution]
"""By canonical name."""

_LICENCE_CLASSIFIER = re.compile(r"License :: (?:OSI Approved :: )?(.+)")


class NotInstalled(Exception):
    """The environment does not hold what the requirements ask for; the message names it."""


@dataclass(frozen=True, slots=True)
class Component:
    """One distribution of the package. `modules` are the first one and two names of the modules it brings,
    `needs` the names of what it requires. `licence` is as the distribution tells it, "" when it does not."""

    name: str
    version: str
    licence: str
    licence_is_expression: bool
    modules: frozenset[str]
    needs: tuple[str, ...]


def installed(folder: Path | None = None) -> Distributions:
    """What is installed in that folder; without one, in this interpreter's environment."""
    found = metadata.distributions() if folder is None else metadata.distributions(path=[str(folder)])
    return {canonicalize_name(each.metadata["Name"]): each for each in found}


def closure(requirements: Iterable[Requirement], there: Distributions) -> list[Component]:
    """Every distribution that these need on this Python, by name. Raises NotInstalled for what is missing,
    and for a version that is not the pinned one."""
    waiting = [(requirement, "") for requirement in requirements]
    extras: dict[str, set[str]] = {}
    needs: dict[str, set[str]] = {}
    while waiting:
        requirement, asked_by = waiting.pop()
        name = canonicalize_name(requirement.name)
        if asked_by:
            needs[asked_by].add(name)
        new = {"", *requirement.extras} - extras.setdefault(name, set())
        if not new:
            continue
        extras[name] |= new
        needs.setdefault(name, set())
        waiting += [(needed, name) for needed in _needed(_found(requirement, there), new)]
    return [_component(there[name], tuple(sorted(needs[name]))) for name in sorted(needs)]


def pinned(requirements: Path) -> list[Requirement]:
    """The lines of a requirements file. Every one of them has to pin, or builds would differ by the day."""
    lines = [line.partition("#")[0].strip() for line in requirements.read_text().splitlines()]
    found = [Requirement(line) for line in lines if line]
    for each in found:
        if [specifier.operator for specifier in each.specifier] != ["=="]:
            raise NotInstalled(f"{requirements.name} does not pin {each.name}; write {each.name}==VERSION.")
    return found


def locked(components: Iterable[Component]) -> str:
    """The requirements file of the package: the whole closure, so that a remote build picks no version."""
    lines = [f"{each.name}=={each.version}" for each in components]
    return "\n".join(["# Everything the package needs, resolved when it was made.", *lines, ""])


def _found(requirement: Requirement, there: Distributions) -> metadata.Distribution:
    found = there.get(canonicalize_name(requirement.name))
    if found is None:
        raise NotInstalled(f"{requirement.name} is not installed here; run make setup.")
    if not requirement.specifier.contains(found.version, prereleases=True):
        raise NotInstalled(
            f"{requirement.name} {found.version} is installed here, {requirement.specifier} is required;"
            " run make setup."
        )
    return found


def _needed(distribution: metadata.Distribution, extras: set[str]) -> list[Requirement]:
    """What it requires in this environment, by itself ("") or for one of the extras."""
    required = [Requirement(text) for text in distribution.requires or ()]
    return [
        each
        for each in required
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def _component(distribution: metadata.Distribution, needs: tuple[str, ...]) -> Component:
    told = distribution.metadata
    expression = told.get("License-Expression")
    classifiers = [_LICENCE_CLASSIFIER.fullmatch(line) for line in told.get_all("Classifier") or ()]
    by_classifier = " and ".join(match[1] for match in classifiers if match)
    # Some put the whole text of the licence into the field that is meant for its name.
    by_field = (told.get("License") or "").strip()
    name_of = by_field if 0 < len(by_field) <= 60 and "\n" not in by_field else by_classifier
    return Component(
        name=canonicalize_name(told["Name"]),
        version=distribution.version,
        licence=expression or name_of,
        licence_is_expression=expression is not None,
        modules=_modules(distribution),
        needs=needs,
    )


def _modules(distribution: metadata.Distribution) -> frozenset[str]:
    """`yaml` of PyYAML; `azure` and `azure.core` of azure-core, whose first name is not its own."""
    found: set[str] = set()
    for file in distribution.files or ():
        if file.suffix in (".py", ".so") and file.parts[0] != "..":
            folder = file.parts[:-1] if file.name == "__init__.py" else (*file.parts[:-1], file.name)
            names = [part.partition(".")[0] for part in folder[:2]]
            found |= {names[0], ".".join(names)}
    return frozenset(found)
