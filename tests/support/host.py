"""A host in the test's own process and event loop: fast, and what its functions did can be looked at."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from local.host import Host, Mounts, no_mounts
from local.worker import MODULE
from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def serving(
    data_dir: Path, *, app_directory: Path = ROOT, mounts: Mounts = no_mounts, **settings: object
) -> AsyncIterator[Host]:
    """Serve an app on a free port until the block ends. One at a time: the worker library is global."""
    with app_imported_anew(app_directory):
        chosen = Settings.load({}, **{"port": 0, "data_dir": data_dir, **settings})
        async with Host(chosen, app_directory, mounts) as host:
            yield host


@contextmanager
def app_imported_anew(app_directory: Path) -> Iterator[None]:
    """The worker imports `function_app` by name and indexes an app once: each host needs a new import."""
    before = sys.modules.pop(MODULE, None)
    path = sys.path.copy()
    sys.path.insert(0, str(app_directory))
    try:
        yield
    finally:
        sys.path[:] = path
        sys.modules.pop(MODULE, None)
        if before is not None:
            sys.modules[MODULE] = before
