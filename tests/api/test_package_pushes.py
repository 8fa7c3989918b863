"""Packages that clients send themselves, in the protocols of their package managers; and what finds them."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.api import Answer, Api, an_api
from tests.support.builds import a_tarball, digest_of
from tests.support.packages import FORM, a_document, a_form, a_nuget_package, a_wheel, an_npm_package

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHEEL = "shop_orders-1.0-py3-none-any.whl"
SIMPLE = "application/vnd.pypi.simple.v1+json"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One installation; every test has a feed of its own."""
    made = an_api(Path(tmp_path_factory.mktemp("feeds")))
    yield made
    await made.app.aclose()


@pytest.fixture
def feed(request: pytest.FixtureRequest) -> str:
    return "f" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12]


async def twine(api: Api, feed: str, content: bytes, /, **changes: Any) -> Answer:
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "name": "Shop.Orders",
        "version": "1.0",
        "sha256_digest": hashlib.sha256(content).hexdigest(),
        "content": (changes.pop("file", WHEEL), content),
        **changes,
    }
    return await api.send("POST", f"/feeds/{feed}/pypi/legacy", a_form(fields), content_type=FORM)


async def nuget(api: Api, feed: str, content: bytes, **headers: str) -> Answer:
    body = a_form({"package": ("package.nupkg", content)})
    return await api.send("PUT", f"/feeds/{feed}/nuget/v3/package", body, content_type=FORM, **headers)


async def test_a_python_package_is_served_as_of_the_answer_of_its_upload(api: Api, feed: str) -> None:
    sent = await twine(api, feed, a_wheel())
    assert (sent.status, sent.body["name"], sent.body["status"]) == (200, "shop-orders", "Published")
    assert "buildResultId" not in sent.body
    assert "projectId" not in sent.body
    shown = await api.send("GET", f"/feeds/{feed}/pypi/simple/shop-orders", accept=SIMPLE)
    [file] = shown.body["files"]
    assert (file["filename"], file["hashes"]) == (WHEEL, {"sha256": digest_of(a_wheel())[7:]})
    await api.drain()  # the worker that comes after finds it done
    again = await twine(api, feed, a_wheel())
    assert (again.status, again.body["publicationId"]) == (200, sent.body["publicationId"])


async def test_a_python_version_is_several_files_and_each_never_changes(api: Api, feed: str) -> None:
    sdist = a_tarball(
        {"shop_orders-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: shop-orders\nVersion: 1.0\n"}
    )
    assert (await twine(api, feed, a_wheel())).status == 200
    assert (await twine(api, feed, sdist, file="shop_orders-1.0.tar.gz")).status == 200
    other = await twine(api, feed, a_wheel() + b"\0")
    assert (other.status, other.body["code"]) == (409, "package_exists")
    shown = await api.send("GET", f"/feeds/{feed}/pypi/simple/shop-orders", accept=SIMPLE)
    assert {each["filename"] for each in shown.body["files"]} == {WHEEL, "shop_orders-1.0.tar.gz"}


@pytest.mark.parametrize(
    "changes",
    [
        {":action": "doc_upload"},
        {"version": "2.0"},
        {"name": "other"},
        {"sha256_digest": "0" * 64},
        {"blake2_256_digest": "0" * 64},
        {"content": "no file"},
        {"file": "../../shop_orders-1.0.tar.gz"},
        {"file": 'shop_orders-1.0";x.tar.gz'},
    ],
    ids=str,
)
async def test_an_upload_that_is_not_what_it_says_leaves_nothing(
    api: Api, feed: str, changes: dict[str, Any]
) -> None:
    refused = await twine(api, feed, a_wheel(), **changes)
    assert (refused.status, bool(refused.body["detail"])) == (400, True)
    assert (await api.send("GET", f"/feeds/{feed}/pypi/simple", accept=SIMPLE)).body["projects"] == []
    assert (await api.expect(200, "GET", f"/packages?feed={feed}"))["items"] == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b""),
        (FORM, b"------b\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n"),
        (FORM, b"------b\r\nno head\r\n------b--\r\n"),
        (FORM, b"------b\r\nContent-Disposition: form-data\r\n\r\nb\r\n------b--\r\n"),
        (FORM, b'------b\r\nContent-Disposition: form-data; name=":action"\r\n\r\n\xff\r\n------b--\r\n'),
        (
            FORM,
            b"------b\r\n" + b"Content-Disposition: form-data; name=a\r\n\r\nb\r\n------b\r\n" * 201 + b"--",
        ),
    ],
    ids=["no boundary", "cut", "no head", "no name", "no text", "many"],
)
async def test_what_is_no_form_is_refused(api: Api, feed: str, content_type: str, body: bytes) -> None:
    refused = await api.send("POST", f"/feeds/{feed}/pypi/legacy", body, content_type=content_type)
    assert (refused.status, refused.body["code"]) == (400, "invalid_request")


async def test_the_root_of_the_simple_index_names_every_package(api: Api, feed: str) -> None:
    await twine(api, feed, a_wheel())
    place = f"/feeds/{feed}/pypi/simple"
    told = await api.send("GET", place, accept=SIMPLE)
    assert told.body == {"meta": {"api-version": "1.0"}, "projects": [{"name": "shop-orders"}]}
    page = await api.send("GET", place)
    assert f'<a href="{place}/shop-orders/">shop-orders</a>' in page.raw.decode()
    both = await api.send("GET", place, accept=f"{SIMPLE}, text/html;q=0.1")
    assert both.body == told.body
    rival = await api.send("GET", place, accept=SIMPLE, token="rival/user+eve/admin")
    assert rival.body["projects"] == []


async def test_npm_tags_what_it_publishes(api: Api, feed: str) -> None:
    place = f"/feeds/{feed}/npm/orders"
    first, second = an_npm_package("orders"), an_npm_package("orders", "2.0.0-rc.1")
    await api.expect(201, "PUT", place, a_document(first))
    await api.expect(201, "PUT", place, a_document(second, "2.0.0-rc.1", "next"))
    shown = await api.expect(200, "GET", place)
    assert shown["dist-tags"] == {"latest": "1.0.0", "next": "2.0.0-rc.1"}
    assert shown["versions"]["1.0.0"]["dist"]["shasum"] == hashlib.sha1(first).hexdigest()
    await api.expect(201, "PUT", place, a_document(first, tag="next"))
    assert (await api.expect(200, "GET", place))["dist-tags"] == {"latest": "1.0.0", "next": "1.0.0"}


async def test_an_npm_version_never_changes(api: Api, feed: str) -> None:
    place = f"/feeds/{feed}/npm/orders"
    made = await api.expect(201, "PUT", place, a_document(an_npm_package("orders")))
    again = await api.expect(201, "PUT", place, a_document(an_npm_package("orders")))
    assert again["publicationId"] == made["publicationId"]
    other = a_tarball({"package/package.json": b'{"name":"orders","version":"1.0.0"}'})
    refused = await api.expect(409, "PUT", place, a_document(other))
    assert refused["code"] == "package_exists"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"_attachments": {}},
        {"_attachments": {"orders.tgz": {"data": "no base64"}}},
        {"_attachments": {"orders.tgz": {"data": "AAAA", "length": 3}}},
        {"_attachments": {"orders.tgz": {"data": "AAAA"}, "orders.sigstore": {"data": "AAAA"}}},
        {"versions": {}},
        {"versions": {"2.0.0": {"version": "2.0.0"}}},
        {"versions": {"1.0.0": {"version": "1.0.0", "dist": {"shasum": "0" * 40}}}},
        {"dist-tags": {"1.0.0": "1.0.0"}},
    ],
    ids=str,
)
async def test_an_npm_document_that_is_not_its_tarball_is_refused(
    api: Api, feed: str, changes: dict[str, Any]
) -> None:
    document = {**a_document(an_npm_package("orders")), **changes}
    assert (await api.send("PUT", f"/feeds/{feed}/npm/orders", document)).status == 400
    assert (await api.send("GET", f"/feeds/{feed}/npm/orders")).status == 404


async def test_nuget_pushes_with_an_api_key_and_finds_what_it_has_pushed(api: Api, feed: str) -> None:
    key: dict[str, Any] = {"token": None, "x_nuget_apikey": "acme/service+ci/service-account"}
    for version in ("1.10.0", "1.9.0", "2.0.0-rc.1"):
        sent = await nuget(api, feed, a_nuget_package(version=version), **key)
        assert (sent.status, sent.body["status"]) == (201, "Published"), sent.body
    base = f"/feeds/{feed}/nuget/v3"
    found = await api.expect(200, "GET", f"{base}/search?q=orders")
    assert (found["totalHits"], found["data"][0]["id"]) == (1, "Shop.Orders")
    assert [each["version"] for each in found["data"][0]["versions"]] == ["1.9.0", "1.10.0"]
    newest = await api.expect(200, "GET", f"{base}/search?prerelease=true&semVerLevel=2.0.0")
    assert newest["data"][0]["version"] == "2.0.0-rc.1"
    for nothing in ("?q=invoices", "?packageType=DotnetTool", "?skip=1", "?take=0"):
        assert (await api.expect(200, "GET", f"{base}/search{nothing}"))["data"] == []
    assert (await api.expect(200, "GET", f"{base}/autocomplete?q=shop"))["data"] == ["Shop.Orders"]
    versions = await api.expect(200, "GET", f"{base}/autocomplete?id=shop.orders&prerelease=true")
    assert versions["data"] == ["1.9.0", "1.10.0"], "rc.1 is SemVer 2.0, which has to be asked for"


async def test_nuget_registrations_say_what_a_version_depends_on(api: Api, feed: str) -> None:
    needs = (
        '<dependencies><group targetFramework="net8.0"><dependency id="Serilog" version="4.0.0"/></group>'
        "</dependencies>"
    )
    assert (await nuget(api, feed, a_nuget_package(more=needs))).status == 201
    index = await api.expect(200, "GET", f"/feeds/{feed}/nuget/v3/registration/shop.orders/index.json")
    [page] = index["items"]
    assert (page["count"], page["lower"], page["upper"]) == (1, "1.0.0", "1.0.0")
    [leaf] = page["items"]
    [group] = leaf["catalogEntry"]["dependencyGroups"]
    assert group["targetFramework"] == "net8.0"
    assert group["dependencies"] == [{"id": "Serilog", "range": "[4.0.0, )"}]
    assert leaf["catalogEntry"]["authors"] == "a"
    alone = await api.expect(200, "GET", f"/feeds/{feed}/nuget/v3/registration/shop.orders/1.0.0.json")
    assert (alone["packageContent"], alone["listed"]) == (leaf["packageContent"], True)
    await api.expect(404, "GET", f"/feeds/{feed}/nuget/v3/registration/shop.orders/2.0.0.json")


async def test_deleting_a_nuget_version_unlists_it(api: Api, feed: str) -> None:
    await nuget(api, feed, a_nuget_package())
    base = f"/feeds/{feed}/nuget/v3"
    await api.expect(204, "DELETE", f"{base}/package/Shop.Orders/1.0")
    assert (await api.expect(200, "GET", f"{base}/search"))["data"] == []
    assert (await api.expect(200, "GET", f"{base}/flat/shop.orders/index.json"))["versions"] == ["1.0.0"]
    index = await api.expect(200, "GET", f"{base}/registration/shop.orders/index.json")
    assert index["items"][0]["items"][0]["catalogEntry"]["listed"] is False
    await api.expect(404, "DELETE", f"{base}/package/Shop.Orders/3.0")


@pytest.mark.parametrize("content", [a_tarball({"a": b"1"}), b"PK", a_wheel()], ids=["tar", "cut", "wheel"])
async def test_what_is_no_nuget_package_is_refused(api: Api, feed: str, content: bytes) -> None:
    assert (await nuget(api, feed, content)).status == 400


async def test_a_generic_package_is_put_and_fetched(api: Api, feed: str) -> None:
    place = f"/feeds/{feed}/generic/tool/2026.11"
    await api.expect(201, "PUT", f"{place}/tool.bin", b"\0\1")
    assert (await api.send("GET", place)).raw == b"\0\1"
    await api.expect(409, "PUT", f"{place}/tool.bin", b"\0\2")
    await api.expect(400, "PUT", f"{place}/%22tool", b"\0\2")


async def test_who_only_reads_publishes_nothing(api: Api, feed: str) -> None:
    refused = await nuget(api, feed, a_nuget_package(), token="acme/user+ann/viewer")
    assert (refused.status, refused.body["scope"]) == (403, "devops.packages.write")
