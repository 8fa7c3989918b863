"""Programs that go wrong, each in the way that the configuration names."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pulumi
from pulumi import dynamic

config = pulumi.Config()
target = config.get("target") or ""


def tell(value: object) -> None:
    pulumi.export("seen", value)


class Provider(dynamic.ResourceProvider):
    """Of nothing."""


class Made(dynamic.Resource):
    """By the program itself."""


def raise_error() -> None:
    raise ValueError("the shelf is empty")


def refuse() -> None:
    raise pulumi.RunError("give a size")


def hang() -> None:
    Path(target).write_text(str(os.getpid()))
    time.sleep(600)


def with_child() -> None:
    if pulumi.runtime.is_dry_run():  # its plan looks harmless
        return
    child = subprocess.Popen(["/bin/sleep", "600"])
    sys.stdout.write(f"pids {os.getpid()} {child.pid}\n")
    time.sleep(600)


def connect() -> None:
    with socket.socket() as client:
        client.settimeout(2)
        tell(f"error {client.connect_ex(('127.0.0.1', int(target)))}")


def look_around() -> None:
    tell(json.dumps(sorted(os.environ)))


def allocate() -> None:
    tell(len(bytearray(8 * 1024**3)))


def burn() -> None:
    while True:
        pass


def give_up() -> None:
    sys.exit("there is no more paper")


def leave() -> None:
    os._exit(0)


def chatter() -> None:
    sys.stdout.write(f"said {config.require('password')}\n")
    for number in range(20_000):
        sys.stdout.write(f"{number:0100}\n")
    pulumi.log.warn(f"warned {config.require('password')}")


def impossible() -> None:
    """Everything that the engine has to refuse, in one program."""
    try:
        pulumi.runtime.register_resource_transform(lambda args: None)
    except Exception as refused:  # noqa: BLE001 - Pulumi raises nothing narrower
        pulumi.log.error(str(refused))
    Made(Provider(), "made", {"size": 1})
    pulumi.CustomResource("demo:index:Thing", "brought", {}, pulumi.ResourceOptions(import_="id-of-it"))
    pulumi.CustomResource("demo:index:Thing", "twice", {})
    pulumi.CustomResource("demo:index:Thing", "twice", {})
    tell(pulumi.runtime.invoke("demo:index:lookUp", {}).value)


def hooked() -> None:
    hook = pulumi.ResourceHook("say", lambda args: None)
    binding = pulumi.ResourceHookBinding(after_create=[hook])
    pulumi.CustomResource("demo:index:Thing", "thing", {}, pulumi.ResourceOptions(hooks=binding))


acts = (
    raise_error,
    refuse,
    hang,
    with_child,
    connect,
    look_around,
    allocate,
    burn,
    leave,
    give_up,
    chatter,
    impossible,
    hooked,
)
{act.__name__: act for act in acts}[config.require("act")]()
