"""Lines of text: which of them two texts share, their unified diff, and the three-way merge of three.

Pure. Never quadratic in a whole file: unique shared lines are the anchors (patience), and only the small gaps
between them are searched exhaustively.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

Lines = Sequence[bytes]
Run = tuple[int, int, int]
"""Start in one text, start in the other, how many lines are the same from there."""

_SMALL_GAP = 40_000
_BINARY_LOOK = 8000


def is_binary(content: bytes) -> bool:
    """Git's own rule: a NUL among the first bytes."""
    return b"\0" in content[:_BINARY_LOOK]


def split(content: bytes) -> list[bytes]:
    """Lines with their ends; only a line feed ends a line, as in git."""
    lines = content.split(b"\n")
    last = lines.pop()
    return [line + b"\n" for line in lines] + ([last] if last else [])


def shared_runs(a: Lines, b: Lines) -> list[Run]:
    """Maximal runs of lines in both texts, in order in both."""
    merged: list[Run] = []
    for i, j, size in _runs(a, b):
        if merged and merged[-1][0] + merged[-1][2] == i and merged[-1][1] + merged[-1][2] == j:
            start_i, start_j, before = merged.pop()
            merged.append((start_i, start_j, before + size))
        else:
            merged.append((i, j, size))
    return merged


def _runs(a: Lines, b: Lines) -> Iterator[Run]:
    """Walks a stack of gaps still to be searched, the first on top, so that runs come in order."""
    waiting = [(0, len(a), 0, len(b))]
    while waiting:
        a0, a1, b0, b1 = waiting.pop()
        head = 0
        while a0 + head < a1 and b0 + head < b1 and a[a0 + head] == b[b0 + head]:
            head += 1
        if head:
            yield a0, b0, head
            a0, b0 = a0 + head, b0 + head
        tail = 0
        while a0 < a1 - tail and b0 < b1 - tail and a[a1 - tail - 1] == b[b1 - tail - 1]:
            tail += 1
        if tail and (a0 < a1 - tail or b0 < b1 - tail):
            waiting.append((a1 - tail, a1, b1 - tail, b1))
            waiting.append((a0, a1 - tail, b0, b1 - tail))
            continue
        if a0 == a1 or b0 == b1:
            continue
        anchors = _anchors(a, a0, a1, b, b0, b1)
        if anchors:
            gaps = []
            for i, j in anchors:
                gaps.append((a0, i, b0, j))
                gaps.append((i, i + 1, j, j + 1))
                a0, b0 = i + 1, j + 1
            gaps.append((a0, a1, b0, b1))
            waiting.extend(reversed(gaps))
        elif (a1 - a0) * (b1 - b0) <= _SMALL_GAP:
            matcher = SequenceMatcher(None, a[a0:a1], b[b0:b1], autojunk=False)
            for i, j, size in matcher.get_matching_blocks()[:-1]:
                yield a0 + i, b0 + j, size


def _anchors(a: Lines, a0: int, a1: int, b: Lines, b0: int, b1: int) -> list[tuple[int, int]]:
    """Lines that occur once on each side: the longest series of them that is in order on both."""
    count_a, count_b = Counter(a[a0:a1]), Counter(b[b0:b1])
    where_b = {b[j]: j for j in range(b0, b1) if count_b[b[j]] == 1}
    pairs = [(i, where_b[a[i]]) for i in range(a0, a1) if count_a[a[i]] == 1 and a[i] in where_b]
    ends: list[int] = []
    top: list[int] = []
    before: list[int] = []
    for index, (_, j) in enumerate(pairs):
        at = bisect_left(ends, j)
        before.append(top[at - 1] if at else -1)
        ends[at : at + 1] = [j]
        top[at : at + 1] = [index]
    series = []
    index = top[-1] if top else -1
    while index >= 0:
        series.append(pairs[index])
        index = before[index]
    return series[::-1]


class _Matcher(SequenceMatcher[bytes]):
    """difflib's grouping of hunks over our own runs."""

    def __init__(self, a: Lines, b: Lines) -> None:
        super().__init__(None, [], [], autojunk=False)
        self.a, self.b = a, b
        self._found = [*shared_runs(a, b), (len(a), len(b), 0)]

    def get_matching_blocks(self) -> list[Run]:  # type: ignore[override]
        return self._found


def unified(old: bytes, new: bytes) -> tuple[str, int, int]:
    """The hunks of a unified diff with three lines of context, and how many lines were added and deleted."""
    a, b = split(old), split(new)
    out: list[bytes] = []
    added = deleted = 0
    for group in _Matcher(a, b).get_grouped_opcodes(3):
        first, last = group[0], group[-1]
        out.append(b"@@ -%s +%s @@\n" % (_range(first[1], last[2]), _range(first[3], last[4])))
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                out.extend(_marked(b" ", a[i1:i2]))
                continue
            deleted += i2 - i1
            added += j2 - j1
            out.extend(_marked(b"-", a[i1:i2]))
            out.extend(_marked(b"+", b[j1:j2]))
    return b"".join(out).decode("utf-8", "replace"), added, deleted


def _marked(mark: bytes, lines: Lines) -> Iterator[bytes]:
    for line in lines:
        yield mark + line if line.endswith(b"\n") else mark + line + b"\n\\ No newline at end of file\n"


def _range(start: int, stop: int) -> bytes:
    size = stop - start
    if size == 1:
        return b"%d" % (start + 1)
    return b"%d,%d" % (start + 1 if size else start, size)


def merge(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Both sides' changes to `base` in one text; None where they touch the same or neighbouring lines."""
    b, o, t = split(base), split(ours), split(theirs)
    out: list[bytes] = []
    at_b = at_o = at_t = 0
    for in_b, in_o, in_t, size in [*_kept_by_both(b, o, t), (len(b), len(o), len(t), 0)]:
        was, our, their = b[at_b:in_b], o[at_o:in_o], t[at_t:in_t]
        if their in (our, was):
            out.extend(our)
        elif our == was:
            out.extend(their)
        else:
            return None
        out.extend(b[in_b : in_b + size])
        at_b, at_o, at_t = in_b + size, in_o + size, in_t + size
    return b"".join(out)


def _kept_by_both(base: Lines, ours: Lines, theirs: Lines) -> Iterator[tuple[int, int, int, int]]:
    """Runs of base lines that neither side touched: start in base, ours and theirs, and length."""
    one, two = shared_runs(base, ours), shared_runs(base, theirs)
    x = y = 0
    while x < len(one) and y < len(two):
        (base_x, our, size_x), (base_y, their, size_y) = one[x], two[y]
        start, end = max(base_x, base_y), min(base_x + size_x, base_y + size_y)
        if start < end:
            yield start, our + start - base_x, their + start - base_y, end - start
        if base_x + size_x < base_y + size_y:
            x += 1
        else:
            y += 1
