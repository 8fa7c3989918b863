"""Blob Storage behind the Blobs port: answers that are lost, writers that race, and blobs that change while
they are read.
"""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.storage.blob.aio import BlobClient
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.azure.append_log import AppendLog
from shared.adapters.azure.blob_names import blob_name
from shared.adapters.azure.blob_reading import read_range
from shared.adapters.azure.blobs import AzureBlobs
from shared.adapters.azure.block_upload import BLOCK
from shared.adapters.azure.failures import meaning
from shared.domain.kernel.errors import Conflict, Invalid, Permanent, Transient
from tests.contracts.azure_site import AzureSite, RealClock

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> RealClock:
    return RealClock()


@pytest.fixture
async def blobs(azure: AzureSite, clock: RealClock) -> AsyncIterator[AzureBlobs]:
    async with azure.blobs(clock) as made:
        yield made


def _client(blobs: AzureBlobs, path: str = "log") -> BlobClient:
    return blobs._blob("acme", path)


async def _stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


class Interfered:
    """The real client, with something befalling its next calls of one kind."""

    def __init__(self, client: BlobClient) -> None:
        self._client = client
        self.appending: list[str] = []
        self.after_reading: Callable[[], Awaitable[object]] | None = None
        self._late: list[asyncio.Task[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def append_block(self, data: bytes, **options: Any) -> Any:
        match self.appending.pop(0) if self.appending else "":
            case "lost before":
                raise ServiceRequestError("refused")
            case "lost after":
                await self._client.append_block(data, **options)
                raise ServiceResponseError("reset")
            case "late":
                self._late.append(asyncio.create_task(self._append_late(data, options)))
                raise ServiceResponseError("timed out")
            case "full":
                raise _answered(409, "BlockCountExceedsLimit")
        return await self._client.append_block(data, **options)

    async def _append_late(self, data: bytes, options: dict[str, Any]) -> None:
        await asyncio.sleep(0.05)
        await self._client.append_block(data, **options)

    async def settled(self) -> list[Any]:
        return await asyncio.gather(*self._late, return_exceptions=True)

    async def download_blob(self, **options: Any) -> Any:
        stream = await self._client.download_blob(**options)
        if self.after_reading is not None:
            happening, self.after_reading = self.after_reading, None
            await stream.readall()
            again = await self._client.download_blob(**options)
            await happening()
            return again
        return stream


def _answered(status: int, code: str) -> HttpResponseError:
    error = HttpResponseError(code)
    error.status_code, cast(Any, error).error_code = status, code
    return error


async def _append(log: AppendLog, client: BlobClient | Interfered, data: bytes) -> int:
    return await log.append(cast(BlobClient, client), "log", data)


@pytest.mark.parametrize("befalls", ["lost before", "lost after", "late"])
async def test_an_append_whose_answer_is_lost_lands_once(blobs: AzureBlobs, befalls: str) -> None:
    client, log = Interfered(_client(blobs)), AppendLog()
    assert await _append(log, client, b"one\n") == 4
    client.appending = [befalls]
    assert await _append(log, client, b"two\n") == 8
    assert await _append(log, client, b"three\n") == 14
    await client.settled()
    assert await blobs.read("acme", "log") == b"one\ntwo\nthree\n"


async def test_an_append_lost_time_and_again_lands_once_or_says_so(blobs: AzureBlobs) -> None:
    client, log = Interfered(_client(blobs)), AppendLog()
    client.appending = ["lost before", "lost after"]
    assert await _append(log, client, b"one\n") == 4
    assert await blobs.read("acme", "log") == b"one\n"


async def test_another_writers_bytes_are_not_taken_for_ours(blobs: AzureBlobs) -> None:
    client, ours, theirs = Interfered(_client(blobs)), AppendLog(), AppendLog()
    await _append(ours, client, b"one\n")
    await _append(theirs, _client(blobs), b"2nd\n")
    client.appending = ["lost before"]
    assert await _append(ours, client, b"two\n") == 12
    assert await blobs.read("acme", "log") == b"one\n2nd\ntwo\n"


async def test_writers_of_several_processes_lose_and_repeat_nothing(blobs: AzureBlobs) -> None:
    async def write(name: str) -> None:
        log = AppendLog()
        for number in range(15):
            await _append(log, _client(blobs), f"{name}{number}\n".encode())

    await asyncio.gather(*(write(name) for name in "abc"))
    found = (await blobs.read("acme", "log")).decode().split()
    assert sorted(found) == sorted(f"{name}{number}" for name in "abc" for number in range(15))
    for name in "abc":
        numbers = [int(line[1:]) for line in found if line[0] == name]
        assert numbers == list(range(15))


async def test_a_log_with_all_its_appends_says_so(blobs: AzureBlobs) -> None:
    client = Interfered(_client(blobs))
    client.appending = ["full"]
    with pytest.raises(Permanent, match="50000 appends"):
        await _append(AppendLog(), client, b"more\n")


async def test_a_log_made_anew_grows_from_its_start(blobs: AzureBlobs) -> None:
    await blobs.append("acme", "log", b"old\n")
    await _client(blobs).delete_blob()  # by another process
    assert await blobs.append("acme", "log", b"new\n") == 4
    await blobs.put("acme", "other", b"whole")
    with pytest.raises(Conflict):
        await blobs.append("acme", "other", b"more")


async def test_a_big_append_lands_in_order(blobs: AzureBlobs) -> None:
    data = os.urandom(BLOCK + 10)
    assert await blobs.append("acme", "log", data) == len(data)
    assert await blobs.read("acme", "log") == data


async def test_a_log_is_read_to_its_end_while_it_grows(blobs: AzureBlobs) -> None:
    data = os.urandom(50_000)
    await blobs.append("acme", "log", data)
    client = Interfered(_client(blobs))
    client.after_reading = lambda: blobs.append("acme", "log", b"more")
    assert await read_range(cast(BlobClient, client), "log", 0, None, part=9_000) == data
    whole = data + b"more"
    assert await read_range(_client(blobs), "log", 10, None, part=9_000) == whole[10:]
    assert await read_range(_client(blobs), "log", 10, 20_000, part=9_000) == whole[10:20_010]
    assert await read_range(_client(blobs), "log", len(whole), None) == b""


@pytest.mark.parametrize("length", [None, 30_000])
async def test_a_blob_replaced_while_it_is_read_is_read_anew(blobs: AzureBlobs, length: int | None) -> None:
    old, new = os.urandom(50_000), os.urandom(60_000)
    await blobs.put("acme", "p", old)
    client = Interfered(_client(blobs, "p"))
    client.after_reading = lambda: blobs.put("acme", "p", new)
    assert await read_range(cast(BlobClient, client), "p", 0, length, part=9_000) == new[:length]


async def test_a_log_replaced_while_it_is_read_is_read_anew(blobs: AzureBlobs) -> None:
    new = os.urandom(60_000)
    await blobs.append("acme", "p", os.urandom(50_000))
    client = Interfered(_client(blobs, "p"))
    client.after_reading = lambda: blobs.put("acme", "p", new)
    assert await read_range(cast(BlobClient, client), "p", 0, None, part=9_000) == new


async def test_a_stream_needs_the_memory_of_a_block(blobs: AzureBlobs) -> None:
    piece = os.urandom(BLOCK)
    tracemalloc.start()
    info = await blobs.put("acme", "big", _stream(*[piece] * 40))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert info.size == 40 * BLOCK
    assert peak < 8 * BLOCK
    assert await blobs.read("acme", "big", start=39 * BLOCK) == piece
    assert await blobs.info("acme", "big") == info


@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
async def test_a_blob_of_just_a_block_arrives_whole(blobs: AzureBlobs, size: int) -> None:
    data = os.urandom(size)
    await blobs.put("acme", "p", data)
    assert await blobs.read("acme", "p") == data


async def test_the_same_content_may_be_put_twice_at_once(blobs: AzureBlobs) -> None:
    data = os.urandom(2 * BLOCK + 1)
    pieces = [data[start : start + 300_000] for start in range(0, len(data), 300_000)]
    one, two = await asyncio.gather(*(blobs.put("acme", "p", _stream(*pieces)) for _ in range(2)))
    assert one == two == await blobs.info("acme", "p")
    assert await blobs.read("acme", "p") == data


async def test_of_two_contents_put_at_once_one_stays_whole(blobs: AzureBlobs) -> None:
    contents = [os.urandom(2 * BLOCK + 1) for _ in range(2)]
    made = await asyncio.gather(
        *(blobs.put("acme", "p", content) for content in contents), return_exceptions=True
    )
    assert await blobs.read("acme", "p") in contents
    failed = [one for one in made if isinstance(one, BaseException)]
    assert len(failed) < 2
    assert all(isinstance(one, Transient) for one in failed)


@pytest.mark.parametrize("size", [10, BLOCK + 10])
async def test_a_stream_takes_the_place_of_a_log(blobs: AzureBlobs, size: int) -> None:
    data = os.urandom(size)
    await blobs.append("acme", "p", b"line\n")
    assert await blobs.put("acme", "p", _stream(data)) == await blobs.info("acme", "p")
    assert await blobs.read("acme", "p") == data


async def test_urls_share_a_key_until_it_is_too_short(blobs: AzureBlobs, clock: RealClock) -> None:
    async def key_of(expires_in: timedelta) -> tuple[str, str]:
        query = parse_qs(urlsplit(await blobs.signed_url("acme", "p", expires_in=expires_in)).query)
        assert (query["sp"], query["spr"], query["sr"]) == (["r"], ["https"], ["b"])
        assert query["se"] <= query["ske"]
        return query["skt"][0], query["ske"][0]

    first, *others = await asyncio.gather(*(key_of(HOUR) for _ in range(5)))
    assert set(others) == {first}
    clock.advance(hours=22)
    assert await key_of(HOUR) == first
    clock.advance(hours=1)
    assert await key_of(HOUR) != first
    await key_of(timedelta(days=6))
    with pytest.raises(Invalid, match="seven days"):
        await blobs.signed_url("acme", "p", expires_in=timedelta(days=7))


PATHS = st.lists(st.text("aB0.~ %é-\x01\u200b", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)


@given(st.text(max_size=5), PATHS, st.text(max_size=5), PATHS)
def test_no_two_paths_share_a_blob(tenant: str, path: str, other: str, others: str) -> None:
    try:
        one, two = blob_name(tenant, path), blob_name(other, others)
    except Invalid:
        return
    assert (one == two) is ((tenant, path) == (other, others))
    assert len(one) <= 1024
    assert not any(part.endswith(".") for part in one.split("/"))
    assert one.isprintable()


@pytest.mark.parametrize("path", ["/".join("x" * 400), "a./b", "a\tb", "~" + "0" * 64])
async def test_a_path_no_url_carries_is_kept_all_the_same(blobs: AzureBlobs, path: str) -> None:
    await blobs.put("acme", path, b"x")
    assert await blobs.read("acme", path) == b"x"
    name = blob_name("acme", path)
    assert name.startswith("acme/~")
    assert len(name) == len("acme/~") + 64


async def test_a_container_that_is_not_there_is_told(azure: AzureSite, clock: RealClock) -> None:
    async with azure.credential() as identity:
        blobs = AzureBlobs(azure.azurite, "nowhere", identity, clock)
        for call in (
            blobs.read("acme", "p"),
            blobs.info("acme", "p"),
            blobs.put("acme", "p", b"x"),
            blobs.append("acme", "p", b"x"),
            blobs.delete("acme", "p"),
        ):
            with pytest.raises(Permanent, match="no such container"):
                await call
        await blobs.aclose()


@asynccontextmanager
async def _at(azure: AzureSite, clock: RealClock, endpoint: str) -> AsyncIterator[AzureBlobs]:
    async with azure.credential() as identity:
        blobs = AzureBlobs(endpoint, "c", identity, clock)
        yield blobs
        await blobs.aclose()


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [("http://127.0.0.1:1/account", "https://"), ("https://blobs.example.com", "names no storage account")],
)
async def test_an_endpoint_that_is_no_accounts_is_refused(
    azure: AzureSite, clock: RealClock, endpoint: str, said: str
) -> None:
    with pytest.raises(Permanent, match=said):
        async with _at(azure, clock, endpoint):
            pass


async def test_a_token_that_is_refused_is_told(azure: AzureSite, clock: RealClock) -> None:
    lifetime, azure.identity.lifetime = azure.identity.lifetime, -60
    try:
        async with _at(azure, clock, azure.azurite) as blobs:
            with pytest.raises(Permanent):
                await blobs.info("acme", "p")
    finally:
        azure.identity.lifetime = lifetime


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (_answered(403, "AuthorizationPermissionMismatch"), Permanent, "the role R"),
        (_answered(503, "ServerBusy"), Transient, "ServerBusy"),
        (_answered(429, "TooManyRequests"), Transient, "try again"),
        (_answered(400, "InvalidHeaderValue"), Permanent, "400"),
        (HttpResponseError("cut off"), Transient, "try again"),
        (ServiceRequestError("refused"), Transient, "cannot be reached"),
    ],
)
def test_a_failure_says_what_to_do(error: HttpResponseError, kind: type[Exception], said: str) -> None:
    told = meaning(error, "The account", "R")
    assert isinstance(told, kind)
    assert said in told.message
