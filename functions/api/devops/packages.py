"""Packages over HTTP: published out of a build, listed, unlisted. Installers fetch them from `/feeds`."""

from functions.api.devops.models_packages import PackageView, PublicationId, RequestPackage, UnlistPackage
from functions.api.devops.queries_builds import PackagesQuery
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.packages.model import PackagePublication
from shared.services.unit import Page

READ = "devops.packages.read"


@devops.post(
    "/packages",
    scope="devops.packages.write",
    returns=PackageView,
    status=201,
    location="/packages/{id}",
    examples={
        "tenantId": "connectsoft",
        "buildResultId": "build-7711",
        "packageType": "NuGet",
        "packageId": "ConnectSoft.Reservations.Client",
        "version": "1.4.0",
        "feed": "connectsoft-internal",
        "artifactRef": "art-reservations-client",
    },
)
async def publish_package(call: Call, body: RequestPackage) -> PackagePublication:
    """Publish a package that a build has made."""
    return await call.app.packages.request(call.actor, body.draft(), call.once)


@devops.get("/packages", scope=READ, returns=PackageView)
async def list_packages(call: Call, query: PackagesQuery) -> Page[PackagePublication]:
    """List published packages, newest first."""
    return await call.app.packages.list(call.actor, query.wanted())


@devops.get("/packages/{publicationId}", scope=READ, returns=PackageView)
async def get_package(call: Call, publication_id: PublicationId) -> PackagePublication:
    """Retrieve one version of a package."""
    return await call.app.packages.get(call.actor, publication_id)


@devops.post(
    "/packages/{publicationId}/unlist",
    scope="devops.packages.write",
    returns=PackageView,
    examples={"tenantId": "connectsoft", "reason": "Loses reservations; use 1.4.1"},
)
async def unlist_package(
    call: Call, publication_id: PublicationId, body: UnlistPackage
) -> PackagePublication:
    """Offer a version to nobody any more; who depends on exactly it still gets it."""
    return await call.app.packages.unlist(call.actor, publication_id, body.reason, call.once)
