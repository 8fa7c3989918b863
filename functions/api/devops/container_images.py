"""Container images over HTTP: requested for a build, judged by scans, let out of quarantine."""

from functions.api.devops.models_packages import (
    ContainerImageId,
    ContainerImageView,
    ReleaseQuarantine,
    ReportScan,
    RequestImage,
)
from functions.api.devops.queries_builds import ContainerImagesQuery
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.images.model import ContainerImage
from shared.domain.kernel.canonical import canonical_json
from shared.services.unit import Page

READ = "devops.images.read"


@devops.post(
    "/container-images",
    scope="devops.images.write",
    returns=ContainerImageView,
    status=201,
    location="/container-images/{id}",
    examples={
        "tenantId": "connectsoft",
        "buildResultId": "build-7711",
        "repository": "booking-saas/reservations-api",
        "tag": "1.4.0",
        "artifactRef": "art-reservations-api-image",
    },
)
async def request_container_image(call: Call, body: RequestImage) -> ContainerImage:
    """Push the image of a build, or record one that is in its registry."""
    return await call.app.container_images.request(call.actor, body.draft(), call.once)


@devops.get("/container-images", scope=READ, returns=ContainerImageView)
async def list_container_images(call: Call, query: ContainerImagesQuery) -> Page[ContainerImage]:
    """List container images, newest first."""
    return await call.app.container_images.list(call.actor, query.wanted())


@devops.get("/container-images/{containerImageId}", scope=READ, returns=ContainerImageView)
async def get_container_image(call: Call, container_image_id: ContainerImageId) -> ContainerImage:
    """Retrieve a container image with its latest scan."""
    return await call.app.container_images.get(call.actor, container_image_id)


@devops.post(
    "/container-images/{containerImageId}/scan-results",
    scope="devops.images.scan",
    returns=ContainerImageView,
    examples={
        "tenantId": "connectsoft",
        "report": {
            "SchemaVersion": 2,
            "ArtifactName": "reservations-api:1.4.0",
            "Results": [{"Vulnerabilities": [{"VulnerabilityID": "CVE-2026-1", "Severity": "LOW"}]}],
        },
    },
)
async def report_image_scan(
    call: Call, container_image_id: ContainerImageId, body: ReportScan
) -> ContainerImage:
    """Hand in a scan report, which clears the image or quarantines it."""
    content = canonical_json(body.report)
    return await call.app.container_images.take_report(call.actor, container_image_id, content, call.once)


@devops.post(
    "/container-images/{containerImageId}/release-quarantine",
    scope="devops.images.release",
    returns=ContainerImageView,
    examples={"tenantId": "connectsoft", "reason": "CVE-2026-1 is in a tool that the service never runs"},
)
async def release_quarantined_image(
    call: Call, container_image_id: ContainerImageId, body: ReleaseQuarantine
) -> ContainerImage:
    """Let an image out of quarantine, for a reason that is kept."""
    return await call.app.container_images.release(call.actor, container_image_id, body.reason, call.once)
