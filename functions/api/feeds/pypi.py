"""The simple repository API of Python packages: PEP 503 as HTML, PEP 691 as JSON, PEP 592 for unlisted."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from functions.api.feeds.surface import READ, FeedName, Text, feeds, place
from functions.http.endpoint import Call, Raw
from shared.domain.packages.model import PackagePublication, PublicationStatus
from shared.domain.packages.naming import PackageType

JSON = "application/vnd.pypi.simple.v1+json"


@feeds.get("/{feed}/pypi/simple/{package}", scope=READ)
async def show_python_package(call: Call, feed: FeedName, package: Text) -> Raw:
    """List the files of a Python package, as pip asks."""
    served = await call.app.packages.served(call.actor, feed, PackageType.PYPI, package)
    if JSON in call.request.headers.get("accept", ""):
        files = [_file(one) for one in served]
        body = {"meta": {"api-version": "1.0"}, "name": served[0].name, "files": files}
        return Raw(json.dumps(body).encode(), JSON, {})
    return Raw(_page(served).encode(), "text/html; charset=utf-8", {})


def _file(one: PackagePublication) -> dict[str, Any]:
    told: dict[str, Any] = {
        "filename": one.file_name,
        "url": place(one),
        "hashes": {"sha256": one.digest.removeprefix("sha256:")},
        "size": one.size,
    }
    if one.requires_python:
        told["requires-python"] = one.requires_python
    if one.status is PublicationStatus.UNLISTED:
        told["yanked"] = one.reason or True
    return told


def _page(served: Sequence[PackagePublication]) -> str:
    links = "".join(f"<a {_attributes(one)}>{escape(one.file_name)}</a><br>\n" for one in served)
    name = escape(served[0].name)
    return (
        '<!DOCTYPE html>\n<html><head><meta name="pypi:repository-version" content="1.0">'
        f"<title>{name}</title></head><body>\n{links}</body></html>\n"
    )


def _attributes(one: PackagePublication) -> str:
    told = {"href": f"{place(one)}#sha256={one.digest.removeprefix('sha256:')}"}
    if one.requires_python:
        told["data-requires-python"] = one.requires_python
    if one.status is PublicationStatus.UNLISTED:
        told["data-yanked"] = one.reason
    return " ".join(f'{name}="{escape(value)}"' for name, value in told.items())
