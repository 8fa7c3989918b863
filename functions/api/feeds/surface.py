"""The feeds surface: in the protocols of the package managers, with the errors of the DevOps contract."""

from typing import Annotated

from pydantic import StringConstraints

from functions.http.dialects import FEEDS
from functions.http.endpoint import Call, Raw
from functions.http.surface import Surface
from shared.domain.packages.model import PackagePublication

feeds = Surface("feeds", title="Package feeds", dialect=FEEDS, prefix="/feeds")

READ = "devops.packages.read"
WRITE = "devops.packages.write"
FeedName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=400)]


def place(publication: PackagePublication) -> str:
    """Where the content of a version is fetched from, below the installation's URL."""
    return f"/feeds/{publication.feed}/files/pkg-{publication.id}/{publication.file_name}"


def download(content: bytes, file_name: str) -> Raw:
    """Bytes to keep, never to show: a browser that is led here must not run them."""
    headers = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    return Raw(content, "application/octet-stream", headers)


def nuget_base(call: Call, feed: str) -> str:
    """What the resources of a feed's service index lie below."""
    return f"{call.app.settings.base_url}/feeds/{feed}/nuget/v3/"
