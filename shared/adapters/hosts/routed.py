"""The source host of an installation that has several: each call goes to the host of its place's provider."""

from collections.abc import Mapping, Sequence

from shared.domain.source.errors import ProviderUnavailable
from shared.domain.source.model import Provider, Visibility
from shared.ports.source_host import (
    CommitInfo,
    FileChange,
    FileDiff,
    Place,
    RefUpdate,
    Signature,
    SourceHost,
)


class RoutedHost:
    """Implements ports.source_host.SourceHost. ProviderUnavailable for a provider that is not set up."""

    def __init__(self, hosts: Mapping[Provider, SourceHost]) -> None:
        self._hosts = dict(hosts)

    def of(self, place: Place) -> SourceHost:
        host = self._hosts.get(place.provider)
        if host is None:
            raise ProviderUnavailable(
                f"This installation has no connection to {place.provider}; set its organizations in the"
                " settings, or use another provider.",
                provider=str(place.provider),
                available=sorted(map(str, self._hosts)),
            )
        return host

    def clone_url(self, place: Place) -> str:
        return self.of(place).clone_url(place)

    async def create(
        self,
        place: Place,
        *,
        default_branch: str,
        author: Signature,
        readme: str,
        visibility: Visibility = Visibility.PRIVATE,
    ) -> str:
        return await self.of(place).create(
            place, default_branch=default_branch, author=author, readme=readme, visibility=visibility
        )

    async def exists(self, place: Place) -> bool:
        return await self.of(place).exists(place)

    async def branches(self, place: Place) -> dict[str, str]:
        return await self.of(place).branches(place)

    async def head(self, place: Place, branch: str) -> str:
        return await self.of(place).head(place, branch)

    async def create_branch(self, place: Place, name: str, at: str, *, by: str) -> None:
        await self.of(place).create_branch(place, name, at, by=by)

    async def delete_branch(self, place: Place, name: str, *, expected: str, by: str) -> None:
        await self.of(place).delete_branch(place, name, expected=expected, by=by)

    async def commit(
        self,
        place: Place,
        branch: str,
        changes: Sequence[FileChange],
        *,
        message: str,
        author: Signature,
        expected_head: str | None = None,
        trailers: Sequence[tuple[str, str]] = (),
        once: tuple[str, str] | None = None,
    ) -> CommitInfo:
        return await self.of(place).commit(
            place,
            branch,
            changes,
            message=message,
            author=author,
            expected_head=expected_head,
            trailers=trailers,
            once=once,
        )

    async def merge(
        self,
        place: Place,
        *,
        source: str,
        target: str,
        expected_source: str,
        message: str,
        author: Signature,
        trailers: Sequence[tuple[str, str]] = (),
    ) -> CommitInfo:
        return await self.of(place).merge(
            place,
            source=source,
            target=target,
            expected_source=expected_source,
            message=message,
            author=author,
            trailers=trailers,
        )

    async def merge_conflicts(self, place: Place, *, source: str, target: str) -> Sequence[str] | None:
        return await self.of(place).merge_conflicts(place, source=source, target=target)

    async def merge_base(self, place: Place, one: str, other: str) -> str | None:
        return await self.of(place).merge_base(place, one, other)

    async def is_ancestor(self, place: Place, ancestor: str, descendant: str) -> bool:
        return await self.of(place).is_ancestor(place, ancestor, descendant)

    async def diff(
        self, place: Place, base: str, head: str, *, max_patch_bytes: int = 262144
    ) -> list[FileDiff]:
        return await self.of(place).diff(place, base, head, max_patch_bytes=max_patch_bytes)

    async def info(self, place: Place, sha: str) -> CommitInfo:
        return await self.of(place).info(place, sha)

    async def log(
        self, place: Place, head: str, *, until: str | None = None, limit: int = 50
    ) -> list[CommitInfo]:
        return await self.of(place).log(place, head, until=until, limit=limit)

    async def read_file(self, place: Place, sha: str, path: str) -> bytes | None:
        return await self.of(place).read_file(place, sha, path)

    async def list_files(self, place: Place, sha: str, prefix: str = "") -> list[str]:
        return await self.of(place).list_files(place, sha, prefix)

    async def checkout(self, place: Place, sha: str, folder: str) -> None:
        await self.of(place).checkout(place, sha, folder)

    async def pending(self, *, older_than: float = 5.0) -> list[RefUpdate]:
        found = [
            update for host in self._hosts.values() for update in await host.pending(older_than=older_than)
        ]
        return sorted(found, key=lambda update: update.at)

    async def acknowledge(self, update: RefUpdate) -> None:
        await self.of(update.place).acknowledge(update)

    async def settle(self, place: Place, branch: str, new: str | None) -> None:
        await self.of(place).settle(place, branch, new)
