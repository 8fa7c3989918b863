"""Pipelines: generated from a template, kept as a file in the repository they build."""

from dataclasses import dataclass
from typing import Protocol

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.errors import Conflict
from shared.domain.pipelines.definition import Definition, definition_path
from shared.domain.pipelines.lifecycle import generated, regenerated, superseded
from shared.domain.pipelines.model import (
    PIPELINE,
    ModuleType,
    PipelineDefinition,
    PipelineStatus,
    pipeline_id,
)
from shared.domain.pipelines.templates import TEMPLATE_VERSION, template
from shared.domain.source.lifecycle import require_writable
from shared.domain.source.model import Repository
from shared.ports.definitions import Definitions
from shared.ports.source_host import FileChange, HeadMoved, Signature, SourceHost
from shared.ports.store import Query
from shared.services.branches import place_of
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units

PIPELINE_TRAILER = "Slipway-Pipeline"
CONTENT_TRAILER = "Slipway-Pipeline-Content"
COMMIT_ATTEMPTS = 4


class BranchMoves(Protocol):
    """Records where a branch is after the platform moved it."""

    async def record_move(self, actor: Actor, repository: Repository, branch: str, new_sha: str) -> None: ...


@dataclass(frozen=True, slots=True)
class PipelineDraft:
    """`branch` None is the repository's default branch."""

    repository: str
    module: str
    module_type: ModuleType
    target_feed: str | None = None
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Pipelines:
    units: Units
    host: SourceHost
    definitions: Definitions
    branches: BranchMoves

    async def generate(self, actor: Actor, draft: PipelineDraft, once: Once | None) -> PipelineDefinition:
        """Commit the module's definition to the branch, unless that very text is there, and record it.

        Raises NotFound for an unknown repository or branch, ManagedRepository for one that Slipway keeps,
        InvalidDefinition for a module that cannot name a file. Dying after the commit loses nothing: a retry
        finds the text in place.
        """
        repository = await self.units.get(actor, Repository, draft.repository)
        require_writable(repository)
        root = Repository.__record__.root_of(repository.id)
        await self.units.replay(actor, root, once)
        branch = draft.branch or repository.default_branch
        text = self.definitions.render(template(draft.module, draft.module_type, draft.target_feed))
        sha, is_new_commit = await self._commit(repository, branch, draft.module, text)
        # Before the answer is kept, and also where the text was there: a try that died may have put it there.
        await self.branches.record_move(actor, repository, branch, sha)

        async def turn(unit: Unit) -> PipelineDefinition:
            wanted = described(unit, repository, draft, text, branch=branch, commit_sha=sha)
            await self._supersede_neighbour(unit, wanted)
            existing = await unit.find(PipelineDefinition, wanted.id)
            if existing is None:
                return unit.apply(generated(wanted))
            change = regenerated(existing, wanted, is_new_commit=is_new_commit)
            return existing if change is None else unit.apply(change)

        return await self.units.run(actor, root, turn, once)

    async def get(self, actor: Actor, pipeline: str) -> PipelineDefinition:
        return await self.units.get(actor, PipelineDefinition, pipeline)

    async def list(self, actor: Actor, query: Query) -> Page[PipelineDefinition]:
        return await self.units.list(actor, PipelineDefinition, query)

    async def _commit(
        self, repository: Repository, branch: str, module: str, text: bytes
    ) -> tuple[str, bool]:
        """The commit at which the branch has the text, and whether it was made for that."""
        place, path = place_of(repository), definition_path(module)
        content_hash = sha256_hex(text)
        for _ in range(COMMIT_ATTEMPTS):
            head = await self.host.head(place, branch)
            there = await self.host.read_file(place, head, path)
            if there == text:
                return head, False
            change = FileChange(path, "add" if there is None else "modify", text)
            author = Signature("Slipway", f"pipelines@{repository.tenant}.slipway", self.units.clock.now())
            try:
                made = await self.host.commit(
                    place,
                    branch,
                    [change],
                    message=f"ci: generate pipeline for {module}",
                    author=author,
                    expected_head=head,
                    trailers=[(PIPELINE_TRAILER, f"pipe-{pipeline_id(repository.id, module)}")],
                    # The head is part of it: the same text may come back after another one replaced it.
                    once=(CONTENT_TRAILER, f"{content_hash}@{head}"),
                )
            except HeadMoved:
                continue
            return made.sha, True
        raise Conflict(
            f"Others keep pushing to {branch}; generate the pipeline again shortly.", branch=branch
        )

    async def _supersede_neighbour(self, unit: Unit, wanted: PipelineDefinition) -> None:
        """`orders` and `module-orders` share one file; whoever is generated last has it."""
        short = wanted.module.removeprefix("module-")
        other = short if short != wanted.module else f"module-{wanted.module}"
        if definition_path(other) != wanted.definition_path:
            return
        neighbour = await unit.find(PipelineDefinition, pipeline_id(wanted.repository, other))
        if neighbour is not None and PIPELINE.can(neighbour.status, "supersede"):
            unit.apply(superseded(neighbour, unit.now))


def described(
    unit: Unit,
    repository: Repository,
    draft: PipelineDraft,
    text: bytes,
    *,
    branch: str,
    commit_sha: str | None,
) -> PipelineDefinition:
    """The record of a definition with that text; not committed where there is no commit."""
    return PipelineDefinition(
        id=pipeline_id(repository.id, draft.module),
        tenant=repository.tenant,
        project=repository.project,
        repository=repository.id,
        module=draft.module,
        module_type=draft.module_type,
        target_feed=draft.target_feed,
        definition_path=definition_path(draft.module),
        branch=branch,
        commit_sha=commit_sha,
        status=PipelineStatus.GENERATED,
        template_version=TEMPLATE_VERSION,
        content_hash=f"sha256:{sha256_hex(text)}",
        version=1,
        committed=commit_sha is not None,
        created_by=unit.actor.subject,
        created_at=unit.now,
        updated_at=unit.now,
    )


def default_definition(pipeline: PipelineDefinition) -> Definition:
    """What runs where a commit has no definition file."""
    return template(pipeline.module, pipeline.module_type, pipeline.target_feed)
