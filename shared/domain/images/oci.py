"""OCI manifests and names, as far as pushing an image needs them: bytes in, descriptors out."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.images.errors import BadLayout
from shared.domain.kernel.canonical import sha256_hex

REPOSITORY = r"^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$"
TAG = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"
DIGEST = r"^sha256:[0-9a-f]{64}$"

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFESTS = (MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
INDEXES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
REF_NAME = "org.opencontainers.image.ref.name"

MAX_MANIFEST = 4 * 1024 * 1024
"""Bytes, as the distribution specification asks of registries."""
MAX_DESCRIPTORS = 1000

_DIGEST = re.compile(DIGEST)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says about a piece of content."""

    media_type: str
    digest: str
    size: int
    name: str | None = None

    @property
    def is_manifest(self) -> bool:
        return self.media_type in (*MANIFESTS, *INDEXES)


@dataclass(frozen=True, slots=True)
class Manifest:
    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        return digest_of(self.content)


def digest_of(content: bytes) -> str:
    return f"sha256:{sha256_hex(content)}"


def blob_path(digest: str) -> str:
    """Where a layout has the content of that digest."""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def chosen(index: bytes, tag: str) -> Descriptor:
    """The one image of a layout's index.json: the only one, or the one that is named by the tag."""
    manifests = _descriptors(_object(index, "index.json"), "manifests")
    named = [each for each in manifests if each.name is not None and each.name.rpartition(":")[2] == tag]
    found = manifests if len(manifests) == 1 else named
    if len(found) != 1:
        names = ", ".join(each.name or each.digest for each in manifests) or "none"
        raise BadLayout(f"The layout must hold one image, or one named {tag}; it holds {names}.")
    if not found[0].is_manifest:
        raise BadLayout(f"The layout's index.json leads to {found[0].media_type}, which is no image.")
    return found[0]


def parts(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Everything that a manifest refers to: the manifests of an index, or else config and layers."""
    if len(manifest.content) > MAX_MANIFEST:
        raise BadLayout(f"A manifest may have {MAX_MANIFEST} bytes; this one has {len(manifest.content)}.")
    body = _object(manifest.content, f"The manifest {manifest.digest}")
    if manifest.media_type in INDEXES:
        return _descriptors(body, "manifests")
    if manifest.media_type not in MANIFESTS:
        raise BadLayout(f"{manifest.media_type} is no kind of manifest that we know.")
    return (*_descriptors({"config": [body.get("config")]}, "config"), *_descriptors(body, "layers"))


def _descriptors(body: dict[str, object], name: str) -> tuple[Descriptor, ...]:
    rows = body.get(name)
    if not isinstance(rows, list) or len(rows) > MAX_DESCRIPTORS:
        raise BadLayout(f"`{name}` must be a list of at most {MAX_DESCRIPTORS} descriptors.")
    return tuple(_descriptor(row, name) for row in rows)


def _descriptor(row: object, name: str) -> Descriptor:
    if not isinstance(row, dict):
        raise BadLayout(f"`{name}` holds something that is no descriptor.")
    media_type, digest, size = row.get("mediaType"), row.get("digest"), row.get("size")
    if not isinstance(media_type, str) or not isinstance(size, int) or size < 0:
        raise BadLayout(f"`{name}` holds a descriptor without mediaType or size.")
    if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
        raise BadLayout(f"`{name}` holds a descriptor without a sha256 digest.")
    annotations = row.get("annotations")
    told = annotations.get(REF_NAME) if isinstance(annotations, dict) else None
    return Descriptor(media_type, digest, size, told if isinstance(told, str) else None)


def _object(content: bytes, what: str) -> dict[str, object]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise BadLayout(f"{what} is not JSON.") from None
    if not isinstance(body, dict):
        raise BadLayout(f"{what} is no JSON object.")
    return body


def distinct(descriptors: Sequence[Descriptor]) -> list[Descriptor]:
    """Each content once, in the order of its first mention."""
    return list({each.digest: each for each in descriptors}.values())
