"""The part of NuGet's v3 protocol that restores: the service index and the flat container."""

import json

from functions.api.feeds.surface import READ, FeedName, Text, download, feeds
from functions.http.endpoint import Call, Raw
from shared.domain.kernel.errors import NotFound
from shared.domain.packages.naming import PackageType, normalized_version


@feeds.get("/{feed}/nuget/v3/index.json", scope=READ)
async def show_nuget_services(call: Call, feed: FeedName) -> Raw:
    """Say where the flat container of the feed is."""
    flat = f"{call.app.settings.base_url}/feeds/{feed}/nuget/v3/flat/"
    body = {"version": "3.0.0", "resources": [{"@id": flat, "@type": "PackageBaseAddress/3.0.0"}]}
    return Raw(json.dumps(body).encode(), "application/json", {})


@feeds.get("/{feed}/nuget/v3/flat/{package}/index.json", scope=READ)
async def list_nuget_versions(call: Call, feed: FeedName, package: Text) -> Raw:
    """List the versions of a NuGet package."""
    served = await call.app.packages.served(call.actor, feed, PackageType.NUGET, package)
    body = {"versions": [one.normalized_version for one in served]}
    return Raw(json.dumps(body).encode(), "application/json", {})


@feeds.get("/{feed}/nuget/v3/flat/{package}/{version}/{file}", scope=READ)
async def fetch_nuget_file(call: Call, feed: FeedName, package: Text, version: Text, file: Text) -> Raw:
    """Download a NuGet package, or its nuspec."""
    wanted = normalized_version(PackageType.NUGET, version)
    for one in await call.app.packages.served(call.actor, feed, PackageType.NUGET, package):
        if one.normalized_version != wanted:
            continue
        if file.lower() == one.file_name:
            _, content = await call.app.packages.content(call.actor, feed, one.id)
            return download(content, one.file_name)
        if file.lower() == f"{one.name}.nuspec":
            nuspec = await call.app.packages.member(one, f"{one.package_id}.nuspec")
            return Raw(nuspec, "application/xml", {})
    raise NotFound(f"There is no such file of {package} in the feed {feed}.")
