"""The engine on Microsoft's worker library: indexing, calls, errors."""

from pathlib import Path

import pytest

from local.worker import Function, IndexingFailed, Retry, Worker
from tests.functions.conftest import APPS, Small
from tests.support.host import app_imported_anew


async def test_an_app_is_indexed_with_its_bindings_and_retry_policies(small: Small) -> None:
    functions = {function.name: function for function in small.host.worker.functions}
    assert {
        name: function.kind for name, function in functions.items() if function.kind != "httpTrigger"
    } == {
        "small_queue": "serviceBusTrigger",
        "small_feed": "cosmosDBTrigger",
        "small_timer": "timerTrigger",
    }
    assert functions["small_queue"].trigger["queueName"] == "small"
    assert functions["small_timer"].retry == Retry(max_count=2, minimum=0, maximum=0)
    assert functions["small_ping"].retry is None


async def test_a_badly_declared_app_fails_with_the_workers_words_and_trace() -> None:
    with app_imported_anew(APPS / "bad"), pytest.raises(IndexingFailed) as failure:
        await Worker(new_id=str).start(APPS / "bad")
    assert "badly_declared" in failure.value.message
    assert "request" in failure.value.message
    assert "FunctionLoadError" in failure.value.trace


async def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    with app_imported_anew(tmp_path), pytest.raises(IndexingFailed, match=r"has no function_app\.py"):
        await Worker(new_id=str).start(tmp_path)


async def test_an_app_without_functions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("import azure.functions as func\napp = func.FunctionApp()\n")
    with app_imported_anew(tmp_path), pytest.raises(IndexingFailed, match="declares no functions"):
        await Worker(new_id=str).start(tmp_path)


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry(-1, 2, 2), [2, 2, 2, 2]),
        (Retry(3, 1, 5), [1, 2, 4, 5]),
    ],
)
def test_the_pause_between_retries_doubles_within_its_bounds(retry: Retry, delays: list[float]) -> None:
    assert [retry.delay(failures) for failures in (1, 2, 3, 4)] == delays


def test_the_trigger_is_found_among_the_bindings() -> None:
    bindings = ({"type": "http", "name": "$return"}, {"type": "httpTrigger", "name": "req"})
    assert Function("f", "1", bindings).kind == "httpTrigger"
