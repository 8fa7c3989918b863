"""The smoke test against a real host on this machine: it passes for the package that is served, and for no
other."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from deploy.package import make_package
from deploy.probe import api_documents, unpacked
from deploy.smoke import Expected, Outcome, Smoke, calling, run
from local.host import Host
from local.issuer import Issuer
from local.mounts import mounts
from shared.domain.kernel.actor import ActorKind
from tests.support.host import ROOT, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(ROOT, tmp_path_factory.mktemp("dist") / "slipway.zip").path


@pytest.fixture(scope="module")
def expected(package: Path) -> Expected:
    with unpacked(package) as folder:
        return Expected(*api_documents(folder))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with serving(tmp_path_factory.mktemp("smoke"), mounts=mounts, tiers="*:unmetered") as served:
        serve = asyncio.create_task(served.serve())
        yield served
        serve.cancel()
        await asyncio.wait({serve})


def a_token(host: Host) -> str:
    settings = host.settings
    issuer = Issuer(settings.data_dir, settings.token_issuer, settings.audience)
    return issuer.mint(
        tenant="smoke",
        subject="app:delivery",
        scopes=(),
        roles=("admin",),
        kind=ActorKind.AGENT,
        expires_in=600,
    )


async def smoked(
    host: Host, expected: Expected, *, write: bool = False, token: str | None = None, attempt: str = "a1"
) -> list[Outcome]:
    async with calling(host.url) as client:
        made = Smoke(client, expected, token or a_token(host), attempt, patience=15, pause=0.05)
        return await run(made, write=write)


def failure(outcomes: list[Outcome]) -> Outcome:
    assert [each.passed for each in outcomes[:-1]] == [True] * (len(outcomes) - 1)
    assert not outcomes[-1].passed, outcomes[-1]
    return outcomes[-1]


async def test_the_served_package_passes_without_writing(host: Host, expected: Expected) -> None:
    outcomes = await smoked(host, expected)
    assert [(each.name, each.passed) for each in outcomes] == [
        ("health", True),
        ("ready", True),
        ("documents", True),
        ("authentication", True),
        ("reading", True),
    ]


async def test_the_writing_journey_goes_through_store_feed_queue_and_worker(
    host: Host, expected: Expected
) -> None:
    outcomes = await smoked(host, expected, write=True, attempt="w1")
    assert outcomes[-1].passed, outcomes[-1]
    assert [each.name for each in outcomes[-2:]] == ["writing", "audit"]


async def test_the_writing_journey_can_be_walked_again(host: Host, expected: Expected) -> None:
    for attempt in ("x1", "x2"):
        outcomes = await smoked(host, expected, write=True, attempt=attempt)
        assert outcomes[-1].passed, outcomes[-1]


def changed(expected: Expected, change: Any) -> Expected:
    documents = {name: json.loads(text) for name, text in expected.documents.items()}
    change(documents)
    return Expected(expected.version, {name: json.dumps(told) for name, told in documents.items()})


async def test_a_package_with_another_function_is_told_apart(host: Host, expected: Expected) -> None:
    def one_more(documents: Mapping[str, Any]) -> None:
        documents["devops"]["paths"]["/novelties"] = {"get": {}}

    failed = failure(await smoked(host, changed(expected, one_more)))
    assert failed.name == "documents"
    assert "GET /novelties" in failed.told


async def test_a_package_with_another_model_is_told_apart(host: Host, expected: Expected) -> None:
    def another_title(documents: Mapping[str, Any]) -> None:
        documents["devops"]["info"]["title"] = "Another"

    assert failure(await smoked(host, changed(expected, another_title))).name == "documents"


async def test_the_version_before_is_waited_out_and_then_refused(host: Host, expected: Expected) -> None:
    async with calling(host.url) as client:
        newer = Expected("9.9.9", expected.documents)
        made = Smoke(client, newer, a_token(host), "a1", patience=0.2, pause=0.05)
        assert "9.9.9" in failure(await run(made, write=False)).told


async def test_a_token_without_a_right_fails_the_reading(host: Host, expected: Expected) -> None:
    settings = host.settings
    issuer = Issuer(settings.data_dir, settings.token_issuer, settings.audience)
    bare = issuer.mint(
        tenant="smoke", subject="app:none", scopes=(), roles=(), kind=ActorKind.AGENT, expires_in=600
    )
    failed = failure(await smoked(host, expected, token=bare))
    assert (failed.name, "403" in failed.told) == ("reading", True)
    assert bare not in failed.told


async def test_an_installation_that_is_away_is_waited_for_and_then_named(expected: Expected) -> None:
    async with aiohttp.ClientSession("http://127.0.0.1:1") as client:
        made = Smoke(client, expected, "no-token", "a1", patience=0.1, pause=0.02)
        assert failure(await run(made, write=False)).name == "health"


async def test_the_command_prints_a_line_for_each_check(host: Host, package: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(a_token(host))
    arguments = ("smoke", str(package), "--url", host.url, "--token-file", str(token), "--patience", "15")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "deploy", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = [line.split()[:2] for line in done.stdout.splitlines()]
    assert names == [["ok", name] for name in ("health", "ready", "documents", "authentication", "reading")]
