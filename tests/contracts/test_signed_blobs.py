"""Signed blob URLs over HTTP: what they open, when they stop, and what a bent one does not tell."""

import hashlib
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from shared.adapters.blob_paths import content_type
from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.signed_blobs import SignedBlobs
from shared.domain.kernel.errors import Forbidden
from tests.support.app import SteppingClock

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def files(tmp_path: Path, clock: SteppingClock) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs", base_url="http://127.0.0.1:7071/", clock=clock)


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message["body"] for message in messages[1:])
        assert [message.get("more_body", False) for message in messages[1:]][-1] is False


async def _get(
    files: FileBlobs, url: str, method: str = "GET", *, raw_path: bool = True, **headers: str
) -> Answer:
    parts = urlsplit(url)
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError("a GET has no body to read")

    scope = {
        "type": "http",
        "method": method,
        "path": unquote(parts.path),
        "raw_path": parts.path.encode() if raw_path else None,
        "query_string": parts.query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    await SignedBlobs(files)(scope, receive, send)
    return Answer(sent)


@pytest.mark.parametrize("tenant", ["acme", "a/b", "ü?#"])
@pytest.mark.parametrize("path", ["logs/step 1.log", "a%2Fb", "日本/x.json", "q?a=b&c#d"])
async def test_a_signed_url_reads_its_blob(files: FileBlobs, tenant: str, path: str) -> None:
    await files.put(tenant, path, b"content")
    url = await files.signed_url(tenant, path, expires_in=HOUR)
    assert url.startswith("http://127.0.0.1:7071/blobs/")
    answer = await _get(files, url)
    assert (answer.status, answer.body) == (200, b"content")
    assert answer.headers["etag"] == f'"sha256:{hashlib.sha256(b"content").hexdigest()}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_a_signed_url_expires(files: FileBlobs, clock: SteppingClock) -> None:
    await files.put("acme", "p", b"content")
    url = await files.signed_url("acme", "p", expires_in=HOUR)
    clock.advance(minutes=59)
    assert (await _get(files, url)).status == 200
    clock.advance(minutes=1)
    assert (await _get(files, url)).status == 403


@pytest.mark.parametrize(
    "bend",
    [
        lambda url: url.replace("/acme/", "/other/"),
        lambda url: url.replace("/p?", "/q?"),
        lambda url: url.replace("/p?", "/?"),
        lambda url: url.replace("/acme/p?", "?"),
        lambda url: url.replace("/p?", "/../acme/p?"),
        lambda url: url.replace("expires=", "expires=9"),
        lambda url: url.replace("expires=", "expires=0"),
        lambda url: url.replace("expires=", "expires=%2B"),
        lambda url: url + "A",
        lambda url: url + "&sig=A",
        lambda url: url + "&expires=1",
        lambda url: url.partition("&sig=")[0],
        lambda url: url.partition("&sig=")[0] + "&sig=",
        lambda url: url.partition("&sig=")[0] + "&sig=%ff%00",
        lambda url: url.partition("?")[0],
        lambda url: "http://127.0.0.1:7071/blobs/",
    ],
)
async def test_a_bent_url_is_forbidden_alike_for_what_exists_and_what_does_not(
    files: FileBlobs, bend: Callable[[str], str]
) -> None:
    url = bend(await files.signed_url("acme", "p", expires_in=HOUR))
    absent = await _get(files, url)
    await files.put("acme", "p", b"content")
    present = await _get(files, url)
    assert (absent.status, absent.body, absent.headers) == (present.status, present.body, present.headers)
    assert present.status == 403


async def test_a_signature_is_verified_for_exactly_its_blob(files: FileBlobs) -> None:
    query = urlsplit(await files.signed_url("acme", "p", expires_in=HOUR)).query
    expires, signature = (pair.partition("=")[2] for pair in query.split("&"))
    assert files.verify("acme", "p", expires, signature)
    assert not files.verify("acme", "p2", expires, signature)
    assert not files.verify("\ud800", "p", expires, signature)
    assert not files.verify("acme", "p", "9" * 30, signature)
    with pytest.raises(Forbidden):
        files.open_signed("//[/blobs?expires=1&sig=x")


async def test_another_installation_signs_otherwise(
    files: FileBlobs, tmp_path: Path, clock: SteppingClock
) -> None:
    other = FileBlobs(tmp_path / "other", base_url="http://127.0.0.1:7071", clock=clock)
    await files.put("acme", "p", b"content")
    assert (await _get(files, await other.signed_url("acme", "p", expires_in=HOUR))).status == 403
    again = FileBlobs(tmp_path / "blobs", base_url="http://127.0.0.1:7071", clock=clock)
    assert (await _get(files, await again.signed_url("acme", "p", expires_in=HOUR))).status == 200


async def test_a_good_signature_of_a_missing_blob_is_not_found(files: FileBlobs) -> None:
    assert (await _get(files, await files.signed_url("acme", "p", expires_in=HOUR))).status == 404


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=2-", 206, b"23456789", "bytes 2-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=9-99", 206, b"9", "bytes 9-9/10"),
        ("bytes=0-9", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=4-2", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
async def test_one_range_is_served(
    files: FileBlobs, asked: str, status: int, body: bytes | None, content_range: str | None
) -> None:
    await files.put("acme", "digits", b"0123456789")
    url = await files.signed_url("acme", "digits", expires_in=HOUR)
    answer = await _get(files, url, range=asked)
    assert answer.status == status
    assert answer.headers.get("content-range") == content_range
    assert body is None or answer.body == body
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_an_empty_blob_has_no_range(files: FileBlobs) -> None:
    await files.put("acme", "empty", b"")
    url = await files.signed_url("acme", "empty", expires_in=HOUR)
    assert (await _get(files, url)).status == 200
    assert (await _get(files, url, range="bytes=0-")).status == 416


async def test_conditions_compare_the_etag(files: FileBlobs) -> None:
    await files.put("acme", "p", b"0123456789")
    url = await files.signed_url("acme", "p", expires_in=HOUR)
    etag = (await _get(files, url)).headers["etag"]
    assert (await _get(files, url, if_none_match=f'"other", W/{etag}')).status == 304
    assert (await _get(files, url, if_none_match='"other"')).status == 200
    assert (await _get(files, url, range="bytes=0-1", if_range=etag)).status == 206
    assert (await _get(files, url, range="bytes=0-1", if_range='"other"')).status == 200


async def test_a_growing_blob_changes_its_etag(files: FileBlobs) -> None:
    await files.append("acme", "log", b"1")
    url = await files.signed_url("acme", "log", expires_in=HOUR)
    first = (await _get(files, url)).headers["etag"]
    await files.append("acme", "log", b"2")
    assert (await _get(files, url)).headers["etag"] != first


async def test_a_head_has_no_body_and_other_methods_are_refused(files: FileBlobs) -> None:
    await files.put("acme", "p", b"content")
    url = await files.signed_url("acme", "p", expires_in=HOUR)
    head = await _get(files, url, "HEAD", range="bytes=0-1")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "7")
    refused = await _get(files, url, "DELETE")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


async def test_a_big_blob_is_served_in_pieces(files: FileBlobs) -> None:
    data = os.urandom(1_000_000)
    await files.put("acme", "p", data)
    assert (await _get(files, await files.signed_url("acme", "p", expires_in=HOUR))).body == data


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/step.log", "text/plain; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("bundle.tar.gz", "application/gzip"),
        ("bundle.zip", "application/zip"),
        ("x.tar.bz2", "application/octet-stream"),
        ("noend", "application/octet-stream"),
    ],
)
def test_the_content_type_follows_the_suffix(path: str, expected: str) -> None:
    assert content_type(path) == expected


async def test_a_server_without_raw_paths_serves_the_same(files: FileBlobs) -> None:
    await files.put("acme", "日本/a%2Fb c", b"content")
    url = await files.signed_url("acme", "日本/a%2Fb c", expires_in=HOUR)
    assert (await _get(files, url, raw_path=False)).body == b"content"
