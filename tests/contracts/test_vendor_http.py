"""The client that every vendor's adapter calls with: what it repeats, waits for, and never tells."""

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from email.utils import formatdate

import pytest
from aiohttp import web

from shared.adapters.embedded.system import RandomIds
from shared.adapters.vendors.answers import Account, TooLarge, Unclear, Vendor
from shared.adapters.vendors.http import VendorHttp, bearer
from shared.adapters.vendors.throttling import Patience
from shared.domain.kernel.errors import (
    Conflict,
    DeliveryError,
    Forbidden,
    Invalid,
    NotFound,
    Permanent,
    Transient,
)

TOKEN = "ghp_sesameOpen1234567890"
VENDOR = Vendor(
    "Vendor", permission=lambda answer: answer.headers.get("X-Needed", ""), downloads=frozenset({"127.0.0.1"})
)

type Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers with what it was given, in order; the last answer stays."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.answers: list[web.Response | Handle] = []
        self.url = ""

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer if isinstance(answer, web.Response) else await answer(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    served = Server()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await served(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


@pytest.fixture
async def http(server: Server) -> AsyncIterator[VendorHttp]:
    async with aclosing(client(server.url)) as made:
        yield made


def client(url: str, *, max_bytes: int = 10_000, total: float = 2.0) -> VendorHttp:
    patience = Patience(total=total, connect=0.5, answer=0.5)
    return VendorHttp(VENDOR, url, RandomIds(), patience=patience, max_bytes=max_bytes)


def account(token: str = TOKEN) -> Account:
    async def authorize() -> str:
        return bearer(token)

    return Account("tenant-a", authorize, "vendor-token")


def json(body: object = None, status: int = 200, **headers: str) -> web.Response:
    """Made for one answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(body if body is not None else {}, status=status, headers=named)


def always(status: int, **headers: str) -> Handle:
    async def answer(request: web.Request) -> web.StreamResponse:
        return json({"message": "no"}, status, **headers)

    return answer


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_a_call_carries_the_token_and_json(server: Server, http: VendorHttp) -> None:
    server.answers = [json({"ok": True})]
    answer = await http.send(account(), "POST", "/things", body={"name": "x"}, query={"page": 2})
    assert answer.json() == {"ok": True}
    request = server.requests[0]
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["Content-Type"] == "application/json"
    assert request.path_qs == "/things?page=2"


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_read_is_repeated_until_the_vendor_is_back(
    server: Server, http: VendorHttp, status: int
) -> None:
    server.answers = [json(status=status), json(status=status), json({"n": 1})]
    assert (await http.send(account(), "GET", "/x")).json() == {"n": 1}
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_write_that_may_have_happened_is_not_repeated(
    server: Server, http: VendorHttp, status: int
) -> None:
    server.answers = [always(status)]
    with pytest.raises(Unclear):
        await http.send(account(), "POST", "/x", body={})
    assert len(server.requests) == 1


async def test_a_write_whose_answer_was_lost_is_unclear(server: Server, http: VendorHttp) -> None:
    server.answers = [cut]
    with pytest.raises(Unclear):
        await http.send(account(), "POST", "/x", body={})
    assert len(server.requests) == 1


async def test_a_write_that_may_be_repeated_is_repeated(server: Server, http: VendorHttp) -> None:
    server.answers = [cut, json(status=502), json({"n": 1})]
    assert (await http.send(account(), "POST", "/x", body={}, repeatable=True)).json() == {"n": 1}


async def test_a_write_that_was_turned_away_is_repeated(server: Server, http: VendorHttp) -> None:
    server.answers = [json(status=503), json(status=429, Retry_After="0"), json({"n": 1})]
    assert (await http.send(account(), "POST", "/x", body={})).json() == {"n": 1}


async def test_nobody_there_is_transient() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with aclosing(client(f"http://127.0.0.1:{port}", total=0.5)) as http:
        with pytest.raises(Transient, match="cannot be reached"):
            await http.send(account(), "POST", "/x", body={})


async def test_a_slow_answer_is_given_up_on_within_the_patience(server: Server) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return json()

    server.answers = [slow]
    began = time.monotonic()
    async with aclosing(client(server.url, total=0.8)) as http:
        with pytest.raises(Transient, match="no good answer"):
            await http.send(account(), "GET", "/x")
        with pytest.raises(Unclear):
            await http.send(account(), "POST", "/x")
    assert time.monotonic() - began < 3


async def test_a_short_limit_is_waited_out(server: Server, http: VendorHttp) -> None:
    server.answers = [json(status=429, Retry_After="1"), json({"n": 1})]
    began = time.monotonic()
    assert (await http.send(account(), "GET", "/x")).json() == {"n": 1}
    assert time.monotonic() - began >= 1


async def test_a_long_limit_is_told_and_nothing_is_sent_until_it_ends(
    server: Server, http: VendorHttp
) -> None:
    server.answers = [always(429, Retry_After="3000")]
    for _ in range(3):
        with pytest.raises(Transient) as caught:
            await http.send(account(), "GET", "/x")
        assert 2990 < int(str(caught.value.facts["retry_after"])) <= 3001
    assert len(server.requests) == 1


async def test_a_done_call_may_ask_for_a_pause_before_the_next(server: Server, http: VendorHttp) -> None:
    server.answers = [json({"n": 1}, Retry_After="3000", X_RateLimit_Remaining="0")]
    assert (await http.send(account(), "GET", "/x")).json() == {"n": 1}
    with pytest.raises(Transient) as caught:
        await http.send(account(), "GET", "/x")
    assert 2990 < int(str(caught.value.facts["retry_after"])) <= 3001
    server.answers = [json({"n": 2})]
    other = Account("tenant-b", account().authorize, "vendor-token")
    assert (await http.send(other, "GET", "/x")).json() == {"n": 2}
    assert len(server.requests) == 2


async def test_when_to_look_at_work_under_way_is_no_pause(server: Server, http: VendorHttp) -> None:
    server.answers = [always(202, Retry_After="3000")]
    assert [(await http.send(account(), "GET", "/x")).status for _ in range(2)] == [202, 202]


async def test_a_limit_without_end_is_not_hammered_at(server: Server) -> None:
    server.answers = [always(429, Retry_After="0")]
    async with aclosing(client(server.url, total=1)) as http:
        with pytest.raises(Transient):
            await http.send(account(), "GET", "/x")
    assert len(server.requests) < 8


async def test_one_accounts_limit_is_not_anothers(server: Server, http: VendorHttp) -> None:
    server.answers = [json(status=429, Retry_After="3000"), json({"n": 1})]
    with pytest.raises(Transient):
        await http.send(account(), "GET", "/x")
    other = Account("tenant-b", account().authorize, "vendor-token")
    assert (await http.send(other, "GET", "/x")).json() == {"n": 1}


async def test_a_spent_hour_is_waited_for_by_the_vendors_own_clock(server: Server, http: VendorHttp) -> None:
    """Their clock is an hour ahead of ours, and it is theirs that counts."""
    theirs = time.time() + 3600
    headers = {
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": f"{int(theirs) + 500}",
        "Date": formatdate(theirs, usegmt=True),
    }
    server.answers = [web.json_response({"message": "API rate limit exceeded"}, status=403, headers=headers)]
    with pytest.raises(Transient) as caught:
        await http.send(account(), "GET", "/x")
    assert 495 < int(str(caught.value.facts["retry_after"])) < 505


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (401, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, NotFound),
        (418, Permanent),
        (422, Invalid),
    ],
)
async def test_a_refusal_is_one_of_the_kernels_kinds(
    server: Server, http: VendorHttp, status: int, kind: type[DeliveryError]
) -> None:
    server.answers = [always(status)]
    with pytest.raises(kind):
        await http.send(account(), "GET", "/x")
    assert len(server.requests) == 1


async def test_a_missing_permission_is_named_with_what_to_do(server: Server, http: VendorHttp) -> None:
    server.answers = [json({"message": "Not accessible"}, 403, X_Needed="contents=write")]
    with pytest.raises(Forbidden, match="give the token in 'vendor-token' the permission contents=write"):
        await http.send(account(), "GET", "/x")


async def test_a_bad_token_is_told_by_the_name_of_its_secret(server: Server, http: VendorHttp) -> None:
    server.answers = [json({"message": f"Bad credentials: {TOKEN}"}, 401)]
    with pytest.raises(Forbidden, match="'vendor-token'") as caught:
        await http.send(account(), "GET", "/x")
    assert TOKEN not in str(caught.value)


async def test_no_error_tells_the_token(server: Server, http: VendorHttp) -> None:
    secret = "hunter2-of-the-vendor"
    server.answers = [
        json({"message": f"You sent {secret}, see https://u:p@host/?sig=abc\nBearer abcdefghij"}, 422)
    ]
    with pytest.raises(Invalid) as caught:
        await http.send(account(secret), "GET", "/x")
    told = str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)
    for part in (secret, "u:p", "sig=abc", "abcdefghij", "\n"):
        assert part not in told
    assert TOKEN not in repr(account()) + repr(http.__dict__)


async def test_an_answer_larger_than_the_limit_is_not_read(server: Server, http: VendorHttp) -> None:
    server.answers = [json({"text": "x" * 20_000})]
    with pytest.raises(Permanent, match="10000 bytes"):
        await http.send(account(), "GET", "/x")


async def test_a_moved_resource_is_followed_on_the_same_host(server: Server, http: VendorHttp) -> None:
    server.answers = [json(status=301, Location=f"{server.url}/moved"), json({"n": 1})]
    assert (await http.send(account(), "GET", "/x")).json() == {"n": 1}
    assert server.requests[1].path == "/moved"


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest", "https://evil.test/x", "//evil.test/x", "http://127.0.0.1:1/x"],
)
async def test_no_redirect_leads_to_another_host(server: Server, http: VendorHttp, target: str) -> None:
    server.answers = [json(status=301, Location=target)]
    with pytest.raises(Permanent, match="another host"):
        await http.send(account(), "GET", "/x")
    assert len(server.requests) == 1


async def test_a_redirect_without_end_ends(server: Server, http: VendorHttp) -> None:
    server.answers = [always(301, Location="/x")]
    with pytest.raises(Permanent, match="without end"):
        await http.send(account(), "GET", "/x")


async def test_pages_are_followed_by_their_links(server: Server, http: VendorHttp) -> None:
    following = f'<{server.url}/list?page=2>; rel="next", <{server.url}/list?page=9>; rel="last"'
    server.answers = [json([1], Link=following), json([2])]
    pages = [answer.json() async for answer in http.pages(account(), "/list", query={"per_page": 1})]
    assert pages == [[1], [2]]
    assert [request.path_qs for request in server.requests] == ["/list?per_page=1", "/list?page=2"]


async def test_pages_do_not_lead_to_another_host(server: Server, http: VendorHttp) -> None:
    server.answers = [json([1], Link='<https://evil.test/list?page=2>; rel="next"')]
    with pytest.raises(Permanent, match="another host"):
        _ = [answer async for answer in http.pages(account(), "/list")]


async def test_pages_are_followed_by_their_tokens(server: Server, http: VendorHttp) -> None:
    server.answers = [json([1], x_ms_continuationtoken="a b"), json([2])]
    pages = [answer.json() async for answer in http.continued(account(), "/list", query={"top": 1})]
    assert pages == [[1], [2]]
    assert server.requests[1].query == {"top": "1", "continuationToken": "a b"}


async def test_a_download_is_followed_without_the_token(server: Server, http: VendorHttp) -> None:
    async def download(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 50_000)

    server.answers = [json(status=302, Location=f"{server.url}/files/1?sig=s"), download]
    file = io.BytesIO()
    await http.download(account(), "/archive", file, max_bytes=60_000)
    assert file.getvalue() == b"x" * 50_000
    assert "Authorization" not in server.requests[1].headers
    server.answers = [json(status=302, Location=f"{server.url}/files/1?sig=s"), download]
    with pytest.raises(Permanent, match="more than 40000 bytes"):
        await http.download(account(), "/archive", io.BytesIO(), max_bytes=40_000)


async def test_a_download_without_a_redirect_is_bounded_too(server: Server, http: VendorHttp) -> None:
    async def download(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 50_000)

    server.answers = [download]
    file = io.BytesIO()
    await http.download(account(), "/archive", file, max_bytes=60_000)
    assert file.getvalue() == b"x" * 50_000
    assert {each.headers["Authorization"] for each in server.requests} == {bearer(TOKEN)}
    with pytest.raises(TooLarge, match="more than 40000 bytes"):
        await http.download(account(), "/archive", io.BytesIO(), max_bytes=40_000)


async def test_only_a_sibling_of_the_api_may_be_asked(server: Server) -> None:
    vendor = Vendor("Vendor", siblings=frozenset({"*.artifacts.invalid"}))
    async with aclosing(
        VendorHttp(vendor, server.url, RandomIds(), patience=Patience(0.3, 0.1, 0.1))
    ) as http:
        for elsewhere in (
            "https://artifacts.invalid/x",
            "https://evilartifacts.invalid/x",
            "http://eu.artifacts.invalid/x",
            "https://eu.artifacts.invalid.evil.test/x",
        ):
            with pytest.raises(Permanent, match="another host"):
                await http.download(account(), elsewhere, io.BytesIO(), max_bytes=10)
        # Nobody has this name: it was looked up, and not refused.
        with pytest.raises(Transient):
            await http.download(account(), "https://eu.artifacts.invalid/x", io.BytesIO(), max_bytes=10)
    assert server.requests == []


async def test_a_download_from_elsewhere_is_refused(server: Server, http: VendorHttp) -> None:
    server.answers = [json(status=302, Location="https://evil.test/files/1")]
    with pytest.raises(Permanent, match="another host"):
        await http.download(account(), "/archive", io.BytesIO(), max_bytes=60_000)


async def test_a_client_serves_one_loop_after_another(server: Server) -> None:
    """A session of a loop that has ended could never answer."""
    server.answers = [json()]
    http = client(server.url)

    async def ask() -> int:
        async with aclosing(http):
            return (await http.send(account(), "GET", "/x")).status

    assert await asyncio.to_thread(lambda: asyncio.run(ask())) == 200
    server.answers = [json()]
    assert await ask() == 200
