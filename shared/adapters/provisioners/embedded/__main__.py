"""`python -m shared.adapters.provisioners.embedded preview|up|destroy --program DIR --stack NAME`: the
embedded engine from a terminal. `up` and `destroy` approve their own plan."""

import argparse
import asyncio
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from shared.adapters.embedded.system import SystemClock
from shared.adapters.provisioners.embedded import report
from shared.adapters.provisioners.embedded.engine import EmbeddedProvisioner
from shared.domain.kernel.errors import DeliveryError
from shared.ports.provisioner import Applied, Config, Plan, Program, ProgramFailed, Progress, Stack


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m shared.adapters.provisioners.embedded", description=__doc__
    )
    parser.add_argument("operation", choices=("preview", "up", "destroy"))
    parser.add_argument(
        "--program", type=Path, required=True, metavar="DIR", help="the folder of Pulumi.yaml"
    )
    parser.add_argument("--stack", required=True, metavar="NAME")
    parser.add_argument("--state", type=Path, metavar="DIR", help="without it, nothing is remembered")
    parser.add_argument("--policy-pack", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--config", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--tenant", default="organization", metavar="NAME", help="Pulumi's organization")
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON")
    parsed = parser.parse_args(arguments)
    if wrong := [text for text in parsed.config if "=" not in text]:
        parser.error(f"--config takes KEY=VALUE, not {wrong[0]}")
    return parsed


async def _ignore(_event: Progress) -> None:
    """The result says it all."""


async def _run(arguments: argparse.Namespace, state: Path) -> Plan | Applied:
    name = arguments.program.resolve().name
    program = Program(name, arguments.program.resolve(), tuple(arguments.policy_pack))
    engine = EmbeddedProvisioner(root=state, programs={name: program}, clock=SystemClock())
    stack = Stack(arguments.tenant, name, arguments.stack)
    config = Config(dict(text.split("=", 1) for text in arguments.config))
    destroy = arguments.operation == "destroy"
    plan = await engine.preview(stack, config, on_event=_ignore, destroy=destroy)
    if arguments.operation == "preview":
        return plan
    carry_out = engine.destroy if destroy else engine.apply
    return await carry_out(stack, config, plan.digest, on_event=_ignore)


def main(arguments: Sequence[str]) -> int:
    """0: fine. 1: it failed, or the plan may not be applied. 2: the arguments are wrong."""
    parsed = _arguments(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            result = asyncio.run(_run(parsed, parsed.state or Path(scratch)))
        except DeliveryError as error:
            for diagnostic in error.diagnostics if isinstance(error, ProgramFailed) else ():
                sys.stderr.write(f"{diagnostic.severity}: {diagnostic.message}\n")
            sys.stderr.write(f"{error.message}\n")
            return 1
    duration = time.monotonic() - began
    if parsed.json:
        sys.stdout.write(
            json.dumps({**dataclasses.asdict(result), "duration": round(duration, 3)}, indent=2) + "\n"
        )
    else:
        sys.stdout.write("\n".join(report.lines(result, duration)) + "\n")
    return 1 if isinstance(result, Plan) and result.obstacles else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
