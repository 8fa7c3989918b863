"""What may be an item: checked and brought into the form in which the service keeps it."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from tests.standins.cosmos.catalogue import Container, Path
from tests.standins.cosmos.errors import MAX_BYTES, bad_request, key_mismatch, too_large

MAX_ID_BYTES = 1023
MAX_KEY_BYTES = 2048
MAX_DEPTH = 128
_SYSTEM = ("_rid", "_self", "_etag", "_attachments", "_ts", "_lsn")


@dataclass(frozen=True, slots=True)
class Key:
    """A whole partition key: its components, as JSON text, and the effective key."""

    components: tuple[Any, ...]
    text: str
    epk: str


@dataclass(frozen=True, slots=True)
class Item:
    """An item to be written, without what the service adds."""

    id: str
    body: dict[str, Any]
    text: str
    """JSON of at least an id: it never ends in `{}`."""
    ttl: int | None

    @property
    def size(self) -> int:
        return len(self.text.encode())


def key_of(container: Container, header: str | None) -> Key:
    """The whole key that a request names in x-ms-documentdb-partitionkey; refused if it is not whole."""
    if header is None:
        raise bad_request("PartitionKey value must be supplied for this operation.")
    try:
        components = json.loads(header)
    except ValueError:
        components = None
    if not isinstance(components, list):
        raise bad_request(f"Partition key {header} is invalid.")
    if len(components) != len(container.key_paths):
        raise bad_request(
            "Partition key provided either doesn't correspond to definition in the collection or doesn't "
            "match partition key field values specified in the document.",
            1001,
        )
    return _key(container, components)


def parsed(data: bytes | str) -> Any:
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise bad_request(f"The input content is invalid JSON: {error}.") from None


def item_of(container: Container, key: Key, body: Any, expected_id: str | None = None) -> Item:
    """Refused, as the service does, where id, partition key, ttl, depth or size are not right."""
    if not isinstance(body, dict):
        raise bad_request("The input content is invalid because the request body is not a JSON object.")
    kept = {name: _normal(value, 2) for name, value in body.items() if name not in _SYSTEM}
    item_id = kept.get("id")
    _check_id(item_id)
    if expected_id is not None and item_id != expected_id:
        raise bad_request(f"The id {item_id!r} of the body is not {expected_id!r}; an id cannot be changed.")
    if _key(container, [component(kept, path) for path in container.key_paths]).text != key.text:
        raise key_mismatch()
    text = to_json(kept).decode()
    if len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
        raise too_large()
    return Item(str(item_id), kept, text, _ttl(container, kept))


def component(body: dict[str, Any], path: Path) -> Any:
    """A component of the partition key; `{}` stands for one that is missing."""
    value: Any = body
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return {}
        value = value[name]
    return value


def _key(container: Container, components: list[Any]) -> Key:
    for value in components:
        if isinstance(value, list) or (isinstance(value, dict) and value):
            raise bad_request("A partition key is made of strings, numbers, booleans and nulls.", 1001)
    text = to_json([_normal(value, 1) for value in components]).decode()
    if len(text.encode()) > MAX_KEY_BYTES:
        raise bad_request(f"Partition key exceeded maximum size limit of {MAX_KEY_BYTES} bytes.")
    return Key(tuple(components), text, container.epk(components))


def _check_id(item_id: Any) -> None:
    if not isinstance(item_id, str) or not item_id:
        raise bad_request(
            "The input content is invalid because the required properties - 'id; ' - are missing."
        )
    if len(item_id.encode()) > MAX_ID_BYTES:
        raise bad_request(f"The id of a document may not be longer than {MAX_ID_BYTES} bytes.")
    if any(character in item_id for character in "/\\?#"):
        raise bad_request(f"The id {item_id!r} holds one of the illegal characters / \\ ? #.")


def _ttl(container: Container, body: dict[str, Any]) -> int | None:
    """Seconds until the item expires; None is never."""
    own = body.get("ttl", container.default_ttl)
    if "ttl" in body and (isinstance(own, bool) or not isinstance(own, int) or own == 0 or own < -1):
        raise bad_request(
            f"The input ttl '{own}' is invalid. Ensure to provide a nonzero positive integer (less than or "
            "equal to 2147483647), or -1 which means never expire."
        )
    if container.default_ttl is None or own is None or own == -1:
        return None
    return int(own)


def _normal(value: Any, depth: int) -> Any:
    """Numbers are doubles in Cosmos: 2.0 comes back as 2, and a whole number above 2^53 is rounded."""
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**53) <= value <= 2**53 else int(float(value))
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= 2**53 else value
    if depth > MAX_DEPTH:
        raise bad_request(f"The input is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, dict):
        return {name: _normal(inner, depth + 1) for name, inner in value.items()}
    return [_normal(inner, depth + 1) for inner in value]
