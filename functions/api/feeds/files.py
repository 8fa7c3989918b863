"""The content of packages, for every package manager that is told where to fetch it; and generic packages."""

from typing import Annotated

from functions.api.devops.models_packages import PackageView
from functions.api.feeds.surface import READ, WRITE, FeedName, Text, download, feeds
from functions.http.endpoint import Call, Raw
from functions.http.fields import WireId
from shared.domain.kernel.errors import NotFound
from shared.domain.packages.model import PackagePublication
from shared.domain.packages.naming import PackageType, coordinates, normalized_version
from shared.services.packages import PushedPackage

PublicationId = Annotated[str, WireId("pkg")]


@feeds.get("/{feed}/files/{publicationId}/{file}", scope=READ)
async def fetch_package_file(call: Call, feed: FeedName, publication_id: PublicationId, file: Text) -> Raw:
    """Download the content of one version."""
    publication, content = await call.app.packages.content(call.actor, feed, publication_id)
    if file != publication.file_name:
        raise NotFound(f"The file is called {publication.file_name}.")
    return download(content, publication.file_name)


@feeds.put(
    "/{feed}/generic/{package}/{version}/{file}",
    scope=WRITE,
    returns=PackageView,
    status=201,
    consumes=("*/*",),
)
async def upload_generic_package(
    call: Call, feed: FeedName, package: Text, version: Text, file: Text, body: bytes
) -> PackagePublication:
    """Publish a generic package: its version is this one file."""
    where = coordinates(PackageType.GENERIC, package, version)
    pushed = PushedPackage(feed=feed, coordinates=where, content=body, file_name=file)
    return await call.app.packages.push(call.actor, pushed, call.once)


@feeds.get("/{feed}/generic/{package}/{version}", scope=READ)
async def fetch_generic_package(call: Call, feed: FeedName, package: Text, version: Text) -> Raw:
    """Download a generic package by its name and version."""
    wanted = normalized_version(PackageType.GENERIC, version)
    for one in await call.app.packages.served(call.actor, feed, PackageType.GENERIC, package):
        if one.normalized_version == wanted:
            _, content = await call.app.packages.content(call.actor, feed, one.id)
            return download(content, one.file_name)
    raise NotFound(f"There is no such version of {package} in the feed {feed}.")
