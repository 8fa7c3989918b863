"""Runs the service until SIGTERM or SIGINT, and lets requests under way finish."""

import logging
import signal
import sys
import threading

from app.server import Server
from app.settings import BadSettings, Settings

logger = logging.getLogger("greeter")


def main() -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = Settings.load()
    except BadSettings as error:
        logger.error("%s", error)
        return 2
    server = Server(settings)

    def stop(number: int, _frame: object) -> None:
        logger.info("stopping on %s", signal.Signals(number).name)
        # shutdown() waits for serve_forever(), which this very thread runs.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with server:
        logger.info("%s %s listens on port %d", settings.service, settings.version, server.server_port)
        server.serve_forever(poll_interval=0.1)
    logger.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
