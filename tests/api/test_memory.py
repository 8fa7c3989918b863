"""A request leaves no cycles behind, so that collecting garbage may be rare."""

import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from functions.http.surface import endpoint_table
from functions.routes import declared
from tests.support.api import World, a_world, an_api

GIT = {"devops_diff_pull_request"}
"""dulwich makes its repository objects with cycles."""
READS = [
    each
    for each in endpoint_table(declared())
    if each.surface == "devops" and each.method == "GET" and each.name not in GIT
]
REPEATS = 5


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = await a_world(an_api(tmp_path))
    yield made
    await made.api.app.aclose()


@pytest.fixture
def by_hand() -> Iterator[None]:
    gc.disable()
    # Each look at the garbage would otherwise go through all that other tests have loaded, too.
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.usefixtures("by_hand")
async def test_reading_leaves_nothing_to_collect(world: World) -> None:
    left: dict[str, Counter[str]] = {}
    for endpoint in READS:
        path = endpoint.path
        for name, value in world.ids.items():
            path = path.replace(f"{{{name}}}", value)
        for repeat in range(REPEATS + 1):
            await world.api.send("GET", path)
            if repeat == 0:
                gc.collect()
                gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        found = Counter(type(one).__qualname__ for one in gc.garbage)
        gc.garbage.clear()
        if found.total() >= REPEATS:
            left[endpoint.name] = found
    assert left == {}
