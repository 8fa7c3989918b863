"""Packages as their own build tools make them, as small as they can be."""

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from tests.support.builds import a_tarball

FORM = "multipart/form-data; boundary=----b"


def a_zip(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()


def a_wheel(name: str = "shop_orders", version: str = "1.0", told: str | None = None) -> bytes:
    """`told` is the version that its metadata says."""
    folder = f"{name}-{version}.dist-info"
    metadata = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {told or version}\nRequires-Python: >=3.8\n\nText.\n"
    )
    return a_zip(
        {
            f"{name}.py": "ANSWER = 42\n",
            f"{folder}/METADATA": metadata,
            f"{folder}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{folder}/RECORD": f"{name}.py,,\n{folder}/METADATA,,\n{folder}/WHEEL,,\n{folder}/RECORD,,\n",
        }
    )


def an_npm_package(name: str = "@shop/orders", version: str = "1.0.0") -> bytes:
    told = {"name": name, "version": version, "main": "index.js", "dependencies": {}, "license": "MIT"}
    return a_tarball(
        {"package/package.json": json.dumps(told).encode(), "package/index.js": b"module.exports = 42\n"}
    )


def a_document(
    content: bytes, version: str = "1.0.0", tag: str = "latest", *, name: str = "orders"
) -> dict[str, Any]:
    """What `npm publish` sends: the package with its digest, and the tarball in base64."""
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    attached = {"content_type": "application/octet-stream", "data": base64.b64encode(content).decode()}
    return {
        "_id": name,
        "name": name,
        "dist-tags": {tag: version},
        "versions": {version: {"name": name, "version": version, "dist": {"integrity": integrity}}},
        "access": None,
        "_attachments": {f"{name}-{version}.tgz": {**attached, "length": len(content)}},
    }


def a_form(fields: Mapping[str, str | tuple[str, bytes]]) -> bytes:
    """As twine and NuGet write it; a pair is a file."""
    body = b""
    for name, value in fields.items():
        file, content = value if isinstance(value, tuple) else ("", value.encode())
        said = f'form-data; name="{name}"' + (f'; filename="{file}"' if file else "")
        body += f"------b\r\nContent-Disposition: {said}\r\n\r\n".encode() + content + b"\r\n"
    return body + b"------b--\r\n"


def a_nuget_package(package_id: str = "Shop.Orders", version: str = "1.0.0", more: str = "") -> bytes:
    """`more` stands in its nuspec's metadata."""
    space = "http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"
    nuspec = (
        f'<?xml version="1.0"?><package xmlns="{space}"><metadata><id>{package_id}</id>'
        f"<version>{version}</version><authors>a</authors><description>d</description>{more}</metadata></package>"
    )
    inside = {"[Content_Types].xml": "<Types/>", "_rels/.rels": "<Relationships/>"}
    return a_zip({**inside, f"{package_id}.nuspec": nuspec, "lib/net8.0/Shop.Orders.dll": "MZ"})
