"""What `signed_url` of the Blobs port promises, over HTTP: one blob, to read, without a token, until then."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import aiohttp
import pytest
from yarl import URL

from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.signed_blobs import SignedBlobs
from shared.adapters.embedded.system import SystemClock
from shared.ports.blobs import Blobs
from tests.contracts.azure_site import AzureSite

HOUR = timedelta(hours=1)


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: Mapping[str, str]


class Site(Protocol):
    """Blobs, and whatever serves their URLs."""

    @property
    def blobs(self) -> Blobs: ...

    async def ask(self, url: str, method: str = "GET", **headers: str) -> Answer: ...


@dataclass(frozen=True)
class EmbeddedSite:
    blobs: FileBlobs

    async def ask(self, url: str, method: str = "GET", **headers: str) -> Answer:
        parts = urlsplit(url)
        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            raise AssertionError("a read has no body")

        scope = {
            "type": "http",
            "method": method,
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await SignedBlobs(self.blobs)(scope, receive, send)
        said = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], b"".join(message["body"] for message in sent[1:]), said)


@dataclass(frozen=True)
class RemoteSite:
    blobs: Blobs
    session: aiohttp.ClientSession

    async def ask(self, url: str, method: str = "GET", **headers: str) -> Answer:
        # As it was handed out: quoting it again would change what was signed.
        async with self.session.request(method, URL(url, encoded=True), headers=headers) as answer:
            return Answer(answer.status, await answer.read(), answer.headers)


@pytest.fixture
def embedded(tmp_path: Path) -> EmbeddedSite:
    return EmbeddedSite(FileBlobs(tmp_path / "blobs", base_url="http://127.0.0.1:7071", clock=SystemClock()))


@pytest.fixture(params=["embedded", "azure"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    found = request.getfixturevalue(request.param)
    if isinstance(found, AzureSite):
        async with found.blobs(SystemClock()) as blobs, aiohttp.ClientSession() as session:
            yield RemoteSite(blobs, session)
    else:
        yield found


@pytest.mark.parametrize("tenant", ["acme", "a/b", "ü?#"])
@pytest.mark.parametrize("path", ["logs/step 1.log", "a%2Fb", "日本/x.json", "q?a=b&c#d", "dots...", "a+b"])
async def test_a_url_reads_its_blob(site: Site, tenant: str, path: str) -> None:
    await site.blobs.put(tenant, path, b"content")
    answer = await site.ask(await site.blobs.signed_url(tenant, path, expires_in=HOUR))
    assert (answer.status, answer.body) == (200, b"content")


async def test_a_url_reads_what_is_there_when_it_is_used(site: Site) -> None:
    url = await site.blobs.signed_url("acme", "log", expires_in=HOUR)
    assert (await site.ask(url)).status == 404
    await site.blobs.append("acme", "log", b"one\n")
    await site.blobs.append("acme", "log", b"two\n")
    assert (await site.ask(url)).body == b"one\ntwo\n"
    assert (await site.ask(url, range="bytes=4-")).body == b"two\n"


async def test_a_url_ends(site: Site) -> None:
    await site.blobs.put("acme", "p", b"content")
    ended = await site.blobs.signed_url("acme", "p", expires_in=timedelta(seconds=-1))
    assert (await site.ask(ended)).status == 403


@pytest.mark.parametrize(
    "bend",
    [
        lambda url: url.replace("/acme/", "/other/"),
        lambda url: url.replace("/p?", "/q?"),
        lambda url: url[:-1] + ("A" if url[-1] != "A" else "B") + "A",
        lambda url: url.replace("sig=", "sig=AA"),
        lambda url: url.replace("expires=1", "expires=2").replace("se=2", "se=3"),
        lambda url: url.replace("sp=r", "sp=rw").replace("expires=", "expires=9"),
    ],
    ids=["tenant", "path", "longer", "signature", "expiry", "right"],
)
async def test_a_bent_url_reads_nothing(site: Site, bend: Callable[[str], str]) -> None:
    for tenant, path in (("acme", "p"), ("acme", "q"), ("other", "p")):
        await site.blobs.put(tenant, path, b"content")
    url = await site.blobs.signed_url("acme", "p", expires_in=HOUR)
    assert (await site.ask(url)).status == 200
    answer = await site.ask(bend(url))
    assert answer.status == 403
    assert b"content" not in answer.body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_a_url_writes_nothing(site: Site, method: str) -> None:
    await site.blobs.put("acme", "p", b"content")
    url = await site.blobs.signed_url("acme", "p", expires_in=HOUR)
    assert (await site.ask(url, method, **{"x-ms-blob-type": "BlockBlob"})).status in {400, 403, 405}
    assert await site.blobs.read("acme", "p") == b"content"


async def test_a_url_shows_text_and_hands_over_the_rest(site: Site) -> None:
    """A page among the blobs must not run in the browser of whoever follows the link."""
    for path in ("step.log", "page.html"):
        await site.blobs.put("acme", path, b"<script>")
    log = await site.ask(await site.blobs.signed_url("acme", "step.log", expires_in=HOUR))
    page = await site.ask(await site.blobs.signed_url("acme", "page.html", expires_in=HOUR))
    assert log.headers["content-type"] == "text/plain; charset=utf-8"
    is_file = page.headers.get("content-disposition") == "attachment"
    assert is_file or "sandbox" in page.headers["content-security-policy"]
