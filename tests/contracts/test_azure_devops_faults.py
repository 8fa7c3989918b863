"""Azure Repos as a source host when the service does not play along: tokens, limits, lost answers, races."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from dulwich.object_store import MemoryObjectStore
from dulwich.objects import Blob

from shared.adapters.hosts.azure_devops import AzureDevOps
from shared.adapters.hosts.azure_devops_places import TOKEN, basic
from shared.adapters.hosts.azure_devops_push import push_request
from shared.domain.kernel.errors import Forbidden, Permanent, Transient
from shared.domain.source.errors import ProtectedBranch, ProviderUnavailable
from shared.ports.source_host import HeadMoved, RepositoryMissing
from tests.contracts.azure_devops_site import (
    PAT,
    PLACE,
    PROJECT,
    SITES,
    TENANT,
    Bench,
)
from tests.contracts.source_hosts import ADA, add
from tests.standins.azure_devops.server import Fault


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with SITES.bench(tmp_path) as made:
        yield made


async def made(bench: Bench) -> str:
    return await bench.host.create(PLACE, default_branch="main", author=ADA, readme="# api\n")


async def committed(bench: Bench, path: str, expected_head: str | None = None) -> str:
    info = await bench.host.commit(
        PLACE, "main", [add(path)], message="m", author=ADA, expected_head=expected_head
    )
    return info.sha


async def shas(bench: Bench) -> list[str]:
    head = await bench.host.head(PLACE, "main")
    return [info.sha for info in await bench.host.log(PLACE, head)]


def pushes(bench: Bench) -> int:
    return sum(call.endswith("/git-receive-pack") for call in bench.service.calls)


async def test_a_push_whose_answer_was_lost_makes_no_second_commit(bench: Bench) -> None:
    first = await made(bench)
    bench.service.faults.append(Fault("lost", "git-receive-pack"))
    before = pushes(bench)
    second = await committed(bench, "a", expected_head=first)
    assert pushes(bench) == before + 2
    assert await shas(bench) == [second, first]


async def test_a_lost_push_that_another_writer_built_upon_is_still_found(bench: Bench) -> None:
    first = await made(bench)
    bench.service.faults.extend([Fault("lost", "git-receive-pack"), Fault("slow", "git-receive-pack", 0.3)])
    ours = asyncio.create_task(committed(bench, "a", expected_head=first))
    while await bench.host.head(PLACE, "main") == first:
        await asyncio.sleep(0.01)
    head = await bench.host.head(PLACE, "main")
    await another_writer(bench, head)
    assert await ours == head


async def another_writer(bench: Bench, head: str) -> None:
    """Someone pushes one commit on top of this head."""
    url = f"{bench.service.url}/{bench.organization.name}/{PROJECT}/_apis/git/repositories/api/pushes"
    body = {
        "refUpdates": [{"name": "refs/heads/main", "oldObjectId": head}],
        "commits": [
            {
                "comment": "theirs",
                "changes": [
                    {"changeType": "add", "item": {"path": "/theirs"}, "newContent": {"content": "x"}}
                ],
            }
        ],
    }
    headers = {"Authorization": basic(PAT)}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers=headers, params={"api-version": "7.1"}) as answer,
    ):
        assert answer.status == 201, await answer.text()


async def test_a_branch_and_a_repository_whose_answers_were_lost_are_made_once(bench: Bench) -> None:
    bench.service.faults.extend([Fault("lost", "POST"), Fault("lost", "git-receive-pack")])
    first = await made(bench)
    assert await bench.host.branches(PLACE) == {"main": first}
    bench.service.faults.append(Fault("lost", "/refs"))
    await bench.host.create_branch(PLACE, "topic", first, by="ada")
    bench.service.faults.append(Fault("lost", "POST"))
    await bench.host.delete_branch(PLACE, "topic", expected=first, by="ada")
    assert await bench.host.branches(PLACE) == {"main": first}


@pytest.mark.parametrize("fault", [Fault("busy", "/refs", 0.2), Fault("away", "/refs", 0.2)])
async def test_what_the_service_asks_to_wait_is_waited(bench: Bench, fault: Fault) -> None:
    await made(bench)
    bench.service.faults.append(fault)
    began = asyncio.get_running_loop().time()
    await bench.host.branches(PLACE)
    assert asyncio.get_running_loop().time() - began >= 0.2


async def test_a_longer_wait_than_a_call_may_take_is_told(bench: Bench) -> None:
    await made(bench)
    bench.service.faults.append(Fault("busy", "/refs", 60))
    with pytest.raises(Transient, match="seconds") as caught:
        await bench.host.branches(PLACE)
    assert caught.value.facts["retry_after"] in {60, 61}


async def test_a_revoked_token_is_told_and_a_new_one_counts_at_once(bench: Bench) -> None:
    first = await made(bench)
    bench.organization.tokens = {"other" * 10: frozenset()}
    for call in (
        bench.host.branches(PLACE),
        bench.host.info(PLACE, first),
        bench.host.commit(PLACE, "main", [add("a")], message="m", author=ADA),
        bench.host.exists(PLACE),
    ):
        with pytest.raises(Forbidden, match=TOKEN) as caught:
            await call
        assert PAT not in repr((caught.value, caught.value.facts))
    await bench.vault.set(TENANT, TOKEN, "other" * 10)
    assert await bench.host.branches(PLACE) == {"main": first}


async def test_a_push_with_a_revoked_token_is_told(bench: Bench) -> None:
    await made(bench)
    remote = bench.host.organizations.repository(PLACE)
    bench.organization.tokens.clear()
    with pytest.raises(Forbidden, match=TOKEN):
        await remote.receive_pack(push_request("main", None, "1" * 40, []))


async def test_a_tenant_without_a_token_or_an_organization_is_told_what_to_do(bench: Bench) -> None:
    await bench.vault.delete(TENANT, TOKEN)
    with pytest.raises(ProviderUnavailable, match=TOKEN):
        await bench.host.branches(PLACE)
    elsewhere = type(PLACE)("tenant-b", PROJECT, "api")
    with pytest.raises(ProviderUnavailable, match="SLIPWAY_AZURE_DEVOPS_ORGANIZATIONS"):
        await bench.host.branches(elsewhere)


async def test_a_missing_right_is_named(bench: Bench) -> None:
    first = await made(bench)
    bench.organization.tokens[PAT] = frozenset({"GenericContribute"})
    with pytest.raises(Forbidden) as caught:
        await committed(bench, "a")
    assert caught.value.facts["permission"] == "GenericContribute"
    with pytest.raises(Forbidden) as caught:
        await bench.host.create_branch(PLACE, "topic", first, by="ada")
    assert caught.value.facts["permission"] == "GenericContribute"


async def test_a_policy_keeps_its_branch(bench: Bench) -> None:
    first = await made(bench)
    await bench.host.create_branch(PLACE, "topic", first, by="ada")
    bench.organization.repository(PROJECT, "api").protected |= {"refs/heads/main", "refs/heads/topic"}
    with pytest.raises(ProtectedBranch, match="pull request"):
        await committed(bench, "a")
    with pytest.raises(ProtectedBranch, match="policy"):
        await bench.host.delete_branch(PLACE, "topic", expected=first, by="ada")
    assert await bench.host.branches(PLACE) == {"main": first, "topic": first}


async def test_two_processes_writing_at_once_both_land_and_one_expected_head_wins(
    bench: Bench,
) -> None:
    first = await made(bench)
    other = bench.another()

    async def go(host: AzureDevOps, index: int, head: str | None) -> str | None:
        try:
            info = await host.commit(
                PLACE, "main", [add(f"f{index}")], message="m", author=ADA, expected_head=head
            )
        except HeadMoved:
            return None
        return info.sha

    found = await asyncio.gather(*(go((bench.host, other)[i % 2], i, None) for i in range(12)))
    assert None not in found
    assert len(await shas(bench)) == 13
    head = await bench.host.head(PLACE, "main")
    found = await asyncio.gather(*(go((bench.host, other)[i % 2], 20 + i, head) for i in range(6)))
    assert sum(sha is not None for sha in found) == 1
    assert (await shas(bench))[-1] == first


async def test_a_failing_proxy_is_waited_out_and_its_page_is_no_answer(bench: Bench) -> None:
    first = await made(bench)
    bench.service.faults.extend([Fault("broken"), Fault("broken", "/refs")])
    assert await bench.host.branches(PLACE) == {"main": first}
    bench.service.faults.extend(Fault("broken", "/refs") for _ in range(20))
    with pytest.raises(Transient, match="502"):
        await bench.host.branches(PLACE)


async def test_a_repository_deleted_by_others_is_missing(bench: Bench) -> None:
    first = await made(bench)
    bench.organization.projects[PROJECT].repositories.clear()
    for call in (
        bench.host.branches(PLACE),
        bench.host.head(PLACE, "main"),
        bench.host.info(PLACE, first),
        bench.host.commit(PLACE, "main", [add("a")], message="m", author=ADA),
    ):
        with pytest.raises(RepositoryMissing):
            await call
    assert not await bench.host.exists(PLACE)


async def test_an_answer_that_is_not_what_the_sha_says_is_not_taken(bench: Bench) -> None:
    await made(bench)
    sha = await committed(bench, "a")
    store = bench.organization.repository(PROJECT, "api").git.object_store
    assert isinstance(store, MemoryObjectStore)
    store._data[Blob.from_string(b"x\n").id] = Blob.from_string(b"other")
    with pytest.raises(Permanent, match="another content"):
        await bench.another().read_file(PLACE, sha, "a")
