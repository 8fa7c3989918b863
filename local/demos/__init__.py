"""What `slipway demo --surface NAME` walks: every route of one API surface, with its contract's examples."""

from typing import Final

SURFACES: Final = {"devops": "local.demos.devops"}
"""Each with the module whose `run` walks it."""
