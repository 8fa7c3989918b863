"""The projector: the change feed becomes the totals of lists. Apart from the relay, so that the trouble of
one never holds the other.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import azure.functions as func

from shared.names import COSMOS, DATABASE, DOCUMENTS, LEASES, VIEWS_LEASES
from shared.ports.store import Document
from shared.services.views import Views

if TYPE_CHECKING:
    from shared.app import App


def register(app: func.FunctionApp, get_app: "Callable[[], App]") -> None:
    async def views_projector(documents: func.DocumentList) -> None:
        await project([dict(document) for document in documents], get_app().views)

    trigger = app.cosmos_db_trigger(
        arg_name="documents",
        connection=COSMOS,
        database_name=DATABASE,
        container_name=DOCUMENTS,
        lease_container_name=LEASES,
        lease_container_prefix=VIEWS_LEASES,
        create_lease_container_if_not_exists=False,
        max_items_per_invocation=100,
    )
    # A batch that was not counted must come again; what of it was counted changes nothing then.
    retry = app.retry(
        strategy="exponential_backoff",
        max_retry_count="-1",
        minimum_interval="00:00:01",
        maximum_interval="00:01:00",
    )
    app.function_name("views_projector")(trigger(retry(views_projector)))


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
