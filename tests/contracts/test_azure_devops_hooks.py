"""What only Azure DevOps has: a subscription for each event, and statuses with a genre."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.kernel.errors import Forbidden, Invalid
from shared.ports.ci_host import CommitStatus, HookEvent
from tests.contracts.azure_devops_site import PROJECT
from tests.contracts.azure_devops_vendor import AzureDevOpsBench, azure_devops_bench
from tests.standins.azure_devops.hooks import Subscriptions
from tests.standins.azure_devops.repository import Repository
from tests.standins.azure_devops.server import Fault

URL = "https://slipway.example.com/webhooks/1"
SECRET = "a-secret-of-the-hook-123"
ALL = tuple(HookEvent)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[AzureDevOpsBench]:
    async with azure_devops_bench(tmp_path) as opened:
        yield opened


def subscriptions(bench: AzureDevOpsBench) -> Subscriptions:
    return bench.bench.organization.subscriptions


async def test_a_hook_is_a_subscription_for_each_event(bench: AzureDevOpsBench) -> None:
    hook = await bench.vendor.hooks.add_hook(bench.place, URL, SECRET, ALL)
    # There is none for a commit's status.
    assert hook.events == (HookEvent.PUSH, HookEvent.PULL_REQUEST, HookEvent.RUN)
    made = subscriptions(bench).all
    assert {each["eventType"]: each["publisherInputs"].get("repository") for each in made.values()} == {
        "git.push": bench.repository.id,
        "git.pullrequest.created": bench.repository.id,
        "git.pullrequest.updated": bench.repository.id,
        "git.pullrequest.merged": bench.repository.id,
        "ms.vss-pipelines.run-state-changed-event": None,
    }
    assert made[hook.id]["eventType"] == "git.push"
    assert set(subscriptions(bench).passwords.values()) == {SECRET}


async def test_registering_again_renews_the_secret_of_every_event(bench: AzureDevOpsBench) -> None:
    hooks = bench.vendor.hooks
    hook = await hooks.add_hook(bench.place, URL, SECRET, ALL)
    before = set(subscriptions(bench).all)
    assert await hooks.add_hook(bench.place, URL, "another-secret", ALL) == hook
    assert set(subscriptions(bench).all) == before
    assert set(subscriptions(bench).passwords.values()) == {"another-secret"}


async def test_what_was_registered_twice_is_put_in_order(bench: AzureDevOpsBench) -> None:
    """Two calls at once may each make one."""
    hooks = bench.vendor.hooks
    await hooks.add_hook(bench.place, URL, SECRET, (HookEvent.PUSH,))
    (made,) = subscriptions(bench).all.values()
    project = bench.project.id
    body = made | {"consumerInputs": made["consumerInputs"] | {"basicAuthPassword": SECRET}}
    subscriptions(bench).put({project}, "http://here", body)
    assert len(await hooks.hooks(bench.place)) == 1
    await hooks.add_hook(bench.place, URL, SECRET, (HookEvent.PUSH,))
    assert len(subscriptions(bench).all) == 1


async def test_a_removal_that_broke_off_is_taken_up_by_the_same_id(bench: AzureDevOpsBench) -> None:
    hooks = bench.vendor.hooks
    hook = await hooks.add_hook(bench.place, URL, SECRET, ALL)
    bench.bench.organization.tokens = dict.fromkeys(
        bench.bench.organization.tokens, frozenset({"EditSubscriptions"})
    )
    with pytest.raises(Forbidden, match="EditSubscriptions"):
        await hooks.remove_hook(bench.place, hook.id)
    bench.bench.organization.tokens = dict.fromkeys(bench.bench.organization.tokens, frozenset())
    bench.bench.service.faults.append(Fault("lost", "DELETE /"))
    await hooks.remove_hook(bench.place, hook.id)
    assert subscriptions(bench).all == {}


async def test_a_run_is_told_to_the_hooks_of_its_own_repository_only(bench: AzureDevOpsBench) -> None:
    """Its subscription is about the whole project, and is known by the user's name."""
    hooks = bench.vendor.hooks
    url = f"{bench.bench.service.url}/{bench.bench.organization.name}"
    other = Repository("other", bench.project.view(url), f"{url}/{PROJECT}")
    bench.project.repositories["other"] = other
    elsewhere = replace(bench.place, name="other")
    hook = await hooks.add_hook(bench.place, URL, SECRET, (HookEvent.RUN,))
    theirs = await hooks.add_hook(elsewhere, URL, SECRET, (HookEvent.RUN,))
    assert await hooks.hooks(bench.place) == [hook]
    await hooks.remove_hook(bench.place, theirs.id)
    await hooks.remove_hook(bench.place, hook.id)
    assert await hooks.hooks(elsewhere) == [theirs]


async def test_what_azure_devops_cannot_tell_of_is_refused(bench: AzureDevOpsBench) -> None:
    with pytest.raises(Invalid, match="ask for push"):
        await bench.vendor.hooks.add_hook(bench.place, URL, SECRET, (HookEvent.STATUS,))


async def test_a_context_is_a_genre_and_a_name(bench: AzureDevOpsBench) -> None:
    hooks, place, head = bench.vendor.hooks, bench.place, bench.head
    contexts = ["a", "slipway/build", "slipway/test/unit"]
    for context in contexts:
        await hooks.set_status(place, head, CommitStatus(context, "error"))
    rows = bench.project.statuses(bench.repository).all[head]
    told = [(row["context"]["genre"], row["context"]["name"], row["state"]) for row in rows]
    assert told == [(None, "a", "error"), ("slipway", "build", "error"), ("slipway/test", "unit", "error")]
    assert [each.context for each in await hooks.statuses(place, head)] == contexts
    with pytest.raises(Invalid, match="'green'"):
        await hooks.set_status(place, head, CommitStatus("a", "green"))


async def test_more_statuses_than_a_page_are_told(bench: AzureDevOpsBench) -> None:
    statuses = bench.project.statuses(bench.repository)
    for number in range(205):
        body = {"state": "notApplicable", "context": {"name": f"{number:03}", "genre": "many"}}
        statuses.add(bench.repository, bench.head, body)
    found = await bench.vendor.hooks.statuses(bench.place, bench.head)
    assert len(found) == 205
    assert {each.state for each in found} == {"success"}
