"""The source services on embedded adapters in a scratch folder."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.adapters.archives import ArchiveBundles
from shared.adapters.codec import RecordCodec
from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.source.model import PullRequest, Repository
from shared.names import INDEXES
from shared.ports.store import Document
from shared.services.artifacts import Artifacts
from shared.services.audit import Audit
from shared.services.branches import Branches, place_of
from shared.services.commits import ChangeDraft, CommitDraft, Commits
from shared.services.pull_requests import PullRequestDraft, PullRequests
from shared.services.repositories import Repositories, RepositoryDraft
from shared.services.unit import Units
from tests.support.app import CountingIds, SteppingClock

ANN = Actor("user:ann", ActorKind.HUMAN, "acme")
BOB = Actor("user:bob", ActorKind.HUMAN, "acme")
MALLORY = Actor("user:mallory", ActorKind.HUMAN, "rival")


@dataclass
class Source:
    """Everything a test of source control needs; `events` reads the outbox in commit order."""

    store: SqliteStore
    clock: SteppingClock
    host: EmbeddedGit
    units: Units
    repositories: Repositories
    branches: Branches
    commits: Commits
    pull_requests: PullRequests
    artifacts: Artifacts
    audit: Audit
    spawned: list["Source"] = field(default_factory=list)

    async def aclose(self) -> None:
        for other in self.spawned:
            await other.aclose()
        await self.store.aclose()

    async def outbox(self) -> Sequence[Document]:
        return [d for d in await self.store.changes(0, 10_000) if d.kind == "outbox"]

    async def events(self) -> list[str]:
        return [document.body["eventType"] for document in await self.outbox()]

    async def a_repository(self, name: str = "api", actor: Actor = ANN) -> Repository:
        return await self.repositories.provision(actor, RepositoryDraft("proj-x", name), None)

    async def a_commit(
        self, repository: Repository, branch: str, path: str = "app.py", content: str = "x = 1\n"
    ) -> str:
        """Make the branch when it is missing, add one file; the new head."""
        heads = await self.host.branches(place_of(repository))
        if branch not in heads:
            await self.branches.create(ANN, repository.id, branch, None, None)
        change = ChangeDraft(path, "add", content.encode())
        commit = await self.commits.author(
            ANN, repository.id, CommitDraft(branch, f"feat: add {path}", [change]), None
        )
        return commit.sha

    async def a_pull_request(self, repository: Repository, branch: str = "feature/x") -> PullRequest:
        await self.a_commit(repository, branch)
        return await self.pull_requests.open(
            ANN, PullRequestDraft(repository.id, branch, repository.default_branch, "Add x"), None
        )


def a_source(folder: Path) -> Source:
    clock = SteppingClock()
    store = SqliteStore(folder / "store.db", INDEXES, clock)
    host = EmbeddedGit(folder / "git", clock)
    units = Units(store, RecordCodec(), clock, CountingIds())
    blobs = FileBlobs(folder / "blobs", base_url="http://127.0.0.1:7071", clock=clock)
    branches = Branches(units, host)
    artifacts = Artifacts(units, blobs, ArchiveBundles())
    return Source(
        store=store,
        clock=clock,
        host=host,
        units=units,
        repositories=Repositories(units, host, "http://127.0.0.1:7071"),
        branches=branches,
        commits=Commits(units, host, branches, artifacts, clock),
        pull_requests=PullRequests(units, host, branches, clock),
        artifacts=artifacts,
        audit=Audit(store),
    )
