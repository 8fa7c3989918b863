"""Versions of a pipeline, and pipelines written for other hosts, on a real repository."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.domain.kernel.errors import NotFound
from shared.domain.pipelines.errors import DefinitionOccupied
from shared.domain.pipelines.model import ModuleType, PipelineStatus, RunStatus
from shared.domain.source.model import Provider, Repository
from shared.ports.store import Query
from shared.services.branches import place_of
from shared.services.pipelines import PipelineDraft
from shared.services.unit import Unit
from tests.support.pipelines import MODULE, Platform, a_platform
from tests.support.source import ANN, MALLORY

S = PipelineStatus


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    made = a_platform(tmp_path)
    yield made
    await made.source.aclose()


def draft(repository: Repository, **more: Any) -> PipelineDraft:
    return PipelineDraft(repository.id, more.pop("module", MODULE), ModuleType.LIBRARY, **more)


async def hosted(platform: Platform, provider: Provider) -> Repository:
    """A repository whose pipelines are that provider's, on the git that the tests have."""
    repository = await platform.a_repository()

    async def turn(unit: Unit) -> Repository:
        found = await unit.get(Repository, repository.id)
        unit.put(replace(found, provider=provider))
        return replace(found, provider=provider)

    return await platform.source.units.run(ANN, Repository.__record__.root_of(repository.id), turn)


async def file_at_head(platform: Platform, repository: Repository, path: str) -> bytes | None:
    place = place_of(repository)
    return await platform.source.host.read_file(place, await platform.source.host.head(place, "main"), path)


async def statuses(platform: Platform, pipeline: str) -> list[tuple[int, PipelineStatus]]:
    query = Query("pipeline-version", {"pipeline": pipeline}, order="number")
    page = await platform.pipelines.versions(ANN, pipeline, query)
    return [(each.number, each.status) for each in page.items]


async def test_changed_inputs_make_a_version_and_supersede_the_one_before(platform: Platform) -> None:
    repository = await platform.a_repository()
    first = await platform.pipelines.generate(ANN, draft(repository), None)
    second = await platform.pipelines.generate(ANN, draft(repository, target_feed="internal"), None)
    await platform.pipelines.generate(ANN, draft(repository, target_feed="internal"), None)
    assert await statuses(platform, first.id) == [(1, S.SUPERSEDED), (2, S.GENERATED)]
    assert (second.version, second.in_force) == (2, 2)
    latest = await platform.pipelines.version(ANN, first.id)
    assert latest.text.encode() == await file_at_head(platform, repository, first.definition_path)
    assert "feed:" not in (await platform.pipelines.version(ANN, first.id, 1)).text


async def test_a_version_belongs_to_its_tenant_and_an_unknown_one_is_not_found(platform: Platform) -> None:
    repository = await platform.a_repository()
    made = await platform.pipelines.generate(ANN, draft(repository), None)
    for actor, number in ((MALLORY, None), (MALLORY, 1), (ANN, 2)):
        with pytest.raises(NotFound):
            await platform.pipelines.version(actor, made.id, number)


async def test_modules_that_share_a_file_supersede_each_others_versions(platform: Platform) -> None:
    repository = await platform.a_repository()
    first = await platform.pipelines.generate(ANN, draft(repository, module="module-orders"), None)
    await platform.pipelines.generate(ANN, draft(repository, module="orders"), None)
    assert await statuses(platform, first.id) == [(1, S.SUPERSEDED)]
    await platform.pipelines.generate(ANN, draft(repository, module="module-orders"), None)
    assert await statuses(platform, first.id) == [(1, S.GENERATED)]


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        (Provider.GITHUB, ".github/workflows/orders.yml"),
        (Provider.AZURE_DEVOPS, ".azuredevops/pipelines/orders.yml"),
    ],
)
async def test_the_repositorys_provider_decides_what_is_written_and_where(
    platform: Platform, provider: Provider, path: str
) -> None:
    repository = await hosted(platform, provider)
    made = await platform.pipelines.generate(ANN, draft(repository, target_feed="internal"), None)
    assert (made.provider, made.definition_path, made.status) == (provider, path, S.GENERATED)
    assert b"Publish to internal" in (await file_at_head(platform, repository, path) or b"")
    assert await platform.pipelines.generate(ANN, draft(repository, target_feed="internal"), None) == made


async def test_what_a_host_would_not_take_is_invalid_and_stays_out_of_the_repository(
    platform: Platform,
) -> None:
    repository = await hosted(platform, Provider.GITHUB)
    good = await platform.pipelines.generate(ANN, draft(repository), None)
    before = await file_at_head(platform, repository, good.definition_path)
    bad = await platform.pipelines.generate(ANN, draft(repository, target_feed="not a feed"), None)
    assert (bad.status, bad.version, bad.in_force) == (S.INVALID, 2, 1)
    assert [problem.field for problem in bad.problems] == ["targetFeed"]
    assert await file_at_head(platform, repository, good.definition_path) == before
    assert await statuses(platform, good.id) == [(1, S.GENERATED), (2, S.INVALID)]
    assert await platform.pipelines.generate(ANN, draft(repository, target_feed="not a feed"), None) == bad
    mended = await platform.pipelines.generate(ANN, draft(repository, target_feed="internal"), None)
    assert (mended.status, mended.version, mended.problems) == (S.GENERATED, 3, ())
    assert await statuses(platform, good.id) == [(1, S.SUPERSEDED), (2, S.INVALID), (3, S.GENERATED)]


async def test_a_first_definition_may_be_invalid_and_is_then_nowhere_in_force(platform: Platform) -> None:
    repository = await hosted(platform, Provider.AZURE_DEVOPS)
    made = await platform.pipelines.generate(ANN, draft(repository, target_feed="a b"), None)
    assert (made.status, made.in_force, made.committed, made.commit_sha) == (S.INVALID, 0, False, None)
    assert "PipelineGenerated" not in await platform.source.events()


async def test_a_workflow_that_somebody_wrote_by_hand_is_not_overwritten(platform: Platform) -> None:
    repository = await hosted(platform, Provider.GITHUB)
    path = ".github/workflows/orders.yml"
    await platform.push(repository, {path: "name: mine\n"})
    with pytest.raises(DefinitionOccupied, match="rename or remove it"):
        await platform.pipelines.generate(ANN, draft(repository), None)
    assert await file_at_head(platform, repository, path) == b"name: mine\n"


async def test_a_run_of_a_commit_without_the_vendors_file_uses_the_platforms_own(platform: Platform) -> None:
    repository = await hosted(platform, Provider.GITHUB)
    await platform.push(repository, {"app.py": "x = 1\n"})
    made = await platform.pipelines.generate(ANN, draft(repository), None)
    run = await platform.execute(await platform.started(made))
    assert run.status is RunStatus.SUCCEEDED, await platform.log(run)
    assert "this is the default for a" in await platform.log(run)
