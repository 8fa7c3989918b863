"""One running service of a release: what its bundle asks for, start, health, stop. Knows nothing of releases
before or after it."""

import asyncio
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.adapters.processes import Group, Scratch
from shared.adapters.strict_yaml import load_yaml
from shared.ports.target import DeployFailed, Workload

MANIFEST = "slipway.yml"
_MANIFEST_BYTES = 64 * 1024
_TAIL_LINES = 20
_TAIL_BYTES = 64 * 1024
_TAIL_CHARACTERS = 4000
_ANSWER_WITHIN = 2.0
_SHORTEST_SECRET = 4  # masking every `1` would leave nothing to read


class ServiceSpec(BaseModel):
    """`service` of slipway.yml. `stop_timeout`: seconds between SIGTERM and SIGKILL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    health: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/healthz"
    stop_timeout: Annotated[float, Field(ge=0, le=300)] = 5.0


class _Manifest(BaseModel):
    service: ServiceSpec | None = None


def spec_of(release: Path) -> ServiceSpec | None:
    """What the bundle's manifest asks to run; None for plain files. Raises DeployFailed."""
    path = release / MANIFEST
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MANIFEST_BYTES:
            raise DeployFailed(f"{MANIFEST} is larger than {_MANIFEST_BYTES // 1024} KB; shorten it.")
        return _Manifest.model_validate(load_yaml(path.read_bytes()) or {}).service
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where is not None else ""
        raise DeployFailed(f"{MANIFEST} is no valid YAML{line}; mend it and publish a new version.") from None
    except ValidationError as error:
        rows = "; ".join(
            f"{'.'.join(map(str, row['loc'])) or 'the file'}: {row['msg'].lower()}" for row in error.errors()
        )
        raise DeployFailed(f"{MANIFEST} cannot be used: {rows}.") from None


def free_port(preferred: int | None, taken: frozenset[int]) -> int:
    """A port of 127.0.0.1 that nobody listens on: `preferred` if it is free, and none of `taken`."""
    for port in (preferred, *[None] * 50):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port or 0))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            if found not in taken:
                return found
    raise DeployFailed("No free port was found on 127.0.0.1; stop a service and deploy again.")


async def health_of(port: int, path: str, timeout: float = _ANSWER_WITHIN) -> str:
    """Ask the service. Empty when it answers 2xx, else what it did instead."""
    import aiohttp  # noqa: PLC0415 - a tenth of a second that only what deploys a service has to pay

    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(f"http://127.0.0.1:{port}{path}", allow_redirects=False) as response,
        ):
            return "" if 200 <= response.status < 300 else f"GET {path} answered {response.status}"
    except TimeoutError:
        return f"GET {path} gave no answer within {timeout:.1f} seconds"
    except aiohttp.ClientError:
        return f"GET {path} was not answered"


@dataclass(frozen=True, slots=True)
class Instance:
    """One attempt to run a release. Its scratch finds its processes again after we were killed."""

    scratch: Scratch
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, release: Path, spec: ServiceSpec, workload: Workload, timeout: float) -> None:
        """Start it and wait until it is healthy. Whatever goes wrong, nothing of it runs afterwards.

        Raises DeployFailed with the end of its log.
        """
        self.scratch.create()
        healthy = False
        try:
            await self._wait(self._launch(release, spec, workload), spec, workload, timeout)
            healthy = True
        finally:
            if not healthy:
                await asyncio.shield(self.scratch.discard(spec.stop_timeout))

    def _launch(self, release: Path, spec: ServiceSpec, workload: Workload) -> Group:
        fixed = {
            "PORT": str(self.port),
            "SLIPWAY_ENVIRONMENT": workload.environment,
            "SLIPWAY_COMPONENT": workload.component,
            "SLIPWAY_VERSION": workload.version,
        }
        environment = self.scratch.environment() | dict(workload.variables) | fixed
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return self.scratch.start(
                spec.command, cwd=release, environment=environment, stdout=log, stderr=log
            )
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise DeployFailed(
                f"The service could not be started: `{spec.command[0]}`: {reason}. "
                f"Mend `service.command` in {MANIFEST}."
            ) from None
        except ValueError:
            raise DeployFailed(
                "The service could not be started: its command or a variable holds a character that no "
                "process can be given."
            ) from None
        finally:
            os.close(log)

    async def _wait(self, group: Group, spec: ServiceSpec, workload: Workload, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        reason = "it was not asked"
        while (left := deadline - loop.time()) > 0:
            reason = await health_of(self.port, spec.health, max(0.1, min(_ANSWER_WITHIN, left)))
            code = group.exit_code()  # asked last: a stranger may have answered on the port of a dead service
            if code is not None:
                raise self._failed(f"ended with exit code {code} before it became healthy", workload)
            if not reason:
                return
            await asyncio.sleep(0.05)
        raise self._failed(f"did not become healthy within {timeout:g} seconds: {reason}", workload)

    def _failed(self, what: str, workload: Workload) -> DeployFailed:
        lines = tail(self.log, workload.variables)
        said = "Its log ends with:\n" + "\n".join(lines) if lines else "It wrote nothing to its log."
        return DeployFailed(f"The service {what}. {said}")

    def running(self) -> bool:
        group = self.scratch.group()
        return group is not None and group.running()

    async def health(self, spec: ServiceSpec) -> str:
        """Empty when it runs and answers, else what is wrong."""
        if not self.running():
            return "The service is not running; deploy it again."
        reason = await health_of(self.port, spec.health)
        if not self.running():
            return "The service is not running any more; deploy it again."
        return f"The service runs and is not healthy: {reason}." if reason else ""

    async def stop(self, grace: float) -> None:
        """End it and everything it started, and remove its scratch."""
        await self.scratch.discard(grace)


def tail(log: Path, variables: Mapping[str, str]) -> Sequence[str]:
    """The last lines of a log, with the values of `variables` masked by their names."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        data = file.read()
    if size > _TAIL_BYTES:
        data = data.partition(b"\n")[2]  # half a line could hold half a secret, which no mask would find
    text = data.decode(errors="replace")
    masks = {
        part: name
        for name, value in variables.items()
        for part in (value, *value.splitlines())
        if len(part) >= _SHORTEST_SECRET
    }
    if masks:
        longest_first = sorted(masks, key=len, reverse=True)
        pattern = re.compile("|".join(map(re.escape, longest_first)))
        text = pattern.sub(lambda match: f"[{masks[match[0]]}]", text)
    return "\n".join(text.splitlines()[-_TAIL_LINES:])[-_TAIL_CHARACTERS:].splitlines()
