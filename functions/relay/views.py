"""The projector: the change feed becomes the totals of lists. Apart from the relay, so that the trouble of
one never holds the other.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import azure.functions as func

from functions.relay.feed import Batch, on_feed
from shared.names import VIEWS_LEASES
from shared.ports.store import Document
from shared.services.views import Views

if TYPE_CHECKING:
    from shared.app import App


def register(app: func.FunctionApp, get_app: "Callable[[], App]") -> None:
    async def count(documents: Batch) -> None:
        await project(documents, get_app().views)

    on_feed(app, "views_projector", count, leases=VIEWS_LEASES)


async def project(documents: Iterable[Mapping[str, Any]], views: Views) -> None:
    """Count a batch of the feed, as the trigger gives it."""
    await views.project_batch([_document(each) for each in documents])


def _document(given: Mapping[str, Any]) -> Document:
    return Document(
        tenant=given["tenantId"],
        root=given["root"],
        id=given["id"],
        kind=given["kind"],
        body=given["body"],
        etag=given["_etag"],
        sequence=given["_lsn"],
    )
