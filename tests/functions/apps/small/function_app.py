"""A small app with every kind of trigger, for the host's own tests. `SEEN` is what its functions noticed."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import azure.functions as func

from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.embedded.system import RandomIds, SystemClock
from shared.settings import Settings

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@dataclass
class Seen:
    """What happened, and how the functions are to behave."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    documents: list[list[str]] = field(default_factory=list)
    ticks: list[dict[str, Any]] = field(default_factory=list)
    fail_messages: int = 0
    fail_documents: int = 0
    fail_ticks: int = 0
    pause: float = 0.0
    running: int = 0
    most_running: int = 0


SEEN = Seen()


@app.route("small/ping", methods=["GET"])
async def small_ping(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("pong")


@app.route("small/items/{itemId}", methods=["GET"])
def small_sync(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    told = {"id": req.route_params["itemId"], "query": dict(req.params), "invocation": context.invocation_id}
    return func.HttpResponse(json.dumps(told), mimetype="application/json")


@app.route("small/echo", methods=["POST", "PUT"])
async def small_echo(req: func.HttpRequest) -> func.HttpResponse:
    heard = {"x-heard": req.headers.get("x-said", ""), "x-url": req.url}
    return func.HttpResponse(req.get_body(), headers=heard, mimetype="application/octet-stream")


@app.route("small/cookies", methods=["GET"])
async def small_cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse(status_code=204)
    response.headers.add("Set-Cookie", "a=1; Path=/small; HttpOnly; SameSite=Lax")
    response.headers.add("Set-Cookie", "b=2; Max-Age=60; Secure; Expires=Thu, 01 Jan 2026 00:00:00 GMT")
    return response


@app.route("small/broken", methods=["GET"])
async def small_broken(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("the reason is for the log")


@app.route("small/slow", methods=["GET"])
async def small_slow(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(0.3)
    return func.HttpResponse("late")


async def _handle(msg: func.ServiceBusMessage) -> None:
    SEEN.running += 1
    SEEN.most_running = max(SEEN.most_running, SEEN.running)
    await asyncio.sleep(SEEN.pause)
    SEEN.running -= 1
    SEEN.messages.append(
        {
            "body": msg.get_body(),
            "id": msg.message_id,
            "session": msg.session_id,
            "delivery": msg.delivery_count,
            "subject": msg.subject,
            "properties": msg.user_properties,
            "enqueued": msg.enqueued_time_utc,
        }
    )
    if SEEN.fail_messages > 0:
        SEEN.fail_messages -= 1
        raise RuntimeError("not this time")


@app.service_bus_queue_trigger(
    arg_name="msg", queue_name="small", connection="ServiceBus", is_sessions_enabled=True
)
async def small_queue(msg: func.ServiceBusMessage) -> None:
    await _handle(msg)


@app.cosmos_db_trigger(
    arg_name="documents",
    connection="Cosmos",
    database_name="slipway",
    container_name="documents",
    lease_container_name="leases",
    max_items_per_invocation=2,
)
@app.retry(strategy="fixed_delay", max_retry_count="1", delay_interval="00:00:00")
async def small_feed(documents: func.DocumentList) -> None:
    SEEN.documents.append([str(document["id"]) for document in documents])
    if SEEN.fail_documents > 0:
        SEEN.fail_documents -= 1
        raise RuntimeError("not this batch")


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00")
async def small_timer(timer: func.TimerRequest, context: func.Context) -> None:
    SEEN.ticks.append({"past_due": timer.past_due, "retry": context.retry_context.retry_count})
    if SEEN.fail_ticks > 0:
        SEEN.fail_ticks -= 1
        raise RuntimeError("not this tick")


@dataclass(frozen=True)
class Composition:
    settings: Settings
    clock: SystemClock
    ids: RandomIds
    store: SqliteStore
    bus: SqliteBus

    @property
    def feed(self) -> SqliteStore:
        return self.store

    async def start(self) -> None:
        await self.store.ready()

    async def aclose(self) -> None:
        await self.store.aclose()
        await self.bus.aclose()


def composition() -> Composition:
    settings, clock = Settings.load(), SystemClock()
    folder: Path = settings.data_dir
    return Composition(
        settings,
        clock,
        RandomIds(),
        SqliteStore(folder / "store.db", (), clock),
        SqliteBus(folder / "bus.db", clock),
    )
