"""Finds a build's report files by the patterns of its definition.

The patterns and the names are strangers': no link is followed, and the work grows with the files, never with
how cleverly a pattern is written.
"""

import fnmatch
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_ANY_FOLDERS = "**"


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One matcher for each component; None stands for any number of folders."""

    parts: tuple[re.Pattern[str] | None, ...]

    def start(self) -> frozenset[int]:
        return self._skip({0})

    def after(self, states: frozenset[int], name: str) -> frozenset[int]:
        """How much of the pattern can be behind us once `name` is."""
        reached: set[int] = set()
        for at in states:
            if at == len(self.parts):
                continue
            part = self.parts[at]
            if part is None:
                reached.add(at)
            elif part.match(name):
                reached.add(at + 1)
        return self._skip(reached)

    def is_met(self, states: frozenset[int]) -> bool:
        return len(self.parts) in states

    def _skip(self, states: Iterable[int]) -> frozenset[int]:
        """With every state that needs no further name: `**` also stands for no folder at all."""
        closed: set[int] = set()
        for state in states:
            at = state
            closed.add(at)
            while at < len(self.parts) and self.parts[at] is None:
                at += 1
                closed.add(at)
        return frozenset(closed)


def find(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Every file below `folder` that matches one of the patterns, sorted. A link to a file is given as it
    stands; whether it leads out is for the reader to see."""
    compiled = [_compiled(pattern) for pattern in patterns]
    found: list[Path] = []
    waiting = [(folder, [pattern.start() for pattern in compiled])]
    while waiting:
        here, states = waiting.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:  # gone, or closed to us: nothing that could be counted
            continue
        for entry in entries:
            reached = [
                pattern.after(state, entry.name) for pattern, state in zip(compiled, states, strict=True)
            ]
            if entry.is_dir(follow_symlinks=False):
                if any(reached):
                    waiting.append((Path(entry.path), reached))
            elif any(pattern.is_met(state) for pattern, state in zip(compiled, reached, strict=True)):
                found.append(Path(entry.path))
    return sorted(found)


def _compiled(pattern: str) -> _Pattern:
    # fnmatch writes atomic groups, which never try again what they have passed. Path.glob does not: a pattern
    # of many stars over one long name holds the interpreter, and so every tenant, for ever.
    return _Pattern(
        tuple(
            None if part == _ANY_FOLDERS else re.compile(fnmatch.translate(part))
            for part in PurePosixPath(pattern).parts
        )
    )
