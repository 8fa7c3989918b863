"""Secrets are planted wherever one can enter, a delivery is made, and all that can be read is searched."""

import gzip
import io
import json
import sqlite3
import zipfile
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from dulwich.objects import Blob
from dulwich.repo import Repo

from local.demo_client import Answer, Caller
from local.issuer_app import Clients
from shared.adapters.embedded.system import RandomIds, SystemClock
from shared.adapters.embedded.vault import FileVault
from tests.support.journey import DEFINITION, PACK, Git, Journey, pipeline, service
from tests.support.process import ServerProcess
from tests.support.search import Finding, Search
from tests.support.waiting import until

TENANT = "acme"
KEY = "-----BEGIN PRIVATE KEY-----\nplanted-Kq8vT2-private-key\n-----END PRIVATE KEY-----"
PLANTED = {
    "forged bearer": "planted-Zr4mW1-bearer",
    "basic password": "planted-Hn7cE9-password",
    "wrong client secret": "planted-Xd2sU6-client",
    "vault value": "planted-Bw5yJ3-vault",
    "server environment": "planted-Gf1kR8-environment",
    "step environment": "planted-Pt6aM4-step",
    "vendor header": "planted-Lc9oV7-header",
    "private key": KEY,
    "key's inside": "planted-Kq8vT2-private-key",
    "password in a URL": "planted-Sj3iQ5-userinfo",
    "query value": "planted-Yx8uN2-query",
    "poison": "planted-Dm4eF6-poison",
}
KEPT = {
    "step environment": {"git"},
    "poison": {"store.db", "store.db-wal", "bus.db", "bus.db-wal"},
}
"""Where one may be, as the first part of its path in the data folder: a definition is a file that its owner
committed, and a message that nobody can handle is kept whole until somebody redrives it."""


@dataclass
class Heard:
    """Every answer that any caller got, as it came."""

    answers: list[tuple[str, str]] = field(default_factory=list)

    async def note(self, response: aiohttp.ClientResponse, what: str) -> str:
        text = await response.text(errors="replace")
        self.answers.append((what, f"{response.status} {dict(response.headers)} {text}"))
        return text

    def found(self, search: Search) -> set[Finding]:
        return {each for what, text in self.answers for each in search.text(f"answer to {what}", text)}

    def caller(self) -> type[Caller]:
        """A kind of caller that notes what it is answered."""
        answers = self.answers

        class Listening(Caller):
            async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
                answer = await super().call(method, path, body, **headers)
                answers.append((f"{method} {path}", json.dumps([answer.headers, answer.body])))
                return answer

        return Listening


@pytest.fixture
def server(tmp_path: Path) -> Any:
    environment = {
        "SLIPWAY_LOG_LEVEL": "DEBUG",
        "SLIPWAY_TELEMETRY": "console",
        "SLIPWAY_TIERS": "*:unmetered",
        "DATABASE_PASSWORD": PLANTED["server environment"],
    }
    with ServerProcess(tmp_path / "data", environment=environment) as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.journey
async def test_no_planted_secret_is_found_anywhere_but_where_it_belongs(
    server: ServerProcess, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    heard = Heard()
    journey = Journey(session, server, TENANT, caller=heard.caller())
    registered = Clients(server.data_dir).add_client(
        "robot", tenant=TENANT, scopes=("devops.repositories.read",)
    )
    people = (journey.planner, journey.approver, journey.operator, journey.auditor)
    search = Search(
        PLANTED
        | {f"token of {person.subject}": person.token for person in people}
        | {f"signature of {person.subject}": person.token.rpartition(".")[2] for person in people}
        | {"client secret": registered}
    )

    await _put_into_vault(server)
    await _deliver(journey, tmp_path)
    issued = await _ask_for_tokens(session, server, heard, registered)
    await _knock_with_bad_credentials(session, journey, heard)
    await _send_what_is_refused(session, journey, heard)
    await _poison_a_queue(session, server, heard)

    issued_search = Search({"issued token": issued, "its signature": issued.rpartition(".")[2]})
    found = heard.found(search) | search.folder(server.data_dir) | issued_search.folder(server.data_dir)
    assert server.terminate() == 0
    found |= search.text("log", server.log) | issued_search.text("log", server.log)
    found |= search.folder(server.data_dir)
    strays = sorted(each for each in found if each.place.split("/")[0] not in KEPT.get(each.secret, ()))
    assert strays == []

    # The search would have found them: where they belong, it does, and the spans were in the log.
    assert {each.secret for each in found} == KEPT.keys()
    assert {each.secret for each in search.text("log", "".join(PLANTED.values()))} >= PLANTED.keys()
    assert any("PATH=" in text for _, text in heard.answers), "the step showed its environment"
    assert '"name": "run step step"' in server.log
    assert '"name": "target apply"' in server.log
    dead = _given_up(server)
    assert dead, "the poison is kept for a redrive"
    assert {each.secret for each in search.text("dead", "".join(dead))} == {"poison"}


async def _deliver(journey: Journey, tmp_path: Path) -> None:
    """From a commit to a service in dev; steps and service print all the environment they see."""
    await journey.provision()
    await journey.merged("feature/hello", "feat: say hello", {**service(), **_printing()})
    await journey.generate()
    await journey.merged(
        "feature/secret", "build: use a key", _definition(f"env | sort | grep -v KEY; {PACK}")
    )
    pipelines = (await journey.planner.get(f"/pipelines?repositoryId={journey.repository}"))["items"]
    run = await journey.start(pipelines[0]["pipelineId"])
    build = await journey.built(run)
    await journey.planner.get(f"/pipeline-runs/{run['pipelineRunId']}/logs?limit=500")
    release = await journey.plan(build, "dev")
    promotion = await journey.ended(release["promotionId"]) if release.get("promotionId") else None
    if promotion is None or promotion["status"] != "Deployed":
        hop = await journey.promote(release, "dev")
        await journey.deployed(hop["promotionId"])
    await _push(journey, tmp_path)
    for resource in (journey.repository, release["releaseId"], run["pipelineRunId"]):
        await journey.trail(resource)


def _printing() -> dict[str, str]:
    """A service that writes all of its environment to its log as it starts."""
    files = service()
    shown = "import os, sys\nprint(dict(os.environ), file=sys.stderr, flush=True)\n"
    return {"server.py": shown + files["server.py"]}


def _definition(script: str) -> dict[str, str]:
    files = pipeline(script)
    step = json.dumps({"name": "step", "run": script})
    secret = json.dumps(
        {"name": "step", "run": script, "environment": {"API_KEY": PLANTED["step environment"]}}
    )
    assert step in files[DEFINITION]
    return {DEFINITION: files[DEFINITION].replace(step, secret)}


async def _push(journey: Journey, tmp_path: Path) -> None:
    """The real git, with a token that it sends with each request."""
    git = Git(tmp_path / "home", journey.planner.token)
    await git("clone", "--quiet", journey.remote_url, "work")
    await git("switch", "--quiet", "--create", "feature/pushed", at="work")
    await git.committed("work", "docs: say more", {"MORE.md": "more\n"})
    await git("push", "--quiet", "origin", "feature/pushed", at="work")


async def _put_into_vault(server: ServerProcess) -> None:
    vault = FileVault(server.data_dir / "vault", SystemClock(), RandomIds())
    await vault.set(TENANT, "api-key", PLANTED["vault value"])
    assert (await vault.get(TENANT, "api-key")).value == PLANTED["vault value"]


async def _ask_for_tokens(
    session: aiohttp.ClientSession, server: ServerProcess, heard: Heard, registered: str
) -> str:
    """By the right secret and a wrong one, in the header and in the form. The token that was issued."""
    place, grant = f"{server.url}/oauth2/token", {"grant_type": "client_credentials"}
    issued = ""
    for secret in (registered, PLANTED["wrong client secret"]):
        async with session.post(place, data=grant, headers=_basic("robot", secret)) as answered:
            told = await answered.json()
            issued = told.get("access_token", issued)
            heard.answers.append(("POST /oauth2/token", json.dumps({**told, "access_token": ""})))
        async with session.post(
            place, data={**grant, "client_id": "robot", "client_secret": secret}
        ) as answered:
            told = await answered.json()
            heard.answers.append(("POST /oauth2/token", json.dumps({**told, "access_token": ""})))
    async with session.post(place, data=f"client_secret={PLANTED['wrong client secret']}&&=%zz") as answered:
        await heard.note(answered, "POST /oauth2/token")
    assert issued
    caller = heard.caller()(session, server.url, issued, "robot")
    await caller.get("/repositories")
    return issued


async def _knock_with_bad_credentials(session: aiohttp.ClientSession, journey: Journey, heard: Heard) -> None:
    forged, password = PLANTED["forged bearer"], PLANTED["basic password"]
    claims = b64encode(json.dumps({"sub": forged, "tenantId": forged}).encode()).decode().rstrip("=")
    head = journey.planner.token.partition(".")[0]
    bearers = (forged, f"{head}.{claims}.{forged}", f"{journey.planner.token}{forged}")
    for token in (*bearers, f'{forged}" , x="'):
        headers = {"Authorization": f"Bearer {token}"}
        async with session.get(f"{journey.server.url}/repositories", headers=headers) as refused:
            await heard.note(refused, "GET /repositories")
            assert refused.status == 401
    remote = f"{journey.remote_url}/info/refs?service=git-receive-pack"
    for person, secret, status in (("ann", password, 401), ("ann", journey.planner.token, 200)):
        async with session.get(remote, headers=_basic(person, secret)) as answered:
            await heard.note(answered, "GET info/refs")
            assert answered.status == status


async def _send_what_is_refused(session: aiohttp.ClientSession, journey: Journey, heard: Heard) -> None:
    """Fields, headers, query values and bodies that break a rule must be named, and never quoted."""
    url, query = f"https://robot:{PLANTED['password in a URL']}@example.com/x.git", PLANTED["query value"]
    vendor = {
        "X-Hub-Signature-256": f"sha256={PLANTED['vendor header']}",
        "X-CS-Provider": PLANTED["vendor header"],
        "X-Api-Key": PLANTED["vendor header"],
        "Cookie": f"session={PLANTED['vendor header']}",
        "traceparent": f"00-{PLANTED['vendor header']}-01",
        "If-Match": f'"{PLANTED["vendor header"]}"',
        "Accept-Language": PLANTED["vendor header"],
    }
    repository = journey.repository
    tries: list[tuple[str, str, Any, dict[str, str]]] = [
        ("POST", "/repositories", {"projectId": "p", "moduleId": "m", "name": secret}, vendor)
        for secret in (KEY, url, {"nested": KEY}, [url])
    ]
    tries += [
        ("POST", "/repositories", {"projectId": KEY, "moduleId": url, "name": 7, KEY: url}, {}),
        ("POST", "/repositories", f'{{"name": "{PLANTED["password in a URL"]}", '.encode(), _JSON),
        ("POST", "/repositories", KEY.encode(), {"Content-Type": "application/x-pem-file"}),
        ("POST", "/repositories", b"\xff\xfe" + KEY.encode(), _JSON),
        ("POST", f"/repositories/{repository}/branches", {"name": f"{KEY}..", "sourceBranch": url}, {}),
        (
            "POST",
            f"/repositories/{repository}/commits",
            {"branch": "b", "message": "m", "changes": [url, KEY]},
            {},
        ),
        ("POST", f"/repositories/{repository}/commits", _no_change(KEY, url), {}),
        ("POST", "/pull-requests", {"repositoryId": KEY, "sourceBranch": url, "title": 1}, {}),
        ("POST", "/pipelines/generate", {"repositoryId": repository, "moduleId": url, "moduleType": KEY}, {}),
        ("POST", "/releases", {"buildResultId": url, "targetEnvironment": KEY, "projectId": "p"}, {}),
        ("POST", "/promotions", {"releaseId": KEY, "toEnvironment": url}, {}),
        ("GET", f"/repositories?limit={query}", None, {}),
        ("GET", f"/pipeline-runs?repositoryId={query}&cursor={query}&token={query}", None, vendor),
        ("GET", f"/nowhere?token={query}", None, vendor),
        ("GET", "/repositories", None, {"Accept": f"application/{PLANTED['vendor header']}"}),
    ]
    for method, path, body, headers in tries:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        person = journey.operator if path == "/promotions" else journey.planner
        sent = {**_JSON, **headers, "Authorization": f"Bearer {person.token}"}
        sent["Idempotency-Key"] = f"key-{len(heard.answers)}"
        async with session.request(method, journey.server.url + path, data=content, headers=sent) as answered:
            await heard.note(answered, f"{method} {path.partition('?')[0]}")
            assert 400 <= answered.status < 500 or "token=" in path, (method, path, answered.status)


def _basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}


_JSON = {"Content-Type": "application/json"}


def _no_change(*paths: str) -> dict[str, Any]:
    changes = [{"path": path, "operation": path, "content": path} for path in paths]
    return {"branch": "feature/hello", "message": "m", "changes": changes}


async def _poison_a_queue(session: aiohttp.ClientSession, server: ServerProcess, heard: Heard) -> None:
    """One message that is no envelope at all, and one that no handler can make sense of."""
    poison = PLANTED["poison"]
    envelope = {
        "eventId": "evt-poison",
        "eventType": "PipelineRunCompleted",
        "tenantId": TENANT,
        "traceId": f"trace-{'a' * 32}",
        "correlationId": "corr-poison",
        "occurredAt": "2026-06-11T09:00:00Z",
        "payload": {"pipelineRunId": poison, "why": poison},
    }
    for text in (json.dumps(envelope), f"{poison} is no JSON", json.dumps({poison: poison})):
        place = f"{server.url}/admin/functions/checks_worker"
        async with session.post(place, json={"input": text}) as answered:
            await heard.note(answered, "POST /admin/functions/checks_worker")
            assert answered.status == 202
    await until(lambda: bool(_given_up(server)), seconds=20)


def _given_up(server: ServerProcess) -> list[str]:
    """The bodies of what was parked and dead-lettered, of every queue."""
    with closing(sqlite3.connect(f"file:{server.data_dir / 'bus.db'}?mode=ro", uri=True)) as bus:
        rows = bus.execute("SELECT body FROM messages WHERE state = 'dead' OR queue LIKE '%-parked'")
        return [bytes(body).decode() for (body,) in rows]


def test_the_search_finds_what_is_packed_or_spelt_otherwise(tmp_path: Path) -> None:
    """Or it would find nothing in a place that is full of secrets."""
    secret, search = PLANTED["vault value"].encode(), Search({"it": PLANTED["vault value"]})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("x", secret * 9)
    hidden = {
        "plain": secret,
        "gzip": gzip.compress(secret * 9),
        "zlib": zlib.compress(secret * 9),
        "zip": packed.getvalue(),
        **{f"base64-{shift}": b64encode(b"x" * shift + secret + b"yy") for shift in range(3)},
    }
    for name, content in hidden.items():
        (tmp_path / name).write_bytes(content)
    with Repo.init_bare(str(tmp_path / "repository"), mkdir=True) as repository:
        repository.object_store.add_object(Blob.from_string(secret))
    found = {each.place.partition("/")[0] for each in search.folder(tmp_path)}
    assert found == {*hidden, "repository"}
