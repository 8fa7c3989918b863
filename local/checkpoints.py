"""Where triggers got to: one row per function, in a small database of the local platform's own.

A checkpoint is written after the work it stands for, so a crash repeats work and never skips any.
"""

import sqlite3
from pathlib import Path


class Checkpoints:
    """Names and texts that outlive the process. Every `put` is durable against a killed process."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS checkpoints (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT"
        )

    def find(self, name: str) -> str | None:
        row = self._connection.execute("SELECT value FROM checkpoints WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", (name, value))

    def close(self) -> None:
        self._connection.close()
