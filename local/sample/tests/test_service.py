"""The service over real HTTP on a free port, and as a process."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from app.server import Server
from app.settings import Settings

ROOT = Path(__file__).parents[1]


class Answers(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server(Settings(port=0, version="1.2.3", commit="abc123", environment="test"))
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=5)
        # Undone in reverse: an open connection would keep a thread that closing waits for.
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.connection.close)

    def ask(self, path: str, method: str = "GET") -> tuple[int, object]:
        self.connection.request(method, path)
        response = self.connection.getresponse()
        body = response.read()
        return response.status, json.loads(body) if body else None

    def test_it_says_what_is_running(self) -> None:
        expected = {"service": "greeter", "version": "1.2.3", "commit": "abc123", "environment": "test"}
        self.assertEqual(self.ask("/"), (200, expected))

    def test_it_is_healthy(self) -> None:
        self.assertEqual(self.ask("/healthz")[0], 200)

    def test_it_greets_by_name_in_any_script(self) -> None:
        self.assertEqual(self.ask("/greetings/Ada"), (200, {"greeting": "Hello, Ada!"}))
        self.assertEqual(self.ask("/greetings/J%C3%B6rg?polite=1"), (200, {"greeting": "Hello, Jörg!"}))

    def test_a_missing_name_is_a_bad_request(self) -> None:
        self.assertEqual(self.ask("/greetings/")[0], 400)

    def test_an_unknown_path_and_another_method_are_refused_in_json(self) -> None:
        self.assertEqual(self.ask("/nowhere")[0], 404)
        status, body = self.ask("/", "DELETE")
        self.assertEqual(status, 501)
        self.assertIsInstance(body, dict)

    def test_head_has_no_body(self) -> None:
        self.assertEqual(self.ask("/", "HEAD"), (200, None))


class Running(unittest.TestCase):
    def start(self, **environment: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_sigterm_ends_it_cleanly(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = self.start(PORT=str(port))
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                self.assertLess(time.monotonic(), deadline, "it did not come up")
                time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=10), 0)
        self.assertIn("stopped", process.stdout.read())

    def test_a_wrong_setting_ends_it_with_a_sentence(self) -> None:
        process = self.start(PORT="http")
        self.assertEqual(process.wait(timeout=10), 2)
        self.assertIn("PORT must be a number", process.stdout.read())
