"""Source control on the embedded adapters: calls in, git objects, stored state and events out."""

import base64
import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.domain.kernel.errors import AlreadyExists, Invalid, NotFound
from shared.domain.source.errors import (
    ArtifactExists,
    ManagedRepository,
    ProtectedBranch,
    ProviderUnavailable,
    RepositoryExists,
    ReservedProject,
)
from shared.domain.source.model import (
    Branch,
    Commit,
    Provider,
    Repository,
    RepositoryStatus,
)
from shared.ports.source_host import HeadMoved, UnknownBranch
from shared.ports.store import Query
from shared.services.audit import first_broken
from shared.services.branches import place_of
from shared.services.commits import ChangeDraft, CommitDraft, author_of
from shared.services.once import AlreadyDone
from shared.services.repositories import RepositoryDraft
from tests.support.dying import Died, dying
from tests.support.once import Request
from tests.support.source import ANN, BOB, MALLORY, Source, a_source


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[Source]:
    made = a_source(tmp_path)
    yield made
    await made.aclose()


def a_bundle(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class TestProvision:
    async def test_a_repository_has_its_default_branch_from_the_start(self, source: Source) -> None:
        repository = await source.a_repository()
        assert repository.status is RepositoryStatus.PROVISIONED
        assert repository.remote_url == "http://127.0.0.1:7071/git/acme/proj-x/api.git"
        page = await source.branches.list(
            ANN, repository.id, Query("branch", {"repository": repository.id}, "name")
        )
        assert [(branch.name, branch.is_protected) for branch in page.items] == [("main", True)]
        assert await source.events() == ["ProvisionRepository", "RepositoryProvisioned", "BranchCreated"]

    async def test_a_name_is_unique_in_tenant_and_project(self, source: Source) -> None:
        await source.a_repository()
        with pytest.raises(RepositoryExists):
            await source.a_repository()
        await source.repositories.provision(ANN, RepositoryDraft("proj-y", "api"), None)
        await source.a_repository(actor=MALLORY)

    async def test_other_hosts_are_refused_until_they_exist(self, source: Source) -> None:
        draft = RepositoryDraft("proj-x", "api", Provider.GITHUB)
        with pytest.raises(ProviderUnavailable):
            await source.repositories.provision(ANN, draft, None)
        assert await source.outbox() == []

    async def test_a_retry_after_a_crash_makes_the_same_repository(
        self, source: Source, tmp_path: Path
    ) -> None:
        draft, once = RepositoryDraft("proj-x", "api"), Request("k1")
        with pytest.raises(Died):
            await dying(source, tmp_path, "create").repositories.provision(ANN, draft, once)
        repository = await source.repositories.provision(ANN, draft, once)
        assert repository.status is RepositoryStatus.PROVISIONED
        with pytest.raises(AlreadyDone):
            await source.repositories.provision(ANN, draft, once)
        assert (await source.events()).count("RepositoryProvisioned") == 1

    async def test_the_worker_finishes_what_a_crash_left_and_the_retry_is_answered(
        self, source: Source, tmp_path: Path
    ) -> None:
        draft, once = RepositoryDraft("proj-x", "api"), Request("k1")
        with pytest.raises(Died):
            await dying(source, tmp_path, "create").repositories.provision(ANN, draft, once)
        found = await source.repositories.find_named(ANN, "proj-x", "api")
        assert found is not None
        await source.repositories.complete(ANN, found.id)
        await source.repositories.complete(ANN, found.id)
        assert (await source.repositories.provision(ANN, draft, once)).id == found.id

    async def test_what_the_platform_keeps_is_only_read(self, source: Source) -> None:
        kept = await source.repositories.ensure_system_repository(ANN, "gitops", "environments")
        assert (
            await source.repositories.ensure_system_repository(ANN, "gitops", "environments")
        ).id == kept.id
        with pytest.raises(ManagedRepository, match="promote a release"):
            await source.branches.create(ANN, kept.id, "feature/x", None, None)
        draft = CommitDraft("main", "m", [ChangeDraft("a", "add", b"")])
        with pytest.raises(ManagedRepository):
            await source.commits.author(ANN, kept.id, draft, None)
        with pytest.raises(ReservedProject):
            await source.repositories.provision(ANN, RepositoryDraft("gitops", "mine"), None)

    async def test_a_foreign_tenant_finds_nothing(self, source: Source) -> None:
        repository = await source.a_repository()
        with pytest.raises(NotFound):
            await source.repositories.get(MALLORY, repository.id)
        with pytest.raises(NotFound):
            await source.branches.create(MALLORY, repository.id, "x", None, None)


class TestBranches:
    async def test_a_branch_starts_at_the_head_of_another(self, source: Source) -> None:
        repository = await source.a_repository()
        branch = await source.branches.create(ANN, repository.id, "feature/x", None, None)
        assert branch.head == await source.host.head(place_of(repository), "main")
        assert not branch.is_protected

    async def test_the_same_name_twice_is_refused(self, source: Source) -> None:
        repository = await source.a_repository()
        await source.branches.create(ANN, repository.id, "feature/x", None, None)
        await source.a_commit(repository, "feature/x")
        with pytest.raises(AlreadyExists):
            await source.branches.create(BOB, repository.id, "feature/x", None, None)

    async def test_an_unknown_base_is_named(self, source: Source) -> None:
        repository = await source.a_repository()
        with pytest.raises(UnknownBranch):
            await source.branches.create(ANN, repository.id, "feature/x", "nowhere", None)

    async def test_a_crash_before_the_record_is_mended_by_the_retry_and_by_the_sweep(
        self, source: Source, tmp_path: Path
    ) -> None:
        repository = await source.a_repository()
        once = Request("k1")
        with pytest.raises(Died):
            await dying(source, tmp_path, "create_branch").branches.create(
                ANN, repository.id, "feature/x", None, once
            )
        source.clock.advance(minutes=1)
        for update in await source.host.pending():
            await source.branches.record_update(update)
        branch = await source.branches.create(ANN, repository.id, "feature/x", None, once)
        assert branch.name == "feature/x"
        assert (await source.events()).count("BranchCreated") == 2, "main and this one"
        assert await source.host.pending() == []


class TestCommits:
    async def test_content_comes_from_the_request(self, source: Source) -> None:
        repository = await source.a_repository()
        await source.branches.create(ANN, repository.id, "feature/x", None, None)
        changes = [
            ChangeDraft("src/app.py", "add", b"print(1)\n"),
            ChangeDraft("logo.bin", "add", base64.b64decode("AAEC")),
        ]
        draft = CommitDraft("feature/x", "feat: start", changes)
        commit = await source.commits.author(ANN, repository.id, draft, None)
        place = place_of(repository)
        assert await source.host.read_file(place, commit.sha, "src/app.py") == b"print(1)\n"
        assert await source.host.read_file(place, commit.sha, "logo.bin") == b"\x00\x01\x02"
        assert commit.author == "user:ann <user.ann@acme.slipway>"
        assert (await source.events())[-1] == "CommitCreated"

    async def test_content_left_out_comes_from_the_artifact_with_its_lineage(self, source: Source) -> None:
        repository = await source.a_repository()
        await source.branches.create(ANN, repository.id, "feature/x", None, None)
        bundle = a_bundle({"src/app.py": b"print(2)\n"})
        await source.artifacts.upload(ANN, "art-1", bundle, "application/gzip")
        draft = CommitDraft("feature/x", "feat: from artifact", [ChangeDraft("src/app.py", "add")], "art-1")
        commit = await source.commits.author(ANN, repository.id, draft, None)
        assert await source.host.read_file(place_of(repository), commit.sha, "src/app.py") == b"print(2)\n"
        assert commit.artifact == "art-1"
        assert (await source.outbox())[-1].body["payload"]["artifactId"] == "art-1"

    @pytest.mark.parametrize(
        ("changes", "artifact", "field"),
        [
            ([ChangeDraft("a.py", "add")], None, "changes"),
            ([ChangeDraft("a.py", "add")], "art-unknown", "artifactId"),
            ([ChangeDraft("b.py", "add")], "art-1", "changes[0].path"),
            ([ChangeDraft("ok.py", "add", b""), ChangeDraft("../up", "add", b"")], None, "changes[1].path"),
            ([ChangeDraft("/abs", "add", b"")], None, "changes[0].path"),
            ([ChangeDraft(".git/config", "add", b"")], None, "changes[0].path"),
            ([ChangeDraft("missing.py", "modify", b"x")], None, "changes[0].path"),
            ([ChangeDraft("missing.py", "delete")], None, "changes[0].path"),
        ],
    )
    async def test_a_mistake_is_named_and_nothing_is_written(
        self, source: Source, changes: list[ChangeDraft], artifact: str | None, field: str
    ) -> None:
        repository = await source.a_repository()
        await source.branches.create(ANN, repository.id, "feature/x", None, None)
        await source.artifacts.upload(ANN, "art-1", a_bundle({"a.py": b"1"}), "application/gzip")
        before = await source.host.head(place_of(repository), "feature/x")
        with pytest.raises(Invalid) as caught:
            await source.commits.author(
                ANN, repository.id, CommitDraft("feature/x", "m", changes, artifact), None
            )
        assert [problem.field for problem in caught.value.problems] == [field]
        assert await source.host.head(place_of(repository), "feature/x") == before
        assert "CommitCreated" not in await source.events()

    async def test_a_protected_or_unknown_branch_is_refused(self, source: Source) -> None:
        repository = await source.a_repository()
        change = [ChangeDraft("a.py", "add", b"")]
        with pytest.raises(ProtectedBranch):
            await source.commits.author(ANN, repository.id, CommitDraft("main", "m", change), None)
        with pytest.raises(UnknownBranch, match="create it first"):
            await source.commits.author(ANN, repository.id, CommitDraft("nope", "m", change), None)

    async def test_an_expected_head_guards_against_lost_updates(self, source: Source) -> None:
        repository = await source.a_repository()
        head = await source.a_commit(repository, "feature/x", "a.py")
        await source.a_commit(repository, "feature/x", "b.py")
        draft = CommitDraft("feature/x", "m", [ChangeDraft("c.py", "add", b"")], expected_head=head)
        with pytest.raises(HeadMoved):
            await source.commits.author(ANN, repository.id, draft, None)

    async def test_a_retry_after_a_lost_answer_makes_no_second_commit(
        self, source: Source, tmp_path: Path
    ) -> None:
        repository = await source.a_repository()
        await source.branches.create(ANN, repository.id, "feature/x", None, None)
        draft = CommitDraft("feature/x", "m", [ChangeDraft("a.py", "add", b"1")])
        once = Request("k1")
        with pytest.raises(Died):
            await dying(source, tmp_path, "commit").commits.author(ANN, repository.id, draft, once)
        head = await source.host.head(place_of(repository), "feature/x")
        commit = await source.commits.author(ANN, repository.id, draft, once)
        assert commit.sha == head == await source.host.head(place_of(repository), "feature/x")
        assert (await source.events()).count("CommitCreated") == 1
        with pytest.raises(AlreadyDone):
            await source.commits.author(ANN, repository.id, draft, once)

    async def test_a_long_push_is_recorded_in_bounded_batches(self, source: Source) -> None:
        repository = await source.a_repository()
        await source.branches.create(ANN, repository.id, "feature/x", None, None)
        for number in range(45):
            change = ChangeDraft(f"f{number}", "add", b"x")
            await source.host.commit(
                place_of(repository),
                "feature/x",
                [change],  # type: ignore[list-item]
                message=str(number),
                author=_author(source),
            )
        for update in await source.host.pending(older_than=-1):
            await source.branches.record_update(update)
        assert (await source.events()).count("CommitCreated") == 45
        head = await source.host.head(place_of(repository), "feature/x")
        await source.branches.record_move(ANN, repository, "feature/x", head)
        assert (await source.events()).count("CommitCreated") == 45
        page = await source.branches.commits(
            ANN, repository.id, Query("commit", {"repository": repository.id}, "recorded_at", True)
        )
        assert page.items[0].sha == head


def _author(source: Source) -> Any:
    return author_of(ANN, source.clock)


class TestArtifacts:
    async def test_a_name_means_one_content(self, source: Source) -> None:
        bundle = a_bundle({"a": b"1"})
        first = await source.artifacts.upload(ANN, "art-1", bundle, "application/gzip")
        assert await source.artifacts.upload(ANN, "art-1", bundle, "application/gzip") == first
        with pytest.raises(ArtifactExists):
            await source.artifacts.upload(ANN, "art-1", a_bundle({"a": b"2"}), "application/gzip")

    async def test_a_foreign_artifact_is_unknown(self, source: Source) -> None:
        await source.artifacts.upload(ANN, "art-1", a_bundle({"a": b"1"}), "application/gzip")
        with pytest.raises(NotFound):
            await source.artifacts.get(MALLORY, "art-1")


class TestAudit:
    async def test_the_chain_of_a_root_verifies_and_names_who_did_what(self, source: Source) -> None:
        repository = await source.a_repository()
        request = await source.a_pull_request(repository)
        await source.pull_requests.abandon(BOB, request.id, None)
        trail = await source.audit.trail(ANN, Repository.__record__.root_of(repository.id))
        assert trail.verified
        assert trail.length == len(trail.entries)
        last = trail.entries[-1]
        assert (last["action"], last["actor"]["subject"]) == ("pull-request.abandoned", "user:bob")
        paged = await source.audit.trail(ANN, Repository.__record__.root_of(repository.id), after=2, limit=2)
        assert [entry["sequence"] for entry in paged.entries] == [3, 4]
        assert paged.verified

    async def test_a_changed_entry_is_found(self, source: Source) -> None:
        repository = await source.a_repository()
        trail = await source.audit.trail(ANN, Repository.__record__.root_of(repository.id))
        forged = [dict(entry) for entry in trail.entries]
        forged[1]["actor"] = {**forged[1]["actor"], "subject": "user:eve"}
        assert first_broken(tuple(forged), 0, "0" * 64) == 2
        assert first_broken(trail.entries[1:], 0, "0" * 64) == 1

    async def test_a_foreign_root_is_unknown(self, source: Source) -> None:
        repository = await source.a_repository()
        with pytest.raises(NotFound):
            await source.audit.trail(MALLORY, Repository.__record__.root_of(repository.id))


async def test_reads_by_id_are_one_point_read_and_survive_the_codec(source: Source) -> None:
    repository = await source.a_repository()
    sha = await source.a_commit(repository, "feature/x")
    page = await source.branches.commits(
        ANN,
        repository.id,
        Query("commit", {"repository": repository.id, "branch": "feature/x"}, "recorded_at"),
    )
    assert [commit.sha for commit in page.items] == [sha]
    assert await source.units.get(ANN, Commit, page.items[0].id) == page.items[0]
    branch = await source.units.get(
        ANN,
        Branch,
        (
            await source.branches.list(
                ANN, repository.id, Query("branch", {"repository": repository.id}, "name")
            )
        )
        .items[0]
        .id,
    )
    assert branch.head == sha
