"""The content of packages, for every package manager that is told where to fetch it; and generic packages."""

from typing import Annotated

from functions.api.feeds.surface import READ, FeedName, Text, download, feeds
from functions.http.endpoint import Call, Raw
from functions.http.fields import WireId
from shared.domain.kernel.errors import NotFound
from shared.domain.packages.naming import PackageType, normalized_version

PublicationId = Annotated[str, WireId("pkg")]


@feeds.get("/{feed}/files/{publicationId}/{file}", scope=READ)
async def fetch_package_file(call: Call, feed: FeedName, publication_id: PublicationId, file: Text) -> Raw:
    """Download the content of one version."""
    publication, content = await call.app.packages.content(call.actor, feed, publication_id)
    if file != publication.file_name:
        raise NotFound(f"The file is called {publication.file_name}.")
    return download(content, publication.file_name)


@feeds.get("/{feed}/generic/{package}/{version}", scope=READ)
async def fetch_generic_package(call: Call, feed: FeedName, package: Text, version: Text) -> Raw:
    """Download a generic package by its name and version."""
    wanted = normalized_version(PackageType.GENERIC, version)
    for one in await call.app.packages.served(call.actor, feed, PackageType.GENERIC, package):
        if one.normalized_version == wanted:
            _, content = await call.app.packages.content(call.actor, feed, one.id)
            return download(content, one.file_name)
    raise NotFound(f"There is no such version of {package} in the feed {feed}.")
