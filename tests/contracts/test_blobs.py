"""The Blobs port: whole and growing blobs, ranges, paths, tenants, signed URLs; and the files beneath."""

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.signed_blobs import SignedBlobs, content_type
from shared.domain.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Permanent
from shared.ports.blobs import BlobInfo, Blobs
from tests.support.app import SteppingClock

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def files(tmp_path: Path, clock: SteppingClock) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs", base_url="http://127.0.0.1:7071/", clock=clock)


@pytest.fixture(params=["files"])
def blobs(request: pytest.FixtureRequest) -> Blobs:
    """A second adapter is one more parameter, and the fixture of that name."""
    adapter: Blobs = request.getfixturevalue(request.param)
    return adapter


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


@pytest.mark.parametrize("data", [b"", b"x", b"hello\n" * 10, os.urandom(700_000)], ids=len)
async def test_what_is_put_is_read(blobs: Blobs, data: bytes) -> None:
    assert await blobs.put("acme", "a/b.bin", data) == BlobInfo("a/b.bin", len(data), _digest(data))
    assert await blobs.read("acme", "a/b.bin") == data
    assert await blobs.info("acme", "a/b.bin") == BlobInfo("a/b.bin", len(data), _digest(data))


async def test_a_stream_is_put_whole(blobs: Blobs) -> None:
    chunks = [b"a" * 10, b"", os.urandom(400_000), b"z"]
    info = await blobs.put("acme", "s", _chunks(*chunks))
    assert info == BlobInfo("s", 400_011, _digest(b"".join(chunks)))
    assert await blobs.read("acme", "s") == b"".join(chunks)


async def test_a_stream_that_breaks_leaves_the_old_content_and_no_litter(
    blobs: Blobs, tmp_path: Path
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"new"
        raise ConnectionResetError

    await blobs.put("acme", "s", b"old")
    with pytest.raises(ConnectionResetError):
        await blobs.put("acme", "s", broken())
    assert await blobs.read("acme", "s") == b"old"
    assert list(tmp_path.glob("blobs/incoming/*")) == []


async def test_a_reader_sees_the_old_content_or_the_new(blobs: Blobs) -> None:
    contents = [bytes([number]) * 1000 for number in range(20)]
    digests = [_digest(content) for content in contents]
    await blobs.put("acme", "p", contents[0])

    async def write() -> None:
        for content in contents:
            await blobs.put("acme", "p", content)

    writing = asyncio.create_task(write())
    while not writing.done():
        assert await blobs.read("acme", "p") in contents
        info = await blobs.info("acme", "p")
        assert info is not None
        assert info.digest in digests
        await asyncio.sleep(0)
    await writing


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 4, b"3456"),
        (8, 10, b"89"),
        (0, 0, b""),
        (10, None, b""),
        (11, 5, b""),
        (10**12, 1, b""),
    ],
)
async def test_a_range_is_cut_to_what_is_there(
    blobs: Blobs, start: int, length: int | None, expected: bytes
) -> None:
    await blobs.put("acme", "digits", b"0123456789")
    assert await blobs.read("acme", "digits", start=start, length=length) == expected


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
async def test_a_negative_range_is_refused(blobs: Blobs, start: int, length: int) -> None:
    with pytest.raises(Invalid):
        await blobs.read("acme", "digits", start=start, length=length)


async def test_a_log_grows_and_has_no_digest(blobs: Blobs) -> None:
    assert await blobs.append("acme", "logs/1.log", b"one\n") == 4
    assert await blobs.append("acme", "logs/1.log", b"") == 4
    assert await blobs.append("acme", "logs/1.log", b"two\n") == 8
    assert await blobs.read("acme", "logs/1.log", start=4) == b"two\n"
    assert await blobs.info("acme", "logs/1.log") == BlobInfo("logs/1.log", 8, None)


async def test_appends_at_once_lose_nothing(blobs: Blobs) -> None:
    lines = [f"{number}\n".encode() * 10 for number in range(50)]
    await asyncio.gather(*(blobs.append("acme", "log", line) for line in lines))
    found = await blobs.read("acme", "log")
    assert len(found) == sum(map(len, lines))
    assert all(line in found for line in lines)


async def test_a_big_append_arrives_whole(blobs: Blobs) -> None:
    data = os.urandom(600_000)
    assert await blobs.append("acme", "log", data) == await blobs.append("acme", "log", b"") == 600_000
    assert await blobs.read("acme", "log") == data


async def test_a_blob_put_whole_does_not_grow(blobs: Blobs) -> None:
    await blobs.put("acme", "p", b"whole")
    with pytest.raises(Conflict, match="cannot grow"):
        await blobs.append("acme", "p", b"more")
    assert await blobs.read("acme", "p") == b"whole"


async def test_a_put_takes_the_place_of_a_log(blobs: Blobs) -> None:
    await blobs.append("acme", "p", b"line\n")
    await blobs.put("acme", "p", b"whole")
    assert await blobs.info("acme", "p") == BlobInfo("p", 5, _digest(b"whole"))


async def test_what_is_not_there_is_not_found_and_may_be_deleted(blobs: Blobs) -> None:
    await blobs.put("acme", "a/b", b"x")
    for path in ("nothing", "a", "a/b/c"):
        with pytest.raises(NotFound):
            await blobs.read("acme", path)
        assert await blobs.info("acme", path) is None
        await blobs.delete("acme", path)
    await blobs.delete("acme", "a/b")
    assert await blobs.info("acme", "a/b") is None


async def test_a_blob_may_be_named_like_a_folder(blobs: Blobs) -> None:
    paths = ("a", "a/b", "a/b/c", "a.d", "a.d/b", "a.blob", "a.blob/b")
    for path in paths:
        await blobs.put("acme", path, path.encode())
    for path in paths:
        assert await blobs.read("acme", path) == path.encode()


@pytest.mark.parametrize(
    "tenant", ["Acme", "a/b", "..", ".", "", "acme/../other", "ténant", "x" * 300, "\ud800"]
)
async def test_tenants_never_see_each_others_blobs(blobs: Blobs, tenant: str) -> None:
    await blobs.put("acme", "p", b"acme's")
    await blobs.put(tenant, "p", b"theirs")
    assert await blobs.read("acme", "p") == b"acme's"
    assert await blobs.read(tenant, "p") == b"theirs"


@pytest.mark.parametrize(
    "path",
    ["", "/", "/etc/passwd", "a/", "a//b", "..", "../x", "a/../b", "a/..", ".", "./a", "a/.", "a\0b", "a\\b",
     "x" * 901, "x" * 241, "é" * 121, "\ud800"],
)  # fmt: skip
async def test_a_path_that_is_not_plain_is_refused_everywhere(blobs: Blobs, path: str) -> None:
    for call in (
        blobs.put("acme", path, b"x"),
        blobs.append("acme", path, b"x"),
        blobs.read("acme", path),
        blobs.info("acme", path),
        blobs.delete("acme", path),
        blobs.signed_url("acme", path, expires_in=HOUR),
    ):
        with pytest.raises(Invalid):
            await call


@pytest.mark.parametrize(
    "path",
    ["...", "a b", "-x", "é" * 120, "日本/語", "a%2Fb", "~", "a?b#c&d=e", ("x" * 90 + "/") * 9 + "x" * 81],
)
async def test_a_path_may_hold_whatever_else(blobs: Blobs, path: str) -> None:
    await blobs.put("acme", path, b"x")
    assert await blobs.read("acme", path) == b"x"


async def test_a_damaged_signing_key_is_told(tmp_path: Path, clock: SteppingClock, files: FileBlobs) -> None:
    key = tmp_path / "blobs/signing.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_bytes(b"short")
    with pytest.raises(Permanent, match="damaged"):
        FileBlobs(tmp_path / "blobs", base_url="http://x", clock=clock)


_WRITER = """
import asyncio, sys
from pathlib import Path
from shared.adapters.embedded.blobs import FileBlobs
from tests.support.app import SteppingClock

async def main():
    blobs = FileBlobs(Path(sys.argv[1]), base_url="http://x", clock=SteppingClock())
    number = 0
    while True:
        number += 1
        await blobs.append("acme", "log", b"%08d\\n" % number)
        await blobs.put("acme", "whole", b"%08d" % number * 20_000)
        if number == 3:
            print("going", flush=True)

asyncio.run(main())
"""


async def test_a_killed_writer_leaves_whole_blobs_and_whole_lines(tmp_path: Path, files: FileBlobs) -> None:
    for delay in (0.0, 0.01, 0.03):
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _WRITER, str(tmp_path / "blobs"), stdout=asyncio.subprocess.PIPE
        )
        assert writer.stdout is not None
        assert await writer.stdout.readline() == b"going\n"
        await asyncio.sleep(delay)
        writer.kill()
        await writer.communicate()
        content, info = await files.read("acme", "whole"), await files.info("acme", "whole")
        assert info == BlobInfo("whole", 160_000, _digest(content))
        assert content == content[:8] * 20_000
        log = await files.read("acme", "log")
        assert all(len(line) == 9 for line in log.splitlines(keepends=True))


async def test_drafts_of_killed_processes_are_swept_after_a_day(
    tmp_path: Path, clock: SteppingClock, files: FileBlobs
) -> None:
    old, young = tmp_path / "blobs/incoming/old", tmp_path / "blobs/incoming/young"
    for draft, age in ((old, 90_000), (young, 3600)):
        draft.write_bytes(b"half")
        os.utime(draft, (clock.now().timestamp() - age,) * 2)
    FileBlobs(tmp_path / "blobs", base_url="http://x", clock=clock)
    assert not old.exists()
    assert young.exists()


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message["body"] for message in messages[1:])
        assert [message.get("more_body", False) for message in messages[1:]][-1] is False


async def _get(files: FileBlobs, url: str, method: str = "GET", **headers: str) -> Answer:
    parts = urlsplit(url)
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError("a GET has no body to read")

    scope = {
        "type": "http",
        "method": method,
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    await SignedBlobs(files)(scope, receive, send)
    return Answer(sent)


@pytest.mark.parametrize("tenant", ["acme", "a/b", "ü?#"])
@pytest.mark.parametrize("path", ["logs/step 1.log", "a%2Fb", "日本/x.json", "q?a=b&c#d"])
async def test_a_signed_url_reads_its_blob(files: FileBlobs, tenant: str, path: str) -> None:
    await files.put(tenant, path, b"content")
    url = await files.signed_url(tenant, path, expires_in=HOUR)
    assert url.startswith("http://127.0.0.1:7071/blobs/")
    answer = await _get(files, url)
    assert (answer.status, answer.body) == (200, b"content")
    assert answer.headers["etag"] == f'"{_digest(b"content")}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_a_signed_url_expires(files: FileBlobs, clock: SteppingClock) -> None:
    await files.put("acme", "p", b"content")
    url = await files.signed_url("acme", "p", expires_in=HOUR)
    clock.advance(minutes=59)
    assert (await _get(files, url)).status == 200
    clock.advance(minutes=1)
    assert (await _get(files, url)).status == 403


@pytest.mark.parametrize(
    "bend",
    [
        lambda url: url.replace("/acme/", "/other/"),
        lambda url: url.replace("/p?", "/q?"),
        lambda url: url.replace("/p?", "/?"),
        lambda url: url.replace("/acme/p?", "?"),
        lambda url: url.replace("/p?", "/../acme/p?"),
        lambda url: url.replace("expires=", "expires=9"),
        lambda url: url.replace("expires=", "expires=0"),
        lambda url: url.replace("expires=", "expires=%2B"),
        lambda url: url + "A",
        lambda url: url + "&sig=A",
        lambda url: url + "&expires=1",
        lambda url: url.partition("&sig=")[0],
        lambda url: url.partition("&sig=")[0] + "&sig=",
        lambda url: url.partition("&sig=")[0] + "&sig=%ff%00",
        lambda url: url.partition("?")[0],
        lambda url: "http://127.0.0.1:7071/blobs/",
    ],
)
async def test_a_bent_url_is_forbidden_alike_for_what_exists_and_what_does_not(
    files: FileBlobs, bend: Callable[[str], str]
) -> None:
    url = bend(await files.signed_url("acme", "p", expires_in=HOUR))
    absent = await _get(files, url)
    await files.put("acme", "p", b"content")
    present = await _get(files, url)
    assert (absent.status, absent.body, absent.headers) == (present.status, present.body, present.headers)
    assert present.status == 403


async def test_a_signature_is_verified_for_exactly_its_blob(files: FileBlobs) -> None:
    query = urlsplit(await files.signed_url("acme", "p", expires_in=HOUR)).query
    expires, signature = (pair.partition("=")[2] for pair in query.split("&"))
    assert files.verify("acme", "p", expires, signature)
    assert not files.verify("acme", "p2", expires, signature)
    assert not files.verify("\ud800", "p", expires, signature)
    assert not files.verify("acme", "p", "9" * 30, signature)
    with pytest.raises(Forbidden):
        files.open_signed("//[/blobs?expires=1&sig=x")


async def test_another_installation_signs_otherwise(
    files: FileBlobs, tmp_path: Path, clock: SteppingClock
) -> None:
    other = FileBlobs(tmp_path / "other", base_url="http://127.0.0.1:7071", clock=clock)
    await files.put("acme", "p", b"content")
    assert (await _get(files, await other.signed_url("acme", "p", expires_in=HOUR))).status == 403
    again = FileBlobs(tmp_path / "blobs", base_url="http://127.0.0.1:7071", clock=clock)
    assert (await _get(files, await again.signed_url("acme", "p", expires_in=HOUR))).status == 200


async def test_a_good_signature_of_a_missing_blob_is_not_found(files: FileBlobs) -> None:
    assert (await _get(files, await files.signed_url("acme", "p", expires_in=HOUR))).status == 404


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=2-", 206, b"23456789", "bytes 2-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=9-99", 206, b"9", "bytes 9-9/10"),
        ("bytes=0-9", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=4-2", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
async def test_one_range_is_served(
    files: FileBlobs, asked: str, status: int, body: bytes | None, content_range: str | None
) -> None:
    await files.put("acme", "digits", b"0123456789")
    url = await files.signed_url("acme", "digits", expires_in=HOUR)
    answer = await _get(files, url, range=asked)
    assert answer.status == status
    assert answer.headers.get("content-range") == content_range
    assert body is None or answer.body == body
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_an_empty_blob_has_no_range(files: FileBlobs) -> None:
    await files.put("acme", "empty", b"")
    url = await files.signed_url("acme", "empty", expires_in=HOUR)
    assert (await _get(files, url)).status == 200
    assert (await _get(files, url, range="bytes=0-")).status == 416


async def test_conditions_compare_the_etag(files: FileBlobs) -> None:
    await files.put("acme", "p", b"0123456789")
    url = await files.signed_url("acme", "p", expires_in=HOUR)
    etag = (await _get(files, url)).headers["etag"]
    assert (await _get(files, url, if_none_match=f'"other", W/{etag}')).status == 304
    assert (await _get(files, url, if_none_match='"other"')).status == 200
    assert (await _get(files, url, range="bytes=0-1", if_range=etag)).status == 206
    assert (await _get(files, url, range="bytes=0-1", if_range='"other"')).status == 200


async def test_a_growing_blob_changes_its_etag(files: FileBlobs) -> None:
    await files.append("acme", "log", b"1")
    url = await files.signed_url("acme", "log", expires_in=HOUR)
    first = (await _get(files, url)).headers["etag"]
    await files.append("acme", "log", b"2")
    assert (await _get(files, url)).headers["etag"] != first


async def test_a_head_has_no_body_and_other_methods_are_refused(files: FileBlobs) -> None:
    await files.put("acme", "p", b"content")
    url = await files.signed_url("acme", "p", expires_in=HOUR)
    head = await _get(files, url, "HEAD", range="bytes=0-1")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "7")
    refused = await _get(files, url, "DELETE")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


async def test_a_big_blob_is_served_in_pieces(files: FileBlobs) -> None:
    data = os.urandom(1_000_000)
    await files.put("acme", "p", data)
    assert (await _get(files, await files.signed_url("acme", "p", expires_in=HOUR))).body == data


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/step.log", "text/plain; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("bundle.tar.gz", "application/gzip"),
        ("bundle.zip", "application/zip"),
        ("x.tar.bz2", "application/octet-stream"),
        ("noend", "application/octet-stream"),
    ],
)
def test_the_content_type_follows_the_suffix(path: str, expected: str) -> None:
    assert content_type(path) == expected
