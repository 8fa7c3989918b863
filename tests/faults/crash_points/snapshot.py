"""A data folder as it stood, put elsewhere again for every try. It must not be written in meanwhile."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_GIT_OBJECTS = f".git{os.sep}objects{os.sep}"
"""What lies there is named after its content and never written again, so that every try may share it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What lies in a folder, by names relative to it; a folder stands before what it holds."""

    folder: str
    folders: tuple[str, ...]
    files: tuple[str, ...]
    objects: tuple[str, ...]
    links: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, folder: Path) -> Self:
        folders: list[str] = []
        files: list[str] = []
        objects: list[str] = []
        links: list[tuple[str, str]] = []
        for entry in _entries(str(folder)):
            name = os.path.relpath(entry.path, folder)
            if entry.is_symlink():
                links.append((name, str(Path(entry.path).readlink())))
            elif entry.is_dir():
                folders.append(name)
            else:
                (objects if _GIT_OBJECTS in name else files).append(name)
        return cls(str(folder), tuple(folders), tuple(files), tuple(objects), tuple(links))

    def put(self, target: Path) -> None:
        """Make the target hold this and nothing else."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for name in self.folders:
            (target / name).mkdir()
        for name in self.files:
            shutil.copy(f"{self.folder}/{name}", f"{target}/{name}")
        for name in self.objects:
            (target / name).hardlink_to(f"{self.folder}/{name}")
        for name, goal in self.links:
            (target / name).symlink_to(goal)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)
