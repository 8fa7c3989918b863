"""Service hooks of Azure DevOps, and the statuses that it shows beside commits.

A subscription is for one event, so a hook here is all those of one URL. Pipelines know no repository: what is
told of their runs is about every one of the project.
https://learn.microsoft.com/azure/devops/service-hooks/consumers
"""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

from shared.adapters.hosts.azure_devops_api import AzureApi, AzureRepository
from shared.adapters.hosts.azure_devops_models import Listed, Repository, Status, Subscription
from shared.adapters.hosts.azure_devops_places import Organizations
from shared.adapters.hosts.notices import AZURE_DEVOPS_EVENTS
from shared.adapters.vendors.answers import Unclear
from shared.adapters.vendors.guard import shown
from shared.adapters.vendors.http import Query
from shared.domain.kernel.errors import Invalid, NotFound
from shared.ports.ci_host import CommitStatus, Hook, HookEvent
from shared.ports.source_host import Place, UnknownCommit

_ORDER = list(AZURE_DEVOPS_EVENTS)
_STATES = {"pending": "pending", "success": "succeeded", "failure": "failed", "error": "error"}
_TOLD = {theirs: ours for ours, theirs in _STATES.items()} | {"notApplicable": "success"}
_SHA = re.compile(r"[0-9a-f]{40}")
_PAGE = 100


class AzureDevOpsHooks:
    """Implements ports.ci_host.HookHost.

    A repository's hooks are known by the name of the user whose password is the secret: it is the
    repository's id, which the service tells again, and a run's subscription has nothing else to tell it by.
    """

    def __init__(self, organizations: Organizations) -> None:
        self._organizations = organizations

    async def add_hook(self, place: Place, url: str, secret: str, events: tuple[HookEvent, ...]) -> Hook:
        """Azure DevOps has no event for a commit's status; it is left out of the hook's events."""
        remote = self._organizations.repository(place)
        repository = await remote.get()
        wanted = [event for event, ours in AZURE_DEVOPS_EVENTS.items() if ours in events]
        if not wanted:
            raise Invalid("Azure DevOps cannot tell of this; ask for push, pull_request or run.")
        known = _of_url(await _list(remote.api, repository), url)
        kept = [await self._put(remote, repository, event, url, secret, known) for event in wanted]
        for each in known:
            if each.id not in {one.id for one in kept}:
                await _remove(remote.api, each.id)
        return _hook(kept)

    def is_genuine(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        """By the password that it comes with: the service signs nothing."""
        scheme, _, encoded = headers.get("authorization", "").partition(" ")
        if scheme.casefold() != "basic" or not secret:
            return False
        try:
            known = base64.b64decode(encoded.encode(), validate=True).partition(b":")[2]
        except (binascii.Error, UnicodeEncodeError):
            return False
        return hmac.compare_digest(known, secret.encode())

    async def hooks(self, place: Place) -> list[Hook]:
        remote = self._organizations.repository(place)
        found = await _list(remote.api, await remote.get())
        urls = dict.fromkeys(_url(each) for each in found)
        return [_hook(_of_url(found, url)) for url in urls]

    async def remove_hook(self, place: Place, hook: str) -> None:
        remote = self._organizations.repository(place)
        found = await _list(remote.api, await remote.get())
        named = next((each for each in found if each.id == hook), None)
        if named is None:
            return
        # The named one last: a repeated call finds the rest by it.
        for each in _of_url(found, _url(named)):
            if each.id != hook:
                await _remove(remote.api, each.id)
        await _remove(remote.api, hook)

    async def set_status(self, place: Place, sha: str, status: CommitStatus) -> None:
        if status.state not in _STATES:
            raise Invalid(f"A status is one of {', '.join(_STATES)}, and not '{status.state}'.")
        genre, _, name = status.context.rpartition("/")
        body = {
            "state": _STATES[status.state],
            "description": status.description,
            "context": {"name": name, **({"genre": genre} if genre else {})},
            **({"targetUrl": status.target_url} if status.target_url else {}),
        }
        await self._commit(place, sha).send("POST", "commits", sha, "statuses", body=body)

    async def statuses(self, place: Place, sha: str) -> list[CommitStatus]:
        remote, found = self._commit(place, sha), list[Status]()
        while True:
            query: Query = {"latestOnly": "true", "top": _PAGE, "skip": len(found)}
            rows = (await remote.send("GET", "commits", sha, "statuses", query=query)).read(Listed[Status])
            found += rows.value
            if len(rows.value) < _PAGE:
                break
        latest = {_context(each): each for each in sorted(found, key=lambda each: each.id)}
        return [
            CommitStatus(
                context,
                _TOLD.get(latest[context].state, "pending"),
                latest[context].description or "",
                latest[context].target_url or "",
            )
            for context in sorted(latest)
        ]

    def _commit(self, place: Place, sha: str) -> AzureRepository:
        remote = self._organizations.repository(place)
        if not _SHA.fullmatch(sha):
            raise UnknownCommit(f"There is no commit '{sha}' in this repository.", sha=sha)
        return remote

    async def _put(
        self,
        remote: AzureRepository,
        repository: Repository,
        event: str,
        url: str,
        secret: str,
        known: Iterable[Subscription],
    ) -> Subscription:
        """The subscription of this event, with this secret, whatever it had."""
        body = _subscription(repository, event, url, secret)
        found = next((each for each in known if each.event_type == event), None)
        try:
            if found is not None:
                parts = ("_apis", "hooks", "subscriptions", found.id)
                with suppress(NotFound):
                    return await remote.api.read(Subscription, "PUT", *parts, body=body)
            answer = await remote.api.send(
                "POST", "_apis", "hooks", "subscriptions", body=body, repeatable=False
            )
        except Unclear:
            made = _of_url(await _list(remote.api, repository), url)
            found = next((each for each in made if each.event_type == event), None)
            if found is None:
                raise
            return found
        except Invalid as error:
            raise Invalid(
                f"Azure DevOps does not take the webhook ({shown(error.message, secret)})."
            ) from None
        return answer.read(Subscription)


def _subscription(repository: Repository, event: str, url: str, secret: str) -> dict[str, object]:
    if AZURE_DEVOPS_EVENTS[event] is HookEvent.RUN:
        publisher, version, scope = "pipelines", "5.1-preview.1", dict[str, str]()
    else:
        publisher, version, scope = "tfs", "1.0", {"repository": repository.id}
    return {
        "publisherId": publisher,
        "eventType": event,
        "resourceVersion": version,
        "consumerId": "webHooks",
        "consumerActionId": "httpRequest",
        "publisherInputs": {"projectId": repository.project.id, **scope},
        "consumerInputs": {"url": url, "basicAuthUsername": repository.id, "basicAuthPassword": secret},
    }


async def _list(api: AzureApi, repository: Repository) -> list[Subscription]:
    """In the order of our events, so that the first of a hook is the same one every time."""
    answer = await api.send("GET", "_apis", "hooks", "subscriptions", query={"consumerId": "webHooks"})
    found = (
        each
        for each in answer.read(Listed[Subscription]).value
        if each.event_type in AZURE_DEVOPS_EVENTS and _is_of(each, repository)
    )
    return sorted(found, key=lambda each: (_ORDER.index(each.event_type), each.id))


def _is_of(subscription: Subscription, repository: Repository) -> bool:
    ids = {
        subscription.publisher_inputs.get("repository"),
        subscription.consumer_inputs.get("basicAuthUsername"),
    }
    return repository.id in ids


async def _remove(api: AzureApi, subscription: str) -> None:
    with suppress(NotFound):
        await api.send("DELETE", "_apis", "hooks", "subscriptions", subscription, repeatable=True)


def _url(subscription: Subscription) -> str:
    return subscription.consumer_inputs.get("url") or ""


def _of_url(found: Iterable[Subscription], url: str) -> list[Subscription]:
    return [each for each in found if _url(each) == url]


def _hook(found: list[Subscription]) -> Hook:
    events = {AZURE_DEVOPS_EVENTS[each.event_type] for each in found}
    return Hook(found[0].id, _url(found[0]), tuple(each for each in HookEvent if each in events))


def _context(status: Status) -> str:
    context = status.context
    return f"{context.genre}/{context.name}" if context.genre else context.name
