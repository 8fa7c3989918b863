"""The sample service as the bundle that a build would publish: equal files give equal bytes."""

import gzip
import io
import tarfile
from pathlib import Path

SAMPLE = Path(__file__).with_name("sample")
_LEFT_OUT = ("__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache")


def paths(folder: Path = SAMPLE) -> list[str]:
    """The files that belong in the bundle, relative to `folder`, sorted; no caches."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if not set(path.parts) & set(_LEFT_OUT))


def bundle(folder: Path = SAMPLE) -> bytes:
    """A tar.gz without owners, times or file modes of this machine."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in paths(folder):
            data = (folder / path).read_bytes()
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
