"""The hosts under the source host contract, and the few moves that its tests are made of."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.domain.source.model import Provider
from shared.ports.source_host import (
    FileChange,
    Place,
    Signature,
    SourceHost,
)
from tests.contracts.azure_devops_site import SITES as AZURE_DEVOPS_SITES
from tests.contracts.github_site import SITES as GITHUB_SITES
from tests.support.app import SteppingClock

PROVIDERS = {
    "embedded": Provider.EMBEDDED,
    "github": Provider.GITHUB,
    "azure_devops": Provider.AZURE_DEVOPS,
}
HOSTS = list(PROVIDERS)

PLACE = Place("tenant-a", "proj-x", "api")
ADA = Signature("Ada Lovelace", "ada@example.com", datetime(2026, 6, 11, 9, 0, tzinfo=UTC))


@asynccontextmanager
async def open_host(kind: str, folder: Path) -> AsyncIterator[SourceHost]:
    """An empty one."""
    if kind == "github":
        async with aclosing(GITHUB_SITES.new().host()) as github:
            yield github
    elif kind == "azure_devops":
        async with AZURE_DEVOPS_SITES.bench(folder) as bench:
            yield bench.host
    else:
        yield EmbeddedGit(folder / "git", SteppingClock())


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
