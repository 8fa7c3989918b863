"""The hosts under the source host contract, and the few moves that its tests are made of."""

from datetime import UTC, datetime
from pathlib import Path

from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.ports.source_host import (
    FileChange,
    Place,
    Signature,
    SourceHost,
)
from tests.support.app import SteppingClock

HOSTS = ["embedded"]

PLACE = Place("tenant-a", "proj-x", "api")
ADA = Signature("Ada Lovelace", "ada@example.com", datetime(2026, 6, 11, 9, 0, tzinfo=UTC))


def open_host(kind: str, folder: Path) -> SourceHost:
    assert kind in HOSTS
    return EmbeddedGit(folder / "git", SteppingClock())


def add(path: str, content: str = "x\n", *, executable: bool = False) -> FileChange:
    return FileChange(path, "add", content.encode(), executable=executable)


def modify(path: str, content: str) -> FileChange:
    return FileChange(path, "modify", content.encode())


def delete(path: str) -> FileChange:
    return FileChange(path, "delete")


async def made(host: SourceHost) -> str:
    return await host.create(PLACE, default_branch="main", author=ADA, readme="# api\n")


async def committed(host: SourceHost, *changes: FileChange, branch: str = "main") -> str:
    return (await host.commit(PLACE, branch, changes, message="change", author=ADA)).sha


async def branched(host: SourceHost, *start: FileChange) -> None:
    """A repository whose `main` has these files and a `topic` at the same commit."""
    head = await made(host)
    if start:
        head = await committed(host, *start)
    await host.create_branch(PLACE, "topic", head, by="ada")


async def merged(host: SourceHost, source: str = "topic", target: str = "main") -> str:
    info = await host.merge(
        PLACE,
        source=source,
        target=target,
        expected_source=await host.head(PLACE, source),
        message=f"Merge {source}",
        author=ADA,
    )
    return info.sha
