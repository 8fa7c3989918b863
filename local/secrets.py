"""The tenants' secrets from the command line, as integrations read them. Must never show a value."""

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TextIO

from shared.app import build_app
from shared.domain.kernel.errors import Invalid
from shared.ports.vault import Vault
from shared.settings import Settings


@asynccontextmanager
async def opened_vault(settings: Settings) -> AsyncIterator[Vault]:
    """The installation's vault; a server may be running."""
    app = build_app(settings)
    try:
        yield app.vault
    finally:
        # Not app.aclose(): that stops what was deployed, and a running server is not to notice us.
        await app.bus.aclose()
        await app.store.aclose()


def read_value(stream: TextIO) -> str:
    """All that comes, less the line's end; typed without an echo at a terminal. Invalid for nothing.

    Never an argument: a command line can be read by everyone on the machine, and the shell keeps it.
    """
    if stream.isatty():
        value = getpass.getpass("Value (not shown): ")
    else:
        value = stream.read().removesuffix("\n").removesuffix("\r")
    if not value:
        raise Invalid("Nothing came on standard input; pipe the secret's value in.")
    return value


async def set_secret(settings: Settings, tenant: str, name: str, value: str) -> str:
    """Make the value the current version of the secret; the version's name."""
    async with opened_vault(settings) as vault:
        return (await vault.set(tenant, name, value)).version
