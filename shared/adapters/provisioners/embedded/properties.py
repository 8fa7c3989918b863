"""Property values: as they travel, as they are recorded (no secret, no file content), as people see them."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from shared.domain.kernel.canonical import canonical_json, sha256_hex
from shared.domain.kernel.errors import Invalid
from shared.ports.provisioner import Value

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark of a secret, not one
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

type Properties = dict[str, Any]

_UNKNOWNS = frozenset(
    {
        UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_CHUNK = 1024 * 1024
_SHORTEST_HIDDEN = 4


class AssetMissing(Invalid):
    """A file that the program wants to hand to a resource cannot be read."""

    code = "asset_missing"


def signature(value: object) -> str | None:
    """What kind of special value this is, if any."""
    return value.get(SIGNATURE) if isinstance(value, Mapping) else None


def is_unknown(value: object) -> bool:
    return isinstance(value, str) and value in _UNKNOWNS


def secret(value: object) -> Properties:
    return {SIGNATURE: SECRET, "value": value}


def plain(value: Any) -> Any:
    """Wire numbers are floats and wire values may come wrapped as outputs; here `3.0` is 3, an output its
    value."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if signature(value) == OUTPUT:
        inner = plain(value["value"]) if "value" in value else UNKNOWN
        return secret(inner) if value.get("secret") else inner
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def holds_unknown(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(holds_unknown(inner) for inner in value.values())
    if isinstance(value, list):
        return any(holds_unknown(inner) for inner in value)
    return is_unknown(value)


def holds_special(value: object) -> bool:
    if isinstance(value, Mapping):
        return signature(value) is not None or any(holds_special(inner) for inner in value.values())
    return isinstance(value, list) and any(holds_special(inner) for inner in value)


def recorded(value: Any, folder: Path) -> Any:
    """As it may be stored: a secret is its SHA-256, an asset the hash of its content. Reads files.

    `folder` is what relative asset paths start from. Raises AssetMissing.
    """
    match signature(value):
        case None if isinstance(value, Mapping):
            return {key: recorded(inner, folder) for key, inner in value.items()}
        case None if isinstance(value, list):
            return [recorded(inner, folder) for inner in value]
        case None:
            return value
        case kind if kind == SECRET:
            if "sha256" in value:
                return dict(value)
            inner = value.get("value")
            if holds_unknown(inner):
                return {SIGNATURE: SECRET, "sha256": UNKNOWN}
            return {SIGNATURE: SECRET, "sha256": sha256_hex(canonical_json(recorded(inner, folder)))}
        case kind if kind in {ASSET, ARCHIVE}:
            return {SIGNATURE: kind, "hash": value["hash"] if "hash" in value else _content(value, folder)}
        case _:
            return dict(value)


def _content(asset: Mapping[str, Any], folder: Path) -> str:
    """A hash over what the asset holds. What is fetched by address stands for its address."""
    if "text" in asset:
        return sha256_hex(str(asset["text"]).encode())
    if "path" in asset:
        return _hash_path(folder / str(asset["path"]))
    if "assets" in asset:
        inner = {name: recorded(member, folder) for name, member in asset["assets"].items()}
        return sha256_hex(canonical_json(inner))
    return sha256_hex(canonical_json({"uri": asset.get("uri", "")}))


def _hash_path(path: Path) -> str:
    try:
        if path.is_dir():
            names = sorted(file for file in path.rglob("*") if file.is_file() and not file.is_symlink())
            entries = {file.relative_to(path).as_posix(): _hash_file(file) for file in names}
            return sha256_hex(canonical_json(entries))
        return _hash_file(path)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise AssetMissing(f"The asset {path.name!r} cannot be read ({reason}); check its path.") from None


def _hash_file(path: Path) -> str:
    if not path.is_file():  # a device or a pipe would never come to an end
        raise FileNotFoundError(2, "no such file")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def stand_in(value: Any) -> Any:
    """A recorded value as it may travel again. What was recorded as a hash is a secret made of that hash."""
    match signature(value):
        case None if isinstance(value, Mapping):
            return {key: stand_in(inner) for key, inner in value.items()}
        case None if isinstance(value, list):
            return [stand_in(inner) for inner in value]
        case None:
            return value
        case kind if kind == SECRET:
            return secret(f"simulated-secret-{str(value['sha256'])[:12]}")
        case _:
            return shown(value)


def hiding(secrets: Iterable[str]) -> Callable[[str], str]:
    """Takes these texts out of what is said. Very short ones would take half of any sentence with them."""
    known = sorted({text for text in secrets if len(text) >= _SHORTEST_HIDDEN}, key=len, reverse=True)

    def hide(text: str) -> str:
        for hidden in known:
            text = text.replace(hidden, "[secret]")
        return text

    return hide


def shown(value: Any) -> Value:
    """As people may see it, whether it travels or is recorded."""
    if is_unknown(value):
        return "[unknown]"
    match signature(value):
        case None if isinstance(value, Mapping):
            return {str(key): shown(inner) for key, inner in value.items()}
        case None if isinstance(value, list):
            return [shown(inner) for inner in value]
        case None:
            return value  # type: ignore[no-any-return]
        case kind if kind == SECRET:
            return "[secret]"
        case kind if kind in {ASSET, ARCHIVE}:
            word = "asset" if kind == ASSET else "archive"
            return f"{word} sha256:{value['hash']}" if "hash" in value else word
        case _:
            return str(value.get("urn", "[special]"))


def shown_all(values: Mapping[str, Any]) -> dict[str, Value]:
    return {key: shown(value) for key, value in values.items()}
