"""Entry point of the Pulumi program: exports what `build` returns. No decision is made here."""

import sys
from pathlib import Path

import pulumi

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Pulumi starts this folder as a script, with no package around it.
from infra.program import build

for name, value in build().items():
    pulumi.export(name, value)
