"""Retention: what has been kept for as long as it has to be goes, unless something that is kept refers to it.

Every step is one batch that leaves a whole state, and is found again by the next run. Audit chains stay: what
went leaves its entry in them.
"""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.approvals.model import Approval
from shared.domain.components.model import component_id
from shared.domain.deployments.lifecycle import is_over
from shared.domain.deployments.model import Deployment
from shared.domain.deployments.rollout import ProgressiveRollout, rollout_id
from shared.domain.environments.model import Current, Entry, current_id, entry_id
from shared.domain.gitops.model import Manifest
from shared.domain.images.model import BuildImages, build_images_id
from shared.domain.kernel.actor import Actor, system_actor
from shared.domain.kernel.errors import DeliveryError
from shared.domain.kernel.ids import Root
from shared.domain.kernel.record import Entity
from shared.domain.pipelines.model import BuildResult, PipelineRun
from shared.domain.promotions.model import DecisionRecord, Promotion, decision_id
from shared.domain.releases.model import Release, ReleaseTrack, release_id, release_track_id
from shared.domain.retention import model, periods
from shared.domain.retention.lifecycle import removed, shelve
from shared.domain.retention.periods import Periods
from shared.domain.source.model import PullRequest, Review
from shared.ports.store import Query, Write
from shared.services.blob_retention import BlobRetention
from shared.services.tenants import Tenants
from shared.services.unit import Unit, Units

_log = logging.getLogger("slipway.retention")
_PIECES = 20
"""Documents removed in one batch: each is a deletion, its tombstone and its audit entry."""
_CURSORS = Root("retention", "cursors")


@dataclass(frozen=True, slots=True)
class Gone:
    """Something that went, or would go."""

    tenant: str
    kind: str
    resource: str


@dataclass(frozen=True, slots=True)
class _Kind[T: Entity]:
    kind: type[T]
    period: str
    prefix: str
    is_free: Callable[[Actor, T, datetime], Awaitable[bool]]
    """Whether it is due, and nothing that is kept refers to it."""
    remove: Callable[[Actor, T], Awaitable[None]]
    """Safe to repeat, from wherever it was left."""


@dataclass(frozen=True, slots=True)
class Retention:
    units: Units
    blobs: BlobRetention
    tenants: Tenants
    periods: Periods = field(default=periods.USUAL)
    most: int = 500
    """Things of a kind that one run looks at in a tenant; the next one goes on behind them."""

    async def run(self, *, dry: bool = False) -> list[Gone]:
        """One bounded part for every tenant; `dry`, what all parts would remove. What fails is named in the
        log, and does not stop the others: the next run comes by again."""
        gone: list[Gone] = []
        for tenant in await self.tenants.list():
            actor = system_actor(tenant, "retention")
            # Who refers goes before what is referred to.
            gone += await self._walk(actor, self._releases(), dry=dry)
            gone += await self._walk(actor, self._builds(), dry=dry)
            gone += await self._walk(actor, self._runs(), dry=dry)
            gone += await self._walk(actor, self._requests(), dry=dry)
            gone += [Gone(tenant, "artifact", digest) for digest in await self._artifacts(tenant, dry=dry)]
        return gone

    async def _artifacts(self, tenant: str, *, dry: bool) -> list[str]:
        try:
            return await self.blobs.run(tenant, dry=dry)
        except DeliveryError as error:
            _log.warning("the artifacts of %s stay for now: %s", tenant, error.message)
            return []

    def _releases(self) -> _Kind[Release]:
        return _Kind(Release, periods.RELEASES, "rel", self._release_is_free, self._remove_release)

    def _builds(self) -> _Kind[BuildResult]:
        return _Kind(BuildResult, periods.BUILDS, "build", self._build_is_free, self._remove_build)

    def _runs(self) -> _Kind[PipelineRun]:
        return _Kind(PipelineRun, periods.RUNS, "run", self._run_is_free, self._remove_run)

    def _requests(self) -> _Kind[PullRequest]:
        return _Kind(PullRequest, periods.PULL_REQUESTS, "pr", self._request_is_free, self._remove_request)

    async def _walk[T: Entity](self, actor: Actor, kind: _Kind[T], *, dry: bool) -> list[Gone]:
        """The oldest first, from where the last run stopped."""
        gone: list[Gone] = []
        after = None if dry else await self._cursor(actor, kind.period)
        now, looked = self.units.clock.now(), 0
        async for entity, position in self._old(actor, kind, after, now):
            try:
                if await kind.is_free(actor, entity, now):
                    if not dry:
                        await kind.remove(actor, entity)
                        _log.info("retention of %s-%s has ended", kind.prefix, entity.id)
                    gone.append(Gone(actor.tenant, kind.kind.__record__.kind, f"{kind.prefix}-{entity.id}"))
            except DeliveryError as error:
                _log.warning("%s %s stays for now: %s", kind.prefix, entity.id, error.message)
            looked += 1
            if looked == self.most and not dry:
                await self._keep_cursor(actor, kind.period, position)
                return gone
        if not dry and after is not None:
            await self._keep_cursor(actor, kind.period, None)
        return gone

    async def _old[T: Entity](
        self, actor: Actor, kind: _Kind[T], after: tuple[str | int, str] | None, now: datetime
    ) -> AsyncIterator[tuple[T, tuple[str | int, str]]]:
        """What was made so long ago that it may be due, with its place in that order."""
        record, cutoff = kind.kind.__record__, self.periods.cutoff(kind.period, now)
        async for document in self.units.documents(actor, Query(record.kind, {}, "created_at", after=after)):
            created = document.body["created_at"]
            if datetime.fromisoformat(created) > cutoff:
                return
            yield self.units.codec.decode(kind.kind, document.body), (created, document.id)

    async def _cursor(self, actor: Actor, name: str) -> tuple[str | int, str] | None:
        found = await self.units.store.open(actor.tenant).partition(_CURSORS).read([name])
        place = found[name].body["after"] if name in found else None
        return None if place is None else (place[0], place[1])

    async def _keep_cursor(self, actor: Actor, name: str, after: tuple[str | int, str] | None) -> None:
        body = {"after": None if after is None else list(after)}
        partition = self.units.store.open(actor.tenant).partition(_CURSORS)
        await partition.commit([Write("upsert", name, "retention-cursor", body)])

    async def _request_is_free(self, actor: Actor, request: PullRequest, now: datetime) -> bool:
        return self.periods.is_due(periods.PULL_REQUESTS, model.pull_request_since(request), now)

    async def _remove_request(self, actor: Actor, request: PullRequest) -> None:
        given = Query("pull-request-review", {"pull_request": request.id}, "created_at")
        reviews = [document.body["id"] async for document in self.units.documents(actor, given)]
        await self._pieces(actor, Review, reviews)
        await self._last(actor, request, "pr", request.project, None)

    async def _run_is_free(self, actor: Actor, run: PipelineRun, now: datetime) -> bool:
        """Its build results go before it; one that is kept keeps it, with its log."""

        async def turn(unit: Unit) -> bool:
            return not await unit.children(BuildResult, limit=1)

        if not self.periods.is_due(periods.RUNS, model.run_since(run), now):
            return False
        return await self.units.run(actor, PipelineRun.__record__.root_of(run.id), turn)

    async def _remove_run(self, actor: Actor, run: PipelineRun) -> None:
        # The log first: after the run nobody would know of it.
        await self.blobs.kept.blobs.delete(actor.tenant, run.logs_path)
        await self._last(actor, run, "run", run.project, run.module)

    async def _build_is_free(self, actor: Actor, build: BuildResult, now: datetime) -> bool:
        if not self.periods.is_due(periods.BUILDS, model.build_since(build), now):
            return False
        component = component_id(actor.tenant, build.project, build.module)
        if await self.units.find(actor, Release, release_id(component, build.id)) is not None:
            return False
        if await self.units.find(actor, BuildImages, build_images_id(build.id)) is not None:
            return False
        query = Query("package-publication", {"build_result": build.id}, "created_at", limit=1)
        return not await self.units.store.open(actor.tenant).query(query)

    async def _remove_build(self, actor: Actor, build: BuildResult) -> None:
        """Into the archive, then out of the store. Its content follows, unless another build has it too."""
        path = f"archive/build-results/{build.id}.json"
        body = self.units.codec.encode(build)
        await self.blobs.kept.let_go(build)
        await self.blobs.kept.blobs.put(
            actor.tenant, path, json.dumps(body, sort_keys=True, indent=1).encode()
        )
        await self._last(actor, build, "build", build.project, build.module, archive=path)

    async def _release_is_free(self, actor: Actor, release: Release, now: datetime) -> bool:
        promotions = await self._promotions(actor, release)
        if not self.periods.is_due(periods.RELEASES, model.release_since(release, promotions), now):
            return False
        for environment in {promotion.environment for promotion in promotions}:
            current = await self.units.find(actor, Current, current_id(environment, release.component))
            if current is not None and release.id in (current.release, current.previous_release):
                return False
        return all(map(is_over, await self._deployments(actor, release)))

    async def _remove_release(self, actor: Actor, release: Release) -> None:
        """Nobody may promote it any more; then what hangs on it; then the release itself."""

        async def close(unit: Unit) -> None:
            if (change := shelve(await unit.get(Release, release.id), unit.now)) is not None:
                unit.apply(change)

        await self.units.run(actor, Release.__record__.root_of(release.id), close)
        deployments = await self._deployments(actor, release)
        for promotion in await self._promotions(actor, release):
            where = promotion.environment
            mine = [deployment for deployment in deployments if deployment.environment == where]
            numbers = range(1, promotion.decisions + 1)
            await self._pieces(actor, DecisionRecord, [decision_id(promotion.id, n) for n in numbers])
            await self._pieces(actor, Approval, promotion.approvals)
            await self._pieces(actor, ProgressiveRollout, [rollout_id(each.id) for each in mine])
            await self._pieces(actor, Manifest, sorted({each.manifest for each in mine if each.manifest}))
            await self._pieces(actor, Deployment, [each.id for each in mine])
            await self._pieces(actor, Entry, [entry_id(where, release.id)])
            await self._pieces(actor, Promotion, [promotion.id])
        await self._pieces(actor, ReleaseTrack, [release_track_id(release.id)])
        await self._last(actor, release, "rel", release.project, release.module)

    async def _promotions(self, actor: Actor, release: Release) -> list[Promotion]:
        track = await self.units.find(actor, ReleaseTrack, release_track_id(release.id))
        hops = track.hops if track else ()
        found = [await self.units.find(actor, Promotion, hop.promotion) for hop in hops]
        return [promotion for promotion in found if promotion is not None]

    async def _deployments(self, actor: Actor, release: Release) -> list[Deployment]:
        query = Query("deployment", {"release": release.id}, "created_at")
        found = self.units.documents(actor, query)
        return [self.units.codec.decode(Deployment, document.body) async for document in found]

    async def _pieces[T: Entity](self, actor: Actor, kind: type[T], ids: Sequence[str]) -> None:
        """Remove these, as far as they are still there, a batch at a time."""
        for start in range(0, len(ids), _PIECES):
            some = ids[start : start + _PIECES]

            async def turn(unit: Unit, some: Sequence[str] = some) -> None:
                await unit.load(*(kind.__record__.document(each) for each in some))
                for each in some:
                    if (entity := await unit.find(kind, each)) is not None:
                        unit.retire(entity)

            await self.units.run(actor, kind.__record__.root_of(ids[0]), turn)

    async def _last(
        self,
        actor: Actor,
        entity: Entity,
        prefix: str,
        project: str,
        module: str | None,
        archive: str | None = None,
    ) -> None:
        """The thing itself, told: after it nothing leads here any more."""
        kind = type(entity)

        async def turn(unit: Unit) -> None:
            if kind is BuildResult and await unit.find(BuildImages, build_images_id(entity.id)) is not None:
                return  # an image of it was requested just now, and keeps it
            if (found := await unit.find(kind, entity.id)) is not None:
                unit.retire(found)
                told = removed(kind.__record__.kind, f"{prefix}-{entity.id}", project, module, archive)
                unit.emit(told)

        await self.units.run(actor, kind.__record__.root_of(entity.id), turn)
