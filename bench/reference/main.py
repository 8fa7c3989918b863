"""The FastAPI application. Path operations are `def`: FastAPI runs them on its threads, one hop a request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, cast

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response

from bench.reference.auth import Caller, requires
from bench.reference.models import ComponentId, ReleaseId, ReleaseIn, ReleaseOut
from bench.reference.schema import metadata, reading_engine, writing_engine
from bench.reference.settings import get_settings
from bench.reference.store import KeyReused, ReleaseStore


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    path = get_settings().database
    writer, reader = writing_engine(path), reading_engine(path)
    metadata.create_all(writer)
    application.state.releases = ReleaseStore(writer, reader)
    yield
    writer.dispose()
    reader.dispose()


app = FastAPI(title="Reference", lifespan=lifespan)


async def get_releases(request: Request) -> ReleaseStore:
    return cast(ReleaseStore, request.app.state.releases)


Releases = Annotated[ReleaseStore, Depends(get_releases)]


@app.post("/components/{component_id}/releases", status_code=201, response_model=ReleaseOut)
def create_release(
    component_id: ComponentId,
    body: ReleaseIn,
    idempotency_key: Annotated[str, Header(max_length=255)],
    caller: Annotated[Caller, Depends(requires("devops.releases.plan"))],
    releases: Releases,
) -> Response:
    """Create the next release of a component."""
    if body.tenant_id not in (None, caller.tenant):
        raise HTTPException(403, "The body names another tenant than the token.")
    try:
        stored = releases.create(caller, component_id.removeprefix("comp-"), body, idempotency_key)
    except KeyReused:
        raise HTTPException(422, "This Idempotency-Key belongs to another request.") from None
    headers = {"Location": stored.location, "ETag": '"1"'}
    if stored.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(stored.body, stored.status, headers, "application/json")


@app.get("/releases/{release_id}")
def get_release(
    release_id: ReleaseId,
    response: Response,
    caller: Annotated[Caller, Depends(requires("devops.releases.read"))],
    releases: Releases,
) -> ReleaseOut:
    """Retrieve a release."""
    found = releases.find(caller, release_id.removeprefix("rel-"))
    if found is None:
        raise HTTPException(404, "There is no such release.")
    response.headers["ETag"] = '"1"'
    return found
