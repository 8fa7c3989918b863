"""The walk of the DevOps surface where it needs no process: on both vendors, and when an answer is wrong.

`slipway demo --surface devops` itself is played in `test_cli`, as a person runs it.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.data_folder import CannotStart
from local.demo_client import Answer, Caller, DemoFailed, play
from local.demos.devops import ROUTES, TENANT, UNKNOWN, Walk
from local.demos.devops_contract import CONTROLLER, GET_PULL_REQUEST, PROVISION_REPOSITORY
from local.demos.examples import Known
from local.demos.providers import require_ready
from local.demos.telling import Telling
from local.meter import Meter
from local.secrets import set_secret
from shared.adapters.hosts import azure_devops_places, github_api
from shared.app import build_app
from shared.domain.kernel.actor import ActorKind
from shared.domain.source.model import Provider
from shared.ports.source_host import Place as SourcePlace
from shared.settings import Settings
from tests.contracts import azure_devops_site, github_site
from tests.standins.azure_devops import pipelines as azure_pipelines
from tests.standins.github import actions
from tests.support.api import Api, KnownTokens
from tests.support.app import SteppingClock
from tests.support.ci import JUNIT
from tests.support.infrastructure import PROGRAM, MadeUpProvisioner

LEFT = {"site": {"slipway.yml": b"{}\n", "app.py": b"x = 1\n"}, "test-results": {"junit.xml": JUNIT}}
"""What every build at a vendor leaves."""
SMALL = {"README.md": b"Reservations\n", CONTROLLER: b"class Cancel {}\n", "slipway.yml": b"{}\n"}
"""What is built here for a pull request's check: enough for it to succeed, and done in a moment."""
PIPELINE = "reservations-api.yml"


@dataclass(frozen=True)
class Place:
    """Where the tenant's repositories are at a vendor, and the secret that opens it. `prepare` tells the
    vendor's CI of the pipeline in a repository."""

    settings: dict[str, str]
    secret: str
    token: str
    prepare: Callable[[str], None] = lambda name: None


def on_github() -> Place:
    site = github_site.SITES.new()
    place = {"github_url": site.server.url, "github_organizations": f"{TENANT}:{site.organization}"}

    def prepare(name: str) -> None:
        hosted = site.repository(SourcePlace(TENANT, "proj-booking-saas", name, Provider.GITHUB))
        ending = actions.Ending(artifacts=LEFT)
        workflow = actions.Workflow(PIPELINE, inputs=frozenset({"slipway_request"}), ending=ending)
        site.server.automations.of(hosted).workflows[PIPELINE] = workflow

    return Place(place, github_api.SECRET, site.token, prepare)


def on_azure_devops() -> Place:
    service, token = azure_devops_site.SITES.service, azure_devops_site.PAT
    organization = service.add_organization("walk", token, "proj-booking-saas")
    place = {
        "azure_devops_url": service.url,
        "azure_devops_organizations": f"{TENANT}:{organization.name}",
    }
    organization.project("proj-booking-saas").pipelines.ending = azure_pipelines.Ending(artifacts=LEFT)
    return Place(place, azure_devops_places.TOKEN, token)


PLACES = {Provider.GITHUB: on_github, Provider.AZURE_DEVOPS: on_azure_devops}


class AtVendor(Walk):
    """A vendor's CI knows a pipeline once it is in the repository, and does what it is asked at once."""

    prepare: Callable[[str], None]

    async def review(self) -> None:
        self.prepare(self.known.words["reservations-api"])
        await super().review()


class InProcess(Caller):
    """Calls the endpoints where they are; all that a call has caused is done before the next one."""

    api: Api

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        self.api.app.clock.advance(seconds=5)  # type: ignore[attr-defined]  # until the next look at a vendor
        await self.api.drain()
        sent = {name.replace("-", "_"): value for name, value in headers.items()}
        answer = await self.api.send(method, path, body, token=self.token, **sent)
        return Answer(answer.status, answer.body, dict(answer.headers))


@dataclass(frozen=True)
class Everybody:
    api: Api

    def caller(self, subject: str, *roles: str, kind: ActorKind = ActorKind.HUMAN) -> Caller:
        token = f"{TENANT}/{subject.replace(':', '+')}/{'~'.join(roles)}"
        made = InProcess(None, "", token, subject)  # type: ignore[arg-type]  # no session: nothing goes out
        made.api = self.api
        return made


@pytest.fixture(scope="module", autouse=True)
def _vendors_end() -> Iterator[None]:
    """They start with their first user; a server that nobody stops would keep the process from ending."""
    yield
    github_site.SITES.close()
    azure_devops_site.SITES.close()


@pytest.fixture(params=PLACES)
async def walk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AtVendor]:
    make: Callable[[], Place] = PLACES[request.param]
    place = make()
    programs = {"iac_programs": {PROGRAM: tmp_path}}
    settings = Settings.load({}, data_dir=tmp_path, tiers="*:unmetered", **programs, **place.settings)
    made_up = {"clock": SteppingClock(), "provisioner": MadeUpProvisioner(tmp_path / "infrastructure")}
    app = build_app(settings, tokens=KnownTokens(), **made_up)
    await app.vault.set(TENANT, place.secret, place.token)
    walk = AtVendor(Telling(Meter(), len(ROUTES)), Everybody(Api(app)), request.param, "0611")
    walk.prepare, walk.files = place.prepare, SMALL
    yield walk
    await app.aclose()


async def test_every_route_answers_as_the_contract_says_on_a_vendors_host(
    walk: AtVendor, capsys: pytest.CaptureFixture[str]
) -> None:
    await walk.walk()
    walk.telling.table()
    assert sorted(row.example.number for row in walk.telling.rows) == list(range(1, 17))
    told = capsys.readouterr().out
    assert "16 of 16 routes answer as the contract says" in told
    assert walk.known.words[".azuredevops/pipelines/reservations-api.yml"] in told


class Scripted(Caller):
    """Answers as it was told to, and remembers what was asked."""

    answer: Answer
    asked: list[tuple[str, Any, dict[str, str]]]

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        self.asked.append((f"{method} {path}", body, headers))
        return self.answer


@dataclass(frozen=True)
class Nobody:
    answer: Answer

    def caller(self, subject: str, *roles: str, kind: ActorKind = ActorKind.HUMAN) -> Caller:
        made = Scripted(None, "", "", subject)  # type: ignore[arg-type]  # no session: nothing goes out
        made.answer, made.asked = self.answer, []
        return made


REPOSITORY = {
    "repositoryId": f"repo-{'7a' * 16}",
    "remoteUrl": "http://127.0.0.1/git/connectsoft/proj-booking-saas/reservations-api-1.git",
    "defaultBranch": "main",
    "status": "Provisioned",
}


async def provisioned(answered: int = 201, /, **changed: object) -> list[tuple[str, Any, dict[str, str]]]:
    """What is asked when the first route is sent, and answered with these changes; None leaves one out."""
    body = {name: value for name, value in (REPOSITORY | changed).items() if value is not None}
    nobody = Nobody(Answer(answered, body, {}))
    walk = Walk(Telling(Meter(), len(ROUTES)), nobody, Provider.EMBEDDED, "1")
    await walk.send(walk.planner, PROVISION_REPOSITORY)
    assert isinstance(walk.planner, Scripted)
    return walk.planner.asked


async def test_an_example_goes_out_as_it_stands_with_the_names_of_this_place() -> None:
    [(route, body, headers)] = await provisioned(somethingElse={"a": 1})
    assert route == "POST /repositories"
    here = {"name": "reservations-api-1", "provider": "Embedded"}
    assert body == {**(PROVISION_REPOSITORY.body or {}), **here, **UNKNOWN}
    assert headers == {"Accept": "application/json; version=1"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"status": "Ready"}, "`status` is 'Ready', not 'Provisioned'"),
        ({"defaultBranch": None}, "`defaultBranch` is missing"),
        ({"repositoryId": "7a1c"}, "`repositoryId` is '7a1c', no id like 'repo-7a1c'"),
        ({"remoteUrl": "nowhere"}, "`remoteUrl` is 'nowhere', not of the form of 'https://dev.azure.com"),
    ],
)
async def test_an_answer_that_is_not_as_the_contract_says_ends_the_walk(
    changed: dict[str, object], said: str
) -> None:
    with pytest.raises(DemoFailed, match="POST /repositories is not as the contract says") as failed:
        await provisioned(**changed)
    assert said in str(failed.value)


async def test_another_status_ends_the_walk() -> None:
    with pytest.raises(DemoFailed, match="answered 200, not 201"):
        await provisioned(200)


def test_what_is_in_a_list_is_found_by_its_name() -> None:
    told = {
        **GET_PULL_REQUEST.answer,
        "pullRequestId": f"pr-{'7a' * 16}",
        "checks": [{"name": "policy-gate", "status": "Succeeded"}, {"name": "build", "status": "Failed"}],
        "reviewers": [],
    }
    assert Known().differences(GET_PULL_REQUEST, told) == [
        "`checks[build].status` is 'Failed', not 'Succeeded'",
        "`reviewers` is [], without 'agent:PullRequestCreator'",
    ]


def test_a_walk_that_fails_says_so_and_where_the_log_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(data_dir: Path) -> None:
        raise DemoFailed("the moon is not made of cheese")

    assert play(Settings.load({}, data_dir=tmp_path), story) == 1
    told = capsys.readouterr().out
    assert "The demo failed: the moon is not made of cheese" in told
    assert str(tmp_path / "demo" / "server.log") in told


async def test_a_vendor_without_organization_or_token_is_named_with_what_to_set(tmp_path: Path) -> None:
    bare = Settings.load({}, data_dir=tmp_path)
    with pytest.raises(CannotStart, match="set SLIPWAY_AZURE_DEVOPS_ORGANIZATIONS=connectsoft:"):
        await require_ready(bare, Provider.AZURE_DEVOPS, TENANT)
    named = Settings.load({}, data_dir=tmp_path, github_organizations=f"{TENANT}:acme")
    with pytest.raises(CannotStart, match="slipway secrets set github-token --tenant connectsoft"):
        await require_ready(named, Provider.GITHUB, TENANT)
    await set_secret(named, TENANT, "github-token", "ghp_known")
    await require_ready(named, Provider.GITHUB, TENANT)
