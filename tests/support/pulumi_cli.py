#!/usr/bin/env python3
"""A stand-in for the `pulumi` command: as much of it as the Automation API asks for. Stacks are files below
PULUMI_BACKEND_URL; a program wants one resource for each plain value of its configuration."""

import json
import os
import sys
from pathlib import Path
from typing import Any


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else ""


def place() -> Path:
    folder = Path(os.environ["PULUMI_BACKEND_URL"].removeprefix("file://"))
    selected = Path("selected")
    name = option("--stack") or (selected.read_text() if selected.exists() else sys.argv[3])
    return folder / f"{name}.json"


def load() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(place().read_text())
    return found


def configured() -> dict[str, str]:
    file = Path("config.json")
    found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    return found


def set_all() -> None:
    plain = [sys.argv[at + 1] for at, word in enumerate(sys.argv) if word == "--plaintext"]
    Path("config.json").write_text(json.dumps(dict(pair.split("=", 1) for pair in plain)))


def urn(name: str) -> str:
    return f"urn:pulumi:dev::shop::demo:index:Thing::{name}"


def step(name: str, old: str | None, new: str | None) -> dict[str, Any]:
    same = "same" if old == new else "update"
    operation = "create" if old is None else "delete" if new is None else same
    metadata = {"op": operation, "urn": urn(name), "type": "demo:index:Thing", "provider": ""}
    sides = {"old": old, "new": new}
    for side, size in sides.items():
        if size is not None:
            metadata[side] = {"type": "", "urn": "", "inputs": {"size": size}}  # type: ignore[assignment]
    return {"resourcePreEvent": {"metadata": metadata}}


def run(kind: str) -> int:
    state, wanted = load(), {} if kind == "destroy" else configured()
    if "busy" in wanted:
        Path(option("--event-log")).write_text('{"cancelEvent": {}}\n')
        sys.stderr.write(
            "error: the stack is currently locked by 1 lock(s)\n[409] Conflict: Another update\n"
        )
        return 255
    things = state["things"]
    events = [step(name, things.get(name), wanted.get(name)) for name in sorted({*things, *wanted})]
    if "fail" in wanted:
        said = {"message": wanted["fail"], "severity": "error", "color": ""}
        events.append({"diagnosticEvent": said})
    events.append({"summaryEvent": {"resourceChanges": {}, "durationSeconds": 0, "PolicyPacks": {}}})
    events.append({"cancelEvent": {}})
    with Path(option("--event-log")).open("a") as log:
        for number, event in enumerate(events):
            log.write(json.dumps({"sequence": number, "timestamp": 0, **event}) + "\n")
    if "fail" in wanted:
        sys.stderr.write("error: preview failed\n")
        return 255
    if kind != "preview":
        summary = {"kind": {"up": "update"}.get(kind, kind), "startTime": "2026-06-11T09:00:00.000Z"}
        told = {"message": option("--message"), "environment": {}, "config": {}, "result": "succeeded"}
        state |= {"things": wanted, "history": [{**summary, **told, "version": 1}, *state["history"]]}
        place().write_text(json.dumps(state))
    return 0


def main() -> int:
    sys.argv = [word for word in sys.argv if word != "--non-interactive"]
    match sys.argv[1:3]:
        case ["version", *_]:
            sys.stdout.write("v3.200.0\n")
        case ["stack", "select"] if not place().exists():
            sys.stderr.write("error: no stack named that found\n")
            return 255
        case ["stack", "init" | "select" as verb]:
            name = option("--stack") or sys.argv[3]
            Path("selected").write_text(name)
            if verb == "init":
                place().write_text(json.dumps({"things": {}, "history": []}))
        case ["config", "set-all"]:
            set_all()
        case ["preview" | "up" | "destroy" as kind, *_]:
            return run(kind)
        case ["stack", "history"]:
            sys.stdout.write(json.dumps(load()["history"][:1]))
        case ["stack", "output"]:
            sys.stdout.write("{}")
        case ["stack", "export"]:
            rows = [
                {"urn": urn(name), "type": "demo:index:Thing", "inputs": {"size": size}}
                for name, size in load()["things"].items()
            ]
            manifest = {"time": "2026-06-11T09:00:00Z"}
            sys.stdout.write(
                json.dumps({"version": 3, "deployment": {"manifest": manifest, "resources": rows}})
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
