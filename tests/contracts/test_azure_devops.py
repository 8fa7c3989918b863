"""What is particular to Azure Repos as a source host: making repositories, projects, and what calls cost."""

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree

from shared.adapters.hosts.azure_devops import AzureDevOps
from shared.adapters.hosts.azure_devops_api import ProjectMissing
from shared.adapters.hosts.azure_devops_models import Refusal
from shared.adapters.hosts.azure_devops_push import has_moved, push_request
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.hosts.git_history import make_commit
from shared.domain.kernel.errors import Forbidden, Invalid, Permanent
from shared.ports.source_host import BadChange, FileChange, RepositoryTaken
from tests.contracts.azure_devops_site import PAT, PLACE, PROJECT, SITES, Bench
from tests.contracts.source_hosts import ADA, add, delete, modify
from tests.standins.azure_devops.server import Fault
from tests.support.app import SteppingClock


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with SITES.bench(tmp_path) as made:
        yield made


async def made(host: AzureDevOps | EmbeddedGit) -> str:
    return await host.create(PLACE, default_branch="main", author=ADA, readme="# api\n")


async def committed(host: AzureDevOps | EmbeddedGit, *changes: FileChange, branch: str = "main") -> str:
    return (await host.commit(PLACE, branch, changes, message="m", author=ADA)).sha


async def test_a_missing_project_is_told_of_or_made_where_that_is_allowed(tmp_path: Path) -> None:
    async with SITES.bench(tmp_path / "one", project="") as bench:
        with pytest.raises(ProjectMissing, match="SLIPWAY_AZURE_DEVOPS_CREATE_PROJECTS"):
            await made(bench.host)
        assert not await bench.host.exists(PLACE)
    async with SITES.bench(tmp_path / "two", project="", create_projects=True) as bench:
        bench.service.faults.append(Fault("lost", "POST"))
        first = await made(bench.host)
        assert await made(bench.host) == first
        assert list(bench.organization.projects) == [PROJECT]


async def test_a_project_that_may_not_be_made_names_the_right(tmp_path: Path) -> None:
    async with SITES.bench(tmp_path, project="", create_projects=True) as bench:
        bench.organization.tokens[PAT] = frozenset({"ManageProject"})
        with pytest.raises(Forbidden) as caught:
            await made(bench.host)
        assert caught.value.facts["permission"] == "ManageProject"


async def test_a_repository_of_others_is_not_taken_over(bench: Bench) -> None:
    first = await made(bench.host)
    repository = bench.organization.repository(PROJECT, "api")
    theirs = Commit()
    tree = Tree()
    theirs.tree = tree.id
    theirs.author = theirs.committer = b"Eve <eve@example.com>"
    theirs.author_time = theirs.commit_time = theirs.author_timezone = theirs.commit_timezone = 0
    theirs.message = b"Initial commit\n"
    repository.git.object_store.add_object(tree)
    repository.git.object_store.add_object(theirs)
    assert repository.move("refs/heads/main", first, theirs.id.decode()) == "succeeded"
    with pytest.raises(RepositoryTaken, match="another name"):
        await made(bench.host)
    with pytest.raises(RepositoryTaken):
        await bench.another().create(PLACE, default_branch="other", author=ADA, readme="")


async def test_a_repository_half_made_is_completed_and_keeps_its_first_commit(bench: Bench) -> None:
    first = await made(bench.host)
    repository = bench.organization.repository(PROJECT, "api")
    repository.default = None
    assert await made(bench.another()) == first
    assert repository.default == "refs/heads/main"
    assert repository.move("refs/heads/main", first, "0" * 40) == "succeeded"
    assert await made(bench.another()) == first
    await committed(bench.host, add("a"))
    later = replace(ADA, name="Bob")
    again = bench.another()
    assert await again.create(PLACE, default_branch="main", author=later, readme="other") == first
    assert (await again.info(PLACE, first)).message == "Initial commit"


async def test_another_default_branch_is_made_the_default(bench: Bench) -> None:
    await bench.host.create(PLACE, default_branch="trunk", author=ADA, readme="")
    assert bench.organization.repository(PROJECT, "api").default == "refs/heads/trunk"
    assert list(await bench.host.branches(PLACE)) == ["trunk"]


async def test_it_is_cloned_from_its_project(bench: Bench) -> None:
    url = f"{bench.service.url}/{bench.organization.name}/{PROJECT}/_git/api"
    assert bench.host.clone_url(PLACE) == url


async def test_a_once_trailer_is_found_in_a_message_that_lists_cut(bench: Bench) -> None:
    await made(bench.host)
    once = ("Slipway-Request", "key-1")

    async def go(host: AzureDevOps) -> str:
        info = await host.commit(
            PLACE, "main", [add("a")], message="long\n\n" + "x" * 300, author=ADA, once=once
        )
        return info.sha

    first = await go(bench.host)
    await committed(bench.host, add("b"))
    assert await go(bench.another()) == first


async def test_a_long_history_is_read_in_few_calls(bench: Bench) -> None:
    shas = [await made(bench.host)]
    for index in range(40):
        author = replace(ADA, at=ADA.at + timedelta(minutes=index))
        info = await bench.host.commit(PLACE, "main", [add(f"f{index}")], message="m", author=author)
        shas.append(info.sha)
    host = bench.another()
    bench.service.calls.clear()
    assert [info.sha for info in await host.log(PLACE, shas[-1], until=shas[-3])] == shas[:-3:-1]
    assert len(bench.service.calls) <= 10
    found = await host.log(PLACE, shas[-1], limit=100)
    assert [info.sha for info in found] == shas[::-1]
    lists = [call for call in bench.service.calls if call.endswith("/commits")]
    assert len(lists) <= 8


async def test_a_commit_and_a_merge_cost_a_bounded_number_of_calls(bench: Bench) -> None:
    first = await made(bench.host)
    await bench.host.create_branch(PLACE, "topic", first, by="ada")
    bench.service.calls.clear()
    source = await committed(bench.host, add("dir/a"), branch="topic")
    assert len(bench.service.calls) <= 3
    bench.service.calls.clear()
    await bench.host.merge(
        PLACE, source="topic", target="main", expected_source=source, message="m", author=ADA
    )
    assert len(bench.service.calls) <= 6


async def test_merging_an_old_branch_does_not_read_the_history_of_its_target(bench: Bench) -> None:
    first = await made(bench.host)
    await bench.host.create_branch(PLACE, "topic", first, by="ada")
    source = await committed(bench.host, add("t"), branch="topic")
    for index in range(20):
        await committed(bench.host, add(f"f{index}"))
    host = bench.another()
    bench.service.calls.clear()
    await host.merge(PLACE, source="topic", target="main", expected_source=source, message="m", author=ADA)
    assert len(bench.service.calls) <= 10


async def test_a_checkout_reads_trees_and_files_in_two_calls_with_modes_and_links(
    bench: Bench, tmp_path: Path
) -> None:
    await made(bench.host)
    sha = await committed(
        bench.host,
        add("run.sh", "#!/bin/sh\n", executable=True),
        *(add(f"dir{index % 7}/f{index}", f"{index}\n") for index in range(60)),
        FileChange("binary", "add", bytes(range(256))),
    )
    repository = bench.organization.repository(PROJECT, "api")
    with_link = linked(bench, sha)
    host = bench.another()
    bench.service.calls.clear()
    await host.checkout(PLACE, with_link, str(tmp_path / "out"))
    assert [call.rpartition("/")[0].rpartition("/")[2] for call in bench.service.calls] == [
        "commits",
        "trees",
        repository.name,
    ]
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert not os.access(tmp_path / "out/dir0/f0", os.X_OK)
    assert (tmp_path / "out/dir3/f59").read_text() == "59\n"
    assert (tmp_path / "out/binary").read_bytes() == bytes(range(256))
    assert (tmp_path / "out/link").readlink() == Path("dir0/f0")
    assert await host.read_file(PLACE, with_link, "link") == b"dir0/f0"


def linked(bench: Bench, sha: str, target: bytes = b"dir0/f0") -> str:
    """A commit of somebody else on top of this one, with a link."""
    git = bench.organization.repository(PROJECT, "api").git
    before = git.object_store[ObjectID(sha.encode())]
    assert isinstance(before, Commit)
    tree = git.object_store[before.tree]
    assert isinstance(tree, Tree)
    tree, blob = tree.copy(), Blob.from_string(target)
    assert isinstance(tree, Tree)
    tree.add(b"link", 0o120000, blob.id)
    after = before.copy()
    assert isinstance(after, Commit)
    after.parents, after.tree = [before.id], tree.id
    for each in (blob, tree, after):
        git.object_store.add_object(each)
    return after.id.decode()


async def test_a_link_that_leads_out_is_not_written(bench: Bench, tmp_path: Path) -> None:
    await made(bench.host)
    sha = linked(bench, await committed(bench.host, add("a")), b"../../etc/passwd")
    with pytest.raises(Invalid, match="leads out"):
        await bench.host.checkout(PLACE, sha, str(tmp_path / "out"))
    assert not (tmp_path / "out/link").is_symlink()


async def test_its_commits_are_those_of_an_embedded_repository(bench: Bench, tmp_path: Path) -> None:
    """The same changes by the same author make the same shas, on top of the same commit."""
    embedded = EmbeddedGit(tmp_path / "git", SteppingClock())
    ours, theirs = await made(bench.host), await made(embedded)
    found: list[object] = []
    for host in (bench.host, embedded):
        await host.create_branch(PLACE, "topic", ours if host is bench.host else theirs, by="ada")
        await committed(host, add("a", "1\n2\n3\n"), add("x.sh", executable=True), branch="topic")
        source = await committed(host, modify("a", "1\n2\nthree\n"), delete("README.md"), branch="topic")
        await committed(host, add("b"))
        merge = await host.merge(
            PLACE, source="topic", target="main", expected_source=source, message="m", author=ADA
        )
        found.append((merge.tree, merge.author, merge.committed_at, len(merge.parents)))
        first = ours if host is bench.host else theirs
        found.append(tuple(map(repr, await host.diff(PLACE, first, merge.sha))))
    assert found[:2] == found[2:]


async def test_conflicts_are_told_without_a_merge(bench: Bench) -> None:
    first = await made(bench.host)
    await bench.host.create_branch(PLACE, "topic", first, by="ada")
    theirs = await committed(bench.host, modify("README.md", "theirs\n"), branch="topic")
    ours = await committed(bench.host, modify("README.md", "ours\n"), add("a"))
    assert await bench.host.merge_conflicts(PLACE, source=theirs, target=ours) == ["README.md"]
    assert await bench.host.merge_conflicts(PLACE, source=first, target=ours) == []
    assert (await bench.host.branches(PLACE))["main"] == ours


async def test_what_was_pushed_by_rest_is_read_like_any_commit(bench: Bench) -> None:
    """A message without an end, and an author without an address."""
    first = await made(bench.host)
    git = bench.organization.repository(PROJECT, "api").git
    before = git.object_store[ObjectID(first.encode())]
    assert isinstance(before, Commit)
    theirs = before.copy()
    assert isinstance(theirs, Commit)
    theirs.parents, theirs.message, theirs.author = [before.id], b"no end", b"Bot <>"
    git.object_store.add_object(theirs)
    info = await bench.host.info(PLACE, theirs.id.decode())
    assert (info.message, info.author, info.parents) == ("no end", "Bot <>", (first,))


def test_more_than_one_push_may_hold_is_refused() -> None:
    with pytest.raises(Invalid, match="split it"):
        push_request("main", None, "1" * 40, [Blob.from_string(os.urandom(2000))], most=1000)


async def test_a_path_that_cannot_be_is_no_question_to_the_service(bench: Bench) -> None:
    first = await made(bench.host)
    bench.service.calls.clear()
    assert await bench.host.read_file(PLACE, first, "../etc/passwd") is None
    with pytest.raises(BadChange):
        await committed(bench.host, add("../x"))
    assert not any("items" in call or "receive-pack" in call for call in bench.service.calls)


@pytest.mark.parametrize(
    "report", [b"", b"<html>", b"0000", b"000eunpack ok\n0000", b"0013unpack damaged\n0000"]
)
def test_a_push_without_a_clear_report_is_no_success(report: bytes) -> None:
    with pytest.raises(Permanent):
        has_moved(report, "main")


def test_a_refusal_of_another_service_says_nothing() -> None:
    assert Refusal.model_validate_json('{"error": "x"}').type_key == ""


async def git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    process = await asyncio.create_subprocess_exec(
        "git", *arguments, cwd=folder, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    out, error = await process.communicate(stdin)
    assert process.returncode == 0, error.decode()
    return out


async def test_gits_own_server_takes_our_pushes(tmp_path: Path) -> None:
    """Azure Repos speaks git's protocol: what git itself understands of us, and says, is what counts."""
    await git(tmp_path, "init", "--bare", "repo.git")
    folder = tmp_path / "repo.git"
    tree = Tree()
    blob = Blob.from_string(b"x\n")
    tree.add(b"a", 0o100755, blob.id)
    first = make_commit(tree.id, (), "first", ADA, [("A", "b")])
    second = make_commit(tree.id, (first.id.decode(),), "second", ADA, [])

    async def push(old: str | None, commit: Commit, *objects: ShaFile) -> bool:
        request = push_request("main", old, commit.id.decode(), [*objects, commit])
        report = await git(folder, "receive-pack", "--stateless-rpc", ".", stdin=request)
        return has_moved(report, "main")

    assert await push(None, first, blob, tree)
    assert await push(first.id.decode(), second)
    assert not await push(first.id.decode(), make_commit(tree.id, (first.id.decode(),), "late", ADA, []))
    assert (await git(folder, "rev-parse", "main")).decode().strip() == second.id.decode()
    assert b"100755 blob" in await git(folder, "ls-tree", "main")
    await git(folder, "fsck", "--strict")
