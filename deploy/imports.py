"""Whether the package is whole: every import in it, lazy ones too, must find its module on Azure."""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from deploy.closure import Component
from deploy.tree import Files

ELSEWHERE = {
    "shared/adapters/provisioners/embedded/": "simulates Pulumi; the embedded platform only",
    "shared/adapters/provisioners/automation.py": "drives the Pulumi CLI; in a container that has it",
}
"""Folders whose modules are never imported on Azure, with why."""


class NotInPackage(Exception):
    """A module imports what is not deployed; the message names file, line and module for each."""


def check_imports(files: Files, components: Iterable[Component]) -> None:
    """Raise NotInPackage unless each import is of the standard library, the package or a component."""
    ours = _modules_of(files)
    theirs = frozenset[str]().union(*(component.modules for component in components))
    wrong = [
        f"{path}:{line}: {module}"
        for path, content in sorted(files.items())
        if path.endswith(".py") and not path.startswith(tuple(ELSEWHERE))
        for line, module in _imports(path, content)
        if not _is_there(module, ours, theirs)
    ]
    if wrong:
        raise NotInPackage("The package imports what is not in it:\n" + "\n".join(wrong))


def _is_there(module: str, ours: frozenset[str], theirs: frozenset[str]) -> bool:
    root, *_ = names = module.split(".")
    if root in sys.stdlib_module_names or module in ours:
        return True
    return root not in ours and ".".join(names[:2]) in theirs


def _modules_of(files: Files) -> frozenset[str]:
    found: set[str] = set()
    for path in files:
        if path.endswith(".py"):
            place = PurePosixPath(path).with_suffix("")
            found.add(".".join(place.parent.parts if place.name == "__init__" else place.parts))
    return frozenset(found)


def _imports(path: str, content: bytes) -> Iterator[tuple[int, str]]:
    folder = PurePosixPath(path).parent.parts
    for node in ast.walk(ast.parse(content, path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) + 1 - node.level] if node.level else ()
            yield node.lineno, ".".join([*base, *([node.module] if node.module else [])])
