"""What holds for a run of the tests as a whole: how several workers share them, and what is said at its end.

Here and not beside the tests that it is about, because the process that speaks for several workers loads no
other.
"""

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tests.support.crash_point_table import found_bugs, table

TOGETHER = "tests/infra/"
"""What these record takes half a minute, and serves all of them."""
LONG = (TOGETHER, "tests/journeys/", "tests/faults/", "tests/functions/")
"""They wait for processes more than they work, so they begin, and others work meanwhile."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(TOGETHER) else nodeid.partition("::")[0]


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
