"""One message of one queue, in a process of its own: for work that may outlast a function.

`python -m functions.workers.job [QUEUE]`; without a name, the one queue of SLIPWAY_JOB_QUEUES. Exit codes:
0 settled, or nothing there · 1 to be delivered again · 2 cannot start · 143 told to stop, message given back.
Decides nothing: the consumer that a function would call says how the message is settled.
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from functions.http.logs import configure_logging, with_fields
from functions.workers import consumer_of
from shared.domain.kernel.errors import DeliveryError
from shared.names import QUEUES
from shared.ports.bus import Bus, LockLost, Received
from shared.settings import BadSettings, Settings

if TYPE_CHECKING:
    from shared.app import App

LOCK_FOR: Final = 60.0
WAIT: Final = 10.0
"""Seconds for a message to come; what started this job has seen a message, and a link takes a moment."""
GIVE_BACK_WITHIN: Final = 10.0
"""Seconds to settle in after a stop; Container Apps kills 30 seconds after its SIGTERM."""

DONE, AGAIN, CANNOT_START, STOPPED = 0, 1, 2, 143

log = logging.getLogger("slipway.workers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Work on one message and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.load()
        queue = options.queue or _only(settings.job_queues)
    except BadSettings as error:
        sys.stderr.write(f"job: {'; '.join(str(error).splitlines())}\n")
        return CANNOT_START
    configure_logging(settings.log_level)
    try:
        return asyncio.run(_run(settings, queue, options.lock, options.wait))
    except DeliveryError as error:
        # The bus or the vault is away: the message, if there is one, is nobody's yet.
        log.error("the job cannot work: %s", error.message)
        return AGAIN


async def work(app: "App", queue: str, *, lock_for: float = LOCK_FOR, wait: float = 0.0) -> int:
    """Receive, handle and settle one message, for which it waits so many seconds. Cancelling it gives the
    message back and returns STOPPED."""
    received = await app.bus.receive(queue, limit=1, lock_for=lock_for, wait=wait)
    if not received:
        log.info("nothing to do in %s", queue)
        return DONE
    (one,) = received
    handling = asyncio.create_task(_handle(app, one))
    renewing = asyncio.create_task(_keep_locked(app.bus, one, lock_for, handling))
    stopped = False
    try:
        await asyncio.wait({handling})
    except asyncio.CancelledError:
        # What it started, processes too, is ended before the message is given back.
        stopped = True
        handling.cancel()
        await asyncio.wait({handling})
    finally:
        renewing.cancel()
    succeeded = not handling.cancelled() and handling.exception() is None
    await _settle(app.bus, one, succeeded=succeeded)
    if succeeded:
        return DONE
    return STOPPED if stopped else AGAIN


async def _handle(app: "App", one: Received) -> None:
    message = one.message
    sent_by = message.properties.get("traceparent")
    consumer = consumer_of(one.queue)
    await consumer.receive(message.body, app, message.message_id, message.session_id, sent_by)


async def _settle(bus: Bus, one: Received, *, succeeded: bool) -> None:
    """How often a message is tried, and when it is dead, is the bus's business."""
    try:
        async with asyncio.timeout(GIVE_BACK_WITHIN):
            await (bus.complete(one) if succeeded else bus.abandon(one))
    except (DeliveryError, TimeoutError) as error:
        # The work is done and its marker stands, or it was given back too late: it comes again either way.
        facts = with_fields(messageId=one.message.message_id, queue=one.queue)
        log.warning("the message could not be settled: %s", error, extra=facts)


async def _keep_locked(bus: Bus, one: Received, lock_for: float, handling: asyncio.Task[None]) -> None:
    """Renew as long as the work goes on, and end it where the message went to somebody else: they begin it
    anew, and the two would only be in each other's way."""
    while True:
        await asyncio.sleep(lock_for / 3)
        try:
            await bus.renew(one, lock_for=lock_for)
        except LockLost as error:
            log.warning("the work is left to whoever has the message now: %s", error)
            handling.cancel()
            return
        except DeliveryError as error:
            log.warning("the lock was not renewed yet: %s", error)


async def _run(settings: Settings, queue: str, lock_for: float, wait: float) -> int:
    from shared.app import build_app  # noqa: PLC0415 - a wrong argument is answered without the adapters

    app = build_app(settings)
    working = asyncio.create_task(work(app, queue, lock_for=lock_for, wait=wait))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    try:
        return await working
    except asyncio.CancelledError:
        return STOPPED  # told to stop before there was a message
    finally:
        # Not app.aclose(): that stops what was deployed, which runs on after a job.
        await app.bus.aclose()
        await app.store.aclose()
        await app.release()
        await asyncio.to_thread(app.telemetry.shutdown)


def _only(queues: Sequence[str]) -> str:
    if len(queues) != 1:
        raise BadSettings("SLIPWAY_JOB_QUEUES: name one queue there, or as the argument.")
    return queues[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m functions.workers.job", description="Work on one message."
    )
    parser.add_argument(
        "queue", nargs="?", choices=QUEUES, metavar="QUEUE", help=f"one of {', '.join(QUEUES)}"
    )
    parser.add_argument(
        "--lock", type=float, default=LOCK_FOR, metavar="SECONDS", help="how long it is locked"
    )
    parser.add_argument("--wait", type=float, default=WAIT, metavar="SECONDS", help="for a message to come")
    return parser


if __name__ == "__main__":
    sys.exit(main())
