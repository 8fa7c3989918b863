"""What holds for a run of the tests as a whole: how several workers share them, and what is said at its end.

Here and not beside the tests that it is about, because the process that speaks for several workers loads no
other.
"""

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tests.support.crash_point_table import found_bugs, table

TOGETHER = ("tests/infra/", "tests/architecture/")
"""What the first of a folder records or parses takes long, and serves all of them."""
LONG = ("tests/infra/", "tests/journeys/", "tests/faults/", "tests/functions/")
"""They wait for processes more than they work, so they begin, and others work meanwhile."""

MEMORY = Path("/dev/shm")
"""Files in memory. Where there is too little of it, the tests take a disk."""
ENOUGH = 4 << 30
"""Bytes."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


_MADE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Every worker loads all tests, and a hundred servers and commands are started: compiling all of it each
    time, as an image for containers may ask for, takes longer than many of the tests. Thousands of stores are
    made, and a disk is asked at each commit; what has to outlast a power cut makes its folder elsewhere."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    is_worker = hasattr(config, "workerinput")
    if not is_worker and config.option.basetemp is None and _is_roomy(MEMORY):
        config.stash[_MADE] = config.option.basetemp = tempfile.mkdtemp(prefix="slipway-tests-", dir=MEMORY)


def pytest_unconfigure(config: pytest.Config) -> None:
    if (made := config.stash.get(_MADE, None)) is not None:
        shutil.rmtree(made, ignore_errors=True)


def _is_roomy(memory: Path) -> bool:
    """Whether programs may be run there, and all that the tests leave finds room several times."""
    if not memory.is_dir() or not os.access(memory, os.W_OK):
        return False
    place = os.statvfs(memory)
    return not place.f_flag & os.ST_NOEXEC and place.f_bavail * place.f_frsize >= ENOUGH


def pytest_collection() -> None:
    """What is loaded from here on stays; looking through it for garbage again and again finds none."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    said = [
        (name, value)
        for outcome in ("passed", "failed")
        for result in terminalreporter.stats.get(outcome, ())
        if result.when == "call"
        for name, value in result.user_properties
    ]
    tried = [value for name, value in said if name == "crash_points"]
    found = [value for name, value in said if name == "planted_bug"]
    if tried:
        terminalreporter.section("crash points")
        terminalreporter.write_line(table(tried))
    if found:
        terminalreporter.section("planted bugs")
        terminalreporter.write_line(found_bugs(found))
