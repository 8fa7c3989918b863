"""Pull requests on the embedded adapters: checks, merges, conflicts, and what a crash leaves behind."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.domain.kernel.errors import Conflict, StaleRevision
from shared.domain.source.errors import (
    ChecksNotPassed,
    NothingToMerge,
    StaleSource,
)
from shared.domain.source.model import (
    Check,
    CheckStatus,
    PullRequest,
    PullRequestStatus,
)
from shared.ports.store import Query
from shared.services.branches import place_of
from shared.services.commits import ChangeDraft, author_of
from shared.services.pull_requests import PullRequestDraft
from tests.support.dying import Died, dying
from tests.support.once import Request
from tests.support.source import ANN, BOB, Source, a_source


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[Source]:
    made = a_source(tmp_path)
    yield made
    await made.aclose()


async def pass_checks(source: Source, request: PullRequest) -> None:
    verdict = Check("build", CheckStatus.SUCCEEDED)
    await source.pull_requests.record_check(ANN, request.id, request.source_sha, verdict, None)


def _author(source: Source) -> Any:
    return author_of(ANN, source.clock)


class TestPullRequests:
    async def test_it_is_numbered_and_waits_for_its_checks(self, source: Source) -> None:
        repository = await source.a_repository()
        first = await source.a_pull_request(repository)
        second = await source.a_pull_request(repository, "feature/y")
        assert (first.number, second.number) == (1, 2)
        with pytest.raises(ChecksNotPassed):
            await source.pull_requests.merge(ANN, first.id, None)

    async def test_a_branch_without_anything_new_is_refused(self, source: Source) -> None:
        repository = await source.a_repository()
        await source.branches.create(ANN, repository.id, "feature/x", None, None)
        with pytest.raises(NothingToMerge):
            await source.pull_requests.open(
                ANN, PullRequestDraft(repository.id, "feature/x", "main", "t"), None
            )

    async def test_merging_makes_a_real_merge_commit_and_records_it(self, source: Source) -> None:
        repository = await source.a_repository()
        request = await source.a_pull_request(repository)
        await pass_checks(source, request)
        merged = await source.pull_requests.merge(BOB, request.id, None)
        place = place_of(repository)
        assert merged.status is PullRequestStatus.MERGED
        assert merged.merged_by == "user:bob"
        assert merged.merge_commit == await source.host.head(place, "main")
        info = await source.host.info(place, merged.merge_commit)
        assert len(info.parents) == 2
        assert await source.host.read_file(place, merged.merge_commit, "app.py") == b"x = 1\n"
        assert (await source.events()).count("PullRequestMerged") == 1
        assert await source.host.pending(older_than=-1) == []
        diff = await source.pull_requests.diff(ANN, request.id)
        assert [(file.path, file.operation) for file in diff] == [("app.py", "add")]

    async def test_a_crash_after_the_merge_is_answered_as_the_first_time(
        self, source: Source, tmp_path: Path
    ) -> None:
        repository = await source.a_repository()
        request = await source.a_pull_request(repository)
        await pass_checks(source, request)
        once = Request("k1")
        with pytest.raises(Died):
            await dying(source, tmp_path, "merge").pull_requests.merge(BOB, request.id, once)
        source.clock.advance(minutes=1)
        for update in await source.host.pending():
            await source.branches.record_update(update)
        merged = await source.pull_requests.merge(BOB, request.id, once)
        assert merged.status is PullRequestStatus.MERGED
        assert (await source.events()).count("PullRequestMerged") == 1
        log = await source.host.log(
            place_of(repository), await source.host.head(place_of(repository), "main")
        )
        assert sum(len(info.parents) == 2 for info in log) == 1

    async def test_conflicts_are_listed_and_change_nothing(self, source: Source) -> None:
        repository = await source.a_repository()
        one = await source.a_pull_request(repository, "feature/one")
        await source.a_commit(repository, "feature/two", "app.py", "x = 2\n")
        two = await source.pull_requests.open(
            ANN, PullRequestDraft(repository.id, "feature/two", "main", "two"), None
        )
        for request in (one, two):
            await pass_checks(source, request)
        await source.pull_requests.merge(ANN, one.id, None)
        with pytest.raises(Conflict) as caught:
            await source.pull_requests.merge(ANN, two.id, None)
        assert caught.value.facts["paths"] == ["app.py"]
        assert (await source.pull_requests.get(ANN, two.id)).status is PullRequestStatus.OPEN

    async def test_a_new_push_resets_checks_and_stops_the_merge(self, source: Source) -> None:
        repository = await source.a_repository()
        request = await source.a_pull_request(repository)
        await pass_checks(source, request)
        await source.host.commit(
            place_of(repository),
            "feature/x",
            [ChangeDraft("more.py", "add", b"1")],  # type: ignore[list-item]
            message="unseen push",
            author=_author(source),
        )
        with pytest.raises(StaleSource):
            await source.pull_requests.merge(ANN, request.id, None)
        again = await source.pull_requests.get(ANN, request.id)
        assert {check.status for check in again.checks} == {CheckStatus.PENDING}
        assert (await source.events())[-2:] == ["PullRequestUpdated", "PullRequestPolicyEvaluated"]

    async def test_if_match_refuses_a_decision_on_an_old_revision(self, source: Source) -> None:
        repository = await source.a_repository()
        request = await source.a_pull_request(repository)
        await pass_checks(source, request)
        with pytest.raises(StaleRevision):
            await source.pull_requests.merge(ANN, request.id, None, revision=request.revision)
        with pytest.raises(StaleRevision):
            await source.pull_requests.abandon(ANN, request.id, None, revision=99)

    async def test_a_deleted_source_branch_abandons_it(self, source: Source) -> None:
        repository = await source.a_repository()
        request = await source.a_pull_request(repository)
        await source.host.delete_branch(
            place_of(repository), "feature/x", expected=request.source_sha, by="user:ann"
        )
        for update in await source.host.pending(older_than=-1):
            await source.branches.record_update(update)
        assert (await source.pull_requests.get(ANN, request.id)).status is PullRequestStatus.ABANDONED

    async def test_the_pair_is_free_again_after_abandoning(self, source: Source) -> None:
        repository = await source.a_repository()
        request = await source.a_pull_request(repository)
        await source.pull_requests.abandon(ANN, request.id, None)
        draft = PullRequestDraft(repository.id, "feature/x", "main", "again")
        assert (await source.pull_requests.open(ANN, draft, None)).number == 2

    async def test_listing_by_status_pages_newest_first(self, source: Source) -> None:
        repository = await source.a_repository()
        for number in range(3):
            await source.a_pull_request(repository, f"feature/{number}")
        where = {"repository": repository.id, "status": "open"}
        query = Query("pull-request", where, "created_at", True, limit=2)
        first = await source.pull_requests.list(ANN, query)
        rest = await source.pull_requests.list(ANN, replace(query, after=first.next))
        assert [item.number for item in (*first.items, *rest.items)] == [3, 2, 1]
        assert rest.next is None
