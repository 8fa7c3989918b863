"""Which changes a commit takes, on every source host, and what it says of the others."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.domain.kernel.errors import Invalid
from shared.ports.source_host import (
    BadChange,
    FileChange,
    Signature,
    SourceHost,
)
from tests.contracts.source_hosts import (
    ADA,
    HOSTS,
    PLACE,
    add,
    committed,
    delete,
    made,
    modify,
    open_host,
)


@pytest.fixture(params=HOSTS)
async def host(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[SourceHost]:
    async with open_host(request.param, tmp_path) as opened:
        yield opened


async def problems(host: SourceHost, *changes: FileChange) -> dict[str, str]:
    before = await host.branches(PLACE)
    with pytest.raises(BadChange) as caught:
        await host.commit(PLACE, "main", changes, message="bad", author=ADA)
    assert await host.branches(PLACE) == before
    return {problem.field: problem.message for problem in caught.value.problems}


BAD_PATHS = [
    "",
    "/",
    "/etc/passwd",
    "//a",
    "..",
    "../a",
    "a/..",
    "a/../b",
    "a/../../b",
    ".",
    "./a",
    "a/.",
    "a/./b",
    "a//b",
    "a/",
    "a\\b",
    "..\\a",
    "C:\\a",
    "a\0b",
    "a\nb",
    "a\tb",
    "a\x7fb",
    "\x01",
    ".git",
    ".git/config",
    ".GIT/config",
    ".Git/hooks/pre-commit",
    "a/.git/config",
    "a/b/.giT",
    ".git ",
    ".git /config",
    ".git.",
    ".git. . ",
    ".git...",
    "git~1",
    "GIT~1/config",
    "git~2",
    "a/Git~1",
    ".git::$INDEX_ALLOCATION/config",
    ".git:stream",
    ".g\u200cit",
    ".\u200dgit/config",
    "\ufeff.git",
    ".gi\u202et",
    ".git\u206a",
    "a/.gi\u200ft/x",
    "x" * 256,
    "a/" + "\u00e9" * 128,
    "/".join("d" for _ in range(201)),
    "a\ud800b",
]


async def test_an_author_cannot_forge_a_header(host: SourceHost) -> None:
    await made(host)
    author = Signature("Eve <root@x>\ncommitter God", "eve@x>\n", ADA.at)
    info = await host.commit(PLACE, "main", [add("a")], message="m", author=author)
    assert info.author == "Eve root@x committer God <eve@x>"


@pytest.mark.parametrize("trailer", [("A b", "c"), ("A", "b\nC: d"), ("A", " "), ("", "b")])
async def test_a_trailer_that_is_not_one_line_is_refused(host: SourceHost, trailer: tuple[str, str]) -> None:
    await made(host)
    with pytest.raises(Invalid):
        await host.commit(PLACE, "main", [add("a")], message="m", author=ADA, trailers=[trailer])


async def test_a_commit_that_changes_nothing_is_refused(host: SourceHost) -> None:
    await made(host)
    with pytest.raises(BadChange, match="nothing would change"):
        await host.commit(PLACE, "main", [modify("README.md", "# api\n")], message="m", author=ADA)
    with pytest.raises(BadChange, match="nothing would change"):
        await host.commit(PLACE, "main", [], message="m", author=ADA)


@pytest.mark.parametrize("path", BAD_PATHS, ids=lambda path: ascii(path)[:40])
async def test_a_bad_path_is_refused(host: SourceHost, path: str) -> None:
    await made(host)
    found = await problems(host, add("fine"), add(path))
    assert list(found) == ["changes[1].path"]


@pytest.mark.parametrize(
    "path",
    [".gitignore", ".gitmodules", ".github/x.yml", "a b", "\u00e9", "...", "git", "x" * 255, "a:b", ".git~"],
)
async def test_a_harmless_path_is_taken(host: SourceHost, path: str) -> None:
    await made(host)
    assert path in await host.list_files(PLACE, await committed(host, add(path)))


async def test_two_additions_that_collide_are_refused(host: SourceHost) -> None:
    await made(host)
    assert list(await problems(host, add("new"), add("new/file"))) == ["changes[1].path"]


async def test_a_folder_may_replace_a_file_that_the_same_commit_deletes(host: SourceHost) -> None:
    await made(host)
    await committed(host, add("a"), add("b/c"))
    sha = await committed(host, add("a/x"), delete("a"), delete("b/c"), add("b"))
    assert await host.list_files(PLACE, sha) == ["README.md", "a/x", "b"]


async def test_a_rename_keeps_the_mode_and_takes_new_content(host: SourceHost, tmp_path: Path) -> None:
    await made(host)
    await committed(host, add("old.sh", "one\n", executable=True), add("plain"))
    sha = await committed(
        host,
        FileChange("bin/new.sh", "rename", b"two\n", source="old.sh"),
        FileChange("moved", "rename", source="plain"),
    )
    await host.checkout(PLACE, sha, str(tmp_path / "out"))
    assert (tmp_path / "out/bin/new.sh").read_bytes() == b"two\n"
    assert os.access(tmp_path / "out/bin/new.sh", os.X_OK)
    assert not os.access(tmp_path / "out/moved", os.X_OK)
    assert not (tmp_path / "out/old.sh").exists()


async def test_deleting_every_file_leaves_an_empty_tree(host: SourceHost) -> None:
    await made(host)
    assert await host.list_files(PLACE, await committed(host, delete("README.md"))) == []


async def test_every_problem_of_a_commit_is_told_at_once(host: SourceHost) -> None:
    await made(host)
    await committed(host, add("a"), add("dir/b"))
    found = await problems(
        host,
        add("a"),
        modify("gone", "x"),
        delete("gone-too"),
        FileChange("c", "rename", source="never"),
        add("a/b"),
        add("dir"),
        add("twice"),
        add("twice"),
        FileChange("d", "add"),
        FileChange("dir/b", "rename", source="README.md"),
    )
    assert "use modify" in found["changes[0].path"]
    assert "no file 'gone'" in found["changes[1].path"]
    assert "no file 'gone-too'" in found["changes[2].path"]
    assert "no file 'never'" in found["changes[3].source"]
    assert "both a file and a folder" in found["changes[4].path"]
    assert "both a file and a folder" in found["changes[5].path"]
    assert "two changes" in found["changes[7].path"]
    assert "content" in found["changes[8].content"]
    assert "exists" in found["changes[9].path"]
    assert len(found) == 9
