"""Whether an installation serves the package it was given, as a caller sees it: no key of the host needed.

Reading is safe anywhere. The journey that writes is for installations that nobody works on.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp

_STARTING: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE})
"""What a host answers while it restarts with a new package."""
_PROJECT, _REPOSITORY = "slipway-smoke", "smoke"

type Check = Callable[["Smoke"], Awaitable[str]]


class SmokeFailed(Exception):
    """An answer that is not what the package would give; the message says which."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check. `told` is what was found, or what is wrong."""

    name: str
    passed: bool
    told: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What the package says about itself."""

    version: str
    documents: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Smoke:
    """One run against one installation. `attempt` makes what it writes its own; `patience` in seconds is for
    a cold start, and again for background work."""

    client: aiohttp.ClientSession
    expected: Expected
    token: str
    attempt: str
    patience: float = 180.0
    pause: float = 2.0

    async def ask(
        self, method: str, path: str, body: object = None, *, wanted: int = 200, anonymous: bool = False
    ) -> Any:
        """One request, and its answer's JSON. Raises SmokeFailed when the status is another."""
        status, text = await self._ask(method, path, body, anonymous)
        if status != wanted:
            raise SmokeFailed(f"{method} {path} answered {status} instead of {wanted}: {text[:300]}")
        return json.loads(text) if text else None

    async def until[T](self, what: str, look: Callable[[], Awaitable[T | None]]) -> T:
        """What `look` finds, within the patience."""
        try:
            async with asyncio.timeout(self.patience):
                while (found := await look()) is None:  # noqa: ASYNC110 - it is asked, it tells nobody
                    await asyncio.sleep(self.pause)
                return found
        except TimeoutError:
            raise SmokeFailed(f"{what} did not happen within {self.patience:.0f} seconds.") from None

    async def status_of(self, path: str) -> int | None:
        """The status of a public page; None while the host starts."""
        status, _ = await self._ask("GET", path, None, anonymous=True)
        return None if status in _STARTING else status

    async def _ask(self, method: str, path: str, body: object, anonymous: bool) -> tuple[int, str]:
        headers = {} if anonymous else {"Authorization": f"Bearer {self.token}"}
        if method == "POST":
            headers["Idempotency-Key"] = f"smoke-{self.attempt}-{path}"
        try:
            async with self.client.request(method, path, json=body, headers=headers) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientConnectionError as error:
            # A host that restarts refuses connections for a moment.
            return HTTPStatus.SERVICE_UNAVAILABLE, str(error)


async def run(smoke: Smoke, *, write: bool) -> list[Outcome]:
    """Every check, in order. The first that fails ends it: what comes after would fail of the same."""
    outcomes = []
    for name, check in (*_READING, *(_WRITING if write else ())):
        try:
            outcomes.append(Outcome(name, True, await check(smoke)))
        except SmokeFailed as failure:
            return [*outcomes, Outcome(name, False, str(failure))]
    return outcomes


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the installation at that URL."""
    limit = aiohttp.ClientTimeout(total=120)  # a cold start of a large package
    async with aiohttp.ClientSession(url.rstrip("/"), timeout=limit) as client:
        yield client


async def _is_healthy(smoke: Smoke) -> str:
    async def the_new_version() -> Mapping[str, str] | None:
        if await smoke.status_of("/health") != HTTPStatus.OK:
            return None
        told: Mapping[str, str] = await smoke.ask("GET", "/health", anonymous=True)
        return told if told["version"] == smoke.expected.version else None

    told = await smoke.until(f"That /health says {smoke.expected.version}", the_new_version)
    return f"version {told['version']}"


async def _is_ready(smoke: Smoke) -> str:
    await smoke.ask("GET", "/ready", anonymous=True)
    return "its store answers"


async def _serves_the_documents(smoke: Smoke) -> str:
    """The documents name every HTTP function of every surface: one that is missing or old shows here."""
    operations = 0
    for name, text in sorted(smoke.expected.documents.items()):
        wanted = json.loads(text)
        served = await smoke.ask("GET", f"/openapi/{name}.json", anonymous=True)
        missing = sorted(_operations(wanted) - _operations(served))
        added = sorted(_operations(served) - _operations(wanted))
        if missing or added:
            raise SmokeFailed(f"{name} is of another package: it lacks {missing}, and has {added} besides.")
        if served != wanted:
            raise SmokeFailed(f"{name} has the package's operations, and describes them in another way.")
        operations += len(_operations(wanted))
    return f"{operations} operations of {len(smoke.expected.documents)} surfaces"


def _operations(document: Mapping[str, Any]) -> set[str]:
    verbs = ("get", "post", "put", "delete", "patch")
    return {
        f"{verb.upper()} {path}" for path, item in document["paths"].items() for verb in verbs if verb in item
    }


async def _wants_a_token(smoke: Smoke) -> str:
    await smoke.ask("GET", "/repositories", anonymous=True, wanted=HTTPStatus.UNAUTHORIZED)
    return "401 without one"


async def _reads(smoke: Smoke) -> str:
    repositories = await smoke.ask("GET", "/repositories?limit=1")
    environments = await smoke.ask("GET", "/environments")
    return f"{len(repositories['items'])} repository and {len(environments['items'])} environments listed"


async def _writes(smoke: Smoke) -> str:
    """A pull request, up to the verdict of its checks: store, change feed, relay, queue and worker."""
    repository = await _repository(smoke)
    place, branch = f"/repositories/{repository}", f"feature/smoke-{smoke.attempt}"
    await smoke.ask("POST", f"{place}/branches", {"name": branch}, wanted=201)
    change = {"path": f"smoke/{smoke.attempt}.txt", "operation": "add", "content": "Smoke.\n"}
    commit = {"branch": branch, "message": "chore: smoke", "changes": [change]}
    await smoke.ask("POST", f"{place}/commits", commit, wanted=201)
    draft = {"repositoryId": repository, "sourceBranch": branch, "targetBranch": "main", "title": "Smoke"}
    opened = await smoke.ask("POST", "/pull-requests", draft, wanted=201)
    request = f"/pull-requests/{opened['pullRequestId']}"

    async def verdict() -> str | None:
        told = await smoke.ask("GET", request)
        return None if told["policyEvaluation"] == "Pending" else str(told["policyEvaluation"])

    try:
        found = await smoke.until("A verdict of the pull request's checks", verdict)
    finally:
        await smoke.ask("POST", f"{request}/abandon")
    return f"a pull request's checks said {found}"


async def _repository(smoke: Smoke) -> str:
    """The one repository that smoke tests work in."""
    listed = await smoke.ask("GET", f"/repositories?projectId={_PROJECT}")
    for each in listed["items"]:
        if each["name"] == _REPOSITORY:
            return str(each["repositoryId"])
    draft = {"projectId": _PROJECT, "name": _REPOSITORY}
    made = await smoke.ask("POST", "/repositories", draft, wanted=201)
    return str(made["repositoryId"])


async def _audits(smoke: Smoke) -> str:
    trail = await smoke.ask("GET", f"/audit-entries?resourceId={await _repository(smoke)}")
    if not trail["verified"]:
        raise SmokeFailed("The audit chain of the smoke test's repository does not hold.")
    return f"{len(trail['entries'])} entries, and their chain holds"


_READING: Final[tuple[tuple[str, Check], ...]] = (
    ("health", _is_healthy),
    ("ready", _is_ready),
    ("documents", _serves_the_documents),
    ("authentication", _wants_a_token),
    ("reading", _reads),
)
_WRITING: Final[tuple[tuple[str, Check], ...]] = (("writing", _writes), ("audit", _audits))
