"""The kit under Microsoft's own worker library: indexing, decoding, the call, encoding."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

APP = """
import azure.functions as func
from tests.api.kit_notes import CATALOGUE, Kit
from functions.routes import declared
from pathlib import Path

kit = Kit(Path(__file__).parent)
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
CATALOGUE["notes"].register(app, lambda: kit.app)
declared()["platform"].register(app, lambda: kit.app)
"""

# One process per app: the worker library keeps what it has indexed for as long as the process lives.
PROBE = """
import asyncio, json, sys
from pathlib import Path
from local.worker import HttpCall, Worker
from tests.api.kit_notes import TOKEN
from tests.support.app import CountingIds

async def main():
    worker = Worker(CountingIds().new)
    await worker.start(Path(sys.argv[1]))
    table = {function.name: function for function in worker.functions}
    call = HttpCall(
        method="POST", url="http://host/notes", query={}, params={}, body=b'{"title": "hello"}',
        headers={"authorization": f"Bearer {TOKEN}", "content-type": "application/json"},
    )
    made = await worker.invoke_http(table["notes_write_note"], call)
    health = await worker.invoke_http(
        table["platform_health"],
        HttpCall(method="GET", url="http://host/health", query={}, params={}, body=b"", headers={}),
    )
    worker.stop()
    print(json.dumps({
        "triggers": {name: dict(function.trigger) for name, function in table.items()},
        "status": made.status,
        "headers": {name.decode().lower(): value.decode() for name, value in made.headers},
        "body": json.loads(made.body),
        "health": json.loads(health.body),
    }))

asyncio.run(main())
"""


def test_microsofts_worker_indexes_and_runs_every_endpoint(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(APP)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "probe.py").write_text(PROBE)
    run = subprocess.run(
        [sys.executable, str(tmp_path / "probe.py"), str(tmp_path)],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout.splitlines()[-1])
    trigger = seen["triggers"]["notes_get_note"]
    assert (trigger["route"], trigger["methods"], trigger["authLevel"]) == (
        "notes/{noteId}",
        ["GET"],
        "ANONYMOUS",
    )
    assert {"platform_health", "platform_ready", "platform_openapi"} < set(seen["triggers"])
    assert len(seen["triggers"]) == 14
    assert (seen["status"], seen["body"]["title"]) == (201, "hello")
    assert seen["headers"]["content-type"] == "application/json; version=1"
    assert seen["headers"]["etag"] == '"1"'
    assert seen["health"]["status"] == "healthy"
