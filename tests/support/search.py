"""Looks for planted texts in everything that a data folder holds, however it is written there."""

import gzip
import io
import tarfile
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dulwich.errors import NotGitRepository
from dulwich.repo import Repo

_UNPACKING = (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`secret` is the name that the test gave it: a failing test must not print the value."""

    secret: str
    place: str


class Search:
    """`secrets` are values by name. Each is looked for as it is, in JSON, in a URL and in base64."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = {name: tuple(_forms(value)) for name, value in secrets.items()}

    def text(self, place: str, content: str | bytes) -> set[Finding]:
        raw = content.encode() if isinstance(content, str) else content
        return {
            Finding(name, place) for name, forms in self._forms.items() if any(form in raw for form in forms)
        }

    def folder(self, folder: Path) -> set[Finding]:
        """Every file as it is and unpacked, and every object of every repository."""
        found: set[Finding] = set()
        for path in sorted(folder.rglob("*")):
            place = str(path.relative_to(folder))
            found |= self.text(place, place)
            if path.is_file():
                with suppress(FileNotFoundError):  # a running server's: gone since we listed it
                    content = path.read_bytes()
                    found |= self.text(place, content)
                    for inner in _unpacked(content):
                        found |= self.text(place, inner)
            elif (path / "objects").is_dir():
                with suppress(NotGitRepository), Repo(str(path)) as repository:
                    for sha in repository.object_store:
                        found |= self.text(place, repository.object_store[sha].as_raw_string())
        return found


def _forms(value: str) -> Iterator[bytes]:
    raw = value.encode()
    yield raw
    yield quote(value, safe="").encode()
    yield value.replace("\n", "\\n").encode()
    for shift in range(3):
        # Within a longer text the same bytes have three spellings; their ends depend on the neighbours.
        whole = b64encode(b"\0" * shift + raw).rstrip(b"=")
        core = whole[(0, 2, 3)[shift] : len(whole) - 1]
        yield core
        yield core.replace(b"+", b"-").replace(b"/", b"_")


def _unpacked(content: bytes) -> Iterator[bytes]:
    for unpack in (gzip.decompress, zlib.decompress):
        with suppress(*_UNPACKING):
            yield unpack(content)
    with suppress(*_UNPACKING), tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield file.read()
    with suppress(*_UNPACKING), zipfile.ZipFile(io.BytesIO(content)) as bundle:
        for name in bundle.namelist():
            yield bundle.read(name)
