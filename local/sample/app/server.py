"""The service's HTTP face: routes, JSON, errors. One thread per connection."""

import json
import logging
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from app.greetings import BadName, greeting
from app.settings import Settings

logger = logging.getLogger("greeter")


class Handler(BaseHTTPRequestHandler):
    """Answers JSON to everything, errors included."""

    server: "Server"
    protocol_version = "HTTP/1.1"
    server_version = "greeter"
    sys_version = ""
    timeout = 10
    """Seconds that a silent connection may hold a thread."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        settings = self.server.settings
        if path == "/":
            self._answer(
                HTTPStatus.OK,
                {
                    "service": settings.service,
                    "version": settings.version,
                    "commit": settings.commit,
                    "environment": settings.environment,
                },
            )
        elif path == "/healthz":
            self._answer(HTTPStatus.OK, {"status": "ok"})
        elif path.startswith("/greetings/"):
            self._greet(unquote(path.removeprefix("/greetings/")))
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "There is nothing here; try /greetings/{name}."})

    do_HEAD = do_GET

    def _greet(self, name: str) -> None:
        try:
            self._answer(HTTPStatus.OK, {"greeting": greeting(name)})
        except BadName as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})

    def _answer(self, status: HTTPStatus, body: dict[str, str]) -> None:
        data = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses by itself (a bad request line, another method) is JSON too."""
        self.close_connection = True
        self._answer(HTTPStatus(code), {"error": message or HTTPStatus(code).phrase})

    def log_message(self, format: str, *args: object) -> None:
        logger.info("%s %s", self.address_string(), format % args)


class Server(ThreadingHTTPServer):
    daemon_threads = False
    """Closing waits for the requests under way."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__((settings.host, settings.port), Handler)
