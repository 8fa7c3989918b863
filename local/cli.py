"""The `slipway` command: serve the app on this machine, mint tokens, show routes, redrive messages.

It reads arguments and prints; the work is done elsewhere. Exit codes: 0 done, 1 broke while running, 2 cannot
start, with one line on standard error that says what to do.
"""

import argparse
import asyncio
import importlib
import logging
import os
import shutil
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from functions.http.surface import endpoint_table
from functions.relay.redrive import redrive as redrive_messages
from functions.routes import FILE, declared, route_of, written
from local.data_folder import CannotStart
from local.demos import SURFACES
from local.host import Host
from local.issuer import Issuer
from local.mounts import mounts
from local.secrets import read_value, set_secret
from shared.app import build_app
from shared.domain.kernel.actor import ActorKind
from shared.domain.kernel.errors import DeliveryError
from shared.domain.source.model import Provider
from shared.names import QUEUES
from shared.settings import BadSettings, Settings

SAMPLE_PROGRAM: Final = (
    "ConnectSoft.Factory.DevOps.Infra.BookingSaas",
    Path(__file__).resolve().parent / "sample_infra",
)
APP_DIRECTORY: Final = Path(__file__).resolve().parent.parent
"""Where function_app.py and host.json are: the repository, or the folder the package was put in."""


def main(arguments: Sequence[str] | None = None, app_directory: Path = APP_DIRECTORY) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments, argparse.Namespace(app_directory=app_directory))
    try:
        settings = Settings.load(port=options.port, data_dir=options.data_dir)
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
        command: Callable[[argparse.Namespace, Settings], int] = options.command
        code = command(options, settings)
        sys.stdout.flush()
    except (BadSettings, CannotStart, DeliveryError) as error:
        print(f"slipway: {'; '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # `slipway routes | head` hung up on us; what is still buffered must not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def serve(options: argparse.Namespace, settings: Settings) -> int:
    if shutil.which("git") is None:
        raise CannotStart("The program git was not found; install it and see that PATH names its folder.")
    return _run(_serve(settings, options.app_directory))


async def _serve(settings: Settings, app_directory: Path) -> int:
    async with Host(_with_sample_program(settings), app_directory, mounts) as host:
        functions, folder = len(host.worker.functions), host.settings.data_dir
        print(
            f"Slipway serves {functions} functions at {host.url}, data in {folder}; Ctrl-C stops it.",
            flush=True,
        )
        await host.serve()
    return 0


def _with_sample_program(settings: Settings) -> Settings:
    """On one's own machine `POST /iac/provision` has something to provision, unless programs are named."""
    if settings.platform != "embedded" or settings.iac_programs:
        return settings
    packs = settings.iac_policy_packs or (SAMPLE_PROGRAM[1] / "policy",)
    return settings.model_copy(update={"iac_programs": dict([SAMPLE_PROGRAM]), "iac_policy_packs": packs})


def token(options: argparse.Namespace, settings: Settings) -> int:
    issuer = Issuer(settings.data_dir, settings.token_issuer, settings.audience)
    minted = issuer.mint(
        tenant=options.tenant,
        subject=options.subject,
        scopes=tuple(options.scopes.split()),
        roles=tuple(options.roles.split()),
        kind=ActorKind(options.kind),
        expires_in=options.expires_in,
    )
    print(minted)
    return 0


def routes(options: argparse.Namespace, _settings: Settings) -> int:
    lines = written(map(route_of, endpoint_table(declared())))
    if options.write:
        FILE.write_text(lines)
    print(lines, end="")
    return 0


def redrive(options: argparse.Namespace, settings: Settings) -> int:
    return _run(_redrive(options.queue, settings))


async def _redrive(queue: str, settings: Settings) -> int:
    app = build_app(settings)
    try:
        dead, parked = await redrive_messages(queue, app.bus)
    finally:
        # Not app.aclose(): that stops what was deployed, and a running server is not to notice us.
        await app.bus.aclose()
        await app.store.aclose()
    print(f"{dead} dead-lettered and {parked} parked messages of {queue} are queued again.")
    return 0


def rebuild_views(_options: argparse.Namespace, settings: Settings) -> int:
    return _run(_rebuild_views(settings))


async def _rebuild_views(settings: Settings) -> int:
    app = build_app(settings)
    try:
        drifts = await app.views.rebuild(app.feed)
    finally:
        # As in redrive: a running server is not to notice us.
        await app.bus.aclose()
        await app.store.aclose()
    for drift in drifts:
        bound = ", ".join(f"{name}={value}" for name, value in sorted(drift.equal.items())) or "all"
        print(drift.tenant, drift.kind, bound, drift.was, drift.now, sep="\t")
    print(f"The totals of all lists are counted again; {len(drifts)} were wrong.")
    return 0


def retention(options: argparse.Namespace, settings: Settings) -> int:
    return _run(_retention(settings, dry=options.dry_run))


async def _retention(settings: Settings, *, dry: bool) -> int:
    app = build_app(settings)
    try:
        gone = await app.retention.run(dry=dry)
    finally:
        # As in redrive: a running server is not to notice us.
        await app.bus.aclose()
        await app.store.aclose()
    for each in gone:
        print(each.tenant, each.kind, each.resource, sep="\t")
    print(f"{len(gone)} things {'would go' if dry else 'are gone'}.")
    return 0


def demo(options: argparse.Namespace, settings: Settings) -> int:
    if options.surface is None:
        if options.provider is not None:
            raise CannotStart("--provider is for the walk of a surface: say --surface as well.")
        shown: int = importlib.import_module("local.demo").run(settings, options.meter)
        return shown
    walk = importlib.import_module(SURFACES[options.surface])
    walked: int = walk.run(settings, Provider(options.provider or Provider.EMBEDDED), options.meter)
    return walked


def secrets(options: argparse.Namespace, settings: Settings) -> int:
    async def work() -> int:
        version = await set_secret(settings, options.tenant, options.name, value)
        print(f"The secret {options.name} of {options.tenant} has a new current version, {version}.")
        return 0

    value = read_value(sys.stdin)
    return _run(work())


def doctor(options: argparse.Namespace, settings: Settings) -> int:
    code: int = importlib.import_module("local.doctor").run(settings, as_json=options.json)
    return code


def _run(work: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _parser() -> argparse.ArgumentParser:
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--port", type=int, help="port on 127.0.0.1 (default SLIPWAY_PORT or 7071; 0 takes a free one)"
    )
    place.add_argument(
        "--data-dir", type=Path, help="folder for all data (default SLIPWAY_DATA_DIR or .slipway)"
    )

    parser = argparse.ArgumentParser(
        prog="slipway", description="Slipway on this machine: no cloud, no account."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(command: Callable[[argparse.Namespace, Settings], int], summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            command.__name__.replace("_", "-"),
            parents=[place],
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
        )
        added.set_defaults(command=command)
        return added

    add(serve, "serve the API and run its background work until Ctrl-C")
    _ask_for_token(add(token, "print a development token that this installation accepts"))
    listing = add(
        routes,
        "print every HTTP route: surface, method, path, function, scope and module, separated by tabs",
    )
    listing.add_argument("--write", action="store_true", help="and keep them as what a cold start registers")
    redriving = add(redrive, "queue a queue's given-up messages again; a server may be running")
    redriving.add_argument("queue", choices=QUEUES, metavar="QUEUE", help=f"one of {', '.join(QUEUES)}")
    add(
        rebuild_views,
        "count the totals of all lists again and print those that were wrong (tenant, kind, what is counted,"
        " was, is); a server may be running",
    )
    ending = add(
        retention,
        "remove what was kept for as long as it has to be, and print it (tenant, kind, id); a server may be"
        " running",
    )
    ending.add_argument("--dry-run", action="store_true", help="remove nothing, print what would go")
    _ask_for_demo(add(demo, "play a delivery from a commit to an approved deployment on a server of its own"))
    keeping = add(secrets, "set a secret of a tenant to what standard input says; a server may be running")
    keeping.add_argument("action", choices=["set"], metavar="set", help="make it the current version")
    keeping.add_argument("name", metavar="NAME", help="as in github-token")
    keeping.add_argument("--tenant", required=True, help="tenant the secret belongs to")
    examining = add(doctor, "say whether this installation can work, and what to set or grant")
    examining.add_argument("--json", action="store_true", help="as JSON, a list of findings")
    return parser


def _ask_for_token(minting: argparse.ArgumentParser) -> None:
    minting.add_argument("--tenant", required=True, help="tenant the token speaks for")
    minting.add_argument("--subject", required=True, help="who acts")
    minting.add_argument("--scopes", default="", help='scopes, separated by spaces: "devops.releases.read"')
    minting.add_argument("--roles", default="", help="roles, separated by spaces")
    minting.add_argument(
        "--kind", choices=[str(kind) for kind in ActorKind if kind is not ActorKind.SYSTEM], default="human"
    )
    minting.add_argument(
        "--expires-in", type=int, default=3600, metavar="SECONDS", help="lifetime (default 3600)"
    )


def _ask_for_demo(playing: argparse.ArgumentParser) -> None:
    playing.add_argument(
        "--surface",
        choices=SURFACES,
        help="instead, walk every route of this API surface with its contract's examples and check each"
        f" answer; one of {', '.join(SURFACES)}",
    )
    playing.add_argument(
        "--provider",
        choices=[provider.value for provider in Provider],
        help="where the walk's repository is kept (default Embedded)",
    )
    playing.add_argument("--meter", default="", metavar="URL", help="tell what each step costs, as it says")


if __name__ == "__main__":
    sys.exit(main())
