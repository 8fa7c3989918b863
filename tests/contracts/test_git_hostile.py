"""What a hostile push or tree must not do to the host, with the real git client over a real server."""

import asyncio
import io
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.adapters.hosts.git_pack import MOST_OBJECT, BadPack, weigh
from shared.domain.kernel.errors import Invalid
from tests.contracts.git_site import PLACE, Site, serving


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path) as each:
        yield each


@pytest.mark.parametrize("name", ["é" * 123, "b" * 245])
@pytest.mark.parametrize("kind", ["heads", "tags"])
def test_a_name_that_no_file_can_bear_is_refused_by_name(site: Site, kind: str, name: str) -> None:
    work = site.clone()
    said = site.git("push", "origin", f"HEAD:refs/{kind}/{name}", at=work, fails=True)
    assert "longer than 244 bytes" in said
    assert site.pending() == []


def test_a_name_of_just_so_many_bytes_is_taken(site: Site) -> None:
    work = site.clone()
    name = "é" * 122
    site.git("push", "-q", "origin", f"HEAD:refs/heads/{name}", at=work)
    assert name in site.heads()


@pytest.mark.parametrize("to", [b"", b"a\0b"])
def test_a_link_to_what_is_no_path_is_refused_at_checkout(site: Site, tmp_path: Path, to: bytes) -> None:
    work = site.clone()
    (work / "target").write_bytes(to)
    blob = site.git("hash-object", "-w", "target", at=work).strip()
    site.git("update-index", "--add", "--cacheinfo", f"120000,{blob},link", at=work)
    site.git("commit", "-q", "-m", "m", at=work)
    site.git("push", "-q", "origin", "HEAD:refs/heads/topic", at=work)
    with pytest.raises(Invalid, match="The link 'link' names no path; remove it"):
        asyncio.run(site.host.checkout(PLACE, site.heads()["topic"], str(tmp_path / "out")))
    assert not list((tmp_path / "out").glob("link"))


def packed(*objects: tuple[int, bytes, bytes], count: int | None = None) -> io.BytesIO:
    """A pack of (type, what stands before the content, content), each at its true size."""
    body = b"PACK" + (2).to_bytes(4) + (len(objects) if count is None else count).to_bytes(4)
    for kind, before, content in objects:
        size, rest = len(content) & 15, len(content) >> 4
        head = bytes([kind << 4 | size | (0x80 if rest else 0)])
        body += head + (number(rest) if rest else b"") + before + zlib.compress(content)
    return io.BytesIO(body + bytes(20))


def number(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


BLOB, OFFSET_DELTA, REFERENCE_DELTA = 3, 6, 7


@pytest.mark.parametrize(
    "pack",
    [
        packed((BLOB, b"", bytes(1001))),
        packed((OFFSET_DELTA, number(300), number(5) + number(1001))),
        packed((REFERENCE_DELTA, bytes(20), number(5) + number(1 << 60))),
        packed(*[(BLOB, b"", bytes(1000))] * 4),
    ],
)
def test_a_pack_that_unpacks_to_too_much_is_refused(pack: io.BytesIO) -> None:
    with pytest.raises(BadPack, match=r"larger than 1000 bytes|over 3000 bytes"):
        weigh(pack, most_object=1000, most_unpacked=3000)


@pytest.mark.parametrize(
    "pack",
    [
        io.BytesIO(b""),
        io.BytesIO(b"PACX" + bytes(8)),
        packed(count=1),
        io.BytesIO(packed((BLOB, b"", random.Random(1).randbytes(900))).getvalue()[:400]),
        io.BytesIO(b"PACK" + bytes(4) + (1).to_bytes(4) + b"\x35" + zlib.compress(bytes(900))),
        io.BytesIO(b"PACK" + bytes(4) + (1).to_bytes(4) + b"\xb5" + b"\xff" * 30),
    ],
)
def test_a_pack_that_lies_about_itself_is_damaged(pack: io.BytesIO) -> None:
    with pytest.raises((BadPack, zlib.error)):
        weigh(pack, most_object=1000, most_unpacked=3000)


def test_a_pack_within_the_limits_passes() -> None:
    delta = (OFFSET_DELTA, number(300), number(5) + number(1000))
    weigh(packed((BLOB, b"", bytes(1000)), delta, (BLOB, b"", b"")), most_object=1000, most_unpacked=3000)
    weigh(packed(), most_object=0, most_unpacked=0)


def test_a_small_push_of_a_huge_file_is_refused_before_it_is_unpacked(site: Site) -> None:
    work = site.clone()
    site.git("config", "core.bigFileThreshold", "1g", at=work)
    site.committed(work, "zeros", bytes(MOST_OBJECT + 1))
    said = site.git("push", "origin", "HEAD:refs/heads/bomb", at=work, fails=True)
    assert "an object is larger than 104857600 bytes: take it out of the history" in said
    assert "bomb" not in site.heads()
