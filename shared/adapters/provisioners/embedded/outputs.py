"""What a resource would answer: its inputs, in the shape of its outputs, completed. In a preview what only
Azure knows is unknown; in an update it is made up, the same every time, and recognisably made up."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from shared.adapters.provisioners.embedded.properties import (
    UNKNOWN,
    Properties,
    is_unknown,
    secret,
    signature,
)
from shared.adapters.provisioners.embedded.urns import name_of, type_of
from shared.domain.kernel.canonical import sha256_hex

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
TENANT = "00000000-0000-4000-8000-000000000002"
OBJECT = "00000000-0000-4000-8000-000000000003"
CLIENT = "00000000-0000-4000-8000-000000000004"

type Shape = Any
"""As the child describes it; see `child.Shape`."""

type Leaf = Callable[[str, Shape], Any]

_ABSENT = object()
_NOT_ITS_OWN = frozenset({"resourceGroupName", "displayName"})
_GUID = re.compile(
    r"(principal|client|tenant|object|subscription|app|unique)[A-Za-z]*Id|.*(Guid|Uuid)|immutableId"
)
_ADDRESS = re.compile(
    r".*(Uri|Url|Endpoint)|uri|url|endpoint|blob|queue|table|file|web|dfs|loginServer", re.IGNORECASE
)
_HOST = re.compile(r".*(fqdn|hostName|hostname|domain|ipAddress)", re.IGNORECASE)


def invented_id(urn: str, inputs: Mapping[str, Any]) -> str:
    """An id in the manner of the provider: Azure's are paths of names, so that parts of it can be used."""
    kind, name = type_of(urn), _physical_name(urn, inputs)
    package, _, rest = kind.partition(":")
    if package != "azure-native":
        return f"{name}-{sha256_hex(urn.encode())[:7]}"
    module, _, leaf = rest.partition(":")
    root = f"/subscriptions/{SUBSCRIPTION}/resourceGroups"
    if leaf == "ResourceGroup":
        return f"{root}/{name}"
    above = "".join(
        f"/{key.removesuffix('Name')}/{value}"
        for key, value in sorted(inputs.items())
        if key.endswith("Name") and key != "resourceGroupName" and isinstance(value, str) and value != name
    )
    if "resourceGroupName" in inputs:
        scope = f"{root}/{inputs['resourceGroupName']}"
    else:
        scope = str(inputs.get("scope") or inputs.get("resourceUri") or f"/subscriptions/{SUBSCRIPTION}")
    return f"{scope}/providers/Microsoft.{module[:1].upper()}{module[1:]}{above}/{leaf}/{name}"


def _physical_name(urn: str, inputs: Mapping[str, Any]) -> str:
    """The name in the cloud: given, or made of the logical name as the provider does."""
    leaf = type_of(urn).rpartition(":")[2]
    short = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", leaf).rpartition(" ")[2]
    own = f"{leaf[:1].lower()}{leaf[1:]}Name"
    names = ["name", own, f"{short.lower()}Name", "resourceName", "roleAssignmentName", "roleAssignmentId"]
    others = [key for key in inputs if key.endswith("Name") and key not in _NOT_ITS_OWN]
    for key in (*names, *(others if len(others) == 1 else ())):
        if isinstance(value := inputs.get(key), str) and not is_unknown(value):
            return value
    return f"{name_of(urn)}{sha256_hex(urn.encode())[:8]}"


def unknown(_path: str, _shape: Shape) -> str:
    """The leaf of a preview."""
    return UNKNOWN


def invented(urn: str, inputs: Mapping[str, Any], generation: int) -> Leaf:
    """Leaves of an update: a function of the URN, the path, and how often the resource was replaced."""
    name = _physical_name(urn, inputs)

    def leaf(path: str, shape: Shape) -> Any:
        last = path.rpartition(".")[2]
        digest = sha256_hex(f"{urn}#{generation}#{path}".encode())
        if path == "name":
            return name
        if path == "type":
            return type_of(urn)
        if shape in {"integer", "number"}:
            return 0
        if shape == "boolean":
            return False
        if _GUID.fullmatch(last):
            return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
        host = f"{name.lower()}.{last.lower()}.simulated.invalid"
        if _HOST.fullmatch(last):
            return host
        if _ADDRESS.fullmatch(last):
            return f"https://{host}/"
        return f"simulated-{last}-{digest[:12]}"

    return leaf


def complete(
    shape: Shape, inputs: Properties, leaf: Leaf, secrets: frozenset[str] = frozenset()
) -> Properties:
    """The outputs for these inputs. `secrets` are the names of outputs that are secret whatever they hold.

    Optional outputs that were not given are left out: in a preview the SDK takes them as unknown, in an
    update as None.
    """
    fields: Mapping[str, Any] = shape["object"] if isinstance(shape, Mapping) and "object" in shape else {}
    outputs = dict(inputs)
    for name, field in fields.items():
        if name not in inputs and not field["required"]:
            continue
        value = _complete(field["shape"], inputs.get(name, _ABSENT), name, leaf)
        if value is not _ABSENT:
            outputs[name] = value
    for name in secrets & outputs.keys():
        if signature(outputs[name]) is None:
            outputs[name] = secret(outputs[name])
    return outputs


def _complete(shape: Shape, value: Any, path: str, leaf: Leaf) -> Any:
    if value is _ABSENT:
        return _missing(shape, path, leaf)
    if is_unknown(value) or signature(value) is not None or shape == "any":
        return value
    if isinstance(shape, str) or "enum" in shape:
        return leaf(path, shape) if isinstance(value, dict | list) else value
    if "object" in shape and isinstance(value, dict):
        return _object(shape["object"], value, path, leaf)
    if "list" in shape and isinstance(value, list):
        return [_complete(shape["list"], item, f"{path}.{at}", leaf) for at, item in enumerate(value)]
    if "map" in shape and isinstance(value, dict):
        return {key: _complete(shape["map"], item, f"{path}.{key}", leaf) for key, item in value.items()}
    if "map" in shape and isinstance(
        value, list
    ):  # a list of ids goes in and comes back with a value for each
        return {
            str(key): _missing(shape["map"], f"{path}.{key}", leaf) for key in value if not is_unknown(key)
        }
    return _missing(shape, path, leaf) if isinstance(value, dict | list) else value


def _object(fields: Mapping[str, Any], value: Properties, path: str, leaf: Leaf) -> Properties:
    filled = dict(value)
    for name, field in fields.items():
        if name in value or field["required"]:
            inner = _complete(field["shape"], value.get(name, _ABSENT), f"{path}.{name}", leaf)
            if inner is not _ABSENT:
                filled[name] = inner
    return filled


def _missing(shape: Shape, path: str, leaf: Leaf) -> Any:
    if leaf is unknown:
        return UNKNOWN
    if shape == "any":
        return _ABSENT
    if isinstance(shape, str):
        return leaf(path, shape)
    if "enum" in shape:
        return shape["enum"]
    if "object" in shape:
        return _object(shape["object"], {}, path, leaf)
    return [] if "list" in shape else {}
