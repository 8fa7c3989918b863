"""Webhooks of repositories on GitHub, and the statuses that it shows beside commits."""

import hashlib
import hmac
from collections.abc import Mapping

from pydantic import BaseModel

from shared.adapters.hosts.github_api import PAGE, GitHubApi, Remote, check_sha, said, unknown
from shared.adapters.hosts.notices import GITHUB_WORDS
from shared.adapters.vendors.guard import shown
from shared.domain.kernel.errors import Invalid
from shared.ports.ci_host import CommitStatus, Hook, HookEvent
from shared.ports.source_host import Place

_DESCRIPTION_CHARACTERS = 140
_SIGNATURE = "x-hub-signature-256"


class Config(BaseModel):
    url: str = ""


class HookRow(BaseModel):
    id: int
    events: list[str]
    config: Config

    def told(self) -> Hook:
        """Without what it tells of beside our events."""
        events = tuple(event for event, word in GITHUB_WORDS.items() if word in self.events)
        return Hook(str(self.id), self.config.url, events)


class StatusRow(BaseModel):
    context: str
    state: str
    description: str | None
    target_url: str | None


class Combined(BaseModel):
    statuses: list[StatusRow]


class GitHubHooks:
    """Implements ports.ci_host.HookHost."""

    def __init__(self, api: GitHubApi) -> None:
        self._api = api

    async def add_hook(self, place: Place, url: str, secret: str, events: tuple[HookEvent, ...]) -> Hook:
        remote = self._api.at(place)
        config = {"url": url, "content_type": "json", "secret": secret, "insecure_ssl": "0"}
        words = sorted(GITHUB_WORDS[event] for event in events)
        body = {"name": "web", "active": True, "events": words, "config": config}
        known = await self._find(remote, url)
        if known is None:
            answer = await remote.send("POST", "hooks", body=body, takes=(422,))
            # Refused as it is there: another was quicker, or our own answer was lost.
            if answer.status != 422:
                return answer.read(HookRow).told()
            known = await self._find(remote, url)
            if known is None:
                raise Invalid(f"GitHub does not take the webhook ({shown(said(answer), secret)}).")
        answer = await remote.send("PATCH", "hooks", known.id, body=body)
        return answer.read(HookRow).told()

    def is_genuine(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        """By GitHub's HMAC of the body. Without a secret nothing is: anybody could have signed it."""
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        told = headers.get(_SIGNATURE, "").encode(errors="replace")
        return bool(secret) and hmac.compare_digest(told, f"sha256={digest}".encode())

    async def hooks(self, place: Place) -> list[Hook]:
        return await self._list(self._api.at(place))

    async def remove_hook(self, place: Place, hook: str) -> None:
        if hook.isdecimal():
            await self._api.at(place).send("DELETE", "hooks", hook, takes=(404,))

    async def set_status(self, place: Place, sha: str, status: CommitStatus) -> None:
        check_sha(sha)
        remote = self._api.at(place)
        body = {
            "state": status.state,
            "context": status.context,
            "description": status.description[:_DESCRIPTION_CHARACTERS],
            **({"target_url": status.target_url} if status.target_url else {}),
        }
        answer = await remote.send("POST", "statuses", sha, body=body, takes=(422,))
        if answer.status == 422:
            await remote.info(sha)
            raise Invalid(f"GitHub does not take the status '{status.context}' ({shown(said(answer))}).")

    async def statuses(self, place: Place, sha: str) -> list[CommitStatus]:
        check_sha(sha)
        remote = self._api.at(place)
        found: list[CommitStatus] = []
        path = f"{remote.path}/commits/{sha}/status"
        pages = remote.http.pages(remote.account, path, query={"per_page": PAGE}, takes=(404, 422))
        async for answer in pages:
            if answer.status != 200:
                raise await remote.blame(unknown(sha))
            found += (
                CommitStatus(row.context, row.state, row.description or "", row.target_url or "")
                for row in answer.read(Combined).statuses
            )
        return sorted(found, key=lambda status: status.context)

    async def _find(self, remote: Remote, url: str) -> Hook | None:
        return next((hook for hook in await self._list(remote) if hook.url == url), None)

    @staticmethod
    async def _list(remote: Remote) -> list[Hook]:
        found: list[Hook] = []
        pages = remote.http.pages(
            remote.account, f"{remote.path}/hooks", query={"per_page": PAGE}, takes=(404,)
        )
        async for answer in pages:
            if answer.status == 404:
                # A token without the right is answered as if there were no hooks at all.
                await remote.get()
                await remote.send("GET", "hooks")
            found += (row.told() for row in answer.read(list[HookRow]))
        return found
