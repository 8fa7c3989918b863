"""Finding report files: what patterns mean, and that neither a pattern nor a link can keep us busy."""

import time
from pathlib import Path

import pytest

from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.runners import junit
from shared.domain.pipelines.definition import ArtifactSpec
from shared.names import INDEXES
from shared.services.artifact_blobs import ArtifactBlobs
from shared.services.build_results import BuildOutputs
from shared.services.report_files import find
from tests.support.app import SteppingClock
from tests.support.pipelines import a_definition

FILES = ["a.xml", "b.txt", "out/a.xml", "out/deep/er/a.xml", ".hidden/a.xml", "out/TEST-1.xml"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.xml", ["a.xml"]),
        ("./out/*.xml", ["out/TEST-1.xml", "out/a.xml"]),
        ("*/a.xml", [".hidden/a.xml", "out/a.xml"]),
        ("**/a.xml", [".hidden/a.xml", "a.xml", "out/a.xml", "out/deep/er/a.xml"]),
        ("**/**/er/**/*.xml", ["out/deep/er/a.xml"]),
        ("out/**", ["out/TEST-1.xml", "out/a.xml", "out/deep/er/a.xml"]),
        ("**/TEST-[0-9].xml", ["out/TEST-1.xml"]),
        ("out", []),
        ("[", []),
    ],
)
def test_a_pattern_finds_files(folder: Path, pattern: str, expected: list[str]) -> None:
    assert [str(path.relative_to(folder)) for path in find(folder, [pattern])] == expected


def test_a_file_that_two_patterns_find_is_found_once(folder: Path) -> None:
    assert [path.name for path in find(folder, ["a.xml", "*.xml"])] == ["a.xml"]


def test_a_pattern_of_many_stars_over_a_long_name_takes_no_time(folder: Path) -> None:
    (folder / ("a" * 250)).write_text("")
    began = time.perf_counter()
    assert find(folder, ["*a" * 4 + "*b"]) == []
    assert find(folder, ["/".join(["**"] * 20 + ["nothing"])]) == []
    assert time.perf_counter() - began < 1


def test_no_link_is_followed_in_search_of_a_report(folder: Path) -> None:
    for index in range(5):
        (folder / f"loop{index}").symlink_to(".")
    (folder / "root").symlink_to("/")
    assert find(folder, ["/".join(["*"] * 6) + ".xml", "root/*"]) == []


@pytest.mark.parametrize("text", [b"<coverage " * 10_000, b'<coverage line-rate="' + b"1" * 20_000])
async def test_a_report_of_coverage_that_never_ends_is_put_aside(folder: Path, text: bytes) -> None:
    (folder / "c.xml").write_bytes(text)
    clock = SteppingClock()
    store = SqliteStore(folder.parent / "store.db", INDEXES, clock)
    blobs = FileBlobs(folder.parent / "blobs", base_url="http://x", clock=clock)
    outputs = BuildOutputs(ArtifactBlobs(store, blobs, clock), junit.count)
    definition = a_definition(artifacts=[ArtifactSpec("a", "a.xml")], coverage_report="c.xml")
    began = time.perf_counter()
    collected = await outputs.collect("acme", "0" * 32, folder, definition, with_artifacts=False)
    await store.aclose()
    assert time.perf_counter() - began < 1
    assert collected.produced.coverage is None
    assert "not in Cobertura's format" in collected.notes[0]
