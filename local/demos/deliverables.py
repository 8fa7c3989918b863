"""What the sample product's builds leave beside the service itself: a NuGet package and a container image, as
small as their tools would take them. Equal inputs give equal bytes, so that uploading them again is fine."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from local.sample_bundle import packed

_OCI = "application/vnd.oci.image"
_NUSPEC = """\
<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata>
    <id>{package_id}</id>
    <version>{version}</version>
    <authors>ConnectSoft</authors>
    <description>Client of the reservations API.</description>
  </metadata>
  <files />
</package>
"""


def nuget_package(package_id: str, version: str) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        nuspec = _NUSPEC.format(package_id=package_id, version=version)
        archive.writestr(zipfile.ZipInfo(f"{package_id}.nuspec"), nuspec)
    return written.getvalue()


def container_image(files: Mapping[str, bytes]) -> bytes:
    """An OCI image layout, packed, with one image of one layer that holds these files."""
    layout = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def keep(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        layout[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"{_OCI}.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    layer = keep(packed(files), "layer.v1.tar+gzip")
    config = keep(_json({"architecture": "amd64", "os": "linux"}), "config.v1+json")
    kind = "manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": f"{_OCI}.{kind}", "config": config, "layers": [layer]}
    layout["index.json"] = _json({"schemaVersion": 2, "manifests": [keep(_json(manifest), kind)]})
    return packed(layout)


def _json(body: object) -> bytes:
    return json.dumps(body, sort_keys=True).encode()
