"""Counting a JUnit report that a stranger's build wrote."""

import pytest

from shared.adapters.runners import junit
from shared.domain.kernel.errors import Invalid

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="1"
 tests="5" time="0.031">
<testcase classname="t" name="test_a" time="0.001" />
<testcase classname="t" name="test_b" time="0.002"><failure message="x">assert</failure></testcase>
<testcase classname="t" name="test_c" time="0.000"><skipped type="pytest.skip" message="s"/></testcase>
<testcase classname="t" name="test_d" time="0.004"><error message="failed on setup">E</error></testcase>
<testcase classname="t" name="test_e" time="0.010"><system-out>hi</system-out></testcase>
</testsuite></testsuites>"""


def test_what_pytest_writes_is_counted() -> None:
    counts = junit.count(PYTEST)
    assert (counts.total, counts.passed, counts.failed, counts.skipped) == (5, 2, 2, 1)
    assert counts.duration == pytest.approx(0.031)


def test_a_single_suite_may_be_the_root_and_gives_its_sum_of_durations() -> None:
    counts = junit.count(b'<testsuite><testcase time="1.5"/><testcase time="0.5"/></testsuite>')
    assert (counts.total, counts.passed, counts.duration) == (2, 2, 2.0)


def test_nested_suites_are_counted_once() -> None:
    counts = junit.count(
        b'<testsuites tests="99"><testsuite tests="3" time="2"><testsuite><testcase time="9"/></testsuite>'
        b"<testcase/><testcase><failure/></testcase></testsuite><testsuite/></testsuites>"
    )
    assert (counts.total, counts.passed, counts.failed, counts.duration) == (3, 2, 1, 2.0)


def test_a_case_fails_once_however_often_it_says_so() -> None:
    counts = junit.count(
        b"<testsuite><testcase><failure/><failure/><error/><skipped/></testcase></testsuite>"
    )
    assert (counts.total, counts.failed, counts.skipped) == (1, 1, 0)


def test_a_flaky_case_that_passed_in_the_end_has_passed() -> None:
    counts = junit.count(b"<testsuite><testcase><flakyFailure/><rerunError/></testcase></testsuite>")
    assert (counts.passed, counts.failed) == (1, 0)


def test_only_what_stands_right_below_a_case_is_its_verdict() -> None:
    report = b"<testsuite><testcase><properties><failure/></properties></testcase></testsuite>"
    assert junit.count(report).passed == 1


def test_a_suite_without_cases_is_taken_at_its_word() -> None:
    counts = junit.count(b'<testsuite tests="10" failures="1" errors="2" skipped="3" time="1,234.5"/>')
    assert (counts.total, counts.passed, counts.failed, counts.skipped) == (10, 4, 3, 3)
    assert counts.duration == 1234.5


def test_a_namespace_and_another_encoding_change_nothing() -> None:
    report = '<?xml version="1.0" encoding="utf-16"?><j:testsuite xmlns:j="urn:j"><j:testcase/></j:testsuite>'
    assert junit.count(report.encode("utf-16")).total == 1


def test_an_empty_suite_is_a_report_of_nothing() -> None:
    assert junit.count(b"<testsuites/>") == junit.TestCounts(0, 0, 0, 0, 0.0)


BOMB = b"""<?xml version="1.0"?><!DOCTYPE t [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<testsuite><testcase name="&b;"/></testsuite>"""
EXTERNAL = (
    b'<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite><testcase>&x;</testcase></testsuite>'
)


@pytest.mark.parametrize("report", [BOMB, EXTERNAL, b'<!DOCTYPE t SYSTEM "http://x/t.dtd"><testsuite/>'])
def test_a_document_type_is_refused(report: bytes) -> None:
    with pytest.raises(junit.BadReport, match="DOCTYPE"):
        junit.count(report)


@pytest.mark.parametrize(
    "report",
    [
        b"",
        b"not xml",
        b"<testsuite>",
        b"<testsuite/><testsuite/>",
        b"<html/>",
        b"\x00\xff\xfe",
        b"<testsuite><testcase name='&nbsp;'/></testsuite>",
        b'<?xml version="1.0" encoding="nope-8"?><testsuite/>',
        b'<?xml version="1.0" encoding="gbk"?><testsuite/>',
        b'<testsuite time="soon"/>',
        b'<testsuite time="nan"><testcase/></testsuite>',
        b'<testsuite><testcase time="1e999"/></testsuite>',
        b'<testsuite tests="1" failures="2"/>',
        b'<testsuite tests="9e300"/>',
        b"<testsuite>" * 101 + b"</testsuite>" * 101,
    ],
)
def test_what_is_no_report_is_refused_in_a_sentence(report: bytes) -> None:
    with pytest.raises(junit.BadReport) as refusal:
        junit.count(report)
    assert refusal.value.message.startswith("The test report")
    assert isinstance(refusal.value, Invalid)


def test_a_large_report_is_counted_as_a_stream() -> None:
    report = (
        b"<testsuite>"
        + b'<testcase time="0.01"><system-out>x</system-out></testcase>' * 50_000
        + b"</testsuite>"
    )
    assert junit.count(report).total == 50_000
