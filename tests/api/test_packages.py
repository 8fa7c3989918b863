"""Packages of builds: published once, never changed, and fetched by the tools that people use."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from aiohttp import ClientSession, encode_basic_auth, web

from functions.http.serve import serve
from tests.support.api import Api, an_api, find_endpoint
from tests.support.builds import CI, a_build, a_tarball, upload
from tests.support.packages import a_nuget_package, a_wheel, an_npm_package

WHEEL = "shop_orders-1.0-py3-none-any.whl"


def basic(token: str) -> dict[str, str]:
    """As a package manager sends it."""
    return {"Authorization": encode_basic_auth("anybody", token)}


BASIC = basic("acme/user+ann/viewer")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = an_api(tmp_path / "data")
    yield made
    await made.app.aclose()


@pytest.fixture
async def url(api: Api) -> AsyncIterator[str]:
    """The feeds on a port, served by the same functions."""

    async def answer(request: web.Request) -> web.Response:
        raw = request.rel_url.raw_path.rstrip("/")
        endpoint, route = find_endpoint(request.method, raw)
        call = func.HttpRequest(
            method=request.method,
            url=str(request.url),
            headers={name.lower(): value for name, value in request.headers.items()},
            route_params=route,
            body=await request.read(),
        )
        answered = await serve(endpoint, lambda: api.app, call)
        headers = dict(answered.headers) | {"Content-Type": answered.mimetype}
        return web.Response(body=answered.get_body(), status=answered.status_code, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    object.__setattr__(api.app.settings, "port", port)
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def publish(
    api: Api, kind: str, package_id: str, version: str, content: bytes, status: int = 201, /, **changes: Any
) -> Any:
    name = changes.pop("artifact", "art-package")
    await upload(api, name, content)
    build = changes.pop("build", None) or await a_build(api)
    body = {
        "buildResultId": build["buildResultId"],
        "packageType": kind,
        "packageId": package_id,
        "version": version,
        "feed": "main",
        "artifactRef": name,
        **changes,
    }
    requested = await api.expect(status, "POST", "/packages", body, token=CI)
    await api.drain()
    if status != 201:
        return requested
    return await api.expect(200, "GET", f"/packages/{requested['publicationId']}")


async def run(*command: str, folder: Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_pip_downloads_what_was_published(api: Api, url: str, tmp_path: Path) -> None:
    made = await publish(api, "PyPI", "Shop.Orders", "1.0", a_wheel(), fileName=WHEEL)
    assert (made["status"], made["name"]) == ("Published", "shop-orders")
    index = f"{url.replace('://', '://anybody:acme%2Fuser+ann%2Fviewer@')}/feeds/main/pypi/simple"
    options = ("--isolated", "--no-cache-dir", "--disable-pip-version-check", "--no-deps")
    code, said = await run(
        *(sys.executable, "-m", "pip", "download", *options, "--index-url", index, "shop-orders"),
        folder=tmp_path,
    )
    assert code == 0, said
    assert (tmp_path / WHEEL).read_bytes() == a_wheel()


async def test_npm_packs_what_was_published(api: Api, url: str, tmp_path: Path) -> None:
    made = await publish(api, "npm", "@shop/orders", "1.0.0", an_npm_package())
    assert (made["status"], made["fileName"]) == ("Published", "orders-1.0.0.tgz"), made
    place = f"{url}/feeds/main/npm/"
    host = place.removeprefix("http:")
    (tmp_path / ".npmrc").write_text(
        f"registry={place}\n{host}:_authToken=acme/user+ann/viewer\n"
        f"{url.removeprefix('http:')}/:_authToken=acme/user+ann/viewer\n"
        f"cache={tmp_path / 'cache'}\nupdate-notifier=false\n"
    )
    code, said = await run("npm", "pack", "@shop/orders@1.0.0", folder=tmp_path)
    assert code == 0, said
    assert (tmp_path / "shop-orders-1.0.0.tgz").read_bytes() == an_npm_package()


async def test_npm_publishes_and_packs_what_it_has_published(api: Api, url: str, tmp_path: Path) -> None:
    place = f"{url}/feeds/main/npm/"
    token = ":_authToken=acme/service+ci/service-account/devops.packages.read~devops.packages.write"
    (tmp_path / ".npmrc").write_text(
        f"registry={place}\n{place.removeprefix('http:')}{token}\n{url.removeprefix('http:')}/{token}\n"
        f"cache={tmp_path / 'cache'}\nupdate-notifier=false\n"
    )
    (tmp_path / "orders.tgz").write_bytes(an_npm_package())
    for wanted in (0, 1):  # npm itself refuses to publish a version that is there
        code, said = await run("npm", "publish", "orders.tgz", "--tag", "next", folder=tmp_path)
        assert code == wanted, said
    code, said = await run("npm", "pack", "@shop/orders@next", folder=tmp_path)
    assert code == 0, said
    assert (tmp_path / "shop-orders-1.0.0.tgz").read_bytes() == an_npm_package()


async def test_nuget_restores_from_the_flat_container(api: Api, url: str) -> None:
    made = await publish(api, "NuGet", "Shop.Orders", "1.0", a_nuget_package())
    assert (made["status"], made["normalizedVersion"]) == ("Published", "1.0.0"), made
    async with ClientSession(headers=BASIC) as session:
        async with session.get(f"{url}/feeds/main/nuget/v3/index.json") as answer:
            resources = (await answer.json())["resources"]
        flat = next(each["@id"] for each in resources if each["@type"] == "PackageBaseAddress/3.0.0")
        async with session.get(f"{flat}shop.orders/index.json") as answer:
            assert await answer.json() == {"versions": ["1.0.0"]}
        async with session.get(f"{flat}shop.orders/1.0.0/shop.orders.1.0.0.nupkg") as answer:
            assert await answer.read() == a_nuget_package()
        async with session.get(f"{flat}shop.orders/1.0.0/shop.orders.nuspec") as answer:
            assert b"<id>Shop.Orders</id>" in await answer.read()


async def test_a_generic_package_is_what_it_is(api: Api, url: str) -> None:
    content = a_tarball({"tool": b"#!/bin/sh\n"})
    await publish(api, "Generic", "tool", "2026.11", content, fileName="tool.tar.gz")
    async with (
        ClientSession(headers=BASIC) as session,
        session.get(f"{url}/feeds/main/generic/tool/2026.11") as answer,
    ):
        assert await answer.read() == content
        assert answer.headers["Content-Disposition"] == 'attachment; filename="tool.tar.gz"'


async def test_the_feed_asks_for_a_token_and_shows_nobody_anothers_packages(api: Api, url: str) -> None:
    await publish(api, "PyPI", "shop-orders", "1.0", a_wheel(), fileName=WHEEL)
    place = f"{url}/feeds/main/pypi/simple/shop-orders/"
    async with ClientSession() as session:
        async with session.get(place) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].endswith('Basic realm="slipway"')
        async with session.get(place, headers=basic("rival/user+eve/admin")) as answer:
            assert answer.status == 404
        async with session.get(place, headers=basic("acme/user+ann/nobody")) as answer:
            assert answer.status == 403
        async with session.get(place.replace("main", "other"), headers=BASIC) as answer:
            assert answer.status == 404
        async with session.get(place, headers={"Authorization": "Bearer acme/user+ann/viewer"}) as answer:
            assert answer.status == 200


async def test_pip_is_told_in_both_forms(api: Api) -> None:
    made = await publish(api, "PyPI", "shop-orders", "1.0", a_wheel(), fileName=WHEEL)
    place = "/feeds/main/pypi/simple/Shop_Orders"
    page = (await api.send("GET", place)).raw.decode()
    assert f"#sha256={made['digest'][7:]}" in page
    assert 'data-requires-python="&gt;=3.8"' in page
    told = await api.send("GET", place, accept="application/vnd.pypi.simple.v1+json")
    (file,) = told.body["files"]
    assert (file["filename"], file["requires-python"]) == (WHEEL, ">=3.8")
    assert file["hashes"] == {"sha256": made["digest"][7:]}


async def test_a_version_never_changes(api: Api) -> None:
    first = await publish(api, "npm", "orders", "1.0.0", an_npm_package("orders"))
    again = await publish(api, "npm", "orders", "1.0.0+build.2", an_npm_package("orders"))
    assert again == first
    other = a_tarball({"package/package.json": b'{"name":"orders","version":"1.0.0"}'})
    refused = await publish(api, "npm", "orders", "1.0.0", other, 409, artifact="art-other")
    assert (refused["code"], refused["digest"]) == ("package_exists", first["digest"])
    assert api.handled.count("PublishPackage") == 1


async def test_content_that_is_another_package_fails_and_may_be_mended(api: Api) -> None:
    wrong = await publish(api, "npm", "orders", "1.0.0", an_npm_package("other"))
    assert wrong["status"] == "Failed"
    assert "package.json says other 1.0.0" in wrong["reason"]
    assert (await api.send("GET", "/feeds/main/npm/orders")).status == 404
    right = await publish(api, "npm", "orders", "1.0.0", an_npm_package("orders"), artifact="art-mended")
    assert (right["publicationId"], right["status"]) == (wrong["publicationId"], "Published")


@pytest.mark.parametrize(
    ("kind", "package_id", "version", "content", "file_name"),
    [
        ("PyPI", "shop-orders", "1.0", a_wheel(told="2.0"), WHEEL),
        ("PyPI", "shop-orders", "1.1", a_wheel(), WHEEL),
        ("PyPI", "shop-orders", "1.0", a_wheel(), "orders.zip"),
        ("PyPI", "shop-orders", "1.0", a_tarball({"a": b"1"}), "shop_orders-1.0.tar.gz"),
        ("NuGet", "Shop.Orders", "2.0.0", a_nuget_package(), None),
        ("NuGet", "Shop.Other", "1.0.0", a_nuget_package(), None),
        ("npm", "orders", "1.0.0", a_tarball({"package/package.json": b"[]"}), None),
        ("npm", "orders", "1.0.0", a_tarball({"package/package.json": b"{"}), None),
    ],
)
async def test_what_is_not_the_package_that_it_is_published_as_fails(
    api: Api, kind: str, package_id: str, version: str, content: bytes, file_name: str | None
) -> None:
    changes = {"fileName": file_name} if file_name else {}
    made = await publish(api, kind, package_id, version, content, **changes)
    assert made["status"] == "Failed"
    assert made["reason"]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"packageId": "Orders"}, 400, "invalid_request"),
        ({"version": "1"}, 400, "invalid_request"),
        ({"feed": "Main Feed"}, 400, "invalid_request"),
        ({"artifactRef": None}, 400, "invalid_request"),
        ({"artifactRef": "art-none"}, 400, "invalid_request"),
        ({"digest": "sha256:" + "0" * 64}, 409, "digest_mismatch"),
        ({"packageType": "Maven"}, 400, "invalid_request"),
    ],
    ids=str,
)
async def test_a_request_that_names_no_package_is_refused(
    api: Api, changes: dict[str, Any], status: int, code: str
) -> None:
    refused = await publish(api, "npm", "orders", "1.0.0", an_npm_package("orders"), status, **changes)
    assert refused["code"] == code


async def test_what_a_failed_build_has_made_is_not_published(api: Api) -> None:
    build = await a_build(api, status="Failed")
    refused = await publish(api, "npm", "orders", "1.0.0", an_npm_package("orders"), 422, build=build)
    assert refused["code"] == "build_not_publishable"


async def test_an_unlisted_version_is_offered_to_nobody_and_still_there(api: Api) -> None:
    old = await publish(api, "npm", "orders", "1.0.0", an_npm_package("orders"))
    new = await publish(api, "npm", "orders", "1.1.0", an_npm_package("orders", "1.1.0"), artifact="art-new")
    path = f"/packages/{new['publicationId']}/unlist"
    unlisted = await api.expect(200, "POST", path, {"reason": "Loses orders"})
    assert (unlisted["status"], unlisted["reason"]) == ("Unlisted", "Loses orders")
    told = (await api.send("GET", "/feeds/main/npm/orders")).body
    assert told["dist-tags"] == {"latest": "1.0.0"}
    assert told["versions"]["1.1.0"]["deprecated"] == "Loses orders"
    assert set(told["versions"]) == {"1.0.0", "1.1.0"}
    await api.expect(409, "POST", path, {"reason": "Twice"})
    assert old["status"] == "Published"


async def test_packages_are_listed_by_what_they_show(api: Api) -> None:
    made = await publish(api, "npm", "orders", "1.0.0", an_npm_package("orders"))
    for query in ("", "?feed=main", "?feed=main&name=orders", "?status=Published", "?packageType=npm"):
        listed = await api.expect(200, "GET", f"/packages{query}")
        assert listed["items"] == [made], query
    assert (await api.expect(200, "GET", "/packages?feed=other"))["items"] == []
    assert (await api.expect(200, "GET", "/packages", token="rival/user+eve/admin"))["items"] == []
