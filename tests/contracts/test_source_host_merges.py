"""Merging, comparing and looking back, on every source host."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.domain.kernel.errors import Conflict
from shared.ports.source_host import (
    FileChange,
    HeadMoved,
    MergeConflict,
    SourceHost,
)
from tests.contracts.source_hosts import (
    ADA,
    HOSTS,
    PLACE,
    add,
    branched,
    committed,
    delete,
    made,
    merged,
    modify,
    open_host,
)


@pytest.fixture(params=HOSTS)
async def host(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[SourceHost]:
    async with open_host(request.param, tmp_path) as opened:
        yield opened


async def conflicts(host: SourceHost, *, topic: list[FileChange], main: list[FileChange]) -> list[str]:
    await committed(host, *topic, branch="topic")
    await committed(host, *main)
    before = await host.branches(PLACE)
    with pytest.raises(MergeConflict) as caught:
        await merged(host)
    assert await host.branches(PLACE) == before
    paths = caught.value.facts["paths"]
    assert isinstance(paths, list)
    foretold = await host.merge_conflicts(PLACE, source=before["topic"], target=before["main"])
    assert foretold in (None, paths)
    return paths


async def test_a_merge_has_two_parents_even_where_it_could_fast_forward(host: SourceHost) -> None:
    await branched(host)
    target = await host.head(PLACE, "main")
    source = await committed(host, add("a"), branch="topic")
    info = await host.info(PLACE, await merged(host))
    assert info.parents == (target, source)
    assert await host.is_ancestor(PLACE, source, info.sha)
    assert await host.merge_base(PLACE, source, info.sha) == source


async def test_a_merge_joins_distant_changes_of_one_file(host: SourceHost) -> None:
    await branched(host, add("a", "1\n2\n3\n4\n5\n6\n7\n"), add("gone"), add("s", "s", executable=False))
    await committed(
        host, modify("a", "one\n2\n3\n4\n5\n6\n7\n"), add("dir/t"), delete("gone"), branch="topic"
    )
    await committed(host, modify("a", "1\n2\n3\n4\n5\n6\nseven\n"), add("dir/m"))
    sha = await merged(host)
    assert await host.read_file(PLACE, sha, "a") == b"one\n2\n3\n4\n5\n6\nseven\n"
    assert await host.list_files(PLACE, sha) == ["README.md", "a", "dir/m", "dir/t", "s"]


async def test_a_repeated_merge_answers_with_the_first_one(host: SourceHost) -> None:
    await branched(host)
    source = await committed(host, add("a"), branch="topic")

    async def go(number: str) -> str:
        info = await host.merge(
            PLACE,
            source="topic",
            target="main",
            expected_source=source,
            message="Merge",
            author=ADA,
            trailers=[("Pull-Request", number)],
        )
        return info.sha

    first = await go("1")
    await committed(host, add("b"))
    await committed(host, add("c"), branch="topic")
    assert await go("1") == first
    with pytest.raises(HeadMoved):
        await go("2")
    await host.delete_branch(PLACE, "topic", expected=await host.head(PLACE, "topic"), by="ada")
    assert await go("1") == first


async def test_there_is_nothing_to_merge_from_an_ancestor(host: SourceHost) -> None:
    await branched(host)
    await committed(host, add("a"))
    with pytest.raises(Conflict, match="nothing to merge"):
        await merged(host)


async def test_lines_changed_on_both_sides_conflict(host: SourceHost) -> None:
    await branched(host, add("z", "1\n"), add("a/b", "1\n"))
    change = [modify("z", "topic\n"), modify("a/b", "topic\n")]
    assert await conflicts(host, topic=change, main=[modify("z", "main\n"), modify("a/b", "main\n")]) == [
        "a/b",
        "z",
    ]


async def test_neighbouring_lines_changed_conflict_as_in_git(host: SourceHost) -> None:
    await branched(host, add("a", "1\n2\n"))
    assert await conflicts(host, topic=[modify("a", "x\n2\n")], main=[modify("a", "1\ny\n")]) == ["a"]


async def test_a_file_changed_here_and_deleted_there_conflicts(host: SourceHost) -> None:
    await branched(host, add("a", "1\n"), add("dir/b", "1\n"))
    topic = [delete("a"), modify("dir/b", "2\n")]
    assert await conflicts(host, topic=topic, main=[modify("a", "2\n"), delete("dir/b")]) == ["a", "dir/b"]


async def test_a_file_added_differently_on_both_sides_conflicts(host: SourceHost) -> None:
    await branched(host)
    topic = [add("same", "s\n"), add("new", "t\n")]
    assert await conflicts(host, topic=topic, main=[add("same", "s\n"), add("new", "m\n")]) == ["new"]


async def test_a_file_added_with_different_modes_conflicts(host: SourceHost) -> None:
    await branched(host)
    assert await conflicts(host, topic=[add("run", executable=True)], main=[add("run")]) == ["run"]


async def test_a_mode_and_a_content_changed_apart_both_stay(host: SourceHost, tmp_path: Path) -> None:
    await branched(host, add("run", "1\n2\n3\n4\n5\n"))
    await committed(host, FileChange("run", "modify", b"one\n2\n3\n4\n5\n", executable=True), branch="topic")
    await committed(host, modify("run", "1\n2\n3\n4\nfive\n"))
    await host.checkout(PLACE, await merged(host), str(tmp_path / "out"))
    assert (tmp_path / "out/run").read_bytes() == b"one\n2\n3\n4\nfive\n"
    assert os.access(tmp_path / "out/run", os.X_OK)


async def test_a_file_here_and_a_folder_there_conflict(host: SourceHost) -> None:
    await branched(host)
    assert await conflicts(host, topic=[add("a")], main=[add("a/b")]) == ["a"]


async def test_binary_files_changed_on_both_sides_conflict(host: SourceHost) -> None:
    await branched(host, add("a", "1\0\n2\n3\n4\n"))
    topic = [modify("a", "x\0\n2\n3\n4\n")]
    assert await conflicts(host, topic=topic, main=[modify("a", "1\0\n2\n3\ny\n")]) == ["a"]


async def test_a_criss_cross_merges_from_the_best_common_ancestor(host: SourceHost) -> None:
    await branched(host, add("a", "1\n2\n3\n4\n5\n"))
    one = await committed(host, modify("a", "one\n2\n3\n4\n5\n"), branch="topic")
    await host.create_branch(PLACE, "one", one, by="ada")
    await committed(host, modify("a", "1\n2\n3\n4\nfive\n"))
    await host.create_branch(PLACE, "two", await host.head(PLACE, "main"), by="ada")
    await merged(host, "one", "main")
    await merged(host, "two", "topic")
    await committed(host, add("t"), branch="topic")
    sha = await merged(host, "topic", "main")
    assert await host.read_file(PLACE, sha, "a") == b"one\n2\n3\n4\nfive\n"
    assert await host.list_files(PLACE, sha) == ["README.md", "a", "t"]


async def test_a_diff_shows_every_kind_of_change(host: SourceHost) -> None:
    await made(host)
    text = "".join(f"line {index}\n" for index in range(30))
    base = await committed(
        host,
        add("exact", text),
        add("close", text.upper()),
        add("edit", "1\n2\n3"),
        add("gone"),
        add("bin", "\0a"),
    )
    head = await committed(
        host,
        FileChange("exact2", "rename", source="exact"),
        FileChange("close2", "rename", text.upper().replace("LINE 7\n", "seven\n").encode(), source="close"),
        modify("edit", "1\ntwo\n3\n"),
        delete("gone"),
        modify("bin", "\0b"),
        add("new", "n\n"),
    )
    diffs = {each.path: each for each in await host.diff(PLACE, base, head)}
    assert {path: (d.operation, d.source, d.additions, d.deletions) for path, d in diffs.items()} == {
        "bin": ("modify", None, 0, 0),
        "close2": ("rename", "close", 1, 1),
        "edit": ("modify", None, 2, 2),
        "exact2": ("rename", "exact", 0, 0),
        "gone": ("delete", None, 0, 1),
        "new": ("add", None, 1, 0),
    }
    assert diffs["bin"].patch is None
    assert diffs["edit"].patch == (
        "diff --git a/edit b/edit\n--- a/edit\n+++ b/edit\n@@ -1,3 +1,3 @@\n"
        " 1\n-2\n-3\n\\ No newline at end of file\n+two\n+3\n"
    )
    assert await host.diff(PLACE, base, base) == []
    cut = {each.path: each for each in await host.diff(PLACE, base, head, max_patch_bytes=10)}
    assert cut["edit"].patch is None
    assert cut["edit"].additions == 2


async def test_a_log_is_newest_first_and_stops_at_what_is_known(host: SourceHost) -> None:
    first = await made(host)
    shas = [await committed(host, add(f"f{index}")) for index in range(5)]
    assert [info.sha for info in await host.log(PLACE, shas[-1])] == [*reversed(shas), first]
    assert [info.sha for info in await host.log(PLACE, shas[-1], until=shas[1])] == shas[:1:-1]
    assert [info.sha for info in await host.log(PLACE, shas[-1], limit=2)] == shas[:2:-1]
    assert await host.log(PLACE, shas[0], until=shas[1]) == []
