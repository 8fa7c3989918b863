"""The crash points that a run has tried, as a table: one line per operation, one column per way to fail."""

from collections.abc import Sequence

type Row = dict[str, str | int]


def table(rows: Sequence[Row]) -> str:
    """The rows by operation, with their sums below."""
    columns = [name for name in rows[0] if name != "operation"]
    total: Row = {"operation": f"{len(rows)} operations"}
    total |= {column: sum(int(row[column]) for row in rows) for column in columns}
    ordered = [*sorted(rows, key=lambda row: str(row["operation"])), total]
    wide = max(len(str(row["operation"])) for row in ordered)
    lines = [_line("operation", wide, columns, columns)]
    lines += [
        _line(str(row["operation"]), wide, columns, [str(row[name]) for name in columns]) for row in ordered
    ]
    faults = sum(int(total[column]) for column in columns if column not in ("calls", "writes"))
    return "\n".join([*lines, f"{faults} faults tried at {total['calls']} calls"])


def found_bugs(rows: Sequence[tuple[str, str]]) -> str:
    """Each planted bug with what found it."""
    wide = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{wide}}  {found}" for name, found in sorted(rows))


def _line(name: str, wide: int, columns: Sequence[str], cells: Sequence[str]) -> str:
    padded = [f"{cell:>{len(column)}}" for cell, column in zip(cells, columns, strict=True)]
    return "  ".join([f"{name:<{wide}}", *padded])
