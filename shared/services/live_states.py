"""What runs: a target is made to run a manifest, or nothing. Decides nothing and records nothing."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from shared.domain.gitops.drift import Seen
from shared.domain.gitops.errors import BadManifest
from shared.domain.gitops.lifecycle import content_hash
from shared.domain.gitops.model import DesiredState, Manifest, ManifestStatus, SyncState, manifest_id
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import NotFound
from shared.ports.blobs import Blobs
from shared.ports.manifests import ManifestFormat
from shared.ports.target import DeployFailed, LiveState, Split, Target, Workload
from shared.services.artifact_blobs import stored_at
from shared.services.unit import Units

_CHUNK = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LiveStates:
    manifests: ManifestFormat
    blobs: Blobs
    target: Target

    async def observe(self, state: SyncState) -> LiveState:
        return await self.target.observe(state.tenant, state.environment_name, _folder(state))

    async def seen(self, state: SyncState) -> Seen:
        """The same, as drift is found by."""
        live = await self.observe(state)
        return Seen(
            revision=live.revision,
            version=live.version,
            url=live.url,
            is_healthy=live.health != "unhealthy",
            message=live.message,
            altered=live.altered,
        )

    async def apply(self, state: SyncState, content: bytes | None, split: Split | None = None) -> LiveState:
        """Make the target run the manifest `content` as far as `split` says, or nothing for None; what runs
        then.

        Raises DeployFailed (the version before runs), BadManifest and Overtaken.
        """
        if content is None:
            await self.target.remove(state.tenant, state.environment_name, _folder(state))
            return await self.observe(state)
        desired = self.manifests.parse(content)
        if (desired.environment, desired.component) != (state.environment_name, state.component):
            raise BadManifest(
                f"The manifest at {state.path} is of {desired.module} in {desired.environment};"
                " restore it from its history."
            )
        with tempfile.TemporaryDirectory(prefix="slipway-artifact-") as folder:
            path = Path(folder, "bundle.zip" if desired.artifact.endswith(".zip") else "bundle.tar.gz")

            async def artifact() -> Path:
                await self._download(state.tenant, desired.digest, path)
                return path

            return await self.target.apply(_workload(state, desired, content), artifact, split)

    async def _download(self, tenant: str, digest: str, path: Path) -> None:
        """The artifact of that digest, in pieces: a bundle may be larger than memory should hold."""
        source = stored_at(digest)
        start = 0
        try:
            with await asyncio.to_thread(path.open, "wb") as file:
                while chunk := await self.blobs.read(tenant, source, start=start, length=_CHUNK):
                    await asyncio.to_thread(file.write, chunk)
                    start += len(chunk)
        except NotFound as error:
            raise DeployFailed(f"The artifact {digest} is not stored any more; build it again.") from error


async def require_promoted(units: Units, actor: Actor, state: SyncState, content: bytes | None) -> None:
    """BadManifest unless a promotion once put exactly this content there: whoever may push to the GitOps
    repository can bring back what was approved, and cannot bring what nobody has approved."""
    if content is None:
        return
    manifest = await units.find(actor, Manifest, manifest_id(state.environment, content_hash(content)))
    if manifest is None or manifest.status is not ManifestStatus.COMMITTED:
        raise BadManifest(
            f"No promotion has put the manifest at {state.path} there; promote a release,"
            " or restore it from its history."
        )


def revision_of(content: bytes | None) -> str | None:
    """What a target calls the state that a manifest asks for: equal manifests, equal revisions."""
    return None if content is None else content_hash(content).removeprefix("sha256:")


def _workload(state: SyncState, desired: DesiredState, content: bytes) -> Workload:
    return Workload(
        tenant=state.tenant,
        environment=state.environment_name,
        component=_folder(state),
        version=desired.version,
        digest=desired.digest,
        revision=revision_of(content) or "",
        variables={
            "SLIPWAY_COMMIT": desired.commit_sha,
            "SLIPWAY_ENVIRONMENT": desired.environment,
            "SLIPWAY_MODULE": desired.module,
            "SLIPWAY_RELEASE": f"rel-{desired.release}",
            "SLIPWAY_VERSION": desired.version,
        },
    )


def _folder(state: SyncState) -> str:
    """The component's name at the target: readable, and distinct where two projects have equal modules."""
    return f"{state.module}-{state.component[:12]}"
