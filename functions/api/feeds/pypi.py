"""The simple repository API of Python packages: PEP 503 as HTML, PEP 691 as JSON, PEP 592 for unlisted; and
the upload API that twine speaks."""

import hashlib
import json
from collections.abc import Iterable
from html import escape
from typing import Any

from functions.api.devops.models_packages import PackageView
from functions.api.feeds.surface import READ, WRITE, FeedName, Text, feeds, place
from functions.http.endpoint import Call, Raw
from functions.http.media import Offer, choose
from functions.http.multipart import FORM, Part, parts_of
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.errors import Invalid, Problem
from shared.domain.packages.errors import BadPackage
from shared.domain.packages.model import PackagePublication, PublicationStatus
from shared.domain.packages.naming import PackageType, coordinates
from shared.services.packages import PushedPackage

JSON = "application/vnd.pypi.simple.v1+json"
_HTML = "application/vnd.pypi.simple.v1+html"
_PLAIN = "text/html"
_CHARSET = "; charset=utf-8"
_OFFERS = (
    # pip of before PEP 691 asks for nothing or for anything, and reads HTML.
    Offer(_PLAIN, "1", _PLAIN + _CHARSET),
    Offer(_HTML, "1", _HTML + _CHARSET),
    Offer(JSON, "1", JSON),
)
_META = {"api-version": "1.0"}


@feeds.get("/{feed}/pypi/simple", scope=READ)
async def list_python_packages(call: Call, feed: FeedName) -> Raw:
    """List the Python packages of the feed by name."""
    packages = call.app.packages.offered(call.actor, feed, PackageType.PYPI)
    names = [package.name async for package in packages]
    projects = {"meta": _META, "projects": [{"name": name} for name in names]}
    links = [f'<a href="/feeds/{feed}/pypi/simple/{name}/">{escape(name)}</a>' for name in names]
    return _answer(call, projects, "Simple index", links)


@feeds.get("/{feed}/pypi/simple/{package}", scope=READ)
async def show_python_package(call: Call, feed: FeedName, package: Text) -> Raw:
    """List the files of a Python package, as pip asks."""
    served = await call.app.packages.served(call.actor, feed, PackageType.PYPI, package)
    name = served[0].name
    body = {"meta": _META, "name": name, "files": [_file(one) for one in served]}
    return _answer(call, body, name, [_link(one) for one in served])


@feeds.post(
    "/{feed}/pypi/legacy",
    scope=WRITE,
    returns=PackageView,
    consumes=FORM,
)
async def upload_python_package(call: Call, feed: FeedName, body: bytes) -> PackagePublication:
    """Publish one file of a Python package, as twine uploads it."""
    form = {part.name: part for part in parts_of(call.request.headers.get("content-type", ""), body)}
    if _text(form, ":action") != "file_upload":
        raise Invalid("This takes uploads.", Problem(":action", "Must be `file_upload`."))
    content = _content(form)
    _check_digests(form, content)
    pushed = PushedPackage(
        feed=feed,
        coordinates=coordinates(PackageType.PYPI, _text(form, "name"), _text(form, "version")),
        content=content.content,
        file_name=content.file_name,
    )
    return await call.app.packages.push(call.actor, pushed, call.once)


def _content(form: dict[str, Part]) -> Part:
    found = form.get("content")
    if found is None or not found.file_name:
        raise Invalid("There is no file in the form.", Problem("content", "Must be the file.", "required"))
    return found


def _check_digests(form: dict[str, Part], content: Part) -> None:
    """What arrives is what was sent. Raises BadPackage."""
    digests = {
        "sha256_digest": sha256_hex(content.content),
        "blake2_256_digest": hashlib.blake2b(content.content, digest_size=32).hexdigest(),
    }
    for name, digest in digests.items():
        if name in form and form[name].text.lower() != digest:
            raise BadPackage(f"The content of {content.file_name} is not of its {name}; upload it again.")


def _text(form: dict[str, Part], name: str) -> str:
    if name not in form:
        raise Invalid("The form has too little in it.", Problem(name, "Is missing.", "required"))
    return form[name].text


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


def _answer(call: Call, body: dict[str, Any], title: str, links: Iterable[str]) -> Raw:
    offer = choose(_OFFERS, call.request.headers.get("accept", "")) or _OFFERS[0]
    if offer.content_type == JSON:
        return Raw(json.dumps(body).encode(), JSON, {})
    page = (
        '<!DOCTYPE html>\n<html><head><meta name="pypi:repository-version" content="1.0">'
        f"<title>{escape(title)}</title></head><body>\n{''.join(f'{link}<br>\n' for link in links)}"
        "</body></html>\n"
    )
    return Raw(page.encode(), offer.content_type, {})


def _link(one: PackagePublication) -> str:
    told = {"href": f"{place(one)}#sha256={one.digest.removeprefix('sha256:')}"}
    if one.requires_python:
        told["data-requires-python"] = one.requires_python
    if one.status is PublicationStatus.UNLISTED:
        told["data-yanked"] = one.reason
    attributes = " ".join(f'{name}="{escape(value)}"' for name, value in told.items())
    return f"<a {attributes}>{escape(one.file_name)}</a>"
