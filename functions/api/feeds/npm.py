"""The part of the npm registry's API that installs and publishes: a package with its versions and where they
lie, and one more version of it."""

import json
from typing import Any
from urllib.parse import unquote

from functions.api.devops.models_packages import PackageView
from functions.api.feeds.models import PublishNpm
from functions.api.feeds.surface import READ, WRITE, FeedName, Text, feeds, place
from functions.http.endpoint import Call, Raw
from shared.domain.packages.model import PackagePublication, PublicationStatus
from shared.domain.packages.naming import PackageType

_PUBLISHED = {
    "name": "seats",
    "versions": {"1.0.0": {"version": "1.0.0"}},
    "dist-tags": {"latest": "1.0.0"},
    "_attachments": {"seats-1.0.0.tgz": {"data": "H4sIAAAAAAAAA-the-tarball-in-base64"}},
}


@feeds.get("/{feed}/npm/{package}", scope=READ)
async def show_npm_package(call: Call, feed: FeedName, package: Text) -> Raw:
    """Show an npm package with its versions; the slash of a scope may be encoded."""
    return await _packument(call, feed, unquote(package))


@feeds.get("/{feed}/npm/{npmScope}/{package}", scope=READ)
async def show_scoped_npm_package(call: Call, feed: FeedName, npm_scope: Text, package: Text) -> Raw:
    """Show an npm package of a scope with its versions."""
    return await _packument(call, feed, f"{npm_scope}/{package}")


@feeds.put("/{feed}/npm/{package}", scope=WRITE, returns=PackageView, status=201, examples=_PUBLISHED)
async def publish_npm_package(
    call: Call, feed: FeedName, package: Text, body: PublishNpm
) -> PackagePublication:
    """Publish a version of an npm package, as `npm publish` sends it; the slash of a scope may be encoded."""
    return await call.app.packages.push(call.actor, body.pushed(feed, unquote(package)), call.once)


@feeds.put(
    "/{feed}/npm/{npmScope}/{package}", scope=WRITE, returns=PackageView, status=201, examples=_PUBLISHED
)
async def publish_scoped_npm_package(
    call: Call, feed: FeedName, npm_scope: Text, package: Text, body: PublishNpm
) -> PackagePublication:
    """Publish a version of an npm package of a scope."""
    return await call.app.packages.push(call.actor, body.pushed(feed, f"{npm_scope}/{package}"), call.once)


async def _packument(call: Call, feed: str, name: str) -> Raw:
    served = await call.app.packages.served(call.actor, feed, PackageType.NPM, name)
    package = await call.app.packages.package(call.actor, feed, PackageType.NPM, name)
    listed = [one.normalized_version for one in served if one.status is PublicationStatus.PUBLISHED]
    listed = listed or [one.normalized_version for one in served]
    # A tag whose version is offered no more falls back to what npm would install without tags.
    latest = next((version for version in reversed(listed) if "-" not in version), listed[-1])
    tags = {tag: version for tag, version in package.tags.items() if version in listed}
    body = {
        "name": name,
        "dist-tags": {"latest": latest, **tags},
        "versions": {one.normalized_version: _version(one, call.app.settings.base_url) for one in served},
        "time": {one.normalized_version: one.created_at.isoformat() for one in served},
    }
    return Raw(json.dumps(body).encode(), "application/json", {})


def _version(one: PackagePublication, base_url: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        **json.loads(one.manifest or "{}"),
        "name": one.name,
        "version": one.normalized_version,
        "dist": {
            "tarball": base_url + place(one),
            "integrity": one.integrity,
            "shasum": one.shasum,
        },
    }
    if one.status is PublicationStatus.UNLISTED:
        told["deprecated"] = one.reason
    return told
