"""REST calls to a vendor: one client per host, with retries that do no harm and limits that are kept.

Knows no vendor's paths. What an answer means beyond the common statuses is up to who asked.
"""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import IO
from urllib.parse import quote

import aiohttp
from yarl import URL

from shared.adapters.vendors.answers import Account, Answer, TooLarge, Vendor, meaning, unclear
from shared.adapters.vendors.guard import GuardedResolver, is_among, is_loopback, origin
from shared.adapters.vendors.throttling import (
    Attempts,
    Patience,
    Throttle,
    asked_pause,
    asked_wait,
    is_limit,
)
from shared.domain.kernel.errors import Permanent, Transient
from shared.ports.ids import Ids

SAFE = frozenset({"GET", "HEAD"})
_MEGABYTE = 1024 * 1024
_MARGIN = 0.05
_REDIRECTS = 3
_ACCOUNTS_KEPT = 1000
_PASSING = frozenset({502, 503, 504})

type Query = Mapping[str, str | int]


class VendorHttp:
    """A vendor's REST API below one base URL. Errors are the kernel's kinds, and never hold the token.

    A request is repeated where that is harmless: it is safe, or its caller says that it may be repeated, or
    the answer says that nothing was done.
    """

    def __init__(
        self,
        vendor: Vendor,
        base_url: str,
        ids: Ids,
        *,
        patience: Patience | None = None,
        max_bytes: int = 64 * _MEGABYTE,
    ) -> None:
        """Unsafe where the URL may not be talked to; `max_bytes` is the largest answer that is read."""
        self.vendor = vendor
        self.base = origin(base_url)
        self.patience = patience or Patience()
        self._ids = ids
        self._max_bytes = max_bytes
        self._hosts = frozenset({self.base.host or "", *vendor.siblings, *vendor.downloads})
        self._opened: tuple[asyncio.AbstractEventLoop, aiohttp.ClientSession] | None = None
        self._throttles: dict[str, Throttle] = {}

    async def send(
        self,
        account: Account,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        takes: Collection[int] = (),
        repeatable: bool | None = None,
    ) -> Answer:
        """The answer, if its status is 2xx or one of `takes`; else the error that it stands for.

        `path` is below the base URL, with its parts quoted (see `path_of`). `body` is sent as JSON,
        bytes as they are. `repeatable`: a second time changes nothing more; default: safe methods only.

        Raises Transient after the patience, with `retry_after` seconds where the vendor set a limit; Unclear
        where a request that may not be repeated had no answer; Forbidden with the missing permission.
        """
        url = self._url(path, query)
        harmless = method in SAFE if repeatable is None else repeatable
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not body else {}
        sent = _Sent(method, url, data, {**self.vendor.headers, **kind, **(headers or {})})
        return await self._send(account, sent, takes, harmless=harmless)

    async def _send(
        self, account: Account, sent: "_Sent", takes: Collection[int], *, harmless: bool
    ) -> Answer:
        attempts = Attempts(self.vendor.name, self.patience, self._throttle(account), self._ids)
        async with attempts.limited():
            while True:
                await attempts.ready()
                answer = await self._try(account, sent, attempts, harmless=harmless)
                if answer is None:
                    continue
                is_done = 200 <= answer.status < 300 and not self.vendor.denies(answer)
                if is_done and (pause := asked_pause(answer.status, answer.headers)):
                    self._throttle(account).close(pause)
                if is_done or answer.status in takes:
                    return answer
                said = self.vendor.said(answer)
                wait = asked_wait(answer.status, answer.headers, said)
                if is_limit(answer.status, answer.headers, said):
                    attempts.limit(wait or 0.0)
                elif answer.status == 503 or (answer.status in _PASSING and harmless):
                    await attempts.again(f"it answered {answer.status}", wait)
                else:
                    token = (await account.authorize()).rpartition(" ")[2]
                    raise meaning(self.vendor, answer, account, token, harmless=harmless)

    async def pages(
        self, account: Account, path: str, *, query: Query | None = None, takes: Collection[int] = ()
    ) -> AsyncIterator[Answer]:
        """Every page of a list, by `Link: <...>; rel="next"` (RFC 8288)."""
        following: str | None = path
        while following is not None:
            answer = await self.send(account, "GET", following, query=query, takes=takes)
            yield answer
            following, query = self.link(answer, "next"), None

    async def continued(
        self,
        account: Account,
        path: str,
        *,
        query: Query | None = None,
        header: str = "x-ms-continuationtoken",
        parameter: str = "continuationToken",
    ) -> AsyncIterator[Answer]:
        """Every page of a list whose answers carry a token for the next one in a header."""
        token, asked = "", dict(query or {})
        while True:
            answer = await self.send(
                account, "GET", path, query={**asked, parameter: token} if token else asked
            )
            yield answer
            following = answer.headers.get(header, "")
            if not following or following == token:
                return
            token = following

    def link(self, answer: Answer, relation: str) -> str | None:
        """Where an answer's Link header leads; Permanent where that is another host."""
        for each in answer.headers.getall("Link", []):
            for part in each.split(","):
                target, _, rest = part.strip().partition(">")
                if f'rel="{relation}"' in rest and target.startswith("<"):
                    return self._inside(target[1:])
        return None

    async def download(
        self, account: Account, path: str, file: IO[bytes], *, max_bytes: int, takes: Collection[int] = ()
    ) -> Answer:
        """Write what a GET answers to the file; the answer's body is then empty. TooLarge past `max_bytes`.

        One redirect is followed, to the vendor's own download hosts, and the token does not go there. An
        answer in `takes` comes back with its body. The patience counts for the headers, and for every chunk.
        """
        look = _Sent("GET", self._url(path, None), None, dict(self.vendor.headers), unread=True)
        asked = await self._send(account, look, (*takes, 302, 307), harmless=True)
        headers: Mapping[str, str] = {}
        if asked.status in {302, 307}:
            target = self.base.join(URL(asked.headers.get("Location", ""), encoded=True))
            if not self._may_download(target):
                raise Permanent(f"{self.vendor.name} sent a download to another host, '{target.host}'.")
        elif asked.status == 200:
            # Asked for anew: the patience of one call would end a large file in its middle.
            target = look.url
            headers = {**self.vendor.headers, "Authorization": await account.authorize()}
        else:
            return asked
        limit = aiohttp.ClientTimeout(
            total=None, connect=self.patience.connect, sock_read=self.patience.answer
        )
        try:
            async with self._session().get(
                target, headers=headers, allow_redirects=False, timeout=limit
            ) as response:
                if response.status != 200:
                    raise Transient(f"{self.vendor.name} answered a download with {response.status}.")
                await self._receive(response, file, max_bytes)
                return Answer(response.status, response.headers, b"")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Transient(
                f"A download from {self.vendor.name} broke off ({type(error).__name__}); try again."
            ) from None

    async def aclose(self) -> None:
        if self._opened is not None:
            loop, session = self._opened
            self._opened = None
            if loop is asyncio.get_running_loop():
                await session.close()

    async def _try(
        self, account: Account, sent: "_Sent", attempts: Attempts, *, harmless: bool
    ) -> Answer | None:
        """One attempt; None where it failed, and another is due and does no harm."""
        try:
            # Ends before the call does, to tell what was sent and not answered from what was not sent.
            async with asyncio.timeout(max(attempts.left - _MARGIN, 0.0)):
                return await self._attempt(account, sent)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            await attempts.again(f"it cannot be reached, {type(error).__name__}")
        except (aiohttp.ClientError, TimeoutError) as error:
            if not harmless:
                raise unclear(self.vendor, type(error).__name__) from None
            await attempts.again(f"it did not answer, {type(error).__name__}")
        return None

    async def _attempt(self, account: Account, sent: "_Sent") -> Answer:
        url = sent.url
        for _ in range(_REDIRECTS):
            authorization = await account.authorize()
            async with (
                self._throttle(account).slot(),
                self._session().request(
                    sent.method,
                    url,
                    data=sent.payload(),
                    headers={**sent.headers, "Authorization": authorization},
                    allow_redirects=False,
                ) as response,
            ):
                body = b"" if sent.unread and response.status == 200 else await self._body(response)
                answer = Answer(response.status, response.headers, body)
            # Of a renamed repository; a 302 is a download, which is another's business.
            if answer.status not in {301, 308} or sent.method not in SAFE:
                return answer
            url = URL(self._inside(answer.headers.get("Location", "")), encoded=True)
        raise Permanent(f"{self.vendor.name} redirects without end.")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        found = bytearray()
        async for chunk in response.content.iter_chunked(64 * 1024):
            found += chunk
            if len(found) > self._max_bytes:
                raise self._too_large(self._max_bytes)
        return bytes(found)

    async def _receive(self, response: aiohttp.ClientResponse, file: IO[bytes], max_bytes: int) -> None:
        size = 0
        async for chunk in response.content.iter_chunked(_MEGABYTE):
            size += len(chunk)
            if size > max_bytes:
                raise self._too_large(max_bytes)
            await asyncio.to_thread(file.write, chunk)

    def _session(self) -> aiohttp.ClientSession:
        """One per process and loop, made by its first request. A loop that has ended took its own along."""
        loop = asyncio.get_running_loop()
        if self._opened is None or self._opened[0] is not loop:
            connector = aiohttp.TCPConnector(resolver=GuardedResolver(self._hosts))
            limit = aiohttp.ClientTimeout(total=self.patience.answer, connect=self.patience.connect)
            session = aiohttp.ClientSession(
                connector=connector, timeout=limit, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
            self._opened, self._throttles = (loop, session), {}
        return self._opened[1]

    def _throttle(self, account: Account) -> Throttle:
        self._session()
        found = self._throttles.get(account.key)
        if found is None:
            if len(self._throttles) >= _ACCOUNTS_KEPT:
                self._throttles.clear()
            found = self._throttles[account.key] = Throttle(self.vendor.at_once)
        return found

    def _url(self, path: str, query: Query | None) -> URL:
        text = path if "://" in path else f"{self.base}{path}"
        url = URL(self._inside(text), encoded=True)
        return url.extend_query({name: str(value) for name, value in query.items()}) if query else url

    def _inside(self, target: str) -> str:
        """An address as the vendor gave it, if it leads to the vendor's own API."""
        url = self.base.join(URL(target, encoded=True))
        is_sibling = url.scheme == "https" and is_among(url.host or "", self.vendor.siblings)
        if url.origin() != self.base.origin() and not is_sibling:
            raise Permanent(f"{self.vendor.name} points to another host, '{url.host}'; it is not followed.")
        return str(url)

    def _may_download(self, target: URL) -> bool:
        if target.origin() == self.base.origin():
            return True
        host = target.host or ""
        return is_among(host, self.vendor.downloads) and (target.scheme == "https" or is_loopback(host))

    def _too_large(self, most: int) -> TooLarge:
        return TooLarge(f"{self.vendor.name} answered with more than {most} bytes, which are not read.")


@dataclass(frozen=True, slots=True)
class _Sent:
    method: str
    url: URL
    data: bytes | None
    headers: dict[str, str]
    unread: bool = False
    """The body of a 200 is left where it is."""

    def payload(self) -> bytes | io.BytesIO | None:
        """For one attempt. A large body is sent in parts: in one piece it would hold up the event loop."""
        if self.data is None or len(self.data) < _MEGABYTE:
            return self.data
        return io.BytesIO(self.data)


def path_of(*parts: str) -> str:
    """A path of quoted parts, as in path_of("repos", owner, name): no part can leave its place."""
    return "".join(
        "/" + (quote(part, safe="") if part not in {".", ".."} else "%2E" * len(part)) for part in parts
    )


def bearer(token: str) -> str:
    return f"Bearer {token}"
