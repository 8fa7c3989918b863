"""The real git client against the embedded host, over a real server on a free port."""

import asyncio
import gzip
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.domain.kernel.errors import Invalid
from shared.ports.source_host import FileChange
from tests.contracts.git_site import ADA, PLACE, Site, serving


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path) as each:
        yield each


def test_a_clone_holds_what_the_host_holds(site: Site) -> None:
    commit = site.host.commit(
        PLACE,
        "main",
        [FileChange("bin/run", "add", b"#!/bin/sh\n", executable=True)],
        message="m",
        author=ADA,
    )
    asyncio.run(commit)
    work = site.clone()
    assert (work / "README.md").read_text() == "# api\n"
    assert os.access(work / "bin/run", os.X_OK)
    assert site.git("rev-parse", "HEAD", at=work).strip() == site.heads()["main"]
    site.git("fsck", "--strict", "--full", at=work)


def test_a_fetch_brings_what_is_new(site: Site) -> None:
    work = site.clone()
    asyncio.run(site.host.commit(PLACE, "main", [FileChange("new", "add", b"n")], message="m", author=ADA))
    site.git("pull", "-q", at=work)
    assert (work / "new").read_bytes() == b"n"


def test_a_shallow_clone_has_one_commit(site: Site) -> None:
    for index in range(3):
        change = [FileChange(f"f{index}", "add", b"n")]
        asyncio.run(site.host.commit(PLACE, "main", change, message="m", author=ADA))
    work = site.clone("shallow", "--depth", "1")
    assert site.git("rev-list", "--count", "HEAD", at=work).strip() == "1"
    assert (work / "f0").exists()


def test_a_pushed_branch_is_told_and_stays_pending_until_acknowledged(site: Site) -> None:
    work = site.clone()
    site.git("checkout", "-q", "-b", "topic", at=work)
    sha = site.committed(work, "src/a.py")
    site.git("push", "-q", "origin", "topic", at=work)
    assert site.heads()["topic"] == sha
    assert [(each.branch, each.old, each.new, each.pushed_by) for each in site.gate.pushes] == [
        ("topic", None, sha, "writer")
    ]
    assert site.pending() == site.gate.pushes
    asyncio.run(site.host.acknowledge(site.gate.pushes[0]))
    assert site.pending() == []


def test_a_branch_at_a_known_commit_can_be_pushed_without_objects(site: Site) -> None:
    work = site.clone()
    site.git("push", "-q", "origin", "main:refs/heads/same", at=work)
    assert site.heads()["same"] == site.heads()["main"]


def test_a_push_to_a_protected_branch_is_refused_and_others_go_through(site: Site) -> None:
    work = site.clone()
    before = site.heads()["main"]
    sha = site.committed(work, "a")
    said = site.git("push", "origin", "main", "main:topic", at=work, fails=True)
    assert "protected branch: open a pull request" in said
    assert "remote rejected" in said
    assert site.heads() == {"main": before, "topic": sha}
    said = site.git("push", "origin", ":main", at=work, fails=True)
    assert "protected branch: open a pull request" in said


def test_a_push_that_brings_a_secret_is_refused_also_where_a_later_commit_takes_it_out(site: Site) -> None:
    work = site.clone()
    token = "ghp" + "_" + "a1B2" * 9
    (work / "conf").mkdir()
    (work / "conf" / "settings.py").write_text(f"NAME = 'x'\nTOKEN = '{token}'\n")
    site.git("add", ".", at=work)
    site.git("commit", "-q", "-m", "m", at=work)
    (work / "conf" / "settings.py").write_text("NAME = 'x'\n")
    site.git("commit", "-q", "-a", "-m", "m", at=work)
    said = site.git("push", "origin", "HEAD:topic", at=work, fails=True)
    assert "conf/settings.py:2 (GitHub token)" in said.replace("\nremote: ", "")
    assert token not in said
    assert "topic" not in site.heads()
    assert site.pending() == []


def test_a_kept_branch_only_grows(tmp_path: Path) -> None:
    with serving(tmp_path, kept=frozenset({"main"})) as site:
        work = site.clone()
        sha = site.committed(work, "a")
        site.git("push", "-q", "origin", "main", at=work)
        assert site.heads()["main"] == sha
        site.git("commit", "-q", "--amend", "-m", "another past", at=work)
        said = site.git("push", "--force", "origin", "main", at=work, fails=True)
        assert "its history is kept: revert with a new commit on top" in said.replace("\nremote: ", " ")
        assert site.heads()["main"] == sha


def test_an_unprotected_branch_can_be_forced_and_deleted(site: Site) -> None:
    work = site.clone()
    site.git("checkout", "-q", "-b", "topic", at=work)
    first = site.committed(work, "a")
    site.git("push", "-q", "origin", "topic", at=work)
    site.git("commit", "-q", "--amend", "-m", "again", at=work)
    assert "non-fast-forward" in site.git("push", "origin", "topic", at=work, fails=True)
    site.git("push", "-q", "--force", "origin", "topic", at=work)
    second = site.heads()["topic"]
    assert second != first
    site.git("push", "-q", "origin", ":topic", at=work)
    assert "topic" not in site.heads()
    assert [(each.old, each.new) for each in site.pending()] == [
        (None, first),
        (first, second),
        (second, None),
    ]


def test_the_default_branch_cannot_be_deleted_by_a_push(site: Site) -> None:
    place_head = site.host.repositories.path(PLACE)
    assert place_head is not None
    asyncio.run(site.host.create_branch(PLACE, "trunk", site.heads()["main"], by="ada"))
    (place_head / "HEAD").write_text("ref: refs/heads/trunk\n")
    work = site.clone()
    assert "default branch" in site.git("push", "origin", ":trunk", at=work, fails=True)


def test_a_tag_is_taken_once_and_never_moves(site: Site) -> None:
    work = site.clone()
    site.git("tag", "-a", "v1", "-m", "one", at=work)
    site.git("push", "-q", "origin", "v1", at=work)
    site.git("tag", "light", at=work)
    site.git("push", "-q", "origin", "light", at=work)
    site.committed(work, "a")
    site.git("tag", "-f", "v1", at=work)
    assert "tags never move" in site.git("push", "--force", "origin", "v1", at=work, fails=True)
    assert "tags never move" in site.git("push", "origin", ":refs/tags/v1", at=work, fails=True)
    assert "v1" in site.git("tag", at=site.clone("other"))
    assert site.pending() == []


@pytest.mark.parametrize("ref", ["refs/notes/x", "refs/slipway/x", "refs/heads/HEAD"])
def test_other_refs_are_refused(site: Site, ref: str) -> None:
    work = site.clone()
    assert "remote rejected" in site.git("push", "origin", f"main:{ref}", at=work, fails=True)
    assert set(site.heads()) == {"main"}


def test_a_pushed_tree_with_a_git_folder_is_refused(site: Site) -> None:
    work = site.clone()
    blob = site.git("hash-object", "-w", "README.md", at=work).strip()
    listing = site.home / "listing"
    for name in (".git", ".GIT", "git~1", ".git.", "a\\b"):
        listing.write_text(f"100644 blob {blob}\t{name}\n")
        with listing.open() as stdin:
            tree = subprocess.run(
                ["git", "mktree"], cwd=work, stdin=stdin, capture_output=True, text=True, check=True
            ).stdout.strip()
        nested = subprocess.run(
            ["git", "mktree"],
            cwd=work,
            input=f"040000 tree {tree}\tdeep\n",
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        commit = site.git("commit-tree", nested, "-p", "HEAD", "-m", "evil", at=work).strip()
        assert "unsafe tree" in site.git("push", "origin", f"{commit}:refs/heads/evil", at=work, fails=True)
    assert set(site.heads()) == {"main"}


def test_a_tip_whose_objects_are_missing_is_refused(site: Site) -> None:
    line = b"%s %s refs/heads/ghost\0 report-status" % (b"0" * 40, b"1" * 40)
    empty_pack = bytes.fromhex("5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e")
    body = b"%04x%s0000" % (len(line) + 4, line) + empty_pack
    answer = site.raw(
        "POST /git/tenant-a/proj-x/api.git/git-receive-pack HTTP/1.1\nHost: x\nAuthorization: Bearer writer\n"
        f"Content-Length: {len(body)}\n",
        body,
    )
    assert b"ng refs/heads/ghost missing objects" in answer
    assert set(site.heads()) == {"main"}


def test_a_damaged_pack_is_refused(site: Site) -> None:
    line = b"%s %s refs/heads/bad\0 report-status" % (b"0" * 40, site.heads()["main"].encode())
    body = b"%04x%s0000" % (len(line) + 4, line) + b"PACK\0\0\0\2\0\0\0\3not a pack at all, but long enough"
    answer = site.raw(
        "POST /git/tenant-a/proj-x/api.git/git-receive-pack HTTP/1.1\nHost: x\nAuthorization: Bearer writer\n"
        f"Content-Length: {len(body)}\n",
        body,
    )
    assert b"unpack the pack is damaged" in answer
    assert b"ng refs/heads/bad" in answer
    assert set(site.heads()) == {"main"}


def test_a_large_file_is_pushed_and_cloned(site: Site) -> None:
    work = site.clone()
    site.git("checkout", "-q", "-b", "large", at=work)
    content = os.urandom(20 << 20)
    site.committed(work, "large.bin", content)
    site.git("push", "-q", "origin", "large", at=work)
    again = site.clone("again", "-b", "large")
    assert (again / "large.bin").read_bytes() == content


def test_many_refs_are_sent_compressed_and_understood(site: Site) -> None:
    work = site.clone()
    for index in range(40):
        site.git("branch", f"b{index}", at=work)
    site.git("push", "-q", "origin", "--all", at=work, fails=False)
    asyncio.run(site.host.commit(PLACE, "b3", [FileChange("x", "add", b"x")], message="m", author=ADA))
    site.git("fetch", "-q", at=work)
    assert len(site.heads()) == 41


def test_a_gzip_body_is_inflated(site: Site) -> None:
    want = b"want %s side-band-64k thin-pack ofs-delta\n" % site.heads()["main"].encode()
    body = gzip.compress(b"%04x%s00000009done\n" % (len(want) + 4, want))
    answer = site.raw(
        "POST /git/tenant-a/proj-x/api.git/git-upload-pack HTTP/1.1\nHost: x\nAuthorization: Bearer reader\n"
        f"Content-Encoding: gzip\nContent-Length: {len(body)}\n",
        body,
    )
    assert b"200 OK" in answer
    assert b"PACK" in answer


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"not gzip", b"400"), (gzip.compress(b"0000")[:-9], b"400")],
    ids=["none at all", "cut"],
)
def test_a_broken_gzip_body_is_a_bad_request(site: Site, body: bytes, status: bytes) -> None:
    answer = site.raw(
        "POST /git/tenant-a/proj-x/api.git/git-upload-pack HTTP/1.1\nHost: x\nAuthorization: Bearer reader\n"
        f"Content-Encoding: gzip\nContent-Length: {len(body)}\n",
        body,
    )
    assert answer.split()[1] == status


def test_a_wrong_token_is_unauthorised(site: Site) -> None:
    assert "Authentication failed" in site.git("ls-remote", site.url("stolen"), fails=True)
    answer = site.raw(
        "GET /git/tenant-a/proj-x/api.git/info/refs?service=git-upload-pack HTTP/1.1\nHost: x\n"
    )
    assert answer.split()[1] == b"401"
    assert b'Basic realm="slipway"' in answer


def test_a_bearer_header_opens_the_door(site: Site) -> None:
    url = f"http://127.0.0.1:{site.port}/git/tenant-a/proj-x/api.git"
    said = site.git("-c", "http.extraHeader=Authorization: Bearer reader", "ls-remote", url)
    assert "refs/heads/main" in said


def test_a_reader_may_not_push_and_a_stranger_finds_nothing(site: Site) -> None:
    work = site.clone()
    said = site.git("push", site.url("reader"), "main:topic", at=work, fails=True)
    assert "403" in said
    said = site.git("ls-remote", site.url().replace("proj-x", "proj-y"), fails=True)
    assert "not found" in said
    said = site.git("ls-remote", site.url().replace("api.git", "..%2fapi.git"), fails=True)
    assert "not found" in said


def test_every_protocol_version_a_client_offers_works(site: Site) -> None:
    for version in ("0", "1", "2"):
        site.git("-c", f"protocol.version={version}", "clone", "-q", site.url(), f"v{version}")


def test_a_push_stands_when_recording_fails(site: Site) -> None:
    site.gate.failing = True
    work = site.clone()
    site.git("push", "-q", "origin", "main:topic", at=work)
    assert [each.branch for each in site.pending()] == ["topic"]


def test_of_pushes_at_once_to_one_branch_exactly_one_wins(site: Site) -> None:
    works = [site.clone(f"w{index}") for index in range(4)]
    for index, work in enumerate(works):
        site.git("checkout", "-q", "-b", "topic", at=work)
        site.committed(work, "f", f"{index}\n")
    results: list[int] = []

    def push(work: Path) -> None:
        done = subprocess.run(
            ["git", "push", "-q", "origin", "topic"],
            cwd=work,
            env={
                **os.environ,
                "HOME": str(site.home),
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_CONFIG_NOSYSTEM": "1",
            },
            capture_output=True,
            check=False,
        )
        results.append(done.returncode)

    threads = [threading.Thread(target=push, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(0) == 1
    assert len(site.pending()) == 1


def test_links_are_checked_out_only_where_they_stay_inside(site: Site) -> None:
    work = site.clone()
    site.git("checkout", "-q", "-b", "links", at=work)
    (work / "deep/er").mkdir(parents=True)
    (work / "deep/er/up").symlink_to("../..")
    (work / "here").symlink_to("README.md")
    good = site.committed(work, "deep/er/file")
    (work / "there").symlink_to("deep/er/up/..")
    bad = site.committed(work, "more")
    (work / "there").unlink()
    (work / "there").symlink_to("/etc/passwd")
    worse = site.committed(work, "yet-more")
    site.git("push", "-q", "origin", "links", at=work)
    asyncio.run(site.host.checkout(PLACE, good, str(site.home / "good")))
    assert (site.home / "good/here").read_text() == "# api\n"
    assert (site.home / "good/deep/er/up").readlink() == Path("../..")
    for sha in (bad, worse):
        with pytest.raises(Invalid, match="leads out"):
            asyncio.run(site.host.checkout(PLACE, sha, str(site.home / sha)))
        assert not (site.home / sha / "there").is_symlink()


def test_a_push_over_the_limit_is_refused_even_where_it_is_compressed(tmp_path: Path) -> None:
    body = gzip.compress(b"\0" * (4 << 20))
    with serving(tmp_path, max_body=1 << 20) as site:
        answer = site.raw(
            "POST /git/tenant-a/proj-x/api.git/git-receive-pack HTTP/1.1\nHost: x\n"
            f"Authorization: Bearer writer\nContent-Encoding: gzip\nContent-Length: {len(body)}\n",
            body,
        )
    assert answer.split()[1] == b"413"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /git/tenant-a/proj-x/api.git/info/refs", b"403"),
        ("GET /git/tenant-a/proj-x/api.git/info/refs?service=git-upload-archive", b"403"),
        ("GET /git/tenant-a/proj-x/api.git/HEAD", b"404"),
        ("GET /git/tenant-a/proj-x/api.git/../other.git/info/refs?service=git-upload-pack", b"404"),
        ("GET /git/tenant-a/proj-x/api.git/git-upload-pack", b"405"),
    ],
)
def test_only_the_smart_protocol_is_served(site: Site, request_line: str, status: bytes) -> None:
    answer = site.raw(f"{request_line} HTTP/1.1\nHost: x\nAuthorization: Bearer reader\n")
    assert answer.split()[1] == status


@pytest.mark.parametrize(
    "body", [b"", b"zzzz", b"0000", b"0009want0000", b"0032want " + b"1" * 40 + b" x\n0000"]
)
def test_nonsense_is_answered_and_not_crashed_on(site: Site, body: bytes) -> None:
    for service in ("git-upload-pack", "git-receive-pack"):
        answer = site.raw(
            f"POST /git/tenant-a/proj-x/api.git/{service} HTTP/1.1\nHost: x\nAuthorization: Bearer writer\n"
            f"Content-Length: {len(body)}\n",
            body,
        )
        assert answer.split()[1] in {b"200", b"400"}
