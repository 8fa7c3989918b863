"""Reading zip and tar.gz bundles that strangers made: everything is checked before and while it is unpacked.
And packing a folder of ours.

Never follows a link, never trusts a size that the bundle claims, never writes outside the given folder.
"""

import gzip
import lzma
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from shared.domain.kernel.errors import Invalid

_CHUNK = 1 << 16
_RATIO_FREE = 1 << 20
_MAX_COMPONENT = 255
_MAX_PATH = 4096
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENCRYPTED = 0x1 | 0x40
_UNIX = 3
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)


class BadBundle(Invalid):
    """The bundle is damaged, hostile or too large; the sentence names the entry."""

    code = "bad_bundle"


@dataclass(frozen=True, slots=True)
class Limits:
    """`unpacked` is bytes of everything together; `ratio` counts once more than 1 MB came out."""

    entries: int = 10_000
    unpacked: int = 256 << 20
    ratio: int = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a bundle, with the size that it really has."""

    path: str
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class _File:
    """A file met on the way through a bundle; its content is only there until the next one is asked for."""

    path: str
    executable: bool
    content: Callable[[], Iterator[bytes]]


DEFAULT_LIMITS = Limits()


def inspect(bundle: Path, limits: Limits = DEFAULT_LIMITS) -> list[Entry]:
    """The files of a bundle, by path. BadBundle."""
    entries = [
        Entry(file.path, sum(map(len, file.content())), file.executable) for file in _walk(bundle, limits)
    ]
    return sorted(entries, key=lambda entry: entry.path)


def read_paths(bundle: Path, paths: Sequence[str], limits: Limits = DEFAULT_LIMITS) -> dict[str, bytes]:
    """The content of these files; a path that the bundle does not have is left out. BadBundle."""
    wanted = set(paths)
    found = {file.path: b"".join(file.content()) for file in _walk(bundle, limits) if file.path in wanted}
    return {path: found[path] for path in paths if path in found}


def unpack(bundle: Path, folder: Path, limits: Limits = DEFAULT_LIMITS) -> list[str]:
    """Write the files into an empty folder; their paths, sorted. BadBundle leaves the folder empty.

    FileExistsError where the folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    paths = []
    try:
        for file in _walk(bundle, limits):
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as out:
                for chunk in file.content():
                    out.write(chunk)
            target.chmod(0o755 if file.executable else 0o644)
            paths.append(file.path)
    except BaseException:
        _empty(folder)
        raise
    return sorted(paths)


def pack(folder: Path, bundle: Path) -> None:
    """Write the files below a folder as a zip: by path, without times, with what is executable."""
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.create_system = _UNIX
            entry.external_attr = (stat.S_IFREG | path.stat().st_mode & 0o777) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)


def _empty(folder: Path) -> None:
    for child in folder.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()


def _walk(bundle: Path, limits: Limits) -> Iterator[_File]:
    """Every file in the bundle's own order, after the checks that need no content."""
    with bundle.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        meter = _Meter(limits, bundle.stat().st_size)
        names = _Names(limits)
        if magic in {b"PK\x03\x04", b"PK\x05\x06"}:
            yield from _walk_zip(file, meter, names)
        elif magic[:2] == b"\x1f\x8b":
            yield from _walk_tar(file, meter, names)
        else:
            raise BadBundle("The bundle is neither a zip nor a tar.gz archive; pack it again as one of them.")


@dataclass(slots=True)
class _Meter:
    """Counts what really comes out, because sizes in headers may lie."""

    limits: Limits
    packed: int
    out: int = 0

    def count(self, size: int, name: str) -> None:
        self.out += size
        if self.out > self.limits.unpacked:
            raise BadBundle(f"'{name}' makes the bundle larger than {self.limits.unpacked} bytes unpacked.")
        if self.out > _RATIO_FREE and self.out > self.limits.ratio * self.packed:
            raise BadBundle(f"'{name}' unpacks to more than {self.limits.ratio} times the bundle's size.")


@dataclass(slots=True)
class _Names:
    """Every path once, none a file and a folder, none leading out."""

    limits: Limits
    count: int = 0
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)

    def admit(self, raw: str, *, folder: bool) -> str:
        """The clean path of an entry; '' for the archive's own top folder."""
        self.count += 1
        if self.count > self.limits.entries:
            raise BadBundle(
                f"'{_shown(raw)}' is one entry too many: at most {self.limits.entries} are taken."
            )
        path = raw.removeprefix("./")
        if folder:
            path = path.removesuffix("/")
            if path in {"", "."}:
                return ""
        if problem := _problem(path):
            raise BadBundle(f"'{_shown(raw)}' {problem}.")
        parents = {path[:at] for at, letter in enumerate(path) if letter == "/"}
        if path in self.files or (not folder and path in self.folders) or parents & self.files:
            raise BadBundle(f"'{_shown(raw)}' is in the bundle twice, or as a file and a folder.")
        self.folders |= parents
        (self.folders if folder else self.files).add(path)
        return path


def _problem(path: str) -> str | None:
    if path.startswith("/") or _DRIVE.match(path):
        return "has an absolute path"
    if "\\" in path:
        return "has a backslash in its path"
    if _CONTROL.search(path):
        return "has a control character in its path"
    try:
        too_long = len(path.encode()) > _MAX_PATH
    except UnicodeEncodeError:
        return "has a path that is not valid Unicode"
    parts = path.split("/")
    if too_long or any(len(part.encode()) > _MAX_COMPONENT for part in parts):
        return "has a path that is too long"
    if ".." in parts:
        return "leads out of the bundle"
    if "" in parts or "." in parts:
        return "has an empty or '.' component in its path"
    return None


def _shown(name: str) -> str:
    return name[:200].encode("unicode_escape").decode()


def _walk_zip(file: IO[bytes], meter: _Meter, names: _Names) -> Iterator[_File]:
    with _damage("The zip's directory"):
        archive = zipfile.ZipFile(file)
    with archive:
        for info in archive.infolist():
            # `filename` is cut at a NUL; the original shows the trick.
            name = info.orig_filename
            mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
            if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise BadBundle(
                    f"'{_shown(name)}' is a link or a device; bundles hold files and folders only."
                )
            folder = name.endswith("/") or stat.S_ISDIR(mode)
            path = names.admit(name, folder=folder)
            if info.flag_bits & _ENCRYPTED:
                raise BadBundle(f"'{_shown(name)}' is encrypted; pack the bundle without a password.")
            if folder:
                continue
            yield _File(path, bool(mode & 0o111), _zip_content(archive, info, meter))


def _zip_content(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, meter: _Meter
) -> Callable[[], Iterator[bytes]]:
    def read() -> Iterator[bytes]:
        name = _shown(info.filename)
        size = 0
        with _damage(f"'{name}'"), archive.open(info) as stream:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                meter.count(len(chunk), name)
                yield chunk
        if size != info.file_size:
            raise BadBundle(f"'{name}' is not of the size that the bundle claims.")

    return read


@dataclass(slots=True)
class _Unzipped:
    """The tar inside the gzip, metered where it is inflated: headers and skipped files count too."""

    stream: gzip.GzipFile
    meter: _Meter
    at: str = "The first entry"

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.meter.count(len(data), self.at)
        return data


def _walk_tar(file: IO[bytes], meter: _Meter, names: _Names) -> Iterator[_File]:
    with gzip.GzipFile(fileobj=file, mode="rb") as unzipped:
        source = _Unzipped(unzipped, meter)
        with _damage("The tar's first header"):
            archive = tarfile.open(  # noqa: SIM115 - closed just below; this line alone may meet damage
                fileobj=cast(IO[bytes], source), mode="r|"
            )
        with archive:
            while True:
                with _damage(f"What follows '{source.at}'"):
                    member = archive.next()
                if member is None:
                    break
                source.at = _shown(member.name)
                if not member.isdir() and (not member.isreg() or member.issparse()):
                    raise BadBundle(
                        f"'{source.at}' is a link, a device or sparse; bundles hold files and folders only."
                    )
                path = names.admit(member.name, folder=member.isdir())
                if not member.isdir():
                    yield _File(path, bool(member.mode & 0o111), _tar_content(archive, member))
        with _damage("The end of the tar"):
            while source.read(_CHUNK):
                pass


def _tar_content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], Iterator[bytes]]:
    def read() -> Iterator[bytes]:
        name = _shown(member.name)
        size = 0
        with _damage(f"'{name}'"):
            stream = archive.extractfile(member)
            while stream is not None and (chunk := stream.read(_CHUNK)):
                size += len(chunk)
                yield chunk
        if size != member.size:
            raise BadBundle(f"'{name}' is cut short.")

    return read


@contextmanager
def _damage(what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise BadBundle(f"{what} is damaged or not understood; pack the bundle again.") from error
