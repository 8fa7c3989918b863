"""Walking a history that is elsewhere, against what git's graph says, for histories of any shape."""

import asyncio
from typing import cast

from dulwich.objects import Commit, ObjectID, Tree
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.hosts.azure_devops_history import History
from shared.adapters.hosts.azure_devops_objects import Objects

type Graph = list[Commit]


class Remembered:
    """Objects of a history in memory; remembers what was asked for."""

    def __init__(self, graph: Graph) -> None:
        self.all = {commit.id.decode(): commit for commit in graph}
        self.read: set[str] = set()

    def find(self, sha: str) -> object | None:
        return self.all[sha] if sha in self.read else None

    async def commit(self, sha: str) -> Commit:
        self.read.add(sha)
        return self.all[sha]

    async def read_history(self, sha: str, count: int) -> None:
        self.read |= set(sorted(reached(self.all, sha))[:count])


def reached(commits: dict[str, Commit], sha: str) -> set[str]:
    seen: set[str] = set()
    waiting = [sha]
    while waiting:
        here = waiting.pop()
        if here not in seen:
            seen.add(here)
            waiting += [parent.decode() for parent in commits[here].parents]
    return seen


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Commits, each of the same second as those before it or of a later one, with up to two parents."""
    graph: Graph = []
    now = 1_700_000_000
    for index in range(draw(st.integers(1, 14))):
        now += draw(st.integers(0, 2))
        commit = Commit()
        commit.tree = Tree().id
        picks = draw(st.sets(st.integers(0, index - 1), max_size=2)) if index else set()
        commit.parents = [ObjectID(graph[pick].id) for pick in sorted(picks)]
        commit.author = commit.committer = b"Ada <ada@example.com>"
        commit.author_time = commit.commit_time = now
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = b"%d\n" % index
        graph.append(commit)
    return graph


@settings(max_examples=300, deadline=None)
@given(graphs(), st.data())
def test_a_log_shows_what_is_new_and_nothing_else(graph: Graph, data: st.DataObject) -> None:
    head = data.draw(st.sampled_from(graph)).id.decode()
    until = data.draw(st.one_of(st.none(), st.sampled_from([each.id.decode() for each in graph])))
    limit = data.draw(st.integers(1, 20))
    objects = Remembered(graph)
    found = asyncio.run(History(cast(Objects, objects)).log(head, until, None))
    shas = [info.sha for info in found]
    known = reached(objects.all, until) if until else set()
    assert set(shas) == reached(objects.all, head) - known
    assert len(shas) == len(set(shas))
    times = [info.committed_at for info in found]
    assert times == sorted(times, reverse=True)
    fewer = asyncio.run(History(cast(Objects, Remembered(graph))).log(head, until, limit))
    assert {info.sha for info in fewer} <= set(shas)
    assert len(fewer) == min(limit, len(shas))


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_the_first_commit_is_where_first_parents_end(graph: Graph) -> None:
    first = asyncio.run(History(cast(Objects, Remembered(graph))).first(graph[-1].id.decode()))
    assert first.parents == []
    assert first.id.decode() in reached({each.id.decode(): each for each in graph}, graph[-1].id.decode())
