"""The sample service as the bundle that a build would publish: equal files give equal bytes."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

SAMPLE = Path(__file__).with_name("sample")
_LEFT_OUT = ("__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache")


def paths(folder: Path = SAMPLE) -> list[str]:
    """The files that belong in the bundle, relative to `folder`, sorted; no caches."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if not set(path.parts) & set(_LEFT_OUT))


def files(folder: Path = SAMPLE) -> dict[str, bytes]:
    """What belongs in the bundle, by path."""
    return {path: (folder / path).read_bytes() for path in paths(folder)}


def bundle(folder: Path = SAMPLE) -> bytes:
    """The files of a folder, packed."""
    return packed(files(folder))


def packed(content: Mapping[str, bytes]) -> bytes:
    """A tar.gz without owners, times or file modes of this machine."""
    written = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=written, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, data in content.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(data))
    return written.getvalue()
