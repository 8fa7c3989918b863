"""The functions that nobody calls: queue workers, readers of the change feed, timers.

Only their bindings stand here, for a host to index; what they do is loaded when they first run.
"""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import azure.functions as func

from shared.names import COSMOS, DATABASE, DOCUMENTS, LEASES, QUEUES, ROTATION, SERVICE_BUS, VIEWS_LEASES

if TYPE_CHECKING:
    from shared.app import App

type GetApp = Callable[[], "App"]


EVERY_TWO_MINUTES = "0 */2 * * * *"


def register(
    app: func.FunctionApp,
    get_app: GetApp,
    *,
    sweep: str,
    drift: str,
    has_vendors: bool = False,
    has_secret_news: bool = False,
    elsewhere: Collection[str] = (),
) -> None:
    """Add every background function.

    `sweep` is the schedule of the source sweep, `drift` that of looks at what runs; vendors' hosts are
    compared where there are any; secrets have news where the vault sends it; the queues in `elsewhere` are
    worked off by something else.
    """
    for queue in QUEUES:
        if queue not in elsewhere:
            _register_worker(app, get_app, queue)
    _register_feeds(app, get_app)
    _register_timers(app, get_app, sweep, drift)
    if has_secret_news:
        _register_secret_news(app, get_app)
    if has_vendors:
        _register_vendor_sweep(app, get_app)


def _register_worker(app: func.FunctionApp, get_app: GetApp, queue: str) -> None:
    """One function per queue, with sessions, so that one stream's events stay in order."""

    async def entry(message: func.ServiceBusMessage) -> None:
        from functions.workers import consumer_of  # noqa: PLC0415

        sent_by = (message.application_properties or {}).get("traceparent")
        consumer, body = consumer_of(queue), message.get_body()
        await consumer.receive(body, get_app(), message.message_id, message.session_id, sent_by)

    entry.__name__ = f"{queue}_worker"
    trigger = app.service_bus_queue_trigger(
        arg_name="message", queue_name=queue, connection=SERVICE_BUS, is_sessions_enabled=True
    )
    app.function_name(entry.__name__)(trigger(entry))


def _register_secret_news(app: func.FunctionApp, get_app: GetApp) -> None:
    """Event Grid knows no sessions, so each message stands alone."""

    async def secret_news(message: func.ServiceBusMessage) -> None:
        from functions.workers.secret_news import receive  # noqa: PLC0415

        await receive(message.get_body(), get_app())

    trigger = app.service_bus_queue_trigger(
        arg_name="message", queue_name=ROTATION, connection=SERVICE_BUS, is_sessions_enabled=False
    )
    app.function_name(secret_news.__name__)(trigger(secret_news))


def _register_feeds(app: func.FunctionApp, get_app: GetApp) -> None:
    async def outbox_relay(documents: func.DocumentList) -> None:
        from functions.relay.outbox import relay  # noqa: PLC0415

        ours = get_app()
        await relay(_plain(documents), ours.bus, ours.telemetry)

    async def views_projector(documents: func.DocumentList) -> None:
        from functions.relay.views import project  # noqa: PLC0415

        await project(_plain(documents), get_app().views)

    _on_feed(app, outbox_relay)
    _on_feed(app, views_projector, leases=VIEWS_LEASES)


def _register_timers(app: func.FunctionApp, get_app: GetApp, sweep: str, drift: str) -> None:
    async def source_sweep(timer: func.TimerRequest) -> None:
        from functions.relay.timers import sweep_source  # noqa: PLC0415

        await sweep_source(get_app())

    async def gitops_sweep(timer: func.TimerRequest) -> None:
        from functions.relay.looks import sweep_environments  # noqa: PLC0415

        await sweep_environments(get_app())

    async def housekeeping(timer: func.TimerRequest) -> None:
        await get_app().housekeep()

    async def retention(timer: func.TimerRequest) -> None:
        await get_app().retention.run()

    for entry, schedule, at_start in (
        (source_sweep, sweep, True),
        (gitops_sweep, drift, False),
        (housekeeping, "0 17 * * * *", False),
        (retention, "0 41 2 * * *", False),
    ):
        trigger = app.timer_trigger(arg_name="timer", schedule=schedule, run_on_startup=at_start)
        app.function_name(entry.__name__)(trigger(entry))


def _register_vendor_sweep(app: func.FunctionApp, get_app: GetApp) -> None:
    async def vendor_sweep(timer: func.TimerRequest) -> None:
        await get_app().vendor_sweep.run()

    trigger = app.timer_trigger(arg_name="timer", schedule=EVERY_TWO_MINUTES, run_on_startup=False)
    app.function_name(vendor_sweep.__name__)(trigger(vendor_sweep))


def _on_feed(app: func.FunctionApp, entry: Callable[..., object], *, leases: str | None = None) -> None:
    """A reader with a place of its own in the feed. What failed holds its lease and comes again for ever:
    skipped, its facts would never be told."""
    trigger = app.cosmos_db_trigger(
        arg_name="documents",
        connection=COSMOS,
        database_name=DATABASE,
        container_name=DOCUMENTS,
        lease_container_name=LEASES,
        lease_container_prefix=leases,
        create_lease_container_if_not_exists=False,
        # New leases, of a first deployment or after a restore: what was committed before is still to tell.
        start_from_beginning=True,  # type: ignore[arg-type]  # the SDK says `time` and means bool
        max_items_per_invocation=100,
    )
    retry = app.retry(
        strategy="exponential_backoff",
        max_retry_count="-1",
        minimum_interval="00:00:01",
        maximum_interval="00:01:00",
    )
    app.function_name(entry.__name__)(trigger(retry(entry)))


def _plain(documents: func.DocumentList) -> list[dict[str, Any]]:
    return [dict(document) for document in documents]
