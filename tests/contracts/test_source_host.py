"""What every source host must do, whatever stands behind it."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.domain.kernel.errors import Conflict, Invalid
from shared.ports.source_host import (
    BadChange,
    BranchExists,
    FileChange,
    HeadMoved,
    MergeConflict,
    Place,
    RepositoryMissing,
    Signature,
    SourceHost,
    UnknownBranch,
    UnknownCommit,
)
from tests.support.app import SteppingClock

PLACE = Place("tenant-a", "proj-x", "api")
ADA = Signature("Ada Lovelace", "ada@example.com", datetime(2026, 6, 11, 9, 0, tzinfo=UTC))


@pytest.fixture(params=["embedded"])
def host(tmp_path: Path, request: pytest.FixtureRequest) -> SourceHost:
    return EmbeddedGit(tmp_path / "git", SteppingClock())


def add(path: str, content: str = "x\n", **more: bool) -> FileChange:
    return FileChange(path, "add", content.encode(), **more)


def modify(path: str, content: str) -> FileChange:
    return FileChange(path, "modify", content.encode())


def delete(path: str) -> FileChange:
    return FileChange(path, "delete")


async def made(host: SourceHost) -> str:
    return await host.create(PLACE, default_branch="main", author=ADA, readme="# api\n")


async def committed(host: SourceHost, *changes: FileChange, branch: str = "main") -> str:
    return (await host.commit(PLACE, branch, changes, message="change", author=ADA)).sha


async def branched(host: SourceHost, *start: FileChange) -> None:
    """A repository whose `main` has these files and a `topic` at the same commit."""
    head = await made(host)
    if start:
        head = await committed(host, *start)
    await host.create_branch(PLACE, "topic", head, by="ada")


async def merged(host: SourceHost, source: str = "topic", target: str = "main", **more: object) -> str:
    info = await host.merge(
        PLACE,
        source=source,
        target=target,
        expected_source=await host.head(PLACE, source),
        message=f"Merge {source}",
        author=ADA,
    )
    return info.sha


async def problems(host: SourceHost, *changes: FileChange) -> dict[str, str]:
    before = await host.branches(PLACE)
    with pytest.raises(BadChange) as caught:
        await host.commit(PLACE, "main", changes, message="bad", author=ADA)
    assert await host.branches(PLACE) == before
    return {problem.field: problem.message for problem in caught.value.problems}


async def conflicts(host: SourceHost, *, topic: list[FileChange], main: list[FileChange]) -> list[str]:
    await committed(host, *topic, branch="topic")
    await committed(host, *main)
    before = await host.branches(PLACE)
    with pytest.raises(MergeConflict) as caught:
        await merged(host)
    assert await host.branches(PLACE) == before
    paths = caught.value.facts["paths"]
    assert isinstance(paths, list)
    return paths


async def test_creating_twice_gives_the_same_first_commit(host: SourceHost) -> None:
    first = await made(host)
    later = Signature("Bob", "bob@example.com", datetime(2027, 1, 1, tzinfo=UTC))
    assert await host.create(PLACE, default_branch="main", author=later, readme="other") == first
    assert await host.exists(PLACE)
    assert await host.branches(PLACE) == {"main": first}
    assert await host.read_file(PLACE, first, "README.md") == b"# api\n"


async def test_creating_at_once_from_many_sides_makes_one_repository(host: SourceHost) -> None:
    assert len(set(await asyncio.gather(*(made(host) for _ in range(8))))) == 1


async def test_a_repository_that_is_not_there_is_missing(host: SourceHost) -> None:
    assert not await host.exists(PLACE)
    with pytest.raises(RepositoryMissing):
        await host.branches(PLACE)


@pytest.mark.parametrize("name", ["..", "a/b", "", ".journal", "a\0b", "-a", "../../etc"])
async def test_a_place_cannot_leave_the_root(host: SourceHost, name: str) -> None:
    place = Place("tenant-a", "proj-x", name)
    assert not await host.exists(place)
    with pytest.raises(Invalid):
        await host.create(place, default_branch="main", author=ADA, readme="")


async def test_a_commit_holds_its_changes_author_and_trailers(host: SourceHost) -> None:
    first = await made(host)
    made_commit = await host.commit(
        PLACE,
        "main",
        [add("src/app.py", "print(1)\n"), add("run.sh", "#!/bin/sh\n", executable=True)],
        message="feat: app\n\nWith a body.",
        author=ADA,
        expected_head=first,
        trailers=[("Slipway-Run", "run-1")],
    )
    assert await host.info(PLACE, made_commit.sha) == made_commit
    assert made_commit.parents == (first,)
    assert made_commit.author == "Ada Lovelace <ada@example.com>"
    assert made_commit.committed_at == ADA.at
    assert made_commit.message == "feat: app\n\nWith a body."
    assert made_commit.trailers == (("Slipway-Run", "run-1"),)
    assert await host.list_files(PLACE, made_commit.sha) == ["README.md", "run.sh", "src/app.py"]
    assert await host.list_files(PLACE, made_commit.sha, "src/") == ["src/app.py"]
    assert await host.read_file(PLACE, made_commit.sha, "src/app.py") == b"print(1)\n"
    assert await host.read_file(PLACE, made_commit.sha, "src") is None
    assert await host.read_file(PLACE, made_commit.sha, "../src") is None


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


async def test_a_commit_repeated_with_its_once_trailer_is_made_once(host: SourceHost) -> None:
    head = await made(host)
    once = ("Slipway-Once", "key-1")

    async def go() -> str:
        info = await host.commit(
            PLACE, "main", [add("a")], message="m", author=ADA, expected_head=head, once=once
        )
        return info.sha

    first = await go()
    assert await go() == first
    assert len(await host.log(PLACE, first)) == 2


async def test_a_commit_on_a_moved_head_says_where_the_head_is(host: SourceHost) -> None:
    first = await made(host)
    second = await committed(host, add("a"))
    with pytest.raises(HeadMoved) as caught:
        await host.commit(PLACE, "main", [add("b")], message="m", author=ADA, expected_head=first)
    assert caught.value.facts["actual"] == second
    with pytest.raises(UnknownBranch):
        await host.commit(PLACE, "nope", [add("b")], message="m", author=ADA)


async def test_commits_at_once_on_one_head_let_exactly_one_win(host: SourceHost) -> None:
    head = await made(host)

    async def go(index: int) -> bool:
        try:
            await host.commit(PLACE, "main", [add(f"f{index}")], message="m", author=ADA, expected_head=head)
        except HeadMoved:
            return False
        return True

    assert sum(await asyncio.gather(*(go(index) for index in range(10)))) == 1


async def test_commits_at_once_without_an_expected_head_all_land(host: SourceHost) -> None:
    await made(host)
    await asyncio.gather(*(committed(host, add(f"f{index}")) for index in range(10)))
    assert len(await host.list_files(PLACE, await host.head(PLACE, "main"))) == 11


async def test_a_commit_that_changes_nothing_is_refused(host: SourceHost) -> None:
    await made(host)
    with pytest.raises(BadChange, match="nothing would change"):
        await host.commit(PLACE, "main", [modify("README.md", "# api\n")], message="m", author=ADA)
    with pytest.raises(BadChange, match="nothing would change"):
        await host.commit(PLACE, "main", [], message="m", author=ADA)


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


async def test_branches_are_made_once_and_deleted_once(host: SourceHost) -> None:
    first = await made(host)
    second = await committed(host, add("a"))
    await host.create_branch(PLACE, "feature/x", first, by="ada")
    await host.create_branch(PLACE, "feature/x", first, by="ada")
    with pytest.raises(BranchExists):
        await host.create_branch(PLACE, "feature/x", second, by="ada")
    with pytest.raises(HeadMoved):
        await host.delete_branch(PLACE, "feature/x", expected=second, by="ada")
    await host.delete_branch(PLACE, "feature/x", expected=first, by="ada")
    await host.delete_branch(PLACE, "feature/x", expected=first, by="ada")
    assert await host.branches(PLACE) == {"main": second}
    with pytest.raises(UnknownBranch):
        await host.head(PLACE, "feature/x")
    with pytest.raises(UnknownCommit):
        await host.create_branch(PLACE, "y", "0" * 40, by="ada")


async def test_the_default_branch_cannot_be_deleted(host: SourceHost) -> None:
    first = await made(host)
    with pytest.raises(Conflict, match="default branch"):
        await host.delete_branch(PLACE, "main", expected=first, by="ada")


@pytest.mark.parametrize(
    "name", ["", "a..b", "a b", "a.lock", ".a", "a/", "/a", "a~1", "a^", "a:b", "HEAD", "-a", "@{"]
)
async def test_a_branch_name_that_git_refuses_is_refused(host: SourceHost, name: str) -> None:
    first = await made(host)
    with pytest.raises(Invalid):
        await host.create_branch(PLACE, name, first, by="ada")


async def test_a_branch_cannot_stand_in_another_ones_folder(host: SourceHost) -> None:
    first = await made(host)
    await host.create_branch(PLACE, "a/b", first, by="ada")
    for name in ("a", "a/b/c"):
        with pytest.raises(BranchExists):
            await host.create_branch(PLACE, name, first, by="ada")
    await host.delete_branch(PLACE, "a/b", expected=first, by="ada")
    await host.create_branch(PLACE, "a", first, by="ada")


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


@pytest.mark.parametrize("sha", ["0" * 40, "main", "", "z" * 40, "abc"])
async def test_an_unknown_commit_is_unknown(host: SourceHost, sha: str) -> None:
    await made(host)
    with pytest.raises(UnknownCommit):
        await host.info(PLACE, sha)


async def test_a_tree_is_not_a_commit(host: SourceHost) -> None:
    info = await host.info(PLACE, await made(host))
    with pytest.raises(UnknownCommit):
        await host.info(PLACE, info.tree)


async def test_a_checkout_wants_an_empty_folder(host: SourceHost, tmp_path: Path) -> None:
    first = await made(host)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/left").write_text("over")
    with pytest.raises(Conflict):
        await host.checkout(PLACE, first, str(tmp_path / "out"))


async def test_every_move_is_pending_until_it_is_acknowledged(host: SourceHost) -> None:
    first = await made(host)
    assert await host.pending(older_than=0) == []
    second = await committed(host, add("a"))
    await host.create_branch(PLACE, "topic", first, by="bob")
    third = await committed(host, add("b"), branch="topic")
    fourth = await merged(host)
    await host.delete_branch(PLACE, "topic", expected=third, by="bob")
    moves = await host.pending(older_than=0)
    assert [(move.branch, move.old, move.new) for move in moves] == [
        ("main", first, second),
        ("topic", None, first),
        ("topic", first, third),
        ("main", second, fourth),
        ("topic", third, None),
    ]
    assert await host.pending(older_than=60) == []
    assert moves[1].pushed_by == "bob"
    await host.acknowledge(moves[0])
    await host.acknowledge(moves[0])
    await host.settle(PLACE, "topic", None)
    await host.settle(PLACE, "topic", None)
    assert [move.new for move in await host.pending(older_than=0)] == [first, third, fourth]
    await host.settle(PLACE, "main", fourth)
    assert [move.new for move in await host.pending(older_than=0)] == [first, third]


KILLED_AFTER = """
import asyncio, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.hosts.git_journal import Journal
from shared.ports.source_host import FileChange, Place, Signature
from tests.support.app import SteppingClock

class DyingJournal(Journal):
    def intend(self, *args):
        update = super().intend(*args)
        if sys.argv[2] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        return update
    def happened(self, update):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    root, clock = Path(sys.argv[1]), SteppingClock()
    host = EmbeddedGit(root, clock)
    place = Place("tenant-a", "proj-x", "api")
    ada = Signature("Ada", "ada@example.com", datetime(2026, 6, 11, tzinfo=UTC))
    await host.create(place, default_branch="main", author=ada, readme="")
    with host.repositories.open(place):
        host.repositories._journal = DyingJournal(root / ".journal")
    await host.commit(place, "main", [FileChange("a", "add", b"a")], message="m", author=ada)

asyncio.run(main())
"""


@pytest.mark.parametrize(("moment", "moved"), [("before", 0), ("after", 1)])
async def test_a_process_killed_around_a_move_leaves_exactly_the_moves_that_happened(
    tmp_path: Path, moment: str, moved: int
) -> None:
    root = tmp_path / "git"
    died = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER, str(root), moment], cwd=Path.cwd(), check=False
    )
    assert died.returncode == -signal.SIGKILL
    clock = SteppingClock()
    clock.advance(minutes=1)
    host = EmbeddedGit(root, clock)
    assert len(list((root / ".journal").glob("*.intent"))) == 1
    moves = await host.pending()
    assert len(moves) == moved
    head = await host.head(PLACE, "main")
    assert all(move.new == head for move in moves)
    assert len(await host.pending()) == moved
    again = await host.commit(
        PLACE, "main", [FileChange("b", "add", b"b")], message="m", author=ADA, expected_head=head
    )
    assert (await host.pending(older_than=0))[-1].new == again.sha


async def test_lock_files_of_a_dead_writer_do_not_block_the_branch(tmp_path: Path) -> None:
    host = EmbeddedGit(tmp_path / "git", SteppingClock())
    await made(host)
    folder = tmp_path / "git/tenant-a/proj-x/api.git"
    (folder / "refs/heads/main.lock").touch()
    # The blob of "x\n", which the next commit writes.
    (folder / "objects/58").mkdir()
    (folder / "objects/58/7be6b4c3f93f93c489c0111bba5596147a26cb.lock").touch()
    sha = await committed(host, add("a"))
    assert await host.head(PLACE, "main") == sha
