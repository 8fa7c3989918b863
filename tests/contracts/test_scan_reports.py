"""Scan reports in the forms that scanners write them."""

import json
from typing import Any

import pytest

from shared.adapters.scan_reports import read
from shared.domain.images.errors import BadScanReport
from shared.domain.images.model import Findings

DIGEST = "sha256:" + "a" * 64


def counted(report: Any) -> Findings:
    return read(json.dumps(report).encode()).findings


def test_trivy_is_counted_over_all_of_its_results() -> None:
    report = {
        "SchemaVersion": 2,
        "Metadata": {"RepoDigests": [f"shop/orders@{DIGEST}"]},
        "Results": [
            {"Vulnerabilities": [{"Severity": "CRITICAL"}, {"Severity": "UNKNOWN"}]},
            {"Target": "clean"},
            {"Vulnerabilities": [{"Severity": "HIGH"}, {"Severity": "MEDIUM"}, {"Severity": "LOW"}]},
        ],
    }
    assert counted(report) == Findings(critical=1, high=1, medium=1, low=1, unknown=1)
    assert read(json.dumps(report).encode()).digest == DIGEST


def test_grype_is_counted_by_its_matches() -> None:
    severities = ["Critical", "High", "Negligible", "Medium", "Unknown"]
    report = {
        "matches": [{"vulnerability": {"severity": severity}} for severity in severities],
        "source": {"target": {"manifestDigest": DIGEST}},
    }
    assert counted(report) == Findings(critical=1, high=1, medium=1, low=1, unknown=1)
    assert read(json.dumps(report).encode()).digest == DIGEST


def test_sarif_is_counted_by_rating_or_level() -> None:
    rules = [
        {"id": "A", "properties": {"security-severity": "9.8"}},
        {"id": "B", "properties": {"security-severity": "7.0"}},
        {"id": "C", "defaultConfiguration": {"level": "note"}},
        {"id": "D"},
    ]
    results: list[dict[str, Any]] = [{"ruleId": each} for each in "ABCD"]
    results += [
        {"ruleId": "D", "level": "error"},
        {"ruleId": "A", "properties": {"security-severity": "4.0"}},
        {"ruleId": "A", "suppressions": [{"kind": "external"}]},
    ]
    tool = {"driver": {"name": "Snyk", "rules": rules}}
    report = {"version": "2.1.0", "runs": [{"tool": tool, "results": results}]}
    assert counted(report) == Findings(critical=1, high=2, medium=2, low=1)
    assert read(json.dumps(report).encode()).scanner == "Snyk"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"null",
        b'{"runs": []}',
        b'{"SchemaVersion": 2, "Results": 1}',
        b"[" * 100_000,
        b" " * (16 * 1024 * 1024 + 1),
    ],
    ids=["empty", "list", "object", "bytes", "null", "no version", "no results", "deep", "large"],
)
def test_what_is_no_report_is_refused(content: bytes) -> None:
    with pytest.raises(BadScanReport):
        read(content)


def test_nonsense_inside_of_a_report_is_counted_as_unknown_or_not_at_all() -> None:
    report = {"SchemaVersion": 2, "Results": [1, {"Vulnerabilities": [None, {"Severity": ["x"]}, {}]}]}
    assert counted(report) == Findings(unknown=2)
