"""Workflows, webhooks and statuses on GitHub: started once, registered once, read whole."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from githubkit_schemas.v2026_03_10 import models

from shared.adapters.hosts.github import GitHub
from shared.adapters.hosts.github_ci import GitHubCi
from shared.adapters.hosts.github_hooks import GitHubHooks
from shared.domain.kernel.errors import Invalid
from shared.ports.ci_host import CiRun, CiStatus, CommitStatus, UnknownRun, UnknownWorkflow
from shared.ports.source_host import RepositoryMissing, UnknownCommit
from tests.contracts.github_site import SITES, Site
from tests.contracts.source_hosts import PLACE, made
from tests.standins.github import Fault
from tests.standins.github.actions import Automation, Workflow

BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
URL = "https://slipway.example.com/webhooks/1"
SECRET = "a-secret-of-the-hook-123"


@dataclass
class Bench:
    site: Site
    host: GitHub
    ci: GitHubCi
    hooks: GitHubHooks
    head: str

    @property
    def automation(self) -> Automation:
        return self.site.server.automations.of(self.site.repository(PLACE))

    async def start(self, once: str = "req-1", workflow: str = "build.yml") -> CiRun:
        inputs = {"target": "staging"}
        return await self.ci.start(PLACE, workflow, ref="main", inputs=inputs, once=once, since=BEFORE)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    site = SITES.new()
    site.server.faults.waiting.clear()
    async with aclosing(site.host()) as host:
        found = Bench(site, host, GitHubCi(host.api), GitHubHooks(host.api), await made(host))
        found.automation.workflows["build.yml"] = Workflow("build.yml")
        yield found


async def test_a_workflow_is_started_once_for_one_request(bench: Bench) -> None:
    run = await bench.start()
    assert (run.status, run.conclusion, run.sha) == (CiStatus.QUEUED, None, bench.head)
    assert (await bench.start()).id == run.id
    assert (await bench.start("req-12")).id != run.id
    models.WorkflowRun.model_validate(bench.automation.runs[int(run.id)])


async def test_a_start_whose_answer_was_lost_is_found(bench: Bench) -> None:
    bench.site.server.faults.add(Fault("lost", "POST", "/dispatches"))
    run = await bench.start()
    assert [str(each) for each in bench.automation.runs] == [run.id]


async def test_a_run_is_followed_to_its_end(bench: Bench) -> None:
    run = await bench.start()
    raw = bench.automation.runs[int(run.id)]
    raw["status"] = "in_progress"
    running = await bench.ci.find(PLACE, run.id)
    assert running is not None
    assert (running.status, running.finished_at) == (CiStatus.RUNNING, None)
    raw.update(status="completed", conclusion="failure", updated_at="2026-06-11T10:00:00Z")
    ended = await bench.ci.find(PLACE, run.id)
    assert ended is not None
    assert (ended.status, ended.conclusion) == (CiStatus.COMPLETED, "failure")
    assert ended.finished_at == datetime(2026, 6, 11, 10, tzinfo=UTC)
    assert await bench.ci.find(PLACE, "999") is None
    assert await bench.ci.find(PLACE, "../1") is None


async def test_what_cannot_be_started_is_told(bench: Bench) -> None:
    with pytest.raises(UnknownWorkflow, match=r"nope\.yml"):
        await bench.start(workflow="nope.yml")
    bench.automation.workflows["plain.yml"] = Workflow("plain.yml", inputs=frozenset())
    with pytest.raises(Invalid, match="Unexpected inputs"):
        await bench.start(workflow="plain.yml")


async def test_a_log_is_the_jobs_in_their_order(bench: Bench) -> None:
    run = await bench.start()
    with pytest.raises(UnknownRun):
        await bench.ci.log(PLACE, run.id)
    bench.automation.logs[int(run.id)] = {
        "1_test.txt": "\ufefftested\n",
        "0_build.txt": "built\n",
        "build/1_step.txt": "a step\n",
    }
    assert await bench.ci.log(PLACE, run.id) == "built\ntested\n"


async def test_a_log_without_end_is_cut(bench: Bench) -> None:
    run = await bench.start()
    bench.automation.logs[int(run.id)] = {"0_a.txt": "x" * (17 * 1024 * 1024), "1_b.txt": "never"}
    log = await bench.ci.log(PLACE, run.id)
    assert log.endswith("x\n(the log goes on at GitHub)\n")
    assert len(log) < 17 * 1024 * 1024


@pytest.mark.parametrize("kind", ["lost", "dropped", "bad-gateway"])
async def test_a_hook_is_registered_once_whatever_is_lost(bench: Bench, kind: str) -> None:
    bench.site.server.faults.add(Fault(kind, "POST", "/hooks"))  # type: ignore[arg-type]
    hook = await bench.hooks.add_hook(PLACE, URL, SECRET, ("push", "pull_request"))
    assert hook.events == ("pull_request", "push")
    again = await bench.hooks.add_hook(PLACE, URL, SECRET, ("push",))
    assert (again.id, again.events) == (hook.id, ("push",))
    assert await bench.hooks.hooks(PLACE) == [again]
    models.Hook.model_validate(bench.automation.hooks[int(hook.id)])
    await bench.hooks.remove_hook(PLACE, hook.id)
    await bench.hooks.remove_hook(PLACE, hook.id)
    assert await bench.hooks.hooks(PLACE) == []


async def test_a_hook_that_github_refuses_is_told_without_its_secret(bench: Bench) -> None:
    with pytest.raises(Invalid, match="does not take the webhook") as caught:
        await bench.hooks.add_hook(PLACE, "ftp://nowhere", SECRET, ("push",))
    assert SECRET not in str(caught.value)


async def test_the_latest_status_of_every_context_counts(bench: Bench) -> None:
    for state in ("pending", "success"):
        await bench.hooks.set_status(PLACE, bench.head, CommitStatus("slipway/build", state, "x" * 300))
    await bench.hooks.set_status(PLACE, bench.head, CommitStatus("a", "failure", target_url=URL))
    first, second = await bench.hooks.statuses(PLACE, bench.head)
    assert first == CommitStatus("a", "failure", "", URL)
    assert (second.state, len(second.description)) == ("success", 140)
    for sha in ("0" * 40, "main"):
        with pytest.raises(UnknownCommit):
            await bench.hooks.set_status(PLACE, sha, first)
        with pytest.raises(UnknownCommit):
            await bench.hooks.statuses(PLACE, sha)


async def test_what_is_asked_of_a_missing_repository_says_so(bench: Bench) -> None:
    bench.site.server.organizations[bench.site.organization].clear()
    with pytest.raises(RepositoryMissing):
        await bench.hooks.hooks(PLACE)
    with pytest.raises(RepositoryMissing):
        await bench.ci.find(PLACE, "1")
    with pytest.raises(RepositoryMissing):
        await bench.start()
