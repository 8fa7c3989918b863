"""The part of NuGet's v3 protocol that restores and publishes: service index, flat container, push."""

import json

from functions.api.devops.models_packages import PackageView
from functions.api.feeds.surface import READ, WRITE, FeedName, Text, download, feeds, nuget_base
from functions.http.endpoint import Call, Raw
from functions.http.multipart import FORM, parts_of
from shared.domain.kernel.errors import Invalid, NotFound, Problem
from shared.domain.packages.model import PackagePublication
from shared.domain.packages.naming import PackageType, normalized_version

_RESOURCES = {
    "flat/": ("PackageBaseAddress/3.0.0",),
    "registration/": ("RegistrationsBaseUrl", "RegistrationsBaseUrl/3.0.0-rc", "RegistrationsBaseUrl/3.6.0"),
    "search": ("SearchQueryService", "SearchQueryService/3.0.0-rc", "SearchQueryService/3.5.0"),
    "autocomplete": (
        "SearchAutocompleteService",
        "SearchAutocompleteService/3.0.0-rc",
        "SearchAutocompleteService/3.5.0",
    ),
    "package": ("PackagePublish/2.0.0",),
}


@feeds.get("/{feed}/nuget/v3/index.json", scope=READ)
async def show_nuget_services(call: Call, feed: FeedName) -> Raw:
    """Say where everything of the feed is."""
    base = nuget_base(call, feed)
    resources = [
        {"@id": base + place, "@type": kind} for place, kinds in _RESOURCES.items() for kind in kinds
    ]
    return Raw(json.dumps({"version": "3.0.0", "resources": resources}).encode(), "application/json", {})


@feeds.get("/{feed}/nuget/v3/flat/{package}/index.json", scope=READ)
async def list_nuget_versions(call: Call, feed: FeedName, package: Text) -> Raw:
    """List the versions of a NuGet package."""
    served = await call.app.packages.served(call.actor, feed, PackageType.NUGET, package)
    body = {"versions": [one.normalized_version for one in served]}
    return Raw(json.dumps(body).encode(), "application/json", {})


@feeds.get("/{feed}/nuget/v3/flat/{package}/{version}/{file}", scope=READ)
async def fetch_nuget_file(call: Call, feed: FeedName, package: Text, version: Text, file: Text) -> Raw:
    """Download a NuGet package, or its nuspec."""
    one = await _version(call, feed, package, version)
    if file.lower() == one.file_name:
        _, content = await call.app.packages.content(call.actor, feed, one.id)
        return download(content, one.file_name)
    if file.lower() == f"{one.name}.nuspec":
        nuspec = await call.app.packages.member(one, f"{one.package_id}.nuspec")
        return Raw(nuspec, "application/xml", {})
    raise NotFound(f"There is no such file of {package} in the feed {feed}.")


@feeds.put("/{feed}/nuget/v3/package", scope=WRITE, returns=PackageView, status=201, consumes=FORM)
async def push_nuget_package(call: Call, feed: FeedName, body: bytes) -> PackagePublication:
    """Publish a NuGet package, as `dotnet nuget push` sends it."""
    parts = parts_of(call.request.headers.get("content-type", ""), body)
    if len(parts) != 1:
        raise Invalid("There has to be one package.", Problem("package", "Must be the form's only part."))
    return await call.app.packages.push_nuget(call.actor, feed, parts[0].content, call.once)


@feeds.delete("/{feed}/nuget/v3/package/{package}/{version}", scope=WRITE, returns=None, status=204)
async def delete_nuget_package(call: Call, feed: FeedName, package: Text, version: Text) -> None:
    """Unlist a version, which is what deleting means to NuGet: who depends on exactly it still gets it."""
    one = await _version(call, feed, package, version)
    await call.app.packages.unlist(call.actor, one.id, "Deleted by a NuGet client", call.once)


async def _version(call: Call, feed: str, package: str, version: str) -> PackagePublication:
    wanted = normalized_version(PackageType.NUGET, version)
    for one in await call.app.packages.served(call.actor, feed, PackageType.NUGET, package):
        if one.normalized_version == wanted:
            return one
    raise NotFound(f"There is no such version of {package} in the feed {feed}.")
