"""The projector: the change feed becomes the totals of lists. Apart from the relay, so that the trouble of
one never holds the other.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from shared.ports.store import Document
from shared.services.views import Views


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
