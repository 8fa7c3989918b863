"""Where a vendor's client may connect to, and what of a vendor's words may be shown."""

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.adapters.vendors.guard import GuardedResolver, Unsafe, origin, shown
from shared.adapters.vendors.http import path_of


def test_what_a_vendor_says_is_one_short_line() -> None:
    assert len(shown("word " * 200)) == 200
    assert shown("a\x00b\r\nc\x1b[31m") == "a b c [31m"
    assert shown("commit 587be6b4c3f93f93c489c0111bba5596147a26cb is gone").startswith("commit 587be6b4")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.github.com",
        "ftp://api.github.com",
        "https://",
        "https://user:pass@host",
        "https://host/?a=b",
        "https://10.0.0.1",
        "https://169.254.169.254",
        "https://[::ffff:10.0.0.1]",
        "http://10.0.0.1",
    ],
)
def test_an_address_that_is_not_safe_is_refused(url: str) -> None:
    with pytest.raises(Unsafe):
        origin(url)


def test_this_machine_may_be_asked_without_tls() -> None:
    assert str(origin("http://127.0.0.1:8080/api/")) == "http://127.0.0.1:8080/api"
    assert str(origin("https://github.example.com/api/v3")) == "https://github.example.com/api/v3"


class FixedResolver(AbstractResolver):
    """Every name leads to these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
            for each in self.addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1", "100.64.0.1"]
)
async def test_a_name_that_leads_inside_is_not_connected_to(address: str) -> None:
    resolver = GuardedResolver(frozenset({"api.vendor.test"}), FixedResolver(address))
    with pytest.raises(OSError, match="public address"):
        await resolver.resolve("api.vendor.test", 443)


async def test_only_the_vendors_own_names_are_looked_up() -> None:
    resolver = GuardedResolver(frozenset({"api.vendor.test"}), FixedResolver("10.0.0.1", "140.82.112.5"))
    assert [each["host"] for each in await resolver.resolve("api.vendor.test")] == ["140.82.112.5"]
    with pytest.raises(OSError, match="not a host of this vendor"):
        await resolver.resolve("other.test")


def test_no_part_of_a_path_leaves_its_place() -> None:
    assert path_of("repos", "a/b", "..", "c d?#") == "/repos/a%2Fb/%2E%2E/c%20d%3F%23"
