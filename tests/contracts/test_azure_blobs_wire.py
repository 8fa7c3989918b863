"""Blob Storage over a line that breaks: the service has done what was asked, and its answer never arrives."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest

from shared.adapters.azure.blobs import AzureBlobs
from shared.adapters.azure.block_upload import BLOCK
from tests.contracts.azure_site import AzureSite, RealClock
from tests.standins.certificates import Certificate


class Line:
    """Carries requests and answers, in the clear in between. Each of `losing` is part of a request line: the
    answer to the next such request is dropped, and its connection with it."""

    def __init__(self, port: int, certificate: Certificate) -> None:
        self.losing: list[bytes] = []
        self.lost = 0
        self._service = port
        self._certificate = certificate
        self._carrying: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, ssl=self._certificate.server_context()
        )
        yield server.sockets[0].getsockname()[1]
        server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._carrying.add(asyncio.create_task(self._carry(reader, writer)))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trusting = ssl.create_default_context(cafile=self._certificate.authorities)
        answers, requests = await asyncio.open_connection("127.0.0.1", self._service, ssl=trusting)
        doomed = asyncio.Event()
        ways = {
            asyncio.create_task(self._ask(reader, requests, doomed)),
            asyncio.create_task(self._answer(answers, writer, doomed)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, requests):
                end.close()
                with suppress(ConnectionError):
                    await end.wait_closed()

    async def _ask(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        while data := await source.read(64 * 1024):
            if self.losing and self.losing[0] in data.partition(b"\r\n")[0]:
                self.losing.pop(0)
                doomed.set()
            sink.write(data)
            await sink.drain()

    async def _answer(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        while data := await source.read(64 * 1024):
            if doomed.is_set():  # the service answers when it has done what was asked
                self.lost += 1
                return
            sink.write(data)
            await sink.drain()


@pytest.fixture
async def line(azure: AzureSite) -> Line:
    return Line(urlsplit(azure.azurite).port or 0, azure.certificate)


@pytest.fixture
async def blobs(azure: AzureSite, line: Line) -> AsyncIterator[AzureBlobs]:
    clock = RealClock()
    async with azure.blobs(clock) as direct, line.open() as port, azure.credential() as identity:
        place = urlsplit(azure.azurite)._replace(netloc=f"127.0.0.1:{port}").geturl()
        broken = AzureBlobs(place, direct._container.container_name, identity, clock)
        await broken.info("acme", "warm")  # a connection and a token, before anything is lost
        yield broken
        await broken.aclose()


async def test_a_log_has_every_line_once_over_a_line_that_breaks(blobs: AzureBlobs, line: Line) -> None:
    lines = [f"{number:04d}\n".encode() for number in range(12)]
    for number, text in enumerate(lines):
        # Once, and aiohttp asks again by itself; twice, and we have to.
        line.losing = [b"comp=appendblock"] * (number % 3)
        assert await blobs.append("acme", "log", text) == 5 * (number + 1)
    assert line.lost == 12
    assert await blobs.read("acme", "log") == b"".join(lines)


async def test_a_log_begun_over_a_line_that_breaks_has_its_first_line_once(
    blobs: AzureBlobs, line: Line
) -> None:
    line.losing = [b"HEAD ", b"PUT ", b"comp=appendblock"]
    assert await blobs.append("acme", "log", b"first\n") == 6
    assert await blobs.append("acme", "log", b"second\n") == 13
    assert line.lost == 3
    assert await blobs.read("acme", "log") == b"first\nsecond\n"


async def test_a_put_a_read_and_a_delete_are_made_good(blobs: AzureBlobs, line: Line) -> None:
    data = os.urandom(2 * BLOCK + 10)
    line.losing = [b"comp=block&", b"comp=blocklist", b"HEAD ", b"GET ", b"DELETE ", b"DELETE "]
    assert await blobs.put("acme", "p", data) == await blobs.info("acme", "p")
    assert await blobs.read("acme", "p") == data
    await blobs.delete("acme", "p")
    assert await blobs.info("acme", "p") is None
    assert line.lost == 6


async def test_clients_of_one_process_do_not_share_what_one_closes(
    azure: AzureSite, blobs: AzureBlobs
) -> None:
    await blobs.put("acme", "p", b"content")
    async with azure.blobs(RealClock()) as other:
        await other.put("acme", "p", b"theirs")
    assert await blobs.read("acme", "p") == b"content"
