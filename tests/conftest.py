"""What every run of the tests says at its end. Here and not beside the tests that it is about, because the
process that speaks for several workers loads no other."""

import pytest

from tests.support.crash_point_table import found_bugs, table


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
