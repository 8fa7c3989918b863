"""Walks the history of a repository on Azure DevOps, asking for as few commits as it can; changes nothing."""

import asyncio
import heapq
from collections.abc import Sequence

from dulwich.objects import Commit

from shared.adapters.hosts.azure_devops_objects import Objects
from shared.adapters.hosts.git_history import read_commit, split_trailers
from shared.ports.source_host import CommitInfo

LOOK_BACK = 50
"""Commits among which one is looked for that a lost answer was about."""
_LONGEST_REACH = 64


class History:
    """For one question: it asks for more commits at a time the longer it goes on."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._reach = 1

    async def commit(self, sha: str) -> Commit:
        if self._objects.find(sha) is None:
            if self._reach > 1:
                await self._objects.read_history(sha, self._reach)
            self._reach = min(self._reach * 2, _LONGEST_REACH)
        return await self._objects.commit(sha)

    async def log(self, head: str, until: str | None, limit: int | None) -> list[CommitInfo]:
        """From `head` backwards, latest first; of the same second, a child before its parents. Without
        `until` and its ancestors.

        Both ends are followed together, by time, so that it ends soon after they meet. As in git, a history
        whose clocks were far off may show more than it should.
        """
        walk = _Walk(self)
        await walk.add(head, 0, known=False)
        if until is not None:
            await walk.add(until, 0, known=True)
        while walk.goes_on(limit):
            await walk.step()
        return [read_commit(commit) for commit in walk.news()[:limit]]

    async def first(self, head: str) -> Commit:
        """Where the line of first parents begins."""
        commit = await self.commit(head)
        while commit.parents:
            commit = await self.commit(commit.parents[0].decode())
        return commit

    async def find_made(self, head: str, once: tuple[str, str]) -> CommitInfo | None:
        """One of the latest commits that carries this trailer."""
        rows = await self._objects.remote.history(head, LOOK_BACK)
        # A cut message has lost its end, which is where trailers are.
        cut = [row.commit_id for row in rows if row.comment_truncated]
        whole = dict(zip(cut, await asyncio.gather(*map(self._objects.commit, cut)), strict=True))
        for row in rows:
            sha = row.commit_id
            message = whole[sha].message.decode("utf-8", "replace") if sha in whole else row.comment
            if once in split_trailers(message)[1]:
                return read_commit(await self._objects.commit(sha))
        return None

    async def find_merged(
        self, target: str, source: str, trailers: Sequence[tuple[str, str]]
    ) -> CommitInfo | None:
        """A merge of this very source into the target that carries these trailers."""
        # A commit that merged the source cannot be one of the source's own ancestors.
        for info in await self.log(target, source, None):
            if source in info.parents[1:] and info.trailers == tuple(trailers):
                return info
        return None


class _Walk:
    """Two histories at once: what is `known` spreads from the one to all that both share."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._waiting: list[tuple[int, int, str]] = []
        self._open: set[str] = set()
        self._known: set[str] = set()
        self._seen: dict[str, Commit] = {}
        self._news: list[str] = []

    async def add(self, sha: str, step: int, *, known: bool) -> None:
        if sha in self._known or (sha in self._seen and not known):
            return
        commit = self._seen[sha] = await self._history.commit(sha)
        if known:
            # Once more, even where it was passed already: its ancestors have to hear of it.
            self._known.add(sha)
            self._open.discard(sha)
            if sha in self._news:
                self._news.remove(sha)
        else:
            self._open.add(sha)
        heapq.heappush(self._waiting, (-commit.commit_time, step, sha))

    def goes_on(self, limit: int | None) -> bool:
        if not self._waiting:
            return False
        is_full = limit is not None and len(self._news) >= limit
        if not self._known:
            return not is_full
        if self._open and not is_full:
            return True
        # What waits is looked at as long as it might show that something found is known after all.
        last = self._news[limit - 1 if is_full and limit else -1] if self._news else None
        return last is not None and self._seen[last].commit_time <= -self._waiting[0][0]

    async def step(self) -> None:
        _, step, sha = heapq.heappop(self._waiting)
        known = sha in self._known
        if not known:
            self._open.discard(sha)
            self._news.append(sha)
        for parent in self._seen[sha].parents:
            await self.add(parent.decode(), step + 1, known=known)

    def news(self) -> list[Commit]:
        return [self._seen[sha] for sha in self._news]
