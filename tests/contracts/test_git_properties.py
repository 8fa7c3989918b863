"""Random histories: the host, a plain dict and the real git must agree."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.adapters.hosts import git_lines
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.ports.source_host import BadChange, FileChange, MergeConflict, Place, Signature
from tests.support.app import SteppingClock

PLACE = Place("tenant-a", "proj-x", "api")
ADA = Signature("Ada", "ada@example.com", datetime(2026, 6, 11, 9, 0, tzinfo=UTC))
SLOW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Files = dict[str, bytes]

PATHS = st.sampled_from(["a", "a/b", "a/c", "d/e/f", "d/e/g", "d/h", "i.txt", "i.txt.bak", "i"])
CONTENTS = st.sampled_from([b"", b"1\n", b"1\n2\n3\n", b"1\n2\n3", b"\0\1", "\u00e9\n".encode()])


class Bench:
    """A host in a scratch folder with one repository, and git on that repository."""

    def __init__(self, root: Path) -> None:
        self.host = EmbeddedGit(root / "git", SteppingClock())
        self._folder = root / "git/tenant-a/proj-x/api.git"
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_INDEX_FILE": str(root / "index"),
        }

    def git(self, *args: str, stdin: bytes = b"", codes: tuple[int, ...] = (0,)) -> tuple[int, bytes]:
        done = subprocess.run(
            ["git", f"--git-dir={self._folder}", *args],
            env=self._env,
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode in codes, done.stderr.decode()
        return done.returncode, done.stdout

    def listing(self, tree: str) -> Files:
        _, listed = self.git("ls-tree", "-r", "-z", tree)
        found = {}
        for line in listed.split(b"\0")[:-1]:
            facts, _, path = line.partition(b"\t")
            found[path.decode()] = self.git("cat-file", "blob", facts.split()[2].decode())[1]
        return found

    async def start(self, files: Files) -> str:
        head = await self.host.create(PLACE, default_branch="main", author=ADA, readme="keep\n")
        return await self.become(head, {}, files) if files else head

    async def become(self, head: str, before: Files, after: Files, branch: str = "main") -> str:
        """One commit that turns one set of files into another."""
        changes = [FileChange(path, "delete") for path in before if path not in after]
        for path, content in after.items():
            if before.get(path) != content:
                changes.append(FileChange(path, "modify" if path in before else "add", content))
        if not changes:
            return head
        info = await self.host.commit(PLACE, branch, changes, message="m", author=ADA)
        return info.sha


@contextmanager
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        yield Bench(Path(folder))


def without_collisions(files: Files) -> Files:
    """A file that is also a folder cannot be; the folder stays."""
    return {
        path: content
        for path, content in files.items()
        if not any(other.startswith(path + "/") for other in files)
    }


FILES = st.dictionaries(PATHS, CONTENTS, max_size=7).map(without_collisions)


def unlike_any_other(files: Files) -> Files:
    """Every line names its path, so that git, which looks for renames, sees none.

    No file is empty: git takes the other side of an empty addition, and to us two additions conflict.
    """
    return {
        path: b"".join(path.encode() * 3 + line for line in git_lines.split(content or b"-"))
        for path, content in files.items()
    }


UNLIKE = FILES.map(unlike_any_other)

CHANGES = st.lists(
    st.one_of(
        st.builds(FileChange, PATHS, st.sampled_from(["add", "modify"]), CONTENTS),
        st.builds(FileChange, PATHS, st.just("delete")),
        st.builds(FileChange, PATHS, st.just("rename"), st.none(), source=PATHS),
    ),
    min_size=1,
    max_size=4,
)


def applied(files: Files, changes: list[FileChange]) -> Files | None:
    """What a dict makes of the changes; None where they cannot be applied."""
    named = [path for change in changes for path in (change.path, change.source) if path is not None]
    if len(set(named)) != len(named):
        return None
    removed: set[str] = set()
    placed: Files = {}
    for change in changes:
        if change.operation in {"modify", "delete"} and change.path not in files:
            return None
        if change.operation in {"add", "rename"} and change.path in files:
            return None
        if change.operation == "rename" and change.source not in files:
            return None
        if change.operation == "delete":
            removed.add(change.path)
        elif change.operation == "rename":
            assert change.source is not None
            removed.add(change.source)
            placed[change.path] = files[change.source]
        else:
            placed[change.path] = change.content or b""
    after = {path: content for path, content in files.items() if path not in removed} | placed
    return after if after != files and without_collisions(after) == after else None


@SLOW
@given(st.lists(CHANGES, max_size=8))
def test_commits_agree_with_a_dict_and_with_git(history: list[list[FileChange]]) -> None:
    async def run() -> None:
        head, model = await made.start({}), {"README.md": b"keep\n"}
        for changes in history:
            after = applied(model, changes)
            try:
                info = await made.host.commit(PLACE, "main", changes, message="m", author=ADA)
            except BadChange:
                assert after is None
                assert await made.host.head(PLACE, "main") == head
            else:
                assert after is not None
                head, model = info.sha, after
        assert made.listing(head) == model
        assert sorted(await made.host.list_files(PLACE, head)) == sorted(model)
        made.git("fsck", "--strict", "--full")

    with bench() as made:
        asyncio.run(run())


@SLOW
@given(UNLIKE, UNLIKE, UNLIKE)
@example({"a": b"1\n"}, {}, {"a/b": b"2\n"})
@example({"a": b"1\n"}, {"a/b": b"2\n"}, {"a/c": b"3\n"})
@example({"a": b"1\n"}, {"a/b": b"2\n"}, {"a": b"3\n"})
@example({"a/b": b"1\n", "a/c": b"2\n"}, {"a": b"3\n"}, {"a/b": b"1\n", "a/c": b"4\n"})
def test_merges_of_trees_agree_with_git(base: Files, ours: Files, theirs: Files) -> None:
    async def run() -> None:
        start = await made.start(base)
        await made.host.create_branch(PLACE, "topic", start, by="ada")
        # A file of its own on each side, so that there is always something to merge.
        main = await made.become(start, base, ours | {"main-only": b"m"})
        topic = await made.become(start, base, theirs | {"topic-only": b"t\0"}, "topic")
        code, out = made.git("merge-tree", "--write-tree", main, topic, codes=(0, 1))
        merging = made.host.merge(
            PLACE, source="topic", target="main", expected_source=topic, message="m", author=ADA
        )
        if code:
            with pytest.raises(MergeConflict):
                await merging
            assert await made.host.head(PLACE, "main") == main
        else:
            info = await merging
            assert info.tree == out.decode().strip()
            assert info.parents == (main, topic)
            made.git("fsck", "--strict", "--full")

    with bench() as made:
        asyncio.run(run())


@SLOW
@given(FILES, FILES)
def test_patches_of_a_diff_are_what_git_applies(before: Files, after: Files) -> None:
    async def run() -> None:
        base = await made.start(before)
        head = await made.become(base, before, after)
        diffs = await made.host.diff(PLACE, base, head)
        cut = {each.path for each in diffs if each.patch is None}
        assert all(b"\0" in before.get(path, b"") + after.get(path, b"") for path in cut)
        if cut or not diffs:
            return
        # Deletions first: a file may give way to a folder of its name.
        ordered = sorted(diffs, key=lambda each: (each.operation != "delete", each.operation == "add"))
        made.git("read-tree", base)
        made.git("apply", "--cached", stdin="".join(each.patch or "" for each in ordered).encode())
        assert made.git("write-tree")[1].decode().strip() == (await made.host.info(PLACE, head)).tree

    with bench() as made:
        asyncio.run(run())


LINES = st.integers(0, 12).map(lambda count: [b"base %d\n" % index for index in range(count)])


# Position, lines deleted, lines inserted.
EDITS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3), st.integers(0, 2)), max_size=4)


def edit(lines: list[bytes], edits: list[tuple[int, int, int]], name: bytes) -> bytes:
    result = list(lines)
    for number, (at, deleted, inserted) in enumerate(edits):
        result[at : at + deleted] = [b"%s %d.%d\n" % (name, number, index) for index in range(inserted)]
    return b"".join(result)


@settings(max_examples=150, deadline=None)
@given(LINES, EDITS, EDITS, st.booleans())
def test_merges_of_lines_agree_with_git(
    lines: list[bytes],
    ours_edits: list[tuple[int, int, int]],
    theirs_edits: list[tuple[int, int, int]],
    alike: bool,
) -> None:
    base = b"".join(lines)
    ours = edit(lines, ours_edits, b"ours")
    theirs = edit(lines, theirs_edits, b"ours" if alike else b"theirs")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("ours", "base", "theirs")]
        for path, content in zip(paths, (ours, base, theirs), strict=True):
            path.write_bytes(content)
        done = subprocess.run(
            ["git", "merge-file", "-p", "-q", *map(str, paths)], capture_output=True, check=False
        )
    merged = git_lines.merge(base, ours, theirs)
    assert merged == (done.stdout if done.returncode == 0 else None)


TEXTS = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d\n", b"e\n", b"f"]), max_size=30).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS)
def test_shared_runs_are_shared_in_order_and_never_overlap(one: bytes, other: bytes) -> None:
    a, b = git_lines.split(one), git_lines.split(other)
    assert b"".join(a) == one
    at_a = at_b = 0
    for i, j, size in git_lines.shared_runs(a, b):
        assert i >= at_a
        assert j >= at_b
        assert size > 0
        assert a[i : i + size] == b[j : j + size]
        at_a, at_b = i + size, j + size


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS)
def test_a_merge_with_an_unchanged_side_is_the_other_side(base: bytes, changed: bytes) -> None:
    assert git_lines.merge(base, base, changed) == changed
    assert git_lines.merge(base, changed, base) == changed
    assert git_lines.merge(base, changed, changed) == changed


def test_a_diff_of_large_texts_is_quick() -> None:
    old = b"".join(b"%d\n" % (index % 97) for index in range(40_000))
    new = b"".join(b"%d\n" % ((index * 7) % 89) for index in range(40_000))
    _, added, deleted = git_lines.unified(old, new)
    assert added == deleted
