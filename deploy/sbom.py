"""The bill of materials of a package: CycloneDX 1.6 as JSON. Same components, same bytes."""

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from deploy.closure import Component

NAME = "sbom.cdx.json"
_SERIALS = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/schema/bom-1.6.schema.json")


def bill_of_materials(
    version: str, direct: Iterable[str], components: Iterable[Component], digests: Mapping[str, str]
) -> bytes:
    """`direct` are the names that Slipway itself requires, `digests` the sha256 of a component's wheel in
    hex, by name, where it is known. It bears no time, and its serial number is one of its content."""
    parts = list(components)
    bill: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": f"slipway@{version}",
                "name": "slipway",
                "version": version,
            },
        },
        "components": [_component(part, digests.get(part.name)) for part in parts],
        "dependencies": _dependencies(version, direct, parts),
    }
    content = json.dumps(bill, sort_keys=True, separators=(",", ":"))
    numbered = {"serialNumber": f"urn:uuid:{uuid.uuid5(_SERIALS, content)}", **bill}
    return (json.dumps(numbered, indent=1) + "\n").encode()


def _component(part: Component, digest: str | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": "library",
        "bom-ref": _ref(part),
        "name": part.name,
        "version": part.version,
        "purl": _ref(part),
    }
    if digest:
        told["hashes"] = [{"alg": "SHA-256", "content": digest}]
    if part.licence:
        named = {"license": {"name": part.licence}}
        told["licenses"] = [{"expression": part.licence} if part.licence_is_expression else named]
    return told


def _dependencies(version: str, direct: Iterable[str], parts: list[Component]) -> list[dict[str, Any]]:
    refs = {part.name: _ref(part) for part in parts}
    ours = {"ref": f"slipway@{version}", "dependsOn": sorted(refs[name] for name in direct)}
    theirs = [{"ref": _ref(part), "dependsOn": sorted(refs[name] for name in part.needs)} for part in parts]
    return [ours, *theirs]


def _ref(part: Component) -> str:
    return f"pkg:pypi/{part.name}@{part.version}"
