"""TRX reports as `dotnet test` writes them, counted; and what is none."""

import pytest

from shared.adapters.runners import junit, reports

HEAD = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\n'
NAMESPACE = b"http://microsoft.com/schemas/VisualStudio/TeamTest/2010"


def a_report(results: bytes) -> bytes:
    run = b'<TestRun id="1" xmlns="%s"><Results>%s</Results></TestRun>' % (NAMESPACE, results)
    return HEAD + run


def a_result(outcome: bytes, inner: bytes = b"") -> bytes:
    return b'<UnitTestResult testName="t" outcome="%s">%s</UnitTestResult>' % (outcome, inner)


def counts(xml: bytes) -> tuple[int, int, int, int]:
    seen = reports.count(xml)
    return seen.total, seen.passed, seen.failed, seen.skipped


def test_outcomes_are_counted() -> None:
    outcomes = (b"Passed", b"Failed", b"NotExecuted", b"Timeout", b"Odd", b"Inconclusive")
    assert counts(a_report(b"".join(map(a_result, outcomes)))) == (6, 1, 3, 2)


def test_rows_of_data_are_one_test() -> None:
    rows = b"<InnerResults>%s%s</InnerResults>" % (a_result(b"Passed"), a_result(b"Failed"))
    assert counts(a_report(a_result(b"Failed", rows) + a_result(b"Passed"))) == (2, 1, 1, 0)


def test_a_report_without_tests_counts_none() -> None:
    assert counts(a_report(b"")) == (0, 0, 0, 0)


def test_junit_is_still_junit() -> None:
    assert counts(b'<testsuite><testcase name="a"/></testsuite>') == (1, 1, 0, 0)


@pytest.mark.parametrize(
    "xml", [b"", b"<TestRun>", b"<html/>", b'<!DOCTYPE x [<!ENTITY a "b">]><TestRun>&a;</TestRun>']
)
def test_what_is_no_report_is_refused(xml: bytes) -> None:
    with pytest.raises(junit.BadReport):
        reports.count(xml)
