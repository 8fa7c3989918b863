"""`python -m deploy`: package, publish, smoke, rollback, emulator-config. Reads arguments and prints.

Exit codes: 0 done, 1 it did not work, with one sentence on standard error that says what to do.
"""

# ruff: noqa: T201 - a command line talks to people
import argparse
import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from deploy import smoke as smoking
from deploy.archive import archive_at
from deploy.closure import NotInstalled
from deploy.emulators import emulator_config as configured
from deploy.imports import NotInPackage
from deploy.one_deploy import OneDeploy, PublishFailed
from deploy.package import make_package
from deploy.packages import NothingToGoBackTo, Packages
from deploy.probe import BrokenPackage, api_documents, import_seconds, unpacked
from deploy.publish import Publisher, publish_everywhere
from deploy.tree import UnpackableFile
from deploy.vendor import CannotVendor
from shared.adapters.azure.identity import credential as sign_in
from shared.adapters.embedded.system import SystemClock
from shared.domain.kernel.errors import DeliveryError

_CHECKOUT: Final = Path(__file__).resolve().parent.parent
_SITE: Final = "https://{app}.scm.azurewebsites.net"
_EXPECTED: Final = (
    NotInstalled,
    NotInPackage,
    UnpackableFile,
    CannotVendor,
    BrokenPackage,
    PublishFailed,
    NothingToGoBackTo,
    DeliveryError,
    OSError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level="WARNING", format="%(message)s")
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except _EXPECTED as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1


def package(options: argparse.Namespace) -> int:
    made = make_package(_CHECKOUT, options.out, with_wheels=options.vendored)
    with unpacked(made.path) as folder:
        seconds = import_seconds(folder)
    print(f"{made.path}  {made.size:,} bytes, {made.files} files, imported in {seconds * 1000:.0f} ms")
    print(f"sha256:{made.digest}")
    return 0


def publish(options: argparse.Namespace) -> int:
    return asyncio.run(_publish(options))


async def _publish(options: argparse.Namespace) -> int:
    package = options.package.read_bytes()
    async with _publishers(options) as publishers:
        digest = await publish_everywhere(publishers, package, remote_build=not options.vendored)
    print(f"{', '.join(options.app)} runs sha256:{digest}")
    return 0


def rollback(options: argparse.Namespace) -> int:
    return asyncio.run(_rollback(options))


async def _rollback(options: argparse.Namespace) -> int:
    async with _publishers(options) as publishers:
        for publisher in publishers:
            digest = await publisher.roll_back()
            print(f"{publisher.packages.app} runs sha256:{digest} again", flush=True)
            if options.out is not None:
                options.out.write_bytes(await publisher.packages.read(digest))
    return 0


def smoke(options: argparse.Namespace) -> int:
    return asyncio.run(_smoke(options))


async def _smoke(options: argparse.Namespace) -> int:
    with unpacked(options.package) as folder:
        expected = smoking.Expected(*api_documents(folder))
    attempt = f"{archive_at(options.package).digest[:8]}-{SystemClock().now():%Y%m%d%H%M%S}"
    async with smoking.calling(options.url) as client:
        made = smoking.Smoke(client, expected, await _token(options), attempt, options.patience)
        outcomes = await smoking.run(made, write=options.write)
    for each in outcomes:
        print("ok  " if each.passed else "FAIL", each.name, each.told, sep="  ")
    return 0 if all(each.passed for each in outcomes) else 1


async def _token(options: argparse.Namespace) -> str:
    if options.token_file is not None:
        return str(options.token_file.read_text().strip())
    async with sign_in() as credential:
        return (await credential.get_token(options.scope)).token


def emulator_config(options: argparse.Namespace) -> int:
    text = configured()
    if options.out is None:
        print(text, end="")
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
    return 0


@asynccontextmanager
async def _publishers(options: argparse.Namespace) -> AsyncIterator[list[Publisher]]:
    from shared.adapters.azure.blobs import AzureBlobs  # noqa: PLC0415 - packaging needs no Azure

    clock = SystemClock()
    async with sign_in() as credential:
        blobs = AzureBlobs(options.storage, options.container, credential, clock)
        try:
            sites = [OneDeploy(options.site.format(app=app), credential) for app in options.app]
            named = zip(sites, options.app, strict=True)
            yield [Publisher(site, Packages(blobs, app), clock) for site, app in named]
        finally:
            await blobs.aclose()


def parser() -> argparse.ArgumentParser:
    """The arguments of every command."""
    made = argparse.ArgumentParser(prog="python -m deploy", description="Deliver Slipway to Azure.")
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    def add(command: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        name = command.__name__.replace("_", "-")
        added = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        added.set_defaults(command=command)
        return added

    packaging = add(package, "make the deployment package and its bill of materials")
    packaging.add_argument("--out", type=Path, default=Path("dist/slipway.zip"))
    packaging.add_argument("--vendored", action="store_true", help="put the wheels in: no remote build")

    publishing = add(publish, "publish a package to an app and keep it for a rollback")
    publishing.add_argument("package", type=Path)
    publishing.add_argument("--vendored", action="store_true", help="the package holds its wheels")
    _add_place(publishing)

    back = add(rollback, "publish the package before the current one again")
    back.add_argument("--out", type=Path, help="where to put that package, for a smoke test")
    _add_place(back)

    testing = add(smoke, "ask an installation whether it serves a package")
    testing.add_argument("package", type=Path)
    testing.add_argument("--url", required=True, help="where callers reach it")
    testing.add_argument("--write", action="store_true", help="also open a pull request and abandon it")
    testing.add_argument("--patience", type=float, default=180.0, metavar="SECONDS")
    identity = testing.add_mutually_exclusive_group(required=True)
    identity.add_argument("--scope", help="get a token for this, as in api://slipway/.default")
    identity.add_argument("--token-file", type=Path, help="a file with a token in it")

    configuring = add(emulator_config, "write the Service Bus emulator's configuration")
    configuring.add_argument("--out", type=Path, help="default: standard output")
    return made


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--app",
        required=True,
        action="append",
        help="name of a function app; repeated, in the order to go in",
    )
    parser.add_argument("--storage", required=True, help="https://ACCOUNT.blob.core.windows.net")
    parser.add_argument("--container", default="releases", help="container of the kept packages")
    parser.add_argument("--site", default=_SITE, help="where an app's deployment site is")


if __name__ == "__main__":
    sys.exit(main())
