"""Webhooks: registered, admitted by their signature alone, and never believed."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.domain.kernel.actor import system_actor
from shared.domain.kernel.errors import Forbidden, Transient
from shared.domain.kernel.ids import parse_id
from shared.ports.ci_host import HookEvent
from shared.ports.source_host import Place
from shared.services.host_hooks import reachable, secret_of
from tests.support.api import Answer
from tests.support.host_bench import PLACE, HostBench, a_host_bench
from tests.support.vendors import FolderVendor, signature

SOURCE = system_actor("acme", "source")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[HostBench]:
    async with a_host_bench(tmp_path, github_url="http://127.0.0.1:9") as bench:
        yield bench


def key_of(bench: HostBench) -> str:
    key = parse_id(bench.repository, "repo")
    assert key is not None
    return key


async def secret(bench: HostBench) -> str:
    return (await bench.api.app.vault.get("acme", secret_of(key_of(bench)))).value


async def deliver(bench: HostBench, event: str = "push", delivery: str = "one", **more: Any) -> Answer:
    body = json.dumps({"ref": "refs/heads/lie"}).encode()
    path = more.pop("path", f"/host-events/acme/{bench.repository}")
    signed = more.pop("signed", None) or signature(body, await secret(bench))
    headers = {"x_github_event": event, "x_github_delivery": delivery, "x_signature": signed}
    answer = await bench.api.send(
        "POST", path, body, token=None, content_type="application/json", **headers, **more
    )
    bench.api.handled.clear()
    await bench.api.drain()
    return answer


async def heads(bench: HostBench) -> dict[str, str]:
    branches = await bench.api.expect(200, "GET", f"/repositories/{bench.repository}/branches")
    return {branch["name"]: branch["head"] for branch in branches["items"]}


async def test_provisioning_registers_a_webhook_whose_secret_is_in_the_vault(bench: HostBench) -> None:
    [hook] = await bench.vendor.hooks(PLACE)
    assert hook.url == f"http://127.0.0.1:7071/host-events/acme/repo-{key_of(bench)}"
    assert hook.events == tuple(HookEvent)
    assert len(await secret(bench)) == 64


async def test_a_webhook_that_somebody_removed_is_back_a_day_later(bench: HostBench) -> None:
    [hook] = await bench.vendor.hooks(PLACE)
    before = await secret(bench)
    await bench.vendor.remove_hook(PLACE, hook.url)
    await bench.sweep()
    assert await bench.vendor.hooks(PLACE) == []
    await bench.later(days=1)
    assert await bench.vendor.hooks(PLACE) == [hook]
    assert await secret(bench) == before


async def test_a_signed_push_is_recorded_without_a_sweep(bench: HostBench) -> None:
    sha = await bench.push("topic")
    assert (await deliver(bench)).status == 202
    assert (await heads(bench))["topic"] == sha
    assert "lie" not in await heads(bench)


async def test_a_signed_pull_request_is_opened_here_without_a_sweep(bench: HostBench) -> None:
    await bench.push("topic")
    await bench.vendor.open_by("octocat", PLACE, "topic", "main", "Theirs")
    assert (await deliver(bench, "pull_request")).status == 202
    [request] = await bench.listed()
    assert request["openedBy"] == "github:octocat"


async def test_a_delivery_that_comes_twice_is_looked_at_once(bench: HostBench) -> None:
    for wanted in (["HostChanged"], []):
        assert (await deliver(bench)).status == 202
        assert bench.api.handled == wanted


async def test_what_concerns_nobody_is_taken_and_forgotten(bench: HostBench) -> None:
    assert (await deliver(bench, "ping")).status == 202
    assert bench.api.handled == []


async def test_whatever_is_not_genuine_is_refused_in_the_same_words(bench: HostBench) -> None:
    right = signature(json.dumps({"ref": "refs/heads/lie"}).encode(), await secret(bench))
    unknown = "repo-" + "0" * 12 + "5" + "0" * 3 + "8" + "0" * 15
    here = {"projectId": "proj-x", "name": "embedded"}
    other = (await bench.api.expect(201, "POST", "/repositories", here))["repositoryId"]
    answers = [await deliver(bench, signed="0" * 64)]
    answers += [
        await deliver(bench, path=f"/host-events/{tenant}/{repository}", signed=right)
        for tenant, repository in [
            ("acme", unknown),
            ("acme", other),
            ("acme", "nonsense"),
            ("rival", bench.repository),
            ("A..b", bench.repository),
        ]
    ]
    await bench.api.app.vault.delete("acme", secret_of(key_of(bench)))
    answers.append(await deliver(bench, signed=right))
    told = [{k: v for k, v in each.body.items() if k not in ("traceId", "instance")} for each in answers]
    assert {each.status for each in answers} == {401}
    assert told == told[:1] * len(told)
    assert bench.api.handled == []


async def test_a_vendor_that_refuses_the_webhook_does_not_stop_the_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(FolderVendor):
        async def add_hook(self, *arguments: object, **named: object) -> Any:
            raise Forbidden("The token may not write webhooks.")

    async with a_host_bench(tmp_path, kind=Refusing, github_url="http://127.0.0.1:9") as bench:
        sha = await bench.push("topic")
        assert await bench.sweep() == 1
        assert (await heads(bench))["topic"] == sha
    assert "gets no webhook: The token may not write webhooks." in caplog.text


async def test_an_archived_repository_loses_its_webhook_and_its_secret_until_it_is_back(
    bench: HostBench,
) -> None:
    path, known = f"/repositories/{bench.repository}", await secret(bench)
    await bench.api.expect(200, "POST", f"{path}/archive")
    await bench.api.drain()
    assert await bench.vendor.hooks(PLACE) == []
    assert await bench.api.app.vault.versions("acme", secret_of(key_of(bench))) == []
    await bench.push("topic")
    assert await bench.sweep() == 0
    await bench.api.expect(200, "POST", f"{path}/unarchive")
    await bench.api.drain()
    [hook] = await bench.vendor.hooks(PLACE)
    assert hook.url.endswith(bench.repository)
    assert await secret(bench) != known
    assert await bench.sweep() == 1


async def test_a_webhook_that_could_not_be_removed_is_removed_by_the_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(FolderVendor):
        is_away = False

        async def remove_hook(self, place: Place, hook: str) -> None:
            if self.is_away:
                raise Transient("GitHub is away.")
            await super().remove_hook(place, hook)

    async with a_host_bench(tmp_path, kind=Away, github_url="http://127.0.0.1:9") as bench:
        vendor = bench.vendor
        assert isinstance(vendor, Away)
        vendor.is_away = True
        await bench.api.expect(200, "POST", f"/repositories/{bench.repository}/archive")
        await bench.api.drain()
        assert len(await vendor.hooks(PLACE)) == 1
        assert "keeps its webhook: GitHub is away." in caplog.text
        vendor.is_away = False
        await bench.sweep()
        assert await vendor.hooks(PLACE) == []


@pytest.mark.parametrize(
    ("base", "vendor", "can"),
    [
        ("https://slipway.example", "https://api.github.com", True),
        ("http://slipway.example", "https://api.github.com", False),
        ("http://127.0.0.1:7071", "https://api.github.com", False),
        ("https://localhost", "https://api.github.com", False),
        ("http://127.0.0.1:7071", "http://127.0.0.1:9", True),
    ],
)
def test_a_webhook_is_only_asked_for_where_it_can_arrive(base: str, vendor: str, can: bool) -> None:
    assert reachable(base, vendor) is can
