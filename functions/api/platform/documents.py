"""The API documents: every surface as OpenAPI, and a page to read and try it.

What makes them is imported by the first who asks for one.
"""

from functions.api.platform.surface import VERSION, platform
from functions.http.dialects import JSON
from functions.http.endpoint import Call, Raw
from functions.routes import declared
from shared.domain.kernel.errors import NotFound
from shared.domain.kernel.policy import PUBLIC


@platform.get("/openapi/{document}", scope=PUBLIC)
async def openapi(call: Call, document: str) -> Raw:
    """Describe one surface as OpenAPI 3.1; the document is called after it, as in `devops.json`."""
    # The whole segment is the parameter: hosts do not agree on what `{surface}.json` matches.
    surfaces = declared()
    surface = surfaces.get(document.removesuffix(".json")) if document.endswith(".json") else None
    if surface is None:
        known = ", ".join(f"{name}.json" for name in sorted(surfaces))
        raise NotFound(f"There is no such document; there are {known}.")
    from functions.http.openapi import document_of  # noqa: PLC0415

    return Raw(document_of(surface, VERSION), JSON, {})


@platform.get("/docs", scope=PUBLIC)
async def docs(call: Call) -> Raw:
    """Show a page to read about every surface, and to try it."""
    from functions.http.docs import page  # noqa: PLC0415

    return page()


@platform.get("/docs/{asset}", scope=PUBLIC)
async def docs_asset(call: Call, asset: str) -> Raw:
    """Deliver a file of the page."""
    from functions.http.docs import file  # noqa: PLC0415

    return file(asset, declared().values())
