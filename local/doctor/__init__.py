"""`slipway doctor`: is this installation able to work, and if not, what exactly to set or grant.

It looks and tries; nothing it does is seen by a caller. It says what the identity it runs as may do: on an
operator's machine that is the operator, inside the app's network and identity it is the app.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any, Final

from local.doctor.backends import Advice, examine_blobs, examine_bus, examine_store, examine_vault
from local.doctor.finding import Finding, Result, fail, ok
from local.doctor.machine import examine_machine
from shared.adapters.embedded.system import SystemClock
from shared.app import App, build_app
from shared.domain.kernel.errors import DeliveryError
from shared.settings import Settings

__all__ = ["Finding", "Result", "examine", "run"]

_EMBEDDED: Final[Mapping[str, str]] = dict.fromkeys(
    ("store", "bus", "queue", "vault", "blobs"),
    "Stop the server, see that its files in the data folder belong to this user, and start it again.",
)
_MARKS: Final = {Result.OK: "ok  ", Result.WARN: "WARN", Result.FAIL: "FAIL"}


def run(settings: Settings, *, as_json: bool = False) -> int:
    """Print the findings. 0 when the installation can work, warnings or not; 1 when something failed."""
    findings = asyncio.run(examine(settings))
    if as_json:
        print(json.dumps([asdict(each) for each in findings], indent=1))
    else:
        for each in findings:
            print(_MARKS[each.result], each.subject, each.tried, each.told, sep="\t")
            if each.advice:
                print(f"    {each.advice}")
    return 1 if any(each.result is Result.FAIL for each in findings) else 0


async def examine(settings: Settings, **replacements: Any) -> list[Finding]:
    """Every finding, in the order of what needs what. `replacements` stand in for ports, as for the App."""
    findings = [ok("settings", "read them", f"platform {settings.platform}, role {settings.role}")]
    findings += examine_machine(settings)
    if any(each.result is Result.FAIL for each in findings):
        return findings
    if settings.platform == "azure":
        return findings + await _examine_azure(settings, replacements)
    return findings + await _examine_ports(settings, replacements, _EMBEDDED)


async def _examine_azure(settings: Settings, replacements: Mapping[str, Any]) -> list[Finding]:
    """A service that gives no token, or that cannot be reached, is not tried any further."""
    from local.doctor import azure  # noqa: PLC0415 - the SDKs are for those who are there
    from shared.adapters.azure.identity import credential  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        signed_in = await stack.enter_async_context(credential(settings.client_id))
        findings = [each async for each in azure.examine_identity(settings, signed_in)]
        findings += [each async for each in azure.examine_endpoints(settings, SystemClock())]
        away = {each.subject.partition(" ")[2] for each in findings if each.result is Result.FAIL}
        if "store" not in away:
            findings += [each async for each in azure.examine_containers(settings, signed_in)]
        if "bus" not in away:
            findings += [each async for each in azure.examine_queues(settings, signed_in)]
    granting = azure.grants(settings)
    return findings + await _examine_ports(
        settings, replacements, {**granting, "queue": granting["bus"]}, away
    )


async def _examine_ports(
    settings: Settings,
    replacements: Mapping[str, Any],
    advice: Mapping[str, str],
    away: set[str] | frozenset[str] = frozenset(),
) -> list[Finding]:
    told: Advice = advice.__getitem__
    try:
        app = build_app(settings, **replacements)
    except DeliveryError as error:
        # On Azure, composing reads the signing keys out of the vault.
        return [fail("vault", "compose the installation", error.message, told("vault"))]
    try:
        checks = {
            "store": examine_store(app.store, app.clock, told),
            "bus": examine_bus(app.bus, told),
            "vault": examine_vault(app.vault, told),
            "blobs": examine_blobs(app.blobs, told),
        }
        return [each for port, check in checks.items() if port not in away async for each in check]
    finally:
        await _close(app)


async def _close(app: App) -> None:
    # Not app.aclose(): that stops what was deployed, and a running server is not to notice us.
    await app.bus.aclose()
    await app.store.aclose()
    await app.release()
    await asyncio.to_thread(app.telemetry.shutdown)
