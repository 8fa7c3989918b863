"""Which files of a checkout go into the package: all but what .gitignore and .funcignore name."""

from pathlib import Path

from dulwich.ignore import IgnoreFilter

type Files = dict[str, bytes]
"""Path within the package, `/`-separated, to content."""

IGNORES = (".gitignore", ".funcignore")


def package_files(checkout: Path) -> Files:
    """The files of the package. A link is followed only as far as its text: it is refused."""
    ignored = [IgnoreFilter.from_path(checkout / name) for name in IGNORES if (checkout / name).exists()]
    found: Files = {}
    for folder, folders, names in checkout.walk():
        within = folder.relative_to(checkout)
        folders[:] = [name for name in folders if not _is_ignored(ignored, f"{(within / name).as_posix()}/")]
        for name in names:
            path = within / name
            if not _is_ignored(ignored, path.as_posix()):
                if (checkout / path).is_symlink():
                    raise UnpackableFile(f"{path} is a link; the package holds plain files only.")
                found[path.as_posix()] = (checkout / path).read_bytes()
    return found


class UnpackableFile(Exception):
    """A file that must not be in the package; the message says which and why."""


def _is_ignored(filters: list[IgnoreFilter], path: str) -> bool:
    return any(each.is_ignored(path) for each in filters)
