"""Messages as bytes: their AMQP sections, taken apart and put together. A body is carried, not understood."""

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from proton import Data, Described, symbol, timestamp, ubyte, uint, ulong

HEADER: Final = 0x70
DELIVERY_ANNOTATIONS: Final = 0x71
ANNOTATIONS: Final = 0x72
PROPERTIES: Final = 0x73
APPLICATION: Final = 0x74
DATA: Final = 0x75
BODIES: Final = (0x75, 0x76, 0x77)
FOOTER: Final = 0x78

SESSION: Final = 10
"""Where the properties' list holds the group id."""
SCHEDULED: Final = "x-opt-scheduled-enqueue-time"

_FIXED: Final = {0x40: 0, 0x50: 1, 0x60: 2, 0x70: 4, 0x80: 8, 0x90: 16}


class Malformed(ValueError):
    """The bytes are no AMQP message."""


@dataclass(slots=True)
class Content:
    """A message as its sender made it, but for what the broker writes. `time_to_live` is seconds."""

    message_id: str
    session: str | None
    size: int
    header: list[Any] = field(default_factory=list)
    annotations: dict[Any, Any] = field(default_factory=dict)
    properties: list[Any] = field(default_factory=list)
    application: dict[Any, Any] = field(default_factory=dict)
    body: bytes = b""

    @property
    def time_to_live(self) -> float | None:
        return self.header[2] / 1000 if len(self.header) > 2 and self.header[2] is not None else None

    @property
    def scheduled_for(self) -> float | None:
        due = self.annotations.get(symbol(SCHEDULED))
        return None if due is None else int(due) / 1000

    def wire(self, deliveries: int, told: dict[str, object]) -> bytes:
        """As it is delivered: `deliveries` that failed before, and the broker's own annotations."""
        header = [*self.header, *[None] * (5 - len(self.header))]
        header[4] = uint(deliveries)
        annotations = {**self.annotations, **{symbol(name): value for name, value in told.items()}}
        whole = (
            encoded(HEADER, header) + encoded(ANNOTATIONS, annotations) + encoded(PROPERTIES, self.properties)
        )
        if self.application:
            whole += encoded(APPLICATION, self.application)
        return whole + self.body


def read(data: bytes) -> list[Content]:
    """The message, or all of a batch: one whose data sections are messages themselves.

    The transfer's format, which would say so, does not come through the proton engine.
    """
    parts = _split(data)
    bodies = [(code, value) for code, _, value in parts if code in BODIES]
    if bodies and all(code == DATA for code, _ in bodies):
        inner = [_binary(value) for _, value in bodies]
        if all(_is_message(one) for one in inner):
            return [_content(one, _split(one)) for one in inner]
    return [_content(data, parts)]


def encoded(code: int, value: Any) -> bytes:
    data = Data()
    data.put_object(Described(ulong(code), value))
    return bytes(data.encode())


def milliseconds(seconds: float) -> timestamp:
    return timestamp(round(seconds * 1000))


def _content(data: bytes, parts: list[tuple[int, bytes, bytes]]) -> Content:
    decoded = {
        code: _decoded(value)
        for code, _, value in parts
        if code in {HEADER, ANNOTATIONS, PROPERTIES, APPLICATION}
    }
    properties = [*decoded.get(PROPERTIES, []), *[None] * 13][:13]
    if properties[0] is None:
        properties[0] = uuid4().hex
    header = decoded.get(HEADER, [])
    if len(header) > 1 and header[1] is not None:
        header[1] = ubyte(header[1])
    return Content(
        message_id=str(properties[0]),
        session=properties[SESSION],
        size=len(data),
        header=header,
        annotations=decoded.get(ANNOTATIONS, {}),
        properties=properties,
        application=decoded.get(APPLICATION, {}),
        body=b"".join(raw for code, raw, _ in parts if code in BODIES or code == FOOTER),
    )


def _split(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """Each section's code, whole bytes, and the bytes of its value."""
    parts = []
    at = 0
    try:
        while at < len(data):
            if data[at] != 0:
                raise Malformed("A section begins with a descriptor.")
            value = _after(data, at + 1)
            code = int.from_bytes(data[at + 2 : value])
            end = _after(data, value)
            if end > len(data) or not HEADER <= code <= FOOTER:
                raise Malformed("A section is cut short or unknown.")
            parts.append((code, data[at:end], data[value:end]))
            at = end
    except (IndexError, KeyError) as error:
        raise Malformed("A section is cut short.") from error
    return parts


def _after(data: bytes, at: int) -> int:
    """Where the value that begins at `at` ends."""
    kind = data[at]
    if kind == 0:
        return _after(data, _after(data, at + 1))
    group = kind & 0xF0
    if group in _FIXED:
        return at + 1 + _FIXED[group]
    if group in {0xA0, 0xC0, 0xE0}:
        return at + 2 + data[at + 1]
    if group in {0xB0, 0xD0, 0xF0}:
        return at + 5 + int.from_bytes(data[at + 1 : at + 5])
    raise Malformed("A value has an unknown type.")


def _binary(value: bytes) -> bytes:
    return value[2:] if value[0] == 0xA0 else value[5:]


def _is_message(data: bytes) -> bool:
    try:
        return bool(_split(data))
    except Malformed:
        return False


def _decoded(value: bytes) -> Any:
    data = Data()
    if data.decode(value) != len(value):
        raise Malformed("A section holds more than one value.")
    data.next()
    return data.get_object()
