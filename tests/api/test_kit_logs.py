"""One JSON line per request; what a caller sent never reaches it."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.http.logs import REQUESTS, JsonFormatter, configure_logging
from tests.api.kit_notes import TOKEN, Kit, told


class Lines(logging.Handler):
    """Keeps what a handler would have written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(self.format(record))

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text]


@pytest.fixture
def lines() -> Iterator[Lines]:
    made = Lines()
    level = REQUESTS.level
    REQUESTS.addHandler(made)
    REQUESTS.setLevel(logging.INFO)
    yield made
    REQUESTS.removeHandler(made)
    REQUESTS.setLevel(level)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    made = Kit(tmp_path)
    yield made
    await made.close()


async def test_one_line_per_request_says_what_happened(kit: Kit, lines: Lines) -> None:
    response = await kit.send("POST", "/notes", {"title": "hello"})
    [line] = lines.told()
    assert line["durationMs"] > 0
    assert line.pop("time").endswith("+00:00")
    del line["durationMs"]
    assert line == {
        "level": "INFO",
        "logger": "slipway.requests",
        "message": "request",
        "traceId": f"trace-{response.headers['traceparent'].split('-')[1]}",
        "function": "notes_write_note",
        "method": "POST",
        "route": "/notes",
        "status": 201,
        "tenant": "connectsoft",
    }


async def test_no_line_holds_a_token_a_query_value_or_a_body(kit: Kit, lines: Lines) -> None:
    await kit.send("GET", "/notes?cursor=hidden-value", token=TOKEN)
    await kit.send("POST", "/notes", {"title": "hidden-value" * 9, "tenantId": "hidden-value"})
    await kit.send("POST", "/notes", b'{"hidden-value')
    await kit.send("POST", "/faults/bug", {"x": "hidden-value"}, idempotency_key="hidden-value")
    await kit.send("GET", "/notes", token="hidden-value")
    assert len(lines.text) == 5
    assert not [line for line in lines.text if TOKEN in line or "hidden-value" in line]


async def test_an_unknown_error_is_logged_once_with_its_stack_and_the_trace_the_caller_sees(
    kit: Kit, lines: Lines
) -> None:
    response = await kit.send("POST", "/faults/bug")
    [line] = lines.told()
    assert (line["level"], line["status"]) == ("ERROR", 500)
    assert "ZeroDivisionError: division by the number of secrets" in line["stack"]
    assert line["traceId"] == told(response)["traceId"]


async def test_a_mistake_of_the_caller_is_no_error_of_ours(kit: Kit, lines: Lines) -> None:
    await kit.send("POST", "/notes", {})
    await kit.send("POST", "/faults/rule")
    assert [(line["level"], "stack" in line) for line in lines.told()] == [("INFO", False)] * 2


def test_logging_is_configured_on_the_handlers_that_are_there() -> None:
    root, ours = logging.getLogger(), logging.getLogger("slipway")
    before = [(handler, handler.formatter) for handler in root.handlers]
    level = ours.level
    host = Lines()
    host.setFormatter(None)
    root.addHandler(host)
    try:
        configure_logging("WARNING")
        configure_logging("WARNING")
        logging.getLogger("slipway.relay").warning("behind by %d", 3)
        logging.getLogger("slipway.relay").info("not shown")
        assert [line["message"] for line in host.told()] == ["behind by 3"]
    finally:
        root.removeHandler(host)
        ours.setLevel(level)
        for handler, formatter in before:
            handler.setFormatter(formatter)
