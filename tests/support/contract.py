"""The published contract as committed snapshots, one per surface.

`python -m tests.support.contract update` writes them anew, unless that would hide a breaking change that the
changelog does not announce.
"""

import json
import sys
from pathlib import Path

from functions.http.openapi import describe
from functions.routes import declared
from tests.support.contract_changes import Finding, Node, compare

SNAPSHOTS = Path(__file__).parents[1] / "api" / "snapshots"
CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
VERSIONLESS = "0"
"""The version in snapshots: a release by itself changes no contract."""


def published() -> dict[str, Node]:
    """The contract of every surface as it is now, by surface."""
    # As a reader gets it, so that it compares with what was read from a file.
    return {name: json.loads(json.dumps(describe(one, VERSIONLESS))) for name, one in declared().items()}


def snapshots() -> dict[str, Node]:
    return {path.stem: json.loads(path.read_text()) for path in SNAPSHOTS.glob("*.json")}


def announced(changelog: str) -> set[str]:
    """The words of every line of a changelog that begins with `- BREAKING`."""
    lines = (line for line in changelog.splitlines() if line.startswith("- BREAKING"))
    return {word.strip("`.,:;()") for line in lines for word in line.split()}


def changes() -> list[Finding]:
    """What has changed since the snapshots were written, over all surfaces."""
    nothing: Node = {"paths": {}}
    now = published()
    return [
        finding
        for name, was in sorted(snapshots().items())
        for finding in compare(was, now.get(name, nothing))
    ]


def unannounced() -> list[Finding]:
    """The breaking changes that the changelog does not announce."""
    known = announced(CHANGELOG.read_text())
    return [one for one in changes() if one.is_breaking and one.operation not in known]


def written(document: Node) -> str:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def update() -> None:
    """Write every snapshot anew, and drop those of surfaces that are gone."""
    SNAPSHOTS.mkdir(exist_ok=True)
    documents = published()
    for path in SNAPSHOTS.glob("*.json"):
        if path.stem not in documents:
            path.unlink()
    for name, document in documents.items():
        (SNAPSHOTS / f"{name}.json").write_text(written(document))


if __name__ == "__main__":
    if sys.argv[1:] != ["update"]:
        raise SystemExit("say `python -m tests.support.contract update`")
    if breaking := unannounced():
        told = "\n".join(map(str, breaking))
        raise SystemExit(
            f"{told}\nThese break callers; announce each in {CHANGELOG.name} in a line such as"
            f" `- BREAKING {breaking[0].operation}: why`."
        )
    update()
