"""Makes whatever the configuration lists: one small resource class, a component, a provider, a reference."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi


class Thing(pulumi.CustomResource):
    """A resource of no cloud. `address` and `port` are what a cloud would answer."""

    size: pulumi.Output[int]
    address: pulumi.Output[str]
    port: pulumi.Output[int]
    comment: pulumi.Output[str | None]

    def __init__(self, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        properties = {"size": None, "address": None, "port": None, "comment": None, **inputs}
        super().__init__("demo:index:Thing", name, properties, opts)


class Box(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("demo:index:Box", name, None, opts)
        self.register_outputs({"label": name})


class Provider(pulumi.ProviderResource):
    def __init__(self, name: str, region: str) -> None:
        super().__init__("demo", name, {"region": region})


config = pulumi.Config()
made: dict[str, Any] = {}


def options(wanted: Mapping[str, Any]) -> pulumi.ResourceOptions:
    given = dict(wanted)
    for key in ("parent", "provider"):
        if key in given:
            given[key] = made[given[key]]
    for key in ("depends_on", "replace_with"):
        if key in given:
            given[key] = [made[name] for name in given[key]]
    if "alias_names" in given:
        given["aliases"] = [pulumi.Alias(name=name) for name in given.pop("alias_names")]
    return pulumi.ResourceOptions(**given)


def inputs(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """`{"from": "one"}` is the address of thing `one`, `{"secret": "key"}` a secret of the configuration."""
    found: dict[str, Any] = {}
    for key, value in wanted.items():
        match value:
            case {"from": name}:
                found[key] = made[name].address
            case {"secret": name}:
                found[key] = config.require_secret(name)
            case {"file": name}:
                found[key] = pulumi.FileAsset(name)
            case {"archive": name}:
                found[key] = pulumi.FileArchive(name)
            case _:
                found[key] = value
    return found


for entry in config.require_object("things"):
    opts = options(entry.get("opts", {}))
    name = entry["name"]
    match entry.get("kind", "thing"):
        case "box":
            made[name] = Box(name, opts)
        case "provider":
            made[name] = Provider(name, entry["region"])
        case "read":
            made[name] = Thing(
                name, {}, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=entry["id"]))
            )
        case "reference":
            made[name] = pulumi.StackReference(name, entry["stack"])
            pulumi.export(f"{name}-seen", made[name].get_output(entry["output"]))
        case _:
            made[name] = Thing(name, inputs(entry.get("inputs", {})), opts)
            pulumi.export(f"{name}-address", made[name].address)

pulumi.export("note", config.get("note"))
pulumi.export("here", Path.cwd().name)
if config.get("password"):
    pulumi.export("password", config.require_secret("password"))
