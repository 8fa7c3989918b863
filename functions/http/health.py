"""The platform's own endpoints: is it up, can it serve, and what does it offer. All of them are public.

What only the documents need is imported by the first who asks for them, so that a cold start does without.
"""

from typing import Literal

from functions.http.dialects import JSON, PLATFORM
from functions.http.endpoint import Call, Raw
from functions.http.fields import View
from functions.http.surface import SURFACES, Surface
from shared.domain.kernel.errors import NotFound
from shared.domain.kernel.policy import PUBLIC

VERSION = "0.1.0"

platform = Surface("platform", title="Platform", dialect=PLATFORM)


class HealthView(View):
    status: Literal["healthy", "ready"]
    version: str


HEALTHY = HealthView(status="healthy", version=VERSION)
READY = HealthView(status="ready", version=VERSION)


@platform.get("/health", scope=PUBLIC, returns=HealthView)
async def health(call: Call) -> HealthView:
    """Say that the process answers."""
    return HEALTHY


@platform.get("/ready", scope=PUBLIC, returns=HealthView)
async def ready(call: Call) -> HealthView:
    """Say whether the store answers, so that a balancer sends work here."""
    await call.app.store.ready()
    return READY


@platform.get("/openapi/{document}", scope=PUBLIC)
async def openapi(call: Call, document: str) -> Raw:
    """Describe one surface as OpenAPI 3.1; the document is called after it, as in `devops.json`."""
    # The whole segment is the parameter: hosts do not agree on what `{surface}.json` matches.
    surface = SURFACES.get(document.removesuffix(".json")) if document.endswith(".json") else None
    if surface is None:
        known = ", ".join(f"{name}.json" for name in sorted(SURFACES))
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

    return file(asset, SURFACES.values())
