"""Runs one Pulumi program, as Pulumi's language host for Python does. A child process starts this file by
path: it imports nothing of ours, so that a program sees what it will see on a real host.
"""

import asyncio
import collections.abc
import contextlib
import gc
import json
import os
import resource
import runpy
import signal
import sys
import threading
import time
import traceback
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any

type Shape = str | dict[str, Any]
"""How an output looks: `string`, `integer`, `number`, `boolean`, `any`, `{"enum": value}`, `{"list": shape}`,
`{"map": shape}`, or `{"object": {name: {"required": bool, "shape": shape}}}`."""

_SCALARS: dict[object, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
_WATCH = 0.2


def shape_of(cls: type) -> Shape:
    """The outputs of a resource class, read from its declaration."""
    from pulumi import _types  # noqa: PLC0415 - limits and isolation come before any heavy import

    return _object(_types.resource_types(cls), cls, ())


def _object(fields: dict[str, type], cls: type, above: tuple[type, ...]) -> Shape:
    from pulumi import _types  # noqa: PLC0415

    hints = _types._raw_return_hints(cls)
    return {
        "object": {
            name: {"required": not _optional(hints.get(name)), "shape": _shape(kind, (*above, cls))}
            for name, kind in fields.items()
        }
    }


def _optional(hint: object) -> bool:
    """Whether the declaration admits None, inside an Output or not."""
    arguments = typing.get_args(hint)
    if _is_union(hint):
        return type(None) in arguments
    return len(arguments) == 1 and _is_union(arguments[0]) and type(None) in typing.get_args(arguments[0])


def _is_union(hint: object) -> bool:
    return typing.get_origin(hint) in {typing.Union, types.UnionType}


def _shape(kind: Any, above: tuple[type, ...]) -> Shape:
    from pulumi import _types  # noqa: PLC0415

    if kind in _SCALARS:
        return _SCALARS[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if _is_union(kind):
        members = [member for member in arguments if member is not type(None)]
        shapes = [_shape(member, above) for member in members]
        return shapes[0] if len(shapes) == 1 or all(isinstance(shape, str) for shape in shapes) else "any"
    if origin in {list, collections.abc.Sequence}:
        return {"list": _shape(arguments[0], above)}
    if origin in {dict, collections.abc.Mapping}:
        return {"map": _shape(arguments[1], above)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": next(iter(kind)).value}
    if isinstance(kind, type) and _types.is_output_type(kind) and kind not in above:
        return _object(_types.output_type_types(kind), kind, above)
    return "any"


def _limit(cpu: int, memory: int) -> None:
    """Seconds of processor time and bytes of address space. Past the soft one Python is told, past the hard
    one the kernel ends the process."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
    with contextlib.suppress(ValueError):  # macOS refuses limits of address space
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _leave_network() -> str:
    """Move into an empty network. Returns why that was not possible, or nothing."""
    if not hasattr(os, "unshare"):
        return "this system has no network namespaces"
    user, group = os.geteuid(), os.getegid()
    try:
        try:
            os.unshare(os.CLONE_NEWNET)
        except PermissionError:
            os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
            with contextlib.suppress(OSError):  # without it we are nobody by name, and ourselves by right
                Path("/proc/self/setgroups").write_text("deny")
                Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
                Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError as error:
        return (error.strerror or "refused").lower()
    return ""


def _die_with(parent: int) -> None:
    """A program without its engine could only wait for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="watch-parent").start()


def _report(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
    """The last word of a program that failed, in the engine's log. A RunError speaks for itself."""
    import pulumi  # noqa: PLC0415

    if isinstance(error, pulumi.RunError):
        pulumi.log.error(str(error))
    else:
        text = "".join(traceback.format_exception(kind, error, trace))
        pulumi.log.error(f"The program failed with an unhandled exception:\n{text}")


def serve_policies(pack: str) -> None:
    """As `python -m pulumi.policy <engine> <pack>`: prints a port and serves until it is ended. It keeps the
    network, since that port is how it is reached."""
    sys.argv = ["pulumi.policy", "127.0.0.1:0", pack]
    runpy.run_module("pulumi.policy", run_name="__main__", alter_sys=True)


def run_program(start: dict[str, Any]) -> None:
    unshared = _leave_network()
    _die_with(start["parent"])

    import grpc  # type: ignore[import-untyped]  # noqa: PLC0415
    import pulumi  # noqa: PLC0415
    import pulumi.runtime  # noqa: PLC0415

    address = f"unix:{start['socket']}"
    channel = grpc.insecure_channel(address)
    take = channel.unary_unary("/slipway.Program/Order")
    describe = channel.unary_unary("/slipway.Program/Describe")
    order = json.loads(take(json.dumps({"network": unshared}).encode()))

    described: set[str] = set()

    def note(args: pulumi.ResourceTransformationArgs) -> None:
        """Tell the engine how the outputs of a new type look. Here, on the program's own thread: lazy SDK
        modules must not be touched from two."""
        if isinstance(args.resource, pulumi.CustomResource) and args.type_ not in described:
            described.add(args.type_)
            message = {"type": args.type_, "shape": shape_of(type(args.resource))}
            describe(json.dumps(message).encode())

    def program() -> None:
        pulumi.runtime.register_stack_transformation(note)
        runpy.run_path(order["main"], run_name="__main__")

    sys.excepthook = _report
    sys.argv = [order["main"]]
    sys.path.insert(0, order["folder"])
    pulumi.runtime.set_all_config(order["config"], order["secret_keys"])
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            project=order["project"],
            stack=order["stack"],
            organization=order["organization"],
            root_directory=order["folder"],
            monitor=address,
            engine=address,
            dry_run=order["dry_run"],
        )
    )
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with contextlib.closing(loop):
        try:
            loop.run_until_complete(pulumi.runtime.run_in_stack(program))
        finally:
            gc.freeze()  # taking two thousand generated modules apart again would cost a second


def main(start: dict[str, Any]) -> None:
    _limit(start["cpu"], start["memory"])
    gc.set_threshold(100_000, 50, 1000)  # importing an SDK makes millions of objects, and hardly any garbage
    if "pack" in start:
        _die_with(start["parent"])
        serve_policies(start["pack"])
    else:
        run_program(start)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
