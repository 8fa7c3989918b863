"""The project's own Python files as the house rules read them: path, text and syntax tree, parsed once."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache, cached_property

from tests.support.host import ROOT

PRODUCT = ("function_app.py", "functions/", "shared/", "local/")
"""What is served. `local/` is, although it is never deployed."""
SAMPLE = "local/sample/"
"""A project of its own, which the demo delivers: our rules are not its rules."""


@dataclass(frozen=True)
class Source:
    """One Python file. `path` is relative to the repository and `/`-separated."""

    path: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.path).read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    def at(self, node: ast.expr | ast.stmt | ast.ExceptHandler, what: str) -> str:
        """A violation as an editor can jump to it."""
        return f"{self.path}:{node.lineno}: {what}"

    def imports(self) -> Iterator[tuple[ast.stmt, str]]:
        """The modules it imports, anywhere in it: `a.b` for `import a.b` and for `from a.b import c`."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((node, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                yield node, node.module


@cache
def tracked() -> tuple[str, ...]:
    """Every file of the project but what .gitignore names. An archive of it has no git to ask."""
    ignored = [".git", *((ROOT / ".gitignore").read_text().replace("/\n", "\n").split())]
    found = []
    for folder, folders, files in ROOT.walk():
        folders[:] = [name for name in folders if not _is_any(name, ignored)]
        found += [folder / name for name in files if not _is_any(name, ignored)]
    return tuple(sorted(path.relative_to(ROOT).as_posix() for path in found))


def _is_any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


@cache
def sources(*prefixes: str) -> tuple[Source, ...]:
    """Our Python files below these places; all of them without any."""
    return tuple(
        _source(path)
        for path in tracked()
        if path.endswith(".py") and not path.startswith(SAMPLE) and path.startswith(prefixes or "")
    )


@cache
def _source(path: str) -> Source:
    return Source(path)


def forget() -> None:
    """Let all of them go."""
    for kept in (tracked, sources, _source):
        kept.cache_clear()


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or an attribute of names; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr) if base := dotted(value):
            return f"{base}.{attr}"
    return ""


def called_with_text(sources: Iterable[Source], function: str) -> list[tuple[Source, ast.Call, str]]:
    """The calls of a function whose first argument is a text, also through a wrapper in the same module which
    hands its own first parameter on: `_fact("Opened")` where `def _fact(kind): ... Event(kind)`."""
    return [
        (source, call, str(call.args[0].value))
        for source in sources
        for call in _calls(source, {function, *_wrappers(source, function)})
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    ]


def _wrappers(source: Source, function: str) -> Iterator[str]:
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef) and node.args.args:
            first = node.args.args[0].arg
            inner = (call for call in ast.walk(node) if isinstance(call, ast.Call) and call.args)
            if any(dotted(call.func) == function and dotted(call.args[0]) == first for call in inner):
                yield node.name


def _calls(source: Source, names: set[str]) -> Iterator[ast.Call]:
    for node in source.nodes:
        if isinstance(node, ast.Call) and node.args and dotted(node.func) in names:
            yield node
