"""Packages as their own build tools make them, as small as they can be."""

import io
import json
import zipfile
from collections.abc import Mapping

from tests.support.builds import a_tarball


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


def a_nuget_package(package_id: str = "Shop.Orders", version: str = "1.0.0") -> bytes:
    space = "http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"
    nuspec = (
        f'<?xml version="1.0"?><package xmlns="{space}"><metadata><id>{package_id}</id>'
        f"<version>{version}</version><authors>a</authors><description>d</description></metadata></package>"
    )
    return a_zip({f"{package_id}.nuspec": nuspec, "lib/net8.0/Shop.Orders.dll": "MZ"})
