"""Pipelines: generated from a template, kept as a file in the repository they build."""

from dataclasses import dataclass
from typing import Protocol

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.errors import Conflict, Problem
from shared.domain.pipelines.definition import Definition
from shared.domain.pipelines.errors import DefinitionOccupied
from shared.domain.pipelines.generators.hosts import GENERATORS, generate
from shared.domain.pipelines.generators.inputs import (
    TEMPLATE_VERSION,
    Inputs,
    is_generated,
    path_on,
    require_file_name,
)
from shared.domain.pipelines.lifecycle import (
    generated,
    regenerated,
    restored,
    retired,
    superseded,
    version_of,
)
from shared.domain.pipelines.model import (
    PIPELINE,
    ModuleType,
    PipelineDefinition,
    PipelineStatus,
    PipelineVersion,
    Toolchain,
    pipeline_id,
    version_id,
)
from shared.domain.pipelines.templates import template
from shared.domain.source.lifecycle import require_writable
from shared.domain.source.model import Provider, Repository
from shared.ports.definitions import Definitions
from shared.ports.source_host import FileChange, HeadMoved, Signature, SourceHost
from shared.ports.store import Query
from shared.services.branches import place_of
from shared.services.once import Once
from shared.services.unit import Page, Unit, Units

PIPELINE_TRAILER = "Slipway-Pipeline"
CONTENT_TRAILER = "Slipway-Pipeline-Content"
COMMIT_ATTEMPTS = 4
PIPELINE_RECORD = PipelineDefinition.__record__


class BranchMoves(Protocol):
    """Records where a branch is after the platform moved it."""

    async def record_move(self, actor: Actor, repository: Repository, branch: str, new_sha: str) -> None: ...


@dataclass(frozen=True, slots=True)
class PipelineDraft:
    """`branch` None is the repository's default branch, `toolchain` None what the type is usually built
    with."""

    repository: str
    module: str
    module_type: ModuleType
    target_feed: str | None = None
    branch: str | None = None
    toolchain: Toolchain | None = None


@dataclass(frozen=True, slots=True)
class Generated:
    """A text for the pipelines of `provider`, to be kept at `path` unless there are problems."""

    provider: Provider
    path: str
    text: bytes
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipelines:
    units: Units
    host: SourceHost
    definitions: Definitions
    branches: BranchMoves

    async def generate(self, actor: Actor, draft: PipelineDraft, once: Once | None) -> PipelineDefinition:
        """Commit the module's definition to the branch, unless that very text is there, and record it. A text
        that its host would not take is recorded as invalid with the reasons, and not committed.

        Raises NotFound for an unknown repository or branch, ManagedRepository for one that Slipway keeps,
        InvalidDefinition for a module that cannot name a file, DefinitionOccupied where the file is somebody
        else's. Dying after the commit loses nothing: a retry finds the text in place.
        """
        repository = await self.units.get(actor, Repository, draft.repository)
        root = Repository.__record__.root_of(repository.id)
        await self.units.replay(actor, root, once)
        require_writable(repository)
        branch = draft.branch or repository.default_branch
        made = self._text(repository, draft)
        sha, is_new_commit = None, False
        if not made.problems:
            sha, is_new_commit = await self._commit(repository, branch, draft.module, made)
            # Before the answer is kept, and also where the text was there: a try that died may have put it
            # there.
            await self.branches.record_move(actor, repository, branch, sha)

        async def turn(unit: Unit) -> PipelineDefinition:
            wanted = described(unit, repository, draft, made, branch=branch, commit_sha=sha)
            neighbour = neighbour_of(wanted)
            await unit.load(*(PIPELINE_RECORD.document(each) for each in (wanted.id, neighbour) if each))
            if neighbour is not None and not wanted.problems:
                await self._supersede_neighbour(unit, neighbour)
            existing = await unit.find(PipelineDefinition, wanted.id)
            change = (
                generated(wanted)
                if existing is None
                else regenerated(existing, wanted, is_new_commit=is_new_commit)
            )
            if change is None:
                return existing or wanted
            await self._keep_version(unit, existing, change.entity, made.text)
            return unit.apply(change)

        return await self.units.run(actor, root, turn, once)

    async def version(self, actor: Actor, pipeline: str, number: int | None = None) -> PipelineVersion:
        """A text that was generated; None is the latest. NotFound where there is no such version."""
        if number is None:
            number = (await self.units.get(actor, PipelineDefinition, pipeline)).version
        return await self.units.get(actor, PipelineVersion, version_id(pipeline, number))

    async def versions(self, actor: Actor, pipeline: str, query: Query) -> Page[PipelineVersion]:
        await self.units.get(actor, PipelineDefinition, pipeline)
        return await self.units.list(actor, PipelineVersion, query)

    async def get(self, actor: Actor, pipeline: str) -> PipelineDefinition:
        return await self.units.get(actor, PipelineDefinition, pipeline)

    async def list(self, actor: Actor, query: Query) -> Page[PipelineDefinition]:
        return await self.units.list(actor, PipelineDefinition, query)

    def _text(self, repository: Repository, draft: PipelineDraft) -> Generated:
        require_file_name(draft.module)
        provider = repository.provider
        path = path_on(provider, draft.module)
        if provider not in GENERATORS:
            made = template(draft.module, draft.module_type, draft.target_feed, draft.toolchain)
            text = self.definitions.render(made)
            problems: tuple[Problem, ...] = ()
        else:
            inputs = Inputs(
                module=draft.module,
                module_type=draft.module_type,
                branch=repository.default_branch,
                feed=draft.target_feed,
                toolchain=draft.toolchain,
            )
            text, problems = generate(provider, inputs)
        return Generated(provider, path, text, (*problems, *self.definitions.lint(provider, text)))

    async def _commit(
        self, repository: Repository, branch: str, module: str, made: Generated
    ) -> tuple[str, bool]:
        """The commit at which the branch has the text, and whether it was made for that."""
        place, path, text = place_of(repository), made.path, made.text
        content_hash = sha256_hex(text)
        for _ in range(COMMIT_ATTEMPTS):
            head = await self.host.head(place, branch)
            there = await self.host.read_file(place, head, path)
            if there == text:
                return head, False
            # A folder that hosts read workflows from has others' files, too.
            if there is not None and made.provider in GENERATORS and not is_generated(there):
                raise DefinitionOccupied(
                    f"{path} is on {branch} and was not generated by Slipway;"
                    " rename or remove it, then generate again.",
                    definitionPath=path,
                )
            change = FileChange(path, "add" if there is None else "modify", text)
            author = Signature("Slipway", f"pipelines@{repository.tenant}.slipway", self.units.clock.now())
            try:
                commit = await self.host.commit(
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
            return commit.sha, True
        raise Conflict(
            f"Others keep pushing to {branch}; generate the pipeline again shortly.", branch=branch
        )

    async def _supersede_neighbour(self, unit: Unit, pipeline: str) -> None:
        """Whoever is generated last has the file that they share."""
        neighbour = await unit.find(PipelineDefinition, pipeline)
        if neighbour is not None and PIPELINE.can(neighbour.status, "supersede"):
            await self._retire(unit, neighbour)
            unit.apply(superseded(neighbour, unit.now))

    async def _keep_version(
        self, unit: Unit, before: PipelineDefinition | None, now: PipelineDefinition, text: bytes
    ) -> None:
        """Record the text, and that the one before it is no longer in force."""
        made = version_of(now, text, unit.actor.subject)
        is_replaced = before is not None and before.in_force != now.in_force
        ids = (made.id, version_id(before.id, before.in_force)) if before and is_replaced else (made.id,)
        await unit.load(*(PipelineVersion.__record__.document(each) for each in ids))
        if before is not None and is_replaced:
            await self._retire(unit, before)
        known = await unit.find(PipelineVersion, made.id)
        unit.put(made if known is None else restored(known, made))

    async def _retire(self, unit: Unit, pipeline: PipelineDefinition) -> None:
        known = await unit.find(PipelineVersion, version_id(pipeline.id, pipeline.in_force))
        if known is not None and PIPELINE.can(known.status, "supersede"):
            unit.put(retired(known, unit.now))


def neighbour_of(pipeline: PipelineDefinition) -> str | None:
    """`orders` and `module-orders` share one file: the id of the other one."""
    short = pipeline.module.removeprefix("module-")
    other = short if short != pipeline.module else f"module-{pipeline.module}"
    shares = path_on(pipeline.provider, other) == pipeline.definition_path
    return pipeline_id(pipeline.repository, other) if shares else None


def described(
    unit: Unit,
    repository: Repository,
    draft: PipelineDraft,
    made: Generated,
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
        definition_path=made.path,
        branch=branch,
        commit_sha=commit_sha,
        status=PipelineStatus.INVALID if made.problems else PipelineStatus.GENERATED,
        template_version=TEMPLATE_VERSION,
        content_hash=f"sha256:{sha256_hex(made.text)}",
        version=1,
        committed=commit_sha is not None,
        created_by=unit.actor.subject,
        created_at=unit.now,
        updated_at=unit.now,
        provider=made.provider,
        toolchain=draft.toolchain,
        in_force=0 if made.problems else 1,
        problems=made.problems,
    )


def default_definition(pipeline: PipelineDefinition) -> Definition:
    """What runs where a commit has no definition file, or one for the runners of its host."""
    return template(pipeline.module, pipeline.module_type, pipeline.target_feed, pipeline.toolchain)
