"""Reported builds, container images and packages: what precedes each, and what is tried."""

from typing import Any

from tests.faults.crash_points.operations import Operation, Request
from tests.faults.crash_points.scenarios import scenario
from tests.faults.crash_points.stage import Stage
from tests.support.api import Api
from tests.support.builds import a_layout, a_tarball, trivy, upload
from tests.support.packages import FORM, a_document, a_form, a_nuget_package, a_wheel, an_npm_package

BUILD_SERVER = "acme/service+ci/service-account"
WORSE = {"report": trivy("CRITICAL")}


def a_report(stage: Stage) -> dict[str, Any]:
    return {
        "pipelineId": stage.world.ids["pipelineId"],
        "commitSha": "b" * 40,
        "branch": "main",
        "buildNumber": "4711.1",
        "moduleId": "module-x",
        "status": "Succeeded",
        "artifacts": [
            {"kind": "bundle", "ref": "https://files.example.com/a", "digest": f"sha256:{'a' * 64}"}
        ],
    }


async def an_image(stage: Stage, **more: str) -> Request:
    """Of a reported build, which nothing has been planned of yet."""
    api = Api(stage.installation.app)
    await upload(api, "art-other-image", a_tarball(a_layout("other")), BUILD_SERVER)
    build = await stage.post("/build-results", a_report(stage), BUILD_SERVER)
    body = {"repository": "shop/orders", "tag": "2", "artifactRef": "art-other-image", **more}
    return Request(
        "POST", "/container-images", {**body, "buildResultId": build["buildResultId"]}, BUILD_SERVER
    )


async def requested(stage: Stage, **more: str) -> str:
    wanted = await an_image(stage, **more)
    image = await stage.post(wanted.path, wanted.body, BUILD_SERVER)
    return f"/container-images/{image['containerImageId']}"


async def planned(stage: Stage, image: str) -> None:
    """A release of the image's build, on its way into dev."""
    seen = await Api(stage.installation.app).expect(200, "GET", image)
    home = {"projectId": "proj-x", "moduleId": "module-x", "targetEnvironment": "staging"}
    await stage.post("/releases", {**home, "buildResultId": seen["buildResultId"]})
    await stage.drain()


async def a_package(stage: Stage) -> Request:
    await upload(Api(stage.installation.app), "art-other", an_npm_package("other"), BUILD_SERVER)
    body = {
        "buildResultId": stage.world.ids["buildResultId"],
        "packageType": "npm",
        "packageId": "other",
        "version": "1.0.0",
        "feed": "main",
        "artifactRef": "art-other",
    }
    return Request("POST", "/packages", body, BUILD_SERVER)


@scenario("POST /build-results")
async def _(stage: Stage) -> Operation:
    return Request("POST", "/build-results", a_report(stage), BUILD_SERVER)


@scenario("POST /container-images")
async def _(stage: Stage) -> Operation:
    return await an_image(stage)


@scenario("POST /container-images/{containerImageId}/scan-results")
async def _(stage: Stage) -> Operation:
    image = await requested(stage)
    await stage.drain()
    return Request("POST", f"{image}/scan-results", WORSE, BUILD_SERVER)


@scenario("POST /container-images/{containerImageId}/release-quarantine")
async def _(stage: Stage) -> Operation:
    image = await requested(stage)
    await stage.drain()
    await stage.post(f"{image}/scan-results", WORSE, BUILD_SERVER)
    await stage.drain()
    return Request("POST", f"{image}/release-quarantine", {"reason": "never run"})


@scenario("POST /packages")
async def _(stage: Stage) -> Operation:
    return await a_package(stage)


@scenario("POST /packages/{publicationId}/unlist")
async def _(stage: Stage) -> Operation:
    return Request("POST", stage.path("/packages/{publicationId}/unlist"), {"reason": "Loses orders"})


@scenario("PUT /feeds/{feed}/npm/{package}")
async def _(stage: Stage) -> Operation:
    return Request("PUT", "/feeds/main/npm/orders", a_document(an_npm_package("orders")), BUILD_SERVER)


@scenario("PUT /feeds/{feed}/npm/{npmScope}/{package}")
async def _(stage: Stage) -> Operation:
    document = a_document(an_npm_package(version="1.1.0"), "1.1.0", name="@shop/orders")
    return Request("PUT", "/feeds/main/npm/@shop/orders", document, BUILD_SERVER)


@scenario("PUT /feeds/{feed}/generic/{package}/{version}/{file}")
async def _(stage: Stage) -> Operation:
    return Request("PUT", "/feeds/main/generic/tool/1/tool.bin", b"bytes", BUILD_SERVER)


@scenario("POST /feeds/{feed}/pypi/legacy")
async def _(stage: Stage) -> Operation:
    content = ("shop_orders-1.0-py3-none-any.whl", a_wheel())
    form = a_form({":action": "file_upload", "name": "shop-orders", "version": "1.0", "content": content})
    return Request("POST", "/feeds/main/pypi/legacy", form, BUILD_SERVER, FORM)


@scenario("PUT /feeds/{feed}/nuget/v3/package")
async def _(stage: Stage) -> Operation:
    form = a_form({"package": ("package.nupkg", a_nuget_package())})
    return Request("PUT", "/feeds/main/nuget/v3/package", form, BUILD_SERVER, FORM)


@scenario("DELETE /feeds/{feed}/nuget/v3/package/{package}/{version}")
async def _(stage: Stage) -> Operation:
    form = a_form({"package": ("package.nupkg", a_nuget_package())})
    api = Api(stage.installation.app)
    await api.expect(201, "PUT", "/feeds/main/nuget/v3/package", form, token=BUILD_SERVER, content_type=FORM)
    return Request("DELETE", "/feeds/main/nuget/v3/package/Shop.Orders/1.0.0", caller=BUILD_SERVER)


@scenario("PushContainerImage")
async def _(stage: Stage) -> Operation:
    await requested(stage)
    return await stage.delivery("PushContainerImage")


@scenario("PushContainerImageAgain", "after three processes have died of it")
async def _(stage: Stage) -> Operation:
    await requested(stage)
    return await stage.delivery_after_loss("PushContainerImageAgain")


@scenario("ContainerImagePushed")
async def _(stage: Stage) -> Operation:
    await requested(stage)
    return await stage.delivery("ContainerImagePushed")


@scenario("ContainerImageScanned", "with what ends a promotion")
async def _(stage: Stage) -> Operation:
    image = await requested(stage)
    await stage.drain()
    await planned(stage, image)
    await stage.post(f"{image}/scan-results", WORSE, BUILD_SERVER)
    return await stage.delivery("ContainerImageScanned")


@scenario("PublishPackage")
async def _(stage: Stage) -> Operation:
    wanted = await a_package(stage)
    await stage.post(wanted.path, wanted.body, BUILD_SERVER)
    return await stage.delivery("PublishPackage")


@scenario("PublishPackageAgain", "after three processes have died of it")
async def _(stage: Stage) -> Operation:
    wanted = await a_package(stage)
    await stage.post(wanted.path, wanted.body, BUILD_SERVER)
    return await stage.delivery_after_loss("PublishPackageAgain")
