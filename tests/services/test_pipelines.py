"""Generating pipelines on a real repository: what is committed, what is recorded, what a crash leaves."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.definitions import YamlDefinitions
from shared.domain.kernel.actor import Actor
from shared.domain.kernel.errors import NotFound
from shared.domain.pipelines.errors import InvalidDefinition
from shared.domain.pipelines.model import ModuleType, PipelineStatus
from shared.domain.pipelines.templates import template
from shared.domain.source.errors import ManagedRepository
from shared.domain.source.model import Repository
from shared.ports.source_host import UnknownBranch
from shared.ports.store import Query
from shared.services.branches import place_of
from shared.services.pipelines import PipelineDraft
from shared.services.unit import AlreadyDone
from tests.support.once import Request
from tests.support.pipelines import MODULE, Platform, a_platform
from tests.support.source import ANN, MALLORY

PATH = ".slipway/pipelines/orders.yml"


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    made = a_platform(tmp_path)
    yield made
    await made.source.aclose()


def draft(repository: Repository, module: str = MODULE, **more: Any) -> PipelineDraft:
    return PipelineDraft(repository.id, module, ModuleType.MICROSERVICE, **more)


async def head_of(platform: Platform, repository: Repository, branch: str = "main") -> str:
    return await platform.source.host.head(place_of(repository), branch)


async def text_of(platform: Platform, repository: Repository, path: str = PATH) -> bytes:
    head = await head_of(platform, repository)
    return await platform.source.host.read_file(place_of(repository), head, path) or b""


async def test_a_generated_pipeline_is_committed_and_recorded(platform: Platform) -> None:
    repository = await platform.a_repository()
    pipeline = await platform.pipelines.generate(ANN, draft(repository, target_feed="internal"), None)
    head = await platform.source.host.info(place_of(repository), await head_of(platform, repository))
    assert pipeline.commit_sha == head.sha
    assert (pipeline.status, pipeline.version, pipeline.committed) == (PipelineStatus.GENERATED, 1, True)
    assert pipeline.definition_path == PATH
    assert head.message.startswith("ci: generate pipeline for module-orders")
    assert dict(head.trailers)["Slipway-Pipeline"] == f"pipe-{pipeline.id}"
    assert b"feed: internal" in await text_of(platform, repository)
    assert "PipelineGenerated" in await platform.source.events()
    assert await platform.pipelines.get(ANN, pipeline.id) == pipeline


async def test_nothing_is_generated_into_what_the_platform_keeps(platform: Platform) -> None:
    kept = await platform.source.repositories.ensure_system_repository(ANN, "gitops", "environments")
    before = await head_of(platform, kept)
    with pytest.raises(ManagedRepository, match="promote a release"):
        await platform.pipelines.generate(ANN, draft(kept), None)
    assert await head_of(platform, kept) == before


async def test_the_moved_branch_is_recorded_and_settled(platform: Platform) -> None:
    repository = await platform.a_repository()
    pipeline = await platform.pipelines.generate(ANN, draft(repository), None)
    query = Query("branch", {"repository": repository.id}, "name")
    (branch,) = (await platform.source.branches.list(ANN, repository.id, query)).items
    assert branch.head == pipeline.commit_sha
    assert await platform.source.host.pending(older_than=0) == []


async def test_equal_inputs_make_no_commit_and_no_version(platform: Platform) -> None:
    repository = await platform.a_repository()
    first = await platform.pipelines.generate(ANN, draft(repository), None)
    await platform.push(repository, {"app.py": "x = 1\n"})
    head = await head_of(platform, repository)
    assert await platform.pipelines.generate(ANN, draft(repository), None) == first
    assert await head_of(platform, repository) == head


async def test_other_inputs_make_the_next_version_and_may_come_back(platform: Platform) -> None:
    repository = await platform.a_repository()
    first = await platform.pipelines.generate(ANN, draft(repository), None)
    second = await platform.pipelines.generate(ANN, draft(repository, target_feed="internal"), None)
    third = await platform.pipelines.generate(ANN, draft(repository), None)
    assert [first.version, second.version, third.version] == [1, 2, 3]
    assert third.content_hash == first.content_hash != second.content_hash
    assert b"feed:" not in await text_of(platform, repository)
    assert third.created_at == first.created_at


async def test_generating_again_replaces_edits_without_a_new_version(platform: Platform) -> None:
    repository = await platform.a_repository()
    first = await platform.pipelines.generate(ANN, draft(repository), None)
    generated = await text_of(platform, repository)
    await platform.push(repository, {PATH: "# mine\n"})
    again = await platform.pipelines.generate(ANN, draft(repository), None)
    assert await text_of(platform, repository) == generated
    assert again.version == first.version
    assert again.commit_sha == await head_of(platform, repository) != first.commit_sha


async def test_a_pipeline_may_be_generated_on_another_branch(platform: Platform) -> None:
    repository = await platform.a_repository()
    await platform.source.branches.create(ANN, repository.id, "feature/x", None, None)
    pipeline = await platform.pipelines.generate(ANN, draft(repository, branch="feature/x"), None)
    assert pipeline.branch == "feature/x"
    assert pipeline.commit_sha == await head_of(platform, repository, "feature/x")
    assert await text_of(platform, repository) == b""


async def test_modules_that_share_a_file_supersede_each_other(platform: Platform) -> None:
    repository = await platform.a_repository()
    first = await platform.pipelines.generate(ANN, draft(repository, "module-orders"), None)
    second = await platform.pipelines.generate(ANN, draft(repository, "orders"), None)
    assert second.definition_path == first.definition_path
    assert (await platform.pipelines.get(ANN, first.id)).status is PipelineStatus.SUPERSEDED
    back = await platform.pipelines.generate(ANN, draft(repository, "module-orders"), None)
    assert back.status is PipelineStatus.GENERATED
    assert (await platform.pipelines.get(ANN, second.id)).status is PipelineStatus.SUPERSEDED


async def test_the_same_request_again_changes_nothing(platform: Platform) -> None:
    repository = await platform.a_repository()
    once = Request("k1")
    await platform.pipelines.generate(ANN, draft(repository), once)
    await platform.push(repository, {PATH: "# mine\n"})
    with pytest.raises(AlreadyDone):
        await platform.pipelines.generate(ANN, draft(repository), once)
    assert await text_of(platform, repository) == b"# mine\n"


class Killed(BaseException):
    """The process is gone."""


class DyingMoves:
    """Dies where the move of the branch would be recorded."""

    async def record_move(self, actor: Actor, repository: Repository, branch: str, new_sha: str) -> None:
        raise Killed


async def test_dying_before_the_move_is_recorded_leaves_it_to_the_journal(platform: Platform) -> None:
    repository = await platform.a_repository()
    dying = replace(platform.pipelines, branches=DyingMoves())
    with pytest.raises(Killed):
        await dying.generate(ANN, draft(repository), None)
    (update,) = await platform.source.host.pending(older_than=0)
    assert update.new == await head_of(platform, repository)
    again = await platform.pipelines.generate(ANN, draft(repository), None)
    assert (again.version, again.commit_sha) == (1, update.new)


async def test_a_commit_whose_record_was_lost_is_adopted_by_the_next_try(platform: Platform) -> None:
    repository = await platform.a_repository()
    place = place_of(repository)
    text = YamlDefinitions().render(template(MODULE, ModuleType.MICROSERVICE, None)).decode()
    sha = await platform.push(repository, {PATH: text})
    made = await platform.pipelines.generate(ANN, draft(repository), None)
    assert (made.commit_sha, made.version) == (sha, 1)
    assert await head_of(platform, repository) == sha
    assert len(await platform.source.host.log(place, sha)) == 2


async def test_what_is_not_there_is_not_found(platform: Platform) -> None:
    repository = await platform.a_repository()
    pipeline = await platform.pipelines.generate(ANN, draft(repository), None)
    with pytest.raises(UnknownBranch):
        await platform.pipelines.generate(ANN, draft(repository, branch="nowhere"), None)
    with pytest.raises(NotFound):
        await platform.pipelines.generate(ANN, PipelineDraft("0" * 32, MODULE, ModuleType.WORKER), None)
    with pytest.raises(NotFound):
        await platform.pipelines.get(MALLORY, pipeline.id)


async def test_a_module_that_cannot_name_a_file_is_refused_and_nothing_is_written(platform: Platform) -> None:
    repository = await platform.a_repository()
    head = await head_of(platform, repository)
    with pytest.raises(InvalidDefinition):
        await platform.pipelines.generate(ANN, draft(repository, "../../up"), None)
    assert await head_of(platform, repository) == head


async def test_the_pipelines_of_a_repository_are_listed(platform: Platform) -> None:
    repository = await platform.a_repository()
    made = [await platform.pipelines.generate(ANN, draft(repository, name), None) for name in ("a", "b")]
    query = Query("pipeline", {"repository": repository.id}, order="created_at")
    assert [each.id for each in (await platform.pipelines.list(ANN, query)).items] == [p.id for p in made]
