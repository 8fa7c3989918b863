"""Commits authored over the API: content from the request or from an artifact, one real git commit, one
record."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shared.domain.kernel.actor import Actor
from shared.domain.kernel.canonical import sha256_hex
from shared.domain.kernel.errors import Invalid, Problem
from shared.domain.kernel.ids import child_id
from shared.domain.source.lifecycle import (
    ARTIFACT_TRAILER,
    REQUEST_TRAILER,
    require_unprotected,
    require_writable,
)
from shared.domain.source.model import Branch, BranchStatus, Commit, Repository
from shared.domain.source.policies import BranchRules, requirements_for, rules_id
from shared.domain.source.secrets import require_no_secrets
from shared.ports.clock import Clock
from shared.ports.source_host import FileChange, Signature, SourceHost, UnknownBranch
from shared.services.artifacts import Artifacts
from shared.services.branches import Branches, place_of
from shared.services.once import Once
from shared.services.unit import Unit, Units


@dataclass(frozen=True, slots=True)
class ChangeDraft:
    """One path of a commit to be; without content it comes from the draft's artifact."""

    path: str
    operation: Literal["add", "modify", "delete", "rename"]
    content: bytes | None = None
    source: str | None = None
    executable: bool = False


@dataclass(frozen=True, slots=True)
class CommitDraft:
    branch: str
    message: str
    changes: Sequence[ChangeDraft]
    artifact: str | None = None
    expected_head: str | None = None


@dataclass(frozen=True, slots=True)
class Commits:
    units: Units
    host: SourceHost
    branches: Branches
    artifacts: Artifacts
    clock: Clock

    async def author(self, actor: Actor, repository_id: str, draft: CommitDraft, once: Once | None) -> Commit:
        """One commit on top of an unprotected branch. Any mistake: every one is named and nothing is
        written."""
        repository = await self.units.get(actor, Repository, repository_id)
        await self.units.replay(actor, Repository.__record__.root_of(repository_id), once)
        require_writable(repository)
        branch = await self.units.find(actor, Branch, child_id(repository_id, "branch", draft.branch))
        if branch is None or branch.status is BranchStatus.DELETED:
            raise UnknownBranch(
                f"The repository has no branch {draft.branch}; create it first.", branch=draft.branch
            )
        rules = await self.units.find(actor, BranchRules, rules_id(repository_id))
        require_unprotected(branch.name, requirements_for(repository, rules, branch.name))
        changes = await self._changes(actor, draft)
        await asyncio.to_thread(require_no_secrets, [(c.path, c.content) for c in changes if c.content])
        request = (REQUEST_TRAILER, sha256_hex(once.seed.encode())[:32]) if once else None
        info = await self.host.commit(
            place_of(repository),
            draft.branch,
            changes,
            message=draft.message,
            author=author_of(actor, self.clock),
            expected_head=draft.expected_head,
            trailers=[(ARTIFACT_TRAILER, draft.artifact)] if draft.artifact else [],
            once=request,
        )

        async def answer(unit: Unit) -> Commit:
            return await unit.get(Commit, child_id(repository_id, "commit", info.sha))

        commit = await self.branches.record(actor, repository, draft.branch, answer, once)
        await self.host.settle(place_of(repository), draft.branch, info.sha)
        return commit

    async def _changes(self, actor: Actor, draft: CommitDraft) -> list[FileChange]:
        """Fill the content that the request left to the artifact."""
        wanted = [c.path for c in draft.changes if c.operation in ("add", "modify") and c.content is None]
        found: dict[str, bytes] = {}
        if wanted:
            found = await self._from_artifact(actor, draft.artifact, wanted)
        problems = [
            Problem(
                f"changes[{i}].path",
                f"The artifact {draft.artifact} has no {change.path}; give `content` or upload one with it.",
                "not_in_artifact",
            )
            for i, change in enumerate(draft.changes)
            if change.path in wanted and change.content is None and change.path not in found
        ]
        if problems:
            raise Invalid("Some changes have no content.", *problems)
        return [
            FileChange(
                path=change.path,
                operation=change.operation,
                content=found.get(change.path) if change.content is None else change.content,
                source=change.source,
                executable=change.executable,
            )
            for change in draft.changes
        ]

    async def _from_artifact(self, actor: Actor, name: str | None, paths: Sequence[str]) -> dict[str, bytes]:
        if name is None:
            hint = f"Give `content` for {', '.join(paths[:5])}, or an `artifactId` that holds them."
            problem = Problem("changes", hint, "required")
            raise Invalid("Some changes have no content.", problem)
        artifact = await self.artifacts.find(actor, name)
        if artifact is None:
            hint = f"Upload the bundle first with PUT /artifacts/{name}, or give `content` in the changes."
            raise Invalid("The artifact is unknown.", Problem("artifactId", hint, "unknown_artifact"))
        return await self.artifacts.read(artifact, paths)


def author_of(actor: Actor, clock: Clock) -> Signature:
    """Who a commit says wrote it: the verified subject."""
    return Signature(actor.subject, f"{actor.subject.replace(':', '.')}@{actor.tenant}.slipway", clock.now())
