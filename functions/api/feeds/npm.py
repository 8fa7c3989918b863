"""The part of the npm registry's API that installs: a package with its versions and where they lie."""

import json
from typing import Any
from urllib.parse import unquote

from functions.api.feeds.surface import READ, FeedName, Text, feeds, place
from functions.http.endpoint import Call, Raw
from shared.domain.packages.model import PackagePublication, PublicationStatus
from shared.domain.packages.naming import PackageType


@feeds.get("/{feed}/npm/{package}", scope=READ)
async def show_npm_package(call: Call, feed: FeedName, package: Text) -> Raw:
    """Show an npm package with its versions; the slash of a scope may be encoded."""
    return await _packument(call, feed, unquote(package))


@feeds.get("/{feed}/npm/{npmScope}/{package}", scope=READ)
async def show_scoped_npm_package(call: Call, feed: FeedName, npm_scope: Text, package: Text) -> Raw:
    """Show an npm package of a scope with its versions."""
    return await _packument(call, feed, f"{npm_scope}/{package}")


async def _packument(call: Call, feed: str, name: str) -> Raw:
    served = await call.app.packages.served(call.actor, feed, PackageType.NPM, name)
    listed = [one for one in served if one.status is PublicationStatus.PUBLISHED] or list(served)
    body = {
        "name": name,
        # The last one that is no pre-release, as npm itself tags what is published without a tag.
        "dist-tags": {
            "latest": next((v for v in reversed(_versions(listed)) if "-" not in v), _last(listed))
        },
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


def _versions(served: list[PackagePublication]) -> list[str]:
    return [one.normalized_version for one in served]


def _last(served: list[PackagePublication]) -> str:
    return served[-1].normalized_version
