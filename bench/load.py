"""The load client, a process of its own: a closed loop per connection, and every answer checked afterwards.

Reads one plan as JSON on stdin and writes one result as JSON on stdout. Nothing is parsed or checked while
the clock runs but where an answer ends.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count, cycle
from time import perf_counter
from typing import cast

import uvloop

PATIENCE = 30.0
"""Seconds after which an answer that is still missing is a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send. Connection `n` speaks as `tokens[n]`, and takes its requests from `requests[n]`, each a
    (path, JSON body or "") pair: round and round, or each once where `once` says so."""

    port: int
    core: int
    method: str
    tokens: list[str]
    requests: list[list[tuple[str, str]]]
    status: int
    warmup: float
    seconds: float
    run: str
    """Goes into the Idempotency-Keys, so that no run meets another's."""
    once: bool = False


@dataclass(slots=True)
class Result:
    """`answers` are (path, body sent, body received) of every request, warm-up included. Times in seconds."""

    requests: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    answers: list[tuple[str, str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Caller(asyncio.Protocol):
    """One keep-alive connection: sends the next request when the answer to the last one is whole."""

    def __init__(self, load: "Load", token: str, requests: Iterator[tuple[str, str]], name: str) -> None:
        self._load = load
        self._requests = requests
        self._name = name
        self._number = count()
        self._fixed = f"host: 127.0.0.1\r\nauthorization: Bearer {token}\r\naccept: application/json\r\n"
        self._received = b""
        self._sent = ("", "")
        self._started = 0.0
        self._transport: asyncio.Transport
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("The server closed the connection."))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        at = head.find(b"content-length:")
        whole = end + 4 + (int(head[at + 15 :].split(b"\r\n", 1)[0]) if at > 0 else 0)
        if len(self._received) < whole:
            return
        answer, self._received = self._received, b""
        self._load.answered(self._started, self._sent, answer, end)
        self._next()

    def _next(self) -> None:
        request = None if self._load.is_over() else next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        path, body = self._sent = request
        lines = f"{self._load.plan.method} {path} HTTP/1.1\r\n{self._fixed}"
        if body:
            key = f"{self._name}-{next(self._number)}"
            lines += (
                f"content-type: application/json\r\nidempotency-key: {key}\r\ncontent-length: {len(body)}\r\n"
            )
        self._started = perf_counter()
        self._transport.write(f"{lines}\r\n{body}".encode())


class Load:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.result = Result()
        self._answers: list[tuple[tuple[str, str], bytes, int]] = []
        self._counts_from = perf_counter() + plan.warmup
        self._ends = self._counts_from + plan.seconds
        self._first = self._last = 0.0

    def is_over(self) -> bool:
        return perf_counter() >= self._ends

    def answered(self, started: float, sent: tuple[str, str], answer: bytes, head: int) -> None:
        now = perf_counter()
        self._answers.append((sent, answer, head))
        if started >= self._counts_from:
            self._first = self._first or started
            self._last = now
            self.result.latencies.append(now - started)

    async def run(self) -> Result:
        loop, plan = asyncio.get_running_loop(), self.plan
        callers = []
        for number, (token, requests) in enumerate(zip(plan.tokens, plan.requests, strict=True)):
            source = iter(requests) if plan.once else cycle(requests)
            caller = Caller(self, token, source, f"{plan.run}-{number}")
            await loop.create_connection(lambda made=caller: made, "127.0.0.1", plan.port)  # type: ignore[misc]
            callers.append(caller)
        async with asyncio.timeout(plan.warmup + plan.seconds + PATIENCE):
            await asyncio.gather(*(caller.done for caller in callers))
        result = self.result
        result.requests, result.seconds = len(result.latencies), self._last - self._first
        wanted = f"HTTP/1.1 {plan.status} ".encode()
        for (path, body), answer, head in self._answers:
            if not answer.startswith(wanted):
                result.wrong.append(f"{plan.method} {path}: {answer[:300]!r}")
            result.answers.append((path, body, answer[head + 4 :].decode()))
        return result


def main() -> None:
    plan = Plan(**json.load(sys.stdin))
    os.sched_setaffinity(0, {plan.core})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def run() -> Result:
            return await Load(plan).run()

        json.dump(asdict(runner.run(run())), sys.stdout)


if __name__ == "__main__":
    main()
