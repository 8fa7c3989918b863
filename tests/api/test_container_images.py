"""Container images of builds: pushed by a worker, judged by scans, and kept from where they must not be."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.domain.images.oci import blob_path
from shared.ports.registry import Registry
from tests.support.api import Api, an_api
from tests.support.builds import (
    CI,
    a_build,
    a_layout,
    a_tarball,
    digest_of,
    image_digest,
    trivy,
    upload,
)

REPOSITORY = "shop/orders"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = an_api(tmp_path)
    yield made
    await made.app.aclose()


def registry(api: Api) -> Registry:
    return api.app.registries["embedded"]


async def request(api: Api, build: dict[str, Any], status: int = 201, **changes: Any) -> Any:
    body = {
        "buildResultId": build["buildResultId"],
        "repository": REPOSITORY,
        "tag": "1.4.0",
        "artifactRef": "art-image",
        **changes,
    }
    return await api.expect(status, "POST", "/container-images", body, token=CI)


async def pushed(api: Api, layout: dict[str, bytes] | None = None, **report: Any) -> dict[str, Any]:
    """An image that is in the embedded registry and waits for its scan."""
    await upload(api, "art-image", a_tarball(layout or a_layout()))
    build = await a_build(api, **report)
    image = await request(api, build)
    await api.drain()
    return dict(await api.expect(200, "GET", f"/container-images/{image['containerImageId']}"))


async def scan(api: Api, image: dict[str, Any], report: dict[str, Any], status: int = 200) -> Any:
    path = f"/container-images/{image['containerImageId']}/scan-results"
    return await api.expect(status, "POST", path, {"report": report}, token=CI)


def plan(image: dict[str, Any]) -> dict[str, str]:
    return {
        "projectId": "proj-x",
        "moduleId": "module-x",
        "buildResultId": image["buildResultId"],
        "targetEnvironment": "dev",
    }


BUNDLE = {"kind": "bundle", "ref": "https://files.example.com/a.tar.gz", "digest": digest_of(b"bundle")}


@pytest.mark.parametrize("platforms", [1, 3])
async def test_an_uploaded_layout_is_pushed_whole_and_waits_for_its_scan(api: Api, platforms: int) -> None:
    layout = a_layout(platforms=platforms, name="1.4.0")
    image = await pushed(api, layout)
    assert (image["status"], image["scanStatus"]) == ("Scanning", "Scanning")
    assert image["digest"] == image_digest(layout)
    assert image["reference"] == f"{REPOSITORY}@{image['digest']}"
    assert await registry(api).tags("acme", REPOSITORY) == ["1.4.0"]
    found = await registry(api).find_manifest("acme", REPOSITORY, "1.4.0")
    assert found is not None
    assert (found.digest, found.media_type) == (image["digest"], image["mediaType"])
    for path, content in layout.items():
        if path.startswith("blobs/"):
            assert await registry(api).read_blob("acme", REPOSITORY, digest_of(content)) == content
    assert "ContainerImagePushed" in api.handled


async def test_the_same_digest_again_is_the_same_image(api: Api) -> None:
    await upload(api, "art-image", a_tarball(a_layout()))
    build = await a_build(api)
    first = await request(api, build)
    assert first["status"] == "Pending"
    assert await request(api, build) == first
    await api.drain()
    again = await request(api, build)
    assert (again["containerImageId"], again["status"]) == (first["containerImageId"], "Scanning")
    other = await request(api, build, tag="latest")
    assert other["containerImageId"] != first["containerImageId"]
    await api.drain()
    assert await registry(api).tags("acme", REPOSITORY) == ["1.4.0", "latest"]


async def test_a_tag_moves_and_every_record_keeps_its_digest(api: Api) -> None:
    await upload(api, "art-image", a_tarball(a_layout("one")))
    await upload(api, "art-other", a_tarball(a_layout("two")))
    build = await a_build(api)
    first = await request(api, build)
    await api.drain()
    second = await request(api, build, artifactRef="art-other")
    await api.drain()
    assert first["digest"] != second["digest"]
    held = await api.expect(200, "GET", f"/container-images/{first['containerImageId']}")
    assert held["digest"] == first["digest"]
    found = await registry(api).find_manifest("acme", REPOSITORY, "1.4.0")
    assert found is not None
    assert found.digest == second["digest"]


async def test_what_is_in_its_registry_is_recorded_by_digest(api: Api) -> None:
    image = await pushed(api)
    build = await a_build(api, buildNumber="4711.2")
    known = await request(api, build, artifactRef=None, digest=image["digest"])
    unknown = await request(api, build, artifactRef=None, digest=digest_of(b"nothing"))
    await api.drain()
    known = await api.expect(200, "GET", f"/container-images/{known['containerImageId']}")
    unknown = await api.expect(200, "GET", f"/container-images/{unknown['containerImageId']}")
    assert (known["status"], known["mediaType"]) == ("Scanning", image["mediaType"])
    assert unknown["status"] == "Failed"
    assert "push it first" in unknown["reason"]


async def test_an_image_that_failed_is_tried_again_when_asked_again(api: Api) -> None:
    layout = a_layout()
    build = await a_build(api)
    digest = image_digest(layout)
    failed = await request(api, build, artifactRef=None, digest=digest)
    await api.drain()
    await upload(api, "art-image", a_tarball(layout))
    other = await a_build(api, buildNumber="4711.2")
    await request(api, other)
    await api.drain()
    again = await request(api, build, artifactRef=None, digest=digest)
    assert (again["containerImageId"], again["status"]) == (failed["containerImageId"], "Pending")
    await api.drain()
    assert (await api.expect(200, "GET", f"/container-images/{again['containerImageId']}"))[
        "status"
    ] == "Scanning"


@pytest.mark.parametrize(
    ("severities", "status"),
    [
        ((), "Clean"),
        (("HIGH", "HIGH", "LOW"), "Clean"),
        (("CRITICAL",), "Quarantined"),
        (("LOW", "CRITICAL", "CRITICAL"), "Quarantined"),
    ],
)
async def test_a_report_clears_the_image_or_quarantines_it(
    api: Api, severities: tuple[str, ...], status: str
) -> None:
    image = await pushed(api)
    judged = await scan(api, image, trivy(*severities, digest=image["digest"]))
    assert judged["status"] == judged["scanStatus"] == status
    assert judged["scan"]["findings"]["critical"] == severities.count("CRITICAL")
    assert await scan(api, image, trivy(*severities, digest=image["digest"])) == judged
    await api.drain()
    assert api.handled.count("ContainerImageScanned") == 1


async def test_the_report_that_the_build_brought_is_taken_without_being_asked_for(api: Api) -> None:
    report = b'{"SchemaVersion": 2, "Results": [{"Vulnerabilities": [{"Severity": "CRITICAL"}]}]}'
    path = f"artifacts/sha256/{digest_of(report)[7:]}"
    await api.app.blobs.put("acme", path, report)
    artifacts = [{"name": "trivy.json", "kind": "scan-report", "ref": path, "digest": digest_of(report)}]
    image = await pushed(api, artifacts=artifacts)
    assert (image["status"], image["scan"]["scanner"]) == ("Quarantined", "Trivy")
    assert image["reason"] == "The scan found 1 critical (0 allowed)."


async def test_a_report_of_the_build_that_says_nothing_leaves_the_image_waiting(api: Api) -> None:
    path = f"artifacts/sha256/{digest_of(b'[]')[7:]}"
    await api.app.blobs.put("acme", path, b"[]")
    artifacts = [{"name": "trivy.json", "kind": "scan-report", "ref": path, "digest": digest_of(b"[]")}]
    image = await pushed(api, artifacts=artifacts)
    assert image["status"] == "Scanning"
    assert "must be SARIF" in image["reason"]


async def test_a_report_of_another_image_or_of_no_form_is_refused(api: Api) -> None:
    image = await pushed(api)
    other = await scan(api, image, trivy(digest=digest_of(b"other")), 422)
    assert other["code"] == "digest_mismatch"
    assert (await scan(api, image, {"hello": 1}, 400))["code"] == "bad_scan_report"


async def test_an_image_that_is_not_pushed_cannot_be_judged(api: Api) -> None:
    await upload(api, "art-image", a_tarball(a_layout()))
    image = await request(api, await a_build(api))
    assert (await scan(api, image, trivy(), 409))["code"] == "illegal_transition"


async def test_a_quarantined_image_is_in_no_release_until_it_is_let_out_for_a_reason(api: Api) -> None:
    image = await pushed(api, artifacts=[BUNDLE])
    await scan(api, image, trivy("CRITICAL"))
    refused = await api.expect(422, "POST", "/releases", plan(image))
    assert refused["code"] == "image_quarantined"
    assert "1 critical" in refused["detail"]
    path = f"/container-images/{image['containerImageId']}/release-quarantine"
    await api.expect(403, "POST", path, {"reason": "because"}, token=CI)
    await api.expect(400, "POST", path, {"reason": "  "}, token="acme/user+bob/approver")
    free = await api.expect(200, "POST", path, {"reason": "never run"}, token="acme/user+bob/approver")
    assert (free["status"], free["scanStatus"]) == ("Clean", "Released")
    assert (free["quarantineRelease"]["by"], free["quarantineRelease"]["reason"]) == ("user:bob", "never run")
    await api.expect(201, "POST", "/releases", plan(image))
    await api.expect(409, "POST", path, {"reason": "again"})


async def test_what_was_accepted_stays_accepted_and_anything_worse_does_not(api: Api) -> None:
    image = await pushed(api)
    await scan(api, image, trivy("CRITICAL", "LOW"))
    path = f"/container-images/{image['containerImageId']}/release-quarantine"
    await api.expect(200, "POST", path, {"reason": "never run"})
    assert (await scan(api, image, trivy("CRITICAL")))["status"] == "Clean"
    assert (await scan(api, image, trivy("CRITICAL", "CRITICAL")))["status"] == "Quarantined"


async def test_a_promotion_waits_for_the_scan_and_goes_on_with_it(api: Api) -> None:
    image = await pushed(api, artifacts=[BUNDLE])
    planned = await api.expect(201, "POST", "/releases", plan(image))
    await api.drain()
    promotion = await api.expect(200, "GET", f"/promotions/{planned['promotionId']}")
    assert promotion["status"] == "Planned", promotion
    await scan(api, image, trivy())
    await api.drain()
    promotion = await api.expect(200, "GET", f"/promotions/{planned['promotionId']}")
    assert promotion["status"] != "Planned", promotion


async def test_a_promotion_ends_when_a_later_scan_quarantines_its_image(api: Api) -> None:
    image = await pushed(api, artifacts=[BUNDLE])
    planned = await api.expect(201, "POST", "/releases", {**plan(image), "targetEnvironment": "staging"})
    await scan(api, image, trivy("CRITICAL"))
    await api.drain()
    promotion = await api.expect(200, "GET", f"/promotions/{planned['promotionId']}")
    assert promotion["status"] == "Rejected", promotion
    assert "quarantine" in promotion["cause"], promotion


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"artifactRef": "art-none"}, 400, "invalid_request"),
        ({"artifactRef": None}, 400, "invalid_request"),
        ({"artifactRef": digest_of(b"x")}, 400, "invalid_request"),
        ({"digest": digest_of(b"x")}, 422, "digest_mismatch"),
        ({"registry": "nowhere"}, 422, "unknown_registry"),
        ({"repository": "../up"}, 400, "invalid_request"),
        ({"tag": "a b"}, 400, "invalid_request"),
        ({"digest": "sha256:short"}, 400, "invalid_request"),
    ],
    ids=str,
)
async def test_a_request_that_names_no_image_is_refused(
    api: Api, changes: dict[str, Any], status: int, code: str
) -> None:
    await upload(api, "art-image", a_tarball(a_layout()))
    refused = await request(api, await a_build(api), status, **changes)
    assert refused["code"] == code


@pytest.mark.parametrize("spoil", ["no index", "two images", "no manifest"])
async def test_an_archive_that_is_no_layout_is_refused(api: Api, spoil: str) -> None:
    layout = a_layout()
    if spoil == "no index":
        del layout["index.json"]
    elif spoil == "two images":
        both = a_layout(platforms=2)
        layout |= both | {"index.json": both[blob_path(image_digest(both))]}
    else:
        layout["index.json"] = b'{"manifests": []}'
    await upload(api, "art-image", a_tarball(layout))
    refused = await request(api, await a_build(api), 400)
    assert refused["code"] == "bad_image_layout"


@pytest.mark.parametrize("spoil", ["missing", "other content"])
async def test_a_layout_that_lacks_a_layer_fails_and_says_so(api: Api, spoil: str) -> None:
    layout = a_layout()
    layer = next(path for path, content in layout.items() if content[:2] == b"\x1f\x8b")
    if spoil == "missing":
        del layout[layer]
    else:
        layout[layer] = b"evil"
    image = await pushed(api, layout)
    assert image["status"] == "Failed"
    assert layer.rpartition("/")[2] in image["reason"]
    assert await registry(api).tags("acme", REPOSITORY) == []


async def test_images_are_listed_by_what_they_show(api: Api) -> None:
    image = await pushed(api)
    for query in ("", "?status=Scanning", f"?digest={image['digest']}", f"?repository={REPOSITORY}"):
        listed = await api.expect(200, "GET", f"/container-images{query}")
        assert [each["containerImageId"] for each in listed["items"]] == [image["containerImageId"]], query
    assert (await api.expect(200, "GET", "/container-images?status=Clean"))["items"] == []
    theirs = await api.expect(200, "GET", "/container-images", token="rival/user+eve/admin")
    assert theirs["items"] == []
