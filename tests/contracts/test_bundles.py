"""Bundles made by strangers: good ones come out whole, hostile ones are refused by name."""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.adapters.bundles import BadBundle, Entry, Limits, inspect, pack, read_paths, unpack

Maker = Callable[[Path], None]


def zipped(*files: tuple[str, bytes], mode: int = 0o100644, compression: int = zipfile.ZIP_DEFLATED) -> Maker:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in files:
                info = zipfile.ZipInfo("x")
                # Set afterwards: the constructor cleans names, and hostile tools do not.
                info.filename = name
                info.external_attr = mode << 16
                info.create_system = 3
                info.compress_type = compression
                archive.writestr(info, content)

    return make


def tarred(*members: tarfile.TarInfo | tuple[str, bytes]) -> Maker:
    def make(path: Path) -> None:
        with tarfile.open(path, "w:gz") as archive:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    archive.addfile(member)
                    continue
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))

    return make


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def raw(content: bytes) -> Maker:
    def make(path: Path) -> None:
        path.write_bytes(content)

    return make


def patched(maker: Maker, change: Callable[[bytes], bytes]) -> Maker:
    def make(path: Path) -> None:
        maker(path)
        path.write_bytes(change(path.read_bytes()))

    return make


def flagged(content: bytes, flag: int) -> bytes:
    """The general purpose flag of the first entry, in its own header and in the directory."""
    data = bytearray(content)
    directory = data.index(b"PK\x01\x02")
    for at in (6, directory + 8):
        struct.pack_into("<H", data, at, struct.unpack_from("<H", data, at)[0] | flag)
    return bytes(data)


def resized(content: bytes, size: int) -> bytes:
    """Lie about the unpacked size of the first entry in both places."""
    data = bytearray(content)
    directory = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, 22, size)
    struct.pack_into("<I", data, directory + 24, size)
    return bytes(data)


def retarred(content: bytes, cut: int) -> bytes:
    """The tar inside, cut short, in a gzip that is whole."""
    return gzip.compress(gzip.decompress(content)[:cut])


PATHS = [
    "../a",
    "a/../../b",
    "a/..",
    "..",
    "/etc/passwd",
    "//a",
    "C:/a",
    "c:a",
    "a\\b",
    "..\\a",
    "a//b",
    "a/./b",
    "a\nb",
    "x" * 256,
    "d/" * 2100 + "x",
]

HOSTILE: dict[str, Maker] = {
    **{f"zip path {ascii(path)[:30]}": zipped((path, b"x")) for path in PATHS},
    **{f"tar path {ascii(path)[:30]}": tarred((path, b"x")) for path in PATHS},
    "zip NUL": zipped(("a\0b", b"x")),
    "zip twice": patched(zipped(("one", b"1"), ("two", b"2")), lambda data: data.replace(b"two", b"one")),
    "tar twice": tarred(("a", b"1"), ("./a", b"2")),
    "zip file and folder": zipped(("a", b"1"), ("a/b", b"2")),
    "tar folder and file": tarred(("a/b", b"1"), ("a", b"2")),
    "zip link": zipped(("a", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777),
    "zip device": zipped(("a", b""), mode=stat.S_IFBLK | 0o644),
    "zip pipe": zipped(("a", b""), mode=stat.S_IFIFO | 0o644),
    "tar link": tarred(special("a", tarfile.SYMTYPE, "/etc")),
    "tar link inside": tarred(("b", b"x"), special("a", tarfile.SYMTYPE, "b")),
    "tar hard link": tarred(("b", b"x"), special("a", tarfile.LNKTYPE, "b")),
    "tar character device": tarred(special("a", tarfile.CHRTYPE)),
    "tar block device": tarred(special("a", tarfile.BLKTYPE)),
    "tar pipe": tarred(special("a", tarfile.FIFOTYPE)),
    "tar sparse": tarred(special("a", tarfile.GNUTYPE_SPARSE)),
    "zip encrypted": patched(zipped(("a", b"x")), lambda data: flagged(data, 0x1)),
    "zip size too small": patched(zipped(("a", b"x" * 1000)), lambda data: resized(data, 10)),
    "zip size too large": patched(zipped(("a", b"x" * 1000)), lambda data: resized(data, 2000)),
    "zip damaged": patched(
        zipped(("a", os.urandom(5000))), lambda data: data[:100] + b"\0" * 50 + data[150:]
    ),
    "zip cut": patched(zipped(("a", b"x" * 1000)), lambda data: data[:60]),
    "tar cut": patched(tarred(("a", os.urandom(5000))), lambda data: data[:2000]),
    "tar inside cut": patched(tarred(("a", os.urandom(5000))), lambda data: retarred(data, 2000)),
    "tar damaged": patched(
        tarred(("a", os.urandom(5000))), lambda data: data[:900] + b"\0" * 50 + data[950:]
    ),
    "gzip of no tar": raw(gzip.compress(b"not a tar at all" * 100)),
    "empty": raw(b""),
    "text": raw(b"hello"),
    "plain tar": raw(b"a" + b"\0" * 1023),
    "seven zip": raw(b"7z\xbc\xaf\x27\x1c" + b"\0" * 100),
    "zip bomb": zipped(("a", b"\0" * (2 << 20))),
    "tar bomb": tarred(("a", b"\0" * (2 << 20))),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_bundle_is_refused_and_leaves_nothing(tmp_path: Path, make: Maker) -> None:
    bundle, folder = tmp_path / "bundle", tmp_path / "deep/er/folder"
    make(bundle)
    with pytest.raises(BadBundle):
        unpack(bundle, folder)
    assert list(folder.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "deep"]
    with pytest.raises(BadBundle):
        inspect(bundle)


@pytest.mark.parametrize("make", [zipped, tarred], ids=["zip", "tar.gz"])
def test_a_refusal_names_the_entry(tmp_path: Path, make: Callable[..., Maker]) -> None:
    make(("fine", b"x"), ("../evil", b"x"))(tmp_path / "bundle")
    with pytest.raises(BadBundle, match=r"\.\./evil"):
        read_paths(tmp_path / "bundle", ["fine"])


@pytest.mark.parametrize("make", [zipped, tarred], ids=["zip", "tar.gz"])
def test_a_bundle_comes_out_whole_and_in_order(tmp_path: Path, make: Callable[..., Maker]) -> None:
    make(("top/z", b"last"), ("top/a/b", b"first"), ("top/empty", b""))(tmp_path / "bundle")
    assert unpack(tmp_path / "bundle", tmp_path / "out") == ["top/a/b", "top/empty", "top/z"]
    assert (tmp_path / "out/top/a/b").read_bytes() == b"first"
    assert stat.S_IMODE((tmp_path / "out/top/z").stat().st_mode) == 0o644
    assert inspect(tmp_path / "bundle") == [
        Entry("top/a/b", 5, executable=False),
        Entry("top/empty", 0, executable=False),
        Entry("top/z", 4, executable=False),
    ]
    assert read_paths(tmp_path / "bundle", ["top/z", "nope", "top/a/b"]) == {
        "top/z": b"last",
        "top/a/b": b"first",
    }


def test_only_the_executable_bit_of_a_mode_is_kept(tmp_path: Path) -> None:
    zipped(("run", b"#!/bin/sh"), mode=0o104777)(tmp_path / "zip")
    member = tarfile.TarInfo("run")
    member.mode = 0o6711
    tarred(member)(tmp_path / "tar")
    for name in ("zip", "tar"):
        unpack(tmp_path / name, tmp_path / f"out-{name}")
        assert stat.S_IMODE((tmp_path / f"out-{name}/run").stat().st_mode) == 0o755
        assert inspect(tmp_path / name)[0].executable


def test_a_tar_of_the_current_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/sub/file").write_text("x")
    with tarfile.open(tmp_path / "bundle", "w:gz") as archive:
        archive.add(tmp_path / "in", arcname=".")
    assert unpack(tmp_path / "bundle", tmp_path / "out") == ["sub/file"]


def test_an_empty_zip_holds_nothing(tmp_path: Path) -> None:
    zipped()(tmp_path / "bundle")
    assert unpack(tmp_path / "bundle", tmp_path / "out") == []


@pytest.mark.parametrize("make", [zipped, tarred], ids=["zip", "tar.gz"])
def test_the_limits_hold(tmp_path: Path, make: Callable[..., Maker]) -> None:
    make(*((f"f{index}", os.urandom(2000)) for index in range(20)))(tmp_path / "bundle")
    assert len(inspect(tmp_path / "bundle", Limits(entries=20))) == 20
    with pytest.raises(BadBundle, match="one entry too many"):
        inspect(tmp_path / "bundle", Limits(entries=19))
    with pytest.raises(BadBundle, match="larger than 30000 bytes"):
        unpack(tmp_path / "bundle", tmp_path / "out", Limits(unpacked=30_000))


def test_content_is_only_read_where_it_is_wanted(tmp_path: Path) -> None:
    zipped(("bomb", b"\0" * (2 << 20)), ("wanted", b"x"))(tmp_path / "bundle")
    assert read_paths(tmp_path / "bundle", ["wanted"]) == {"wanted": b"x"}


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    zipped(("a", b"x"))(tmp_path / "bundle")
    (tmp_path / "mine").write_text("x")
    with pytest.raises(FileExistsError):
        unpack(tmp_path / "bundle", tmp_path)
    assert (tmp_path / "mine").exists()


def test_a_bundle_that_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inspect(tmp_path / "nope")


def test_equal_files_are_packed_to_equal_bytes_and_stay_executable(tmp_path: Path) -> None:
    packed = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        (folder / "bin").mkdir(parents=True)
        for name in ("b.txt", "bin/run", "a.txt")[:: 3 - 2 * number]:
            (folder / name).write_bytes(name.encode())
            os.utime(folder / name, (number * 10**9, number * 10**9))
        (folder / "bin/run").chmod(0o755)
        pack(folder, tmp_path / f"{number}.zip")
        packed.append((tmp_path / f"{number}.zip").read_bytes())
    assert packed[0] == packed[1]
    assert inspect(tmp_path / "1.zip") == [
        Entry("a.txt", 5, executable=False),
        Entry("b.txt", 5, executable=False),
        Entry("bin/run", 7, executable=True),
    ]
