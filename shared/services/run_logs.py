"""The log of a run, for its readers."""

from dataclasses import dataclass
from datetime import timedelta

from shared.domain.kernel.actor import Actor
from shared.domain.pipelines.logs import LogPage
from shared.domain.pipelines.model import PipelineRun, RunStatus
from shared.ports.blobs import Blobs
from shared.services.log_files import LogFile, read_log
from shared.services.unit import Units

LATE_LINES = timedelta(seconds=3)
"""How long after a cancel the worker that is stopping may still write its last lines."""


@dataclass(frozen=True, slots=True)
class RunLogs:
    units: Units
    blobs: Blobs

    async def page(self, actor: Actor, run_id: str, *, offset: int, limit: int, wait: float) -> LogPage:
        """Whole lines from `offset`; without any, wait up to `wait` seconds for one or for the run's end."""

        async def look() -> LogFile:
            run = await self.units.get(actor, PipelineRun, run_id)
            return LogFile(run.logs_path, self._is_closed(run))

        return await read_log(self.blobs, actor.tenant, look, offset=offset, limit=limit, wait=wait)

    def _is_closed(self, run: PipelineRun) -> bool:
        if run.status is not RunStatus.CANCELLED or run.finished_at is None:
            return run.is_terminal
        return self.units.clock.now() - run.finished_at > LATE_LINES
