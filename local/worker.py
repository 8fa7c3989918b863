"""The engine: drives a Functions app through Microsoft's own worker library, in this process.

Indexing, validation, decoding, the call and encoding are Microsoft's code. This knows no routes, queues or
schedules. The library's state is global, so a process serves one app.
"""

import importlib.util
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import azure_functions_runtime as runtime  # type: ignore[import-untyped]

from local import protos
from local.cookies import set_cookie
from local.protos import ParameterBinding, RpcHttp, RpcRetryOptions, TypedData

MODULE = "function_app"
ABSENT: Final = SimpleNamespace(message="", stack_trace="", source="")


class IndexingFailed(Exception):
    """The app cannot be served. `trace` is the worker's traceback, empty when there is none."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.trace = trace


class InvocationFailed(Exception):
    """The function raised, or gave the worker something it cannot send."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.message = message
        self.trace = trace


@dataclass(frozen=True, slots=True)
class Retry:
    """A function's retry policy. `max_count` -1 means for ever; intervals are in seconds."""

    max_count: int
    minimum: float
    maximum: float

    def allows(self, failures: int) -> bool:
        return self.max_count < 0 or failures <= self.max_count

    def delay(self, failures: int) -> float:
        """How long to wait after so many failures in a row: doubling, within the interval."""
        return float(min(self.minimum * 2 ** min(failures - 1, 30), self.maximum))


@dataclass(frozen=True)
class Function:
    """One function as the worker indexed it; `bindings` are its parsed binding declarations."""

    name: str
    function_id: str
    bindings: tuple[Mapping[str, Any], ...]
    retry: Retry | None = None

    @cached_property
    def trigger(self) -> Mapping[str, Any]:
        return next(binding for binding in self.bindings if str(binding["type"]).endswith("Trigger"))

    @property
    def kind(self) -> str:
        return str(self.trigger["type"])


@dataclass(frozen=True, slots=True)
class HttpCall:
    """A request as the host hands it on: lower-case header names, one value a name, decoded route values."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    params: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResult:
    """`headers` are ready to send; a name may come twice."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation that answers nobody ended."""

    ok: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which attempt this is, as the function sees it in its context. `count` is 0 on the first."""

    count: int = 0
    max_count: int = 0
    error: str = ""


FIRST: Final = Attempt()


@dataclass
class Worker:
    """Microsoft's worker with one app loaded. `new_id` makes invocation ids."""

    new_id: Callable[[], str]
    functions: tuple[Function, ...] = field(default=(), init=False)

    async def start(self, app_directory: Path) -> None:
        """Import and index the app. Raises IndexingFailed with what the worker says is wrong."""
        # The library and the SDK write a line per call at INFO, and a megabyte of it for a large app.
        logging.getLogger("azure.functions").setLevel(logging.WARNING)
        self._put_on_path(app_directory)
        runtime.start_threadpool_executor()
        answer = await runtime.worker_init_request(
            SimpleNamespace(
                request=SimpleNamespace(
                    worker_init_request=SimpleNamespace(
                        capabilities={}, function_app_directory=str(app_directory)
                    )
                ),
                properties={"protos": protos, "host": "127.0.0.1"},
            )
        )
        _check(answer.result)
        indexed = await runtime.functions_metadata_request(SimpleNamespace(request=SimpleNamespace()))
        _check(indexed.result)
        if not indexed.function_metadata_results:
            raise IndexingFailed(f"The app in {app_directory} declares no functions.")
        for metadata in indexed.function_metadata_results:
            loaded = await runtime.function_load_request(
                SimpleNamespace(
                    request=SimpleNamespace(
                        function_load_request=SimpleNamespace(
                            function_id=metadata.function_id, metadata=metadata
                        )
                    )
                )
            )
            _check(loaded.result)
        self.functions = tuple(_function(metadata) for metadata in indexed.function_metadata_results)

    async def invoke_http(self, function: Function, call: HttpCall) -> HttpResult:
        """Call an HTTP function. Raises InvocationFailed when it does not answer."""
        data = TypedData(
            http=RpcHttp(
                method=call.method,
                url=call.url,
                headers=call.headers,
                query=call.query,
                params=call.params,
                body=TypedData(bytes=call.body) if call.body else TypedData(),
            )
        )
        answer = await self._invoke(function, data, {}, FIRST, call.headers)
        if answer.result.status != protos.StatusResult.Success:
            raise InvocationFailed(answer.result.exception.message, answer.result.exception.stack_trace)
        return _http_result(answer.return_value)

    async def invoke(
        self,
        function: Function,
        data: TypedData,
        trigger_metadata: Mapping[str, TypedData] | None = None,
        attempt: Attempt = FIRST,
    ) -> Outcome:
        """Call a function that answers nobody. An exception in it is a failed outcome, never raised."""
        answer = await self._invoke(function, data, trigger_metadata or {}, attempt, {})
        if answer.result.status == protos.StatusResult.Success:
            return Outcome(ok=True)
        return Outcome(ok=False, error=answer.result.exception.message)

    def stop(self) -> None:
        """Wait for running synchronous functions, then let their threads go."""
        runtime.stop_threadpool_executor()

    async def _invoke(
        self,
        function: Function,
        data: TypedData,
        trigger_metadata: Mapping[str, TypedData],
        attempt: Attempt,
        headers: Mapping[str, str],
    ) -> Any:
        invocation_id = self.new_id()
        # The library sets this for synchronous functions only; log correlation needs it for both.
        runtime.invocation_id_cv.set(invocation_id)
        error = SimpleNamespace(message=attempt.error, stack_trace="", source="") if attempt.error else ABSENT
        return await runtime.invocation_request(
            SimpleNamespace(
                request=SimpleNamespace(
                    invocation_request=SimpleNamespace(
                        invocation_id=invocation_id,
                        function_id=function.function_id,
                        input_data=(ParameterBinding(function.trigger["name"], data),),
                        trigger_metadata=trigger_metadata,
                        trace_context=SimpleNamespace(
                            trace_parent=headers.get("traceparent", ""),
                            trace_state=headers.get("tracestate", ""),
                            attributes={},
                        ),
                        retry_context=SimpleNamespace(
                            retry_count=attempt.count, max_retry_count=attempt.max_count, exception=error
                        ),
                    )
                )
            )
        )

    @staticmethod
    def _put_on_path(app_directory: Path) -> None:
        directory = str(app_directory)
        if directory not in sys.path:
            sys.path.insert(0, directory)
        found = importlib.util.find_spec(MODULE)
        if found is None or found.origin is None or Path(found.origin).parent != app_directory:
            # The library imports by name alone: it would index another app, or take none for an empty one.
            raise IndexingFailed(f"{app_directory} has no {MODULE}.py that this process can import.")


def _check(result: Any) -> None:
    if result.status != protos.StatusResult.Success:
        raise IndexingFailed(result.exception.message, result.exception.stack_trace)


def _function(metadata: protos.RpcFunctionMetadata) -> Function:
    return Function(
        name=metadata.name,
        function_id=metadata.function_id,
        bindings=tuple(json.loads(binding) for binding in metadata.raw_bindings),
        retry=None if metadata.retry_options is None else _retry(metadata.retry_options),
    )


def _retry(options: RpcRetryOptions) -> Retry:
    if options.retry_strategy == "fixed_delay":
        delay = options.delay_interval.total_seconds()
        return Retry(options.max_retry_count, delay, delay)
    return Retry(
        options.max_retry_count,
        options.minimum_interval.total_seconds(),
        options.maximum_interval.total_seconds(),
    )


def _http_result(value: TypedData | None) -> HttpResult:
    """What a function returned, as a response; a plain string is a 200 of text."""
    if value is None:
        return HttpResult(204, (), b"")
    if value.WhichOneof("data") == "string":
        return HttpResult(200, ((b"content-type", b"text/plain; charset=utf-8"),), value.string.encode())
    http: RpcHttp = value.http
    headers = [_header(name, text) for name, text in http.headers.items()]
    headers += [(b"set-cookie", set_cookie(cookie)) for cookie in http.cookies or ()]
    return HttpResult(int(http.status_code), headers, http.body.bytes)


def _header(name: str, text: str) -> tuple[bytes, bytes]:
    if not (text.isascii() and text.isprintable()):
        # The real server refuses these too; a line break would let a value write headers of its own.
        raise InvocationFailed(f"The response header {name} holds a character that HTTP cannot carry.", "")
    return name.lower().encode(), text.encode()
