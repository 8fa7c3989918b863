"""Counts of a TRX report, as `dotnet test` writes it. The report comes from a build and is not trusted."""

from collections import Counter

from shared.adapters.runners.junit import BadReport, TestCounts, parse

_RESULT = "UnitTestResult"
_PASSED = frozenset({"Passed", "PassedButRunAborted", "Completed", "Warning"})
_SKIPPED = frozenset({"NotExecuted", "NotRunnable", "Inconclusive", "Pending", "Disconnected"})


class _Counter:
    """A test with rows of data holds a result for each row, and is one test."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._open: list[str] = []
        self._inside = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if not self._open and tag != "TestRun":
            raise BadReport(f"The test report starts with <{tag[:50]}>; send TRX or JUnit XML.")
        if tag == _RESULT:
            if self._inside == 0:
                self.outcomes[attributes.get("outcome", "")] += 1
            self._inside += 1
        self._open.append(tag)

    def end(self, _name: str) -> None:
        if self._open.pop() == _RESULT:
            self._inside -= 1


def count(xml: bytes) -> TestCounts:
    """Count the tests of a TRX report; an outcome that is not known has failed. Raises BadReport."""
    counter = _Counter()
    parse(xml, counter.start, counter.end)
    total = counter.outcomes.total()
    passed = sum(number for outcome, number in counter.outcomes.items() if outcome in _PASSED)
    skipped = sum(number for outcome, number in counter.outcomes.items() if outcome in _SKIPPED)
    return TestCounts(total, passed, total - passed - skipped, skipped, 0.0)
