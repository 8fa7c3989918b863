"""Weighs a pushed pack before anything unpacks it, a chunk at a time.

A few kilobytes may inflate to more than the machine's memory, and an object is unpacked in memory, whole.
"""

import zlib
from dataclasses import dataclass
from typing import IO

MOST_OBJECT = 100 << 20
"""Bytes of one object, unpacked."""
MOST_UNPACKED = 8 << 30
"""Bytes of all objects of one pack together, unpacked."""
_READ = 1 << 12  # small: what is left of it is copied once for every object
_CHUNK = 1 << 16
_OFFSET_DELTA = 6
_REFERENCE_DELTA = 7
_DIGEST = 20
_DELTA_HEAD = 20  # two sizes of at most ten bytes each
_LONGEST_NUMBER = 10


class BadPack(ValueError):
    """The pack is damaged, or more than is taken; the message is what the person at the terminal reads."""


def weigh(pack: IO[bytes], *, most_object: int = MOST_OBJECT, most_unpacked: int = MOST_UNPACKED) -> None:
    """Read a whole pack from where `pack` stands, keeping nothing. Raises BadPack."""
    source = _Source(pack)
    magic, _, count = source.take(4), source.take(4), int.from_bytes(source.take(4))
    if magic != b"PACK":
        raise _damaged()
    total = 0
    for _ in range(count):
        size = source.weigh_object(most_object)
        total += size
        if size > most_object:
            raise BadPack(f"an object is larger than {most_object} bytes: take it out of the history")
        if total > most_unpacked:
            raise BadPack(f"the push unpacks to over {most_unpacked} bytes: push fewer commits at a time")


@dataclass(slots=True)
class _Source:
    pack: IO[bytes]
    ahead: bytes = b""

    def take(self, size: int) -> bytes:
        while len(self.ahead) < size:
            self._read()
        taken, self.ahead = self.ahead[:size], self.ahead[size:]
        return taken

    def weigh_object(self, most: int) -> int:
        """The size of the next object: of a delta, the larger of itself and of what it makes."""
        first = self.take(1)[0]
        kind = first >> 4 & 7
        size = first & 15
        if first & 0x80:
            size |= self._number() << 4
        if kind == _OFFSET_DELTA:
            self._number()
        elif kind == _REFERENCE_DELTA:
            self.take(_DIGEST)
        if size > most:
            return size
        head = self._inflate(size)
        if kind in (_OFFSET_DELTA, _REFERENCE_DELTA):
            delta = _Source(self.pack, head + bytes(_DELTA_HEAD))
            delta._number()  # what it starts from was weighed where it came in
            return max(size, delta._number())
        return size

    def _number(self) -> int:
        """A number in steps of seven bits, the lowest first."""
        number = 0
        for step in range(_LONGEST_NUMBER):
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << 7 * step
            if not byte & 0x80:
                return number
        raise _damaged()

    def _inflate(self, size: int) -> bytes:
        """Pass over a compressed object that says it has `size` bytes; its first few."""
        inflate = zlib.decompressobj()
        head, came = b"", 0
        while not inflate.eof:
            if not self.ahead:
                self._read()
            piece = inflate.decompress(self.ahead, _CHUNK)
            self.ahead = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            head += piece[: _DELTA_HEAD - len(head)]
            came += len(piece)
            if came > size:
                raise _damaged()
        return head

    def _read(self) -> None:
        chunk = self.pack.read(_READ)
        if not chunk:
            raise _damaged()
        self.ahead += chunk


def _damaged() -> BadPack:
    return BadPack("the pack is damaged: push again")
