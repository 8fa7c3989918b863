"""Time as a port, so that the core is pure and tests are exact."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC, never going backwards within a process."""
