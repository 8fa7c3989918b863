"""One at a time for each key, within this process. Promises nothing about other processes."""

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """`async with turns.of(key):` waits for whoever has that turn. A key that nobody holds is forgotten."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: str) -> asyncio.Lock:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock
