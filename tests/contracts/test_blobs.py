"""The Blobs port: whole and growing blobs, ranges, paths, tenants; and the files beneath."""

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.system import SystemClock
from shared.domain.kernel.errors import Conflict, Invalid, NotFound, Permanent
from shared.ports.blobs import BlobInfo, Blobs
from tests.contracts.azure_site import AzureSite
from tests.support.app import SteppingClock

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def files(tmp_path: Path, clock: SteppingClock) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs", base_url="http://127.0.0.1:7071/", clock=clock)


@pytest.fixture(params=["files", "azure"])
async def blobs(request: pytest.FixtureRequest) -> AsyncIterator[Blobs]:
    """A second adapter is one more parameter, and the fixture of that name."""
    adapter = request.getfixturevalue(request.param)
    if isinstance(adapter, AzureSite):
        async with adapter.blobs(SystemClock()) as made:
            yield made
    else:
        yield adapter


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
