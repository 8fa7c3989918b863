"""What every source host must do, whatever stands behind it: repositories, commits, branches, the journal."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.domain.kernel.errors import Conflict, Invalid
from shared.ports.source_host import (
    BranchExists,
    FileChange,
    HeadMoved,
    Place,
    RepositoryMissing,
    Signature,
    SourceHost,
    UnknownBranch,
    UnknownCommit,
)
from tests.contracts.source_hosts import (
    ADA,
    HOSTS,
    PLACE,
    add,
    committed,
    made,
    merged,
    open_host,
)
from tests.support.app import SteppingClock


@pytest.fixture(params=HOSTS)
async def host(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[SourceHost]:
    async with open_host(request.param, tmp_path) as opened:
        yield opened


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


async def test_every_move_is_pending_until_it_is_acknowledged(tmp_path: Path) -> None:
    host = EmbeddedGit(tmp_path / "git", SteppingClock())
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
from shared.adapters.hosts.git_repository import Repositories
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
    host.repositories = Repositories(root, DyingJournal(root / ".journal"), clock)
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
