"""`python -m bench`: every figure in one run, and exit status 1 when a bar is missed."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.cold_start import cold_start
from bench.compare import compare
from bench.lists import lists
from bench.planning import planning
from bench.report import Report, machine
from bench.store_costs import store_costs
from bench.warm_call import warm_call


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run measures."""

    rounds: int
    seconds: float
    warmup: float
    items: int
    samples: int
    processes: int
    builds: int


FULL = Size(rounds=5, seconds=4, warmup=1, items=1_000_000, samples=200, processes=11, builds=1600)
QUICK = Size(rounds=1, seconds=1, warmup=0.5, items=50_000, samples=50, processes=3, builds=160)
PARTS: dict[str, Callable[[Path, Size], Report]] = {
    "http": lambda folder, size: compare(folder, size.rounds, size.seconds, size.warmup),
    "planning": lambda folder, size: planning(folder, min(size.rounds, 2), size.seconds, size.builds),
    "lists": lambda folder, size: lists(folder, size.items, size.samples),
    "cold": lambda folder, size: cold_start(folder, size.processes),
    "warm": lambda folder, size: warm_call(folder, size.rounds * 10),
    "costs": lambda folder, size: store_costs(folder),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Slipway against its peers.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; default all")
    parser.add_argument("--quick", action="store_true", help="a run of about 20 s, for a first look")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    size = QUICK if options.quick else FULL
    print(*machine(), sep="\n", flush=True)
    missed = []
    with TemporaryDirectory(prefix="slipway-bench-") as scratch:
        for name, part in PARTS.items():
            if not options.parts or name in options.parts:
                made = part(Path(scratch), size)
                made.show()
                missed += [bar for bar in made.bars if not bar.holds]
    print(f"\n{len(missed)} bars missed." if missed else "\nEvery bar holds.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
