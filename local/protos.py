"""The message types that Microsoft's worker library builds and reads, without gRPC.

The library only calls these constructors and reads the attributes back, so plain classes do. A field the
library never touches has no place here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar


class TypedData:
    """One value and its kind: `TypedData(string="x")`. Without a field it is empty, as is a body not sent."""

    __slots__ = ("_kind", "_value")

    def __init__(self, **value: Any) -> None:
        self._kind: str | None = None
        self._value: Any = None
        for self._kind, self._value in value.items():
            break

    def __getattr__(self, name: str) -> Any:
        if name == self._kind:
            return self._value
        raise AttributeError(name)

    @property
    def TypedData(self) -> "TypedData":
        """The library asks every value for this first; without an answer each would cost it an exception."""
        return self

    def WhichOneof(self, _group: str) -> str | None:
        return self._kind


@dataclass(slots=True)
class ParameterBinding:
    """One named input or output of an invocation."""

    name: str
    data: TypedData | None = None

    def WhichOneof(self, _group: str) -> str | None:
        return None if self.data is None else "data"


@dataclass(slots=True)
class RpcHttp:
    """An HTTP request or response. The library reads `body` of every request, so it is never None."""

    method: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    body: TypedData = field(default_factory=TypedData)
    status_code: str = "200"
    cookies: "Sequence[RpcHttpCookie] | None" = None
    enable_content_negotiation: bool = False


@dataclass(slots=True)
class RpcException:
    message: str = ""
    stack_trace: str = ""
    source: str = ""


@dataclass(slots=True)
class StatusResult:
    Failure: ClassVar[int] = 0
    Success: ClassVar[int] = 1

    status: int
    exception: RpcException | None = None


@dataclass(slots=True)
class BindingInfo:
    undefined: ClassVar[int] = 0
    out: ClassVar[int] = 1
    inout: ClassVar[int] = 2

    type: str
    data_type: int
    direction: int


@dataclass(slots=True)
class WorkerMetadata:
    runtime_name: str
    runtime_version: str
    worker_version: str
    worker_bitness: str
    custom_properties: Mapping[str, str]


@dataclass(slots=True)
class WorkerInitResponse:
    capabilities: Mapping[str, str]
    worker_metadata: WorkerMetadata
    result: StatusResult


@dataclass(slots=True)
class RpcRetryOptions:
    """A declared retry policy; a fixed delay has `delay_interval`, an exponential one the other two."""

    max_retry_count: int
    retry_strategy: str
    delay_interval: timedelta = timedelta()
    minimum_interval: timedelta = timedelta()
    maximum_interval: timedelta = timedelta()


@dataclass(slots=True, kw_only=True)
class RpcFunctionMetadata:
    name: str
    function_id: str
    directory: str
    script_file: str
    entry_point: str
    language: str
    managed_dependency_enabled: bool
    is_proxy: bool
    bindings: Mapping[str, BindingInfo]
    raw_bindings: Sequence[str]
    retry_options: RpcRetryOptions | None
    properties: Mapping[str, str]


@dataclass(slots=True)
class FunctionMetadataResponse:
    use_default_metadata_indexing: bool
    function_metadata_results: Sequence[RpcFunctionMetadata] | None
    result: StatusResult


@dataclass(slots=True)
class FunctionLoadResponse:
    function_id: str
    result: StatusResult


@dataclass(slots=True)
class InvocationResponse:
    invocation_id: str
    result: StatusResult
    return_value: TypedData | None = None
    output_data: Sequence[ParameterBinding] = ()


@dataclass(slots=True)
class NullableString:
    value: str


@dataclass(slots=True)
class NullableBool:
    value: bool


@dataclass(slots=True)
class NullableDouble:
    value: float


@dataclass(slots=True)
class Timestamp:
    seconds: int = 0


@dataclass(slots=True)
class NullableTimestamp:
    value: Timestamp


class SameSite:
    """What a cookie says about cross-site requests; `None` here means that it says nothing."""

    Lax = 1
    Strict = 2
    ExplicitNone = 3


setattr(SameSite, "None", 0)  # The library asks for this name, and a keyword cannot be assigned.


@dataclass(slots=True)
class RpcHttpCookie:
    SameSite: ClassVar[type[SameSite]] = SameSite

    name: str
    value: str
    domain: NullableString | None = None
    path: NullableString | None = None
    expires: NullableTimestamp | None = None
    secure: NullableBool | None = None
    http_only: NullableBool | None = None
    same_site: int = 0
    max_age: NullableDouble | None = None
