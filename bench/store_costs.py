"""What every endpoint of the devops surface asks of the store, and about how many request units Cosmos would
charge for it. What may not grow is asserted in tests/api/test_store_costs.py."""

import asyncio
from pathlib import Path

from bench.report import Report, table
from tests.support.store_costs import Cost
from tests.support.store_costs import store_costs as counted


def store_costs(folder: Path) -> Report:
    home = folder / "costs"
    home.mkdir()
    costs = asyncio.run(counted(home))
    rows = [
        [
            name.removeprefix("devops_"),
            str(cost.reads),
            str(cost.queries),
            str(len(cost.batches)),
            _batches(cost),
            f"{cost.units:.1f}",
        ]
        for name, cost in costs.items()
    ]
    total = sum(cost.units for cost in costs.values())
    lines = table(["endpoint", "reads", "queries", "batches", "documents a batch", "RU about"], rows)
    return Report(f"Store cost of {len(rows)} endpoints, each called once ({total:,.0f} RU together)", lines)


def _batches(cost: Cost) -> str:
    return " + ".join(f"{root} {documents}" for root, documents in cost.batches)


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as scratch:
        store_costs(Path(scratch)).show()
