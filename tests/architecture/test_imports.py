"""Imports point one way. import-linter holds the layers; what it cannot say is read from the source here."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import sources
from tests.support.host import ROOT

EDGE_LIBRARIES = frozenset({"azure", "pydantic", "pydantic_core", "aiohttp", "yaml", "dulwich"})


def test_the_layers_of_pyproject_are_kept() -> None:
    """A service that reaches for an adapter, or an adapter for a service, can no longer be replaced alone."""
    linter = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run(
        [str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_domain_imports_nothing_but_itself_and_the_standard_library() -> None:
    """A decision that needs a library needs its bugs, its updates and its I/O; ours have to be replayable."""
    wrong = [
        source.at(node, module)
        for source in sources("shared/domain/")
        for node, module in source.imports()
        if not module.startswith("shared.domain.") and module.partition(".")[0] not in sys.stdlib_module_names
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", ["os", "socket", "sqlite3", "subprocess", "time", "asyncio"])
def test_the_domain_does_not_reach_outside(module: str) -> None:
    """The standard library has doors too: a decision that reads a file or the time cannot be replayed."""
    wrong = [
        source.at(node, found)
        for source in sources("shared/domain/")
        for node, found in source.imports()
        if found.partition(".")[0] == module
    ]
    assert not wrong, "\n".join(wrong)


def test_the_domain_handles_paths_only_as_names() -> None:
    """`Path` opens files; `PurePosixPath` is a name that means the same on every machine."""
    wrong = [
        source.at(node, alias.name)
        for source in sources("shared/domain/")
        for node in source.nodes
        if isinstance(node, ast.ImportFrom) and node.module == "pathlib"
        for alias in node.names
        if alias.name != "PurePosixPath"
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", ["shared/services/", "shared/ports/"])
def test_services_and_ports_know_no_library_of_the_edges(room: str) -> None:
    """A port that speaks of a library's types can only be implemented with that library."""
    wrong = [
        source.at(node, module)
        for source in sources(room)
        for node, module in source.imports()
        if module.partition(".")[0] in EDGE_LIBRARIES
    ]
    assert not wrong, "\n".join(wrong)


def test_only_tests_import_tests() -> None:
    """What is served must run where no test is installed."""
    wrong = [
        source.at(node, module)
        for source in sources("function_app.py", "functions/", "shared/", "local/")
        for node, module in source.imports()
        if module.partition(".")[0] in {"tests", "pytest", "hypothesis"}
    ]
    assert not wrong, "\n".join(wrong)


def test_the_deployed_rooms_import_nothing_that_is_not_deployed() -> None:
    """`local/` and its libraries stay behind: an import of them would fail on the first cold start."""
    wrong = [
        source.at(node, module)
        for source in sources("function_app.py", "functions/", "shared/")
        for node, module in source.imports()
        if module.partition(".")[0] in {"local", "uvicorn", "uvloop", "azure_functions_runtime", "psutil"}
    ]
    assert not wrong, "\n".join(wrong)
