"""Where a vendor's client may connect to, and what of a vendor's words may be shown. Sends nothing itself."""

import ipaddress
import re
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

_SAID_CHARACTERS = 200
_LOOPBACK_NAMES = frozenset({"localhost"})
# What vendors give out as tokens, what stands after a scheme, and what a signed URL carries.
_SECRETS = re.compile(
    r"\bgh[pousr]_\w{8,}|\bgithub_pat_\w{8,}|\bgl[a-z]{2,5}-[\w-]{8,}"
    r"|\b(?:bearer|basic|token)\s+[\w.~+/=-]{8,}|(?<=://)[^/\s@]+@|\?[^\s\"']+"
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*|\b(?![0-9a-f]{40}\b)[A-Za-z0-9]{40,}\b",
    re.IGNORECASE,
)


class Unsafe(ValueError):
    """An address that no vendor's client may talk to."""


def origin(url: str) -> URL:
    """A checked base URL. Unsafe unless it is https, or http to this machine, without user or query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise Unsafe(f"'{parts.scheme}://{host}' is not https; http is for this machine only.")
    if not host or parts.username or parts.password or parts.query or parts.fragment:
        raise Unsafe("Give the address as https://host/path, without user, query or fragment.")
    address = _address(host)
    if address is not None and not (is_public(address) or address.is_loopback):
        raise Unsafe(f"{host} is not a public address.")
    return URL(url.rstrip("/"))


def is_loopback(host: str) -> bool:
    address = _address(host)
    return host.casefold() in _LOOPBACK_NAMES or (address is not None and address.is_loopback)


def is_among(host: str, hosts: Collection[str]) -> bool:
    """`*.example.com` among them is every name below it."""
    return host in hosts or any(each[:2] == "*." and host.endswith(each[1:]) for each in hosts)


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is on the open internet. A v4 address in v6 clothes is judged by what it is."""
    inner = address.ipv4_mapped or address.sixtofour if isinstance(address, ipaddress.IPv6Address) else None
    return (inner or address).is_global and not (inner or address).is_multicast


class GuardedResolver(AbstractResolver):
    """Resolves only the names that it was given, and only to public addresses.

    The check is made on the very address that is connected to: a name that is looked up, judged and looked
    up again could answer otherwise the second time, and lead to the metadata endpoint of our own machine.
    """

    def __init__(self, hosts: frozenset[str], inner: AbstractResolver | None = None) -> None:
        self._hosts = hosts
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not is_among(host, self._hosts):
            raise OSError(None, f"{host} is not a host of this vendor")
        found = await self._inner.resolve(host, port, family)
        if is_loopback(host):
            return found
        public = [each for each in found if is_public(ipaddress.ip_address(each["host"].partition("%")[0]))]
        if not public:
            raise OSError(None, f"{host} does not lead to a public address")
        return public

    async def close(self) -> None:
        await self._inner.close()


def shown(text: str, *secrets: str) -> str:
    """A vendor's words on one short line, without anything that could be a token or a signed address."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    plain = " ".join("".join(c if c.isprintable() else " " for c in _SECRETS.sub("***", text)).split())
    return plain if len(plain) <= _SAID_CHARACTERS else plain[: _SAID_CHARACTERS - 1] + "\u2026"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
