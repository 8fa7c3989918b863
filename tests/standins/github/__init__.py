"""GitHub's REST API, as far as Slipway uses it, over real git repositories."""

from tests.standins.github.access import Right
from tests.standins.github.faults import Fault
from tests.standins.github.server import GitHubStandIn

__all__ = ["Fault", "GitHubStandIn", "Right"]
