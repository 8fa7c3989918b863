"""One JSON line per request and per log record. Never a token, a query value or a body.

Handlers that the host installed stay: only what they write changes.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from shared.services.trace import CURRENT

REQUESTS = logging.getLogger("slipway.requests")
_FIELDS = "slipway"
_ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, traceId, what the record adds, and the stack of an error."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace := CURRENT.get():
            line["traceId"] = trace.wire_id
        line |= getattr(record, _FIELDS, {})
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)


def configure_logging(level: str) -> None:
    """Make every handler of the root logger write JSON lines, and our loggers write from `level` up."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    for handler in root.handlers:
        handler.setFormatter(JsonFormatter())
    logging.getLogger("slipway").setLevel(level)
    # A library's chatter at INFO is ours to answer for: git's server would write a line per negotiation.
    logging.getLogger("dulwich").setLevel(logging.WARNING)
    # Azure's SDKs write a line per frame and per request, URLs among them.
    logging.getLogger("azure").setLevel(logging.WARNING)


def with_fields(**fields: object) -> dict[str, dict[str, object]]:
    """For `extra=` of a logging call: members of the line beside the message."""
    return {_FIELDS: fields}
