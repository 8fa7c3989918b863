"""What is inside of a package, per ecosystem: its own name and version have to be those it is published as.

Packages are strangers' files: only named members are read, through the guards that all bundles pass.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.domain.packages.errors import BadPackage
from shared.domain.packages.model import PackagePublication
from shared.domain.packages.naming import PackageType, normalized_name, normalized_version

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

type Read = Callable[[str], Awaitable[bytes]]
"""The member of the archive at that path. Raises BadPackage where there is none."""

_WHEEL = re.compile(r"(?P<name>[^\s-]+)-(?P<version>[^\s-]+)(-[0-9][^\s-]*)?-[^\s-]+-[^\s-]+-[^\s-]+\.whl")
_SDIST = re.compile(r"(?P<name>[^\s/]+)-(?P<version>[^\s/-]+)\.tar\.gz")
_NPM_FIELDS = (
    "dependencies",
    "optionalDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "bundleDependencies",
    "bin",
    "engines",
    "os",
    "cpu",
    "hasInstallScript",
    "type",
    "main",
)
_NUGET_FIELDS = (
    "title",
    "authors",
    "description",
    "summary",
    "tags",
    "projectUrl",
    "language",
    "minClientVersion",
)
_MAX_MANIFEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Inside:
    """What installers ask about a package before they fetch it."""

    requires_python: str = ""
    manifest: str = ""


async def inspect(publication: PackagePublication, read: Read) -> Inside:
    """Raises BadPackage."""
    return await _INSPECTORS[publication.package_type](publication, read)


async def _pypi(publication: PackagePublication, read: Read) -> Inside:
    from email.parser import HeaderParser  # noqa: PLC0415 - a cold start publishes nothing

    file_name = publication.file_name
    if found := _WHEEL.fullmatch(file_name):
        path = f"{found['name']}-{found['version']}.dist-info/METADATA"
    elif found := _SDIST.fullmatch(file_name):
        path = f"{file_name.removesuffix('.tar.gz')}/PKG-INFO"
    else:
        raise BadPackage(
            f"{file_name} is the name of neither a wheel nor a source distribution;"
            " give fileName as the build made it."
        )
    _require_same(publication, found["name"], found["version"], f"The file name {file_name}")
    told = HeaderParser().parsestr((await read(path)).decode("utf-8", "replace"))
    _require_same(publication, str(told["Name"]), str(told["Version"]), path)
    return Inside(requires_python=str(told["Requires-Python"] or ""))


async def _npm(publication: PackagePublication, read: Read) -> Inside:
    try:
        told = json.loads(await read("package/package.json"))
    except (ValueError, RecursionError):
        raise BadPackage("The package's package.json is not JSON.") from None
    if not isinstance(told, dict):
        raise BadPackage("The package's package.json is no JSON object.")
    _require_same(publication, str(told.get("name")), str(told.get("version")), "package.json")
    shown = {field: told[field] for field in _NPM_FIELDS if field in told}
    return Inside(manifest=_limited(json.dumps(shown)))


def is_nuspec(path: str) -> bool:
    return "/" not in path and path.lower().endswith(".nuspec")


def nuget_identity(nuspec: bytes) -> tuple[str, str]:
    """Id and version in a nuspec. Raises BadPackage."""
    _, told = _nuspec(nuspec)
    return told.get("id", ""), told.get("version", "")


async def _nuget(publication: PackagePublication, read: Read) -> Inside:
    fields, told = _nuspec(await read(f"{publication.package_id}.nuspec"))
    _require_same(publication, told.get("id", ""), told.get("version", ""), "The nuspec")
    shown = {field: told[field] for field in _NUGET_FIELDS if told.get(field)}
    groups = _dependency_groups(fields.get("dependencies"))
    return Inside(manifest=_limited(json.dumps({**shown, "dependencyGroups": groups})))


def _nuspec(content: bytes) -> tuple[dict[str, "Element"], dict[str, str]]:
    """The elements of a nuspec's metadata, and their texts."""
    from xml.etree import ElementTree  # noqa: PLC0415 - a cold start publishes nothing

    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise BadPackage("The package's nuspec may hold no document type.")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - no document type, so no entities
    except ElementTree.ParseError:
        raise BadPackage("The package's nuspec is not XML.") from None
    metadata = next((child for child in root if _local(child) == "metadata"), None)
    fields = {_local(element): element for element in (metadata if metadata is not None else ())}
    return fields, {name: (element.text or "").strip() for name, element in fields.items()}


def _dependency_groups(dependencies: "Element | None") -> list[dict[str, object]]:
    """As NuGet's registrations have them; dependencies of before groups are of every framework."""
    if dependencies is None:
        return []
    groups = [child for child in dependencies if _local(child) == "group"] or [dependencies]
    return [
        {
            **({"targetFramework": framework} if (framework := group.get("targetFramework")) else {}),
            "dependencies": [
                {"id": one.get("id", ""), "range": _range(one.get("version", ""))}
                for one in group
                if _local(one) == "dependency"
            ],
        }
        for group in groups
    ]


def _range(version: str) -> str:
    """A bare version in a nuspec means it or any later one."""
    return version if not version or version[0] in "[(" else f"[{version}, )"


def _local(element: "Element") -> str:
    return element.tag.rpartition("}")[2]


def _limited(manifest: str) -> str:
    if len(manifest) > _MAX_MANIFEST:
        raise BadPackage(f"The package's dependencies take more than {_MAX_MANIFEST} bytes.")
    return manifest


async def _generic(publication: PackagePublication, read: Read) -> Inside:
    return Inside()


def _require_same(publication: PackagePublication, name: str, version: str, where: str) -> None:
    kind = publication.package_type
    same_name = normalized_name(kind, name) == publication.name
    if not same_name or normalized_version(kind, version) != publication.normalized_version:
        raise BadPackage(
            f"{where} says {name[:100]} {version[:100]}, and the package is published as"
            f" {publication.package_id} {publication.version}."
        )


_INSPECTORS: Mapping[PackageType, Callable[[PackagePublication, Read], Awaitable[Inside]]] = {
    PackageType.PYPI: _pypi,
    PackageType.NPM: _npm,
    PackageType.NUGET: _nuget,
    PackageType.GENERIC: _generic,
}
