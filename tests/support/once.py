"""A request with an Idempotency-Key, as services see it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """Keeps the text of its answer."""

    key: str

    @property
    def document(self) -> str:
        return f"once:{self.key}"

    @property
    def seed(self) -> str:
        return self.key

    def marker(self, result: object) -> dict[str, Any]:
        return {"answer": repr(result)}

    def check(self, marker: dict[str, Any]) -> None:
        """Tests use a key for one request only."""

    def kept_until(self, now: datetime) -> datetime:
        return now + timedelta(days=7)
