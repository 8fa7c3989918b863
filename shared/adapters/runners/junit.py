"""Counts of a JUnit XML report. The report comes from a build and is not trusted: it is streamed, and a
document type (where entity bombs and external entities live) is refused."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.parsers import expat

from shared.domain.kernel.errors import Invalid

_SUITES = ("testsuites", "testsuite")
_DEPTH = 100
_LARGEST = 10**9
"""Of tests or seconds: more is no count, and readers of our JSON cannot hold it."""


class BadReport(Invalid):
    """The bytes are no JUnit report."""

    code = "bad_test_report"


@dataclass(frozen=True, slots=True)
class TestCounts:
    """`failed` counts failures and errors; `duration` in seconds."""

    __test__ = False  # not a test case, whatever its name looks like to pytest

    total: int
    passed: int
    failed: int
    skipped: int
    duration: float


@dataclass(slots=True)
class _Element:
    """An open element. `inner` is the duration of what it holds, `verdicts` the tags right below a case."""

    tag: str
    attributes: dict[str, str]
    inner: float = 0.0
    holds_tests: bool = False
    verdicts: set[str] = field(default_factory=set)

    def number(self, name: str) -> float:
        text = self.attributes.get(name, "").replace(",", "")  # some writers group thousands
        try:
            value = float(text or 0)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value > _LARGEST:
            raise BadReport(
                f"The test report has a <{self.tag}> whose `{name}` is no number up to {_LARGEST}."
            )
        return max(value, 0.0)

    @property
    def duration(self) -> float:
        """Its own word goes before the sum: tests may run side by side."""
        return self.number("time") if self.attributes.get("time") else self.inner


class _Counter:
    def __init__(self) -> None:
        self._open: list[_Element] = []
        self.total = self.failed = self.skipped = 0
        self.duration = 0.0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        element = _Element(name.rpartition(" ")[2], attributes)  # without its namespace
        parent = self._open[-1] if self._open else None
        if parent is None and element.tag not in _SUITES:
            raise BadReport(f"The test report starts with <{element.tag[:50]}>; send JUnit XML.")
        if len(self._open) == _DEPTH:
            raise BadReport(f"The test report nests deeper than {_DEPTH} elements; send JUnit XML.")
        if parent is not None:
            parent.verdicts.add(element.tag)
            parent.holds_tests = parent.holds_tests or element.tag in (*_SUITES, "testcase")
        self._open.append(element)

    def end(self, _name: str) -> None:
        element = self._open.pop()
        if element.tag == "testcase":
            self._count_case(element.verdicts)
        elif element.tag not in _SUITES:
            return
        elif not element.holds_tests:
            self._count_summary(element)
        if self._open:
            self._open[-1].inner += element.duration
        else:
            self.duration = element.duration

    def _count_case(self, verdicts: set[str]) -> None:
        self.total += 1
        if verdicts & {"failure", "error"}:
            self.failed += 1
        elif "skipped" in verdicts:
            self.skipped += 1

    def _count_summary(self, suite: _Element) -> None:
        """A suite without its cases is all that some writers give; numbers beside cases are not believed."""
        failed = int(suite.number("failures") + suite.number("errors"))
        skipped = int(suite.number("skipped") + suite.number("disabled"))
        total = int(suite.number("tests"))
        if failed + skipped > total:
            raise BadReport("The test report has a suite with more failed and skipped tests than tests.")
        self.total += total
        self.failed += failed
        self.skipped += skipped


def _refuse_doctype(*_: object) -> None:
    raise BadReport("The test report has a DOCTYPE, which a test report never needs; write it without.")


def parse(xml: bytes, start: Callable[[str, dict[str, str]], None], end: Callable[[str], None]) -> None:
    """Hand every element to `start` and `end`, its namespace before a space. Raises BadReport."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise BadReport(f"The test report is no well-formed XML: {error}.") from None
    except (LookupError, ValueError):  # an encoding that Python or expat does not know
        raise BadReport("The test report has an unknown encoding; write it as UTF-8.") from None


def count(xml: bytes) -> TestCounts:
    """Count the cases of JUnit XML: `testsuites` or `testsuite`, nested as deep as writers do.

    A case with failures or errors has failed, once. Raises BadReport.
    """
    counter = _Counter()
    parse(xml, counter.start, counter.end)
    passed = counter.total - counter.failed - counter.skipped
    return TestCounts(counter.total, passed, counter.failed, counter.skipped, counter.duration)
