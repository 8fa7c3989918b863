"""What NuGet's v3 protocol finds packages by: search, completion, and registrations with their metadata."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from functions.api.feeds.models import CompleteNuget, SearchNuget
from functions.api.feeds.surface import READ, FeedName, Text, feeds, nuget_base, place
from functions.http.endpoint import Call, Raw
from shared.domain.kernel.errors import NotFound
from shared.domain.packages.model import Package, PackagePublication, PublicationStatus
from shared.domain.packages.naming import PackageType, is_semver2, nuget_order

_KIND = "Dependency"
"""The type of a package that says none; tools and templates are told apart by clients, from the nuspec."""


@feeds.get("/{feed}/nuget/v3/search", scope=READ)
async def search_nuget_packages(call: Call, feed: FeedName, query: SearchNuget) -> Raw:
    """Search the NuGet packages of the feed by parts of their ids."""
    found = await _found(call, feed, query)
    base = nuget_base(call, feed)
    data = [_result(package, versions, base) for package, versions in _page(found, query)]
    return _json({"totalHits": len(found), "data": data})


@feeds.get("/{feed}/nuget/v3/autocomplete", scope=READ)
async def complete_nuget_packages(call: Call, feed: FeedName, query: CompleteNuget) -> Raw:
    """Complete an id that begins so; with `id`, list the versions of that package."""
    if query.id is not None:
        package = await call.app.packages.package(call.actor, feed, PackageType.NUGET, query.id)
        return _json({"data": _offered(package, query)})
    found = await _found(call, feed, query)
    return _json(
        {"totalHits": len(found), "data": [package.package_id for package, _ in _page(found, query)]}
    )


@feeds.get("/{feed}/nuget/v3/registration/{package}/index.json", scope=READ)
async def show_nuget_registrations(call: Call, feed: FeedName, package: Text) -> Raw:
    """Show every version of a NuGet package with what it depends on."""
    served = await call.app.packages.served(call.actor, feed, PackageType.NUGET, package)
    ordered = sorted(served, key=lambda one: nuget_order(one.normalized_version))
    base = f"{nuget_base(call, feed)}registration/{ordered[0].name}/"
    leaves = [_leaf(one, call.app.settings.base_url, base) for one in ordered]
    page = {
        "@id": f"{base}index.json#page",
        "count": len(leaves),
        "lower": ordered[0].normalized_version,
        "upper": ordered[-1].normalized_version,
        "items": leaves,
    }
    return _json({"@id": f"{base}index.json", "count": 1, "items": [page]})


@feeds.get("/{feed}/nuget/v3/registration/{package}/{file}", scope=READ)
async def show_nuget_registration(call: Call, feed: FeedName, package: Text, file: Text) -> Raw:
    """Show one version of a NuGet package: `<version>.json`."""
    for one in await call.app.packages.served(call.actor, feed, PackageType.NUGET, package):
        if file.lower() == f"{one.normalized_version}.json":
            base = f"{nuget_base(call, feed)}registration/{one.name}/"
            leaf = _leaf(one, call.app.settings.base_url, base)
            listed = leaf["catalogEntry"]["listed"]
            return _json({**leaf, "listed": listed, "registration": f"{base}index.json"})
    raise NotFound(f"There is no such version of {package} in the feed {feed}.")


async def _found(call: Call, feed: str, query: SearchNuget) -> list[tuple[Package, list[str]]]:
    """Packages with a version that the client reads, whose id has every word that is asked for."""
    if (query.package_type or _KIND).lower() != _KIND.lower():
        return []
    words = query.q.lower().split()
    packages = call.app.packages.offered(call.actor, feed, PackageType.NUGET)
    matching = [package async for package in packages if all(word in package.name for word in words)]
    return [(package, versions) for package in matching if (versions := _offered(package, query))]


def _offered(package: Package, query: SearchNuget) -> list[str]:
    """The versions that the client may be shown, lowest first."""
    reads_semver2 = (query.sem_ver_level or "").startswith("2.")
    return sorted(
        (
            version
            for version in package.versions
            if (query.prerelease or "-" not in version) and (reads_semver2 or not is_semver2(version))
        ),
        key=nuget_order,
    )


def _page[T](found: Sequence[T], query: SearchNuget) -> Iterable[T]:
    return found[query.passed : query.passed + query.take]


def _result(package: Package, versions: list[str], base: str) -> dict[str, Any]:
    registration = f"{base}registration/{package.name}/"
    return {
        "@type": "Package",
        "registration": f"{registration}index.json",
        "id": package.package_id,
        "version": versions[-1],
        "packageTypes": [{"name": _KIND}],
        "versions": [
            {"@id": f"{registration}{version}.json", "version": version, "downloads": 0}
            for version in versions
        ],
    }


def _leaf(one: PackagePublication, base_url: str, base: str) -> dict[str, Any]:
    address = f"{base}{one.normalized_version}.json"
    entry = {
        **json.loads(one.manifest or "{}"),
        "@id": address,
        "id": one.package_id,
        "version": one.normalized_version,
        "listed": one.status is PublicationStatus.PUBLISHED,
        "published": one.created_at.isoformat(),
    }
    return {"@id": address, "catalogEntry": entry, "packageContent": base_url + place(one)}


def _json(body: dict[str, Any]) -> Raw:
    return Raw(json.dumps(body).encode(), "application/json", {})
