"""Scan reports as SARIF, Trivy and Grype write them: counted by severity, and not trusted."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared.domain.images.errors import BadScanReport
from shared.domain.images.model import ContainerImage, Findings
from shared.domain.kernel.errors import Problem
from shared.domain.pipelines.model import BuildResult
from shared.ports.blobs import Blobs
from shared.ports.scanner import ScanReport

KIND = "scan-report"
"""The kind of a build's artifact that is the report on its image."""
MAX_BYTES = 16 * 1024 * 1024
_SEVERITIES = ("critical", "high", "medium", "low")
_SAME_AS = {"negligible": "low", "moderate": "medium", "important": "high"}
_SARIF_LEVELS = {"error": "high", "warning": "medium", "note": "low", "none": "unknown"}
# CVSS ratings, as GitHub and the scanners map `security-severity`: at least this is that.
_RATINGS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))


class UploadedReports:
    """The Scanner port over what the build itself has brought: an artifact of the kind `scan-report`."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def scan(self, image: ContainerImage, build: BuildResult) -> bytes | None:
        """The first report that is of this image, or that does not say which image it is of."""
        for artifact in build.artifacts:
            if artifact.kind != KIND or await self._blobs.info(image.tenant, artifact.ref) is None:
                continue
            content = await self._blobs.read(image.tenant, artifact.ref)
            if read(content).digest in (None, image.digest):
                return content
        return None


def read(content: bytes) -> ScanReport:
    """The report in any of the three forms. Raises BadScanReport."""
    if len(content) > MAX_BYTES:
        raise _bad(f"A scan report may have {MAX_BYTES} bytes; leave out what is not a finding.")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise _bad("The scan report is not JSON.") from None
    if isinstance(body, dict):
        for form in (_sarif, _trivy, _grype):
            if (report := form(body)) is not None:
                return report
    raise _bad(
        "The scan report must be SARIF 2.1.0 (`runs`), Trivy JSON (`SchemaVersion`, `Results`) or"
        " Grype JSON (`matches`)."
    )


def _bad(message: str) -> BadScanReport:
    return BadScanReport(message, Problem("report", message))


def _sarif(body: Mapping[str, Any]) -> ScanReport | None:
    runs = body.get("runs")
    if not isinstance(runs, list) or not str(body.get("version", "")).startswith("2.1"):
        return None
    severities: list[str] = []
    names: list[str] = []
    for run in _objects(runs):
        driver = _object(_object(run.get("tool")).get("driver"))
        names.append(str(driver.get("name", "SARIF")))
        rules = {rule.get("id"): rule for rule in _objects(driver.get("rules"))}
        for result in _objects(run.get("results")):
            if result.get("suppressions"):
                continue
            severities.append(_sarif_severity(result, rules.get(result.get("ruleId"), {})))
    return ScanReport(names[0][:100] if names else "SARIF", None, _counted(severities))


def _sarif_severity(result: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    rated = _object(result.get("properties")).get("security-severity") or _object(rule.get("properties")).get(
        "security-severity"
    )
    try:
        score = float(rated) if isinstance(rated, str | int | float) else None
    except ValueError:
        score = None
    if score is not None:
        return next((word for least, word in _RATINGS if score >= least), "unknown")
    level = result.get("level") or _object(rule.get("defaultConfiguration")).get("level") or "warning"
    return _SARIF_LEVELS.get(str(level), "unknown")


def _trivy(body: Mapping[str, Any]) -> ScanReport | None:
    if "SchemaVersion" not in body or not isinstance(body.get("Results", []), list):
        return None
    severities = [
        str(found.get("Severity", ""))
        for result in _objects(body.get("Results"))
        for found in _objects(result.get("Vulnerabilities"))
    ]
    digests = _object(body.get("Metadata")).get("RepoDigests")
    digest = _digest(digests[0]) if isinstance(digests, list) and digests else None
    return ScanReport("Trivy", digest, _counted(severities))


def _grype(body: Mapping[str, Any]) -> ScanReport | None:
    if not isinstance(body.get("matches"), list):
        return None
    severities = [
        str(_object(match.get("vulnerability")).get("severity", "")) for match in _objects(body["matches"])
    ]
    target = _object(_object(body.get("source")).get("target"))
    return ScanReport("Grype", _digest(target.get("manifestDigest")), _counted(severities))


def _counted(severities: Iterable[str]) -> Findings:
    words = (word.lower() for word in severities)
    counts = Counter(_SAME_AS.get(word, word) for word in words)
    known = {severity: counts[severity] for severity in _SEVERITIES}
    return Findings(**known, unknown=counts.total() - sum(known.values()))


def _digest(text: object) -> str | None:
    """`name@sha256:...` or the digest alone."""
    found = text.rpartition("@")[2] if isinstance(text, str) else ""
    return found if found.startswith("sha256:") else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    return (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())
