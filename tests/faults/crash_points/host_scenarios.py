"""Scenarios of what flows between an installation and a vendor."""

from shared.domain.kernel.actor import system_actor
from shared.domain.source.host_records import HostWatch, watch_id
from shared.domain.source.model import Provider, Repository
from shared.ports.ci_host import CommitStatus, HookEvent
from shared.ports.source_host import FileChange, Place, Signature
from shared.services.host_hooks import secret_of
from shared.services.unit import Unit
from tests.faults.crash_points.faults import Mode
from tests.faults.crash_points.operations import Delivery, Operation, Webhook
from tests.faults.crash_points.scenarios import scenario
from tests.faults.crash_points.stage import Stage, a_commit
from tests.support.vendors import CLOSED

SOURCE = system_actor("acme", "source")
PLACE = Place("acme", "proj-y", "hosted", Provider.GITHUB)


async def a_hosted_repository(stage: Stage) -> str:
    draft = {"projectId": PLACE.project, "name": PLACE.name, "provider": "GitHub"}
    made = await stage.post("/repositories", draft)
    await stage.drain()
    return str(made["repositoryId"])


async def a_request_here(stage: Stage) -> str:
    """Opened, and the vendor not told of it yet."""
    repository = await a_hosted_repository(stage)
    await stage.post(f"/repositories/{repository}/branches", {"name": "topic"})
    await stage.post(f"/repositories/{repository}/commits", a_commit("topic", "first.py"))
    wanted = {"repositoryId": repository, "sourceBranch": "topic", "targetBranch": "main", "title": "T"}
    return str((await stage.post("/pull-requests", wanted))["pullRequestId"])


async def a_request_there(stage: Stage) -> str:
    """Opened by a user; the repository."""
    repository = await a_hosted_repository(stage)
    git = stage.installation.hosted.git
    author = Signature("Ada", "ada@example.com", stage.installation.clock.now())
    await git.create_branch(PLACE, "topic", await git.head(PLACE, "main"), by="octocat")
    await git.commit(PLACE, "topic", [FileChange("a", "add", b"1")], message="feat: a", author=author)
    app = stage.installation.app
    await app.branches.catch_up(SOURCE, await app.repositories.get(SOURCE, repository.removeprefix("repo-")))
    await stage.installation.hosted.open_by("octocat", PLACE, "topic", "main", "Theirs")
    return repository


async def a_message(stage: Stage, event: str) -> Webhook:
    repository = await a_request_there(stage)
    await stage.installation.app.vault.set("acme", secret_of(repository.removeprefix("repo-")), "signs")
    return Webhook(f"/host-events/acme/{repository}", event, "signs")


async def while_away(stage: Stage, delivery: Delivery, call: str) -> None:
    """The vendor is away when the message is handled."""
    faults = stage.installation.faults
    faults.at, faults.only, faults.mode, faults.armed = 1, call, Mode.THROTTLED, True
    assert (await delivery.attempt(stage.installation, 1)).is_good
    faults.armed = False


@scenario("POST /host-events/{tenantId}/{repositoryId}")
async def _(stage: Stage) -> Operation:
    return await a_message(stage, "pull_request")


@scenario("RepositoryArchived", "of one with a webhook")
async def _(stage: Stage) -> Operation:
    repository = await a_hosted_repository(stage)
    key, url = repository.removeprefix("repo-"), "https://slipway.example/host-events"
    app = stage.installation.app
    await stage.installation.hosted.add_hook(PLACE, url, "signs", tuple(HookEvent))
    await app.vault.set("acme", secret_of(key), "signs")

    async def registered(unit: Unit) -> None:
        unit.put(HostWatch(id=watch_id(key), tenant="acme", repository=key, hook_url=url))

    await app.units.run(SOURCE, Repository.__record__.root_of(key), registered)
    await stage.post(f"/repositories/{repository}/archive", None)
    return await stage.delivery("RepositoryArchived")


@scenario("MirrorPullRequest", "of one that was opened")
async def _(stage: Stage) -> Operation:
    await a_request_here(stage)
    return await stage.delivery("MirrorPullRequest")


@scenario("MirrorPullRequestAgain", "after the vendor was away")
async def _(stage: Stage) -> Operation:
    await a_request_here(stage)
    delivery = await stage.delivery("MirrorPullRequest")
    await while_away(stage, delivery, "host_requests.open_request")
    return await stage.delivery_after_loss("MirrorPullRequestAgain")


@scenario("HostChanged", "of a request that was closed")
async def _(stage: Stage) -> Operation:
    message = await a_message(stage, "pull_request")
    await stage.installation.sweep_vendors()
    await stage.drain()
    await stage.installation.hosted.change(PLACE, 100, status=CLOSED)
    assert (await message.attempt(stage.installation)).is_good
    return await stage.delivery("HostChanged")


@scenario("HostChangedAgain", "after the vendor was away")
async def _(stage: Stage) -> Operation:
    message = await a_message(stage, "status")
    await stage.installation.sweep_vendors()
    await stage.drain()
    sha = await stage.installation.hosted.git.head(PLACE, "topic")
    await stage.installation.hosted.set_status(PLACE, sha, CommitStatus("ci/lint", "failure"))
    assert (await message.attempt(stage.installation)).is_good
    await while_away(stage, await stage.delivery("HostChanged"), "host_hooks.statuses")
    return await stage.delivery_after_loss("HostChangedAgain")
