"""Pull requests of repositories on GitHub. Merges none, and decides nothing about their content."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel

from shared.adapters.hosts.github_api import PAGE, GitHubApi, Remote, said
from shared.adapters.hosts.github_graph import Merged, merges, turn
from shared.adapters.vendors.guard import shown
from shared.adapters.vendors.http import Query
from shared.domain.kernel.errors import Invalid
from shared.ports.request_host import HostRequest, HostRequestStatus, UnknownRequest
from shared.ports.source_host import Place

_BODY_CHARACTERS = 65_536
_CUT = "\n\n*(The rest of this description is too long for GitHub.)*"
_NO_DRAFTS = "draft pull requests are not supported"
# To whom the plan of a repository gives no drafts, GitHub says this, whatever the token may do.
_NOT_INTO_DRAFT = "permission to convert the pull request"


class Named(BaseModel):
    name: str


class Account(BaseModel):
    login: str


class Hosting(BaseModel):
    id: int


class Side(BaseModel):
    """No repository: it was a fork, and is deleted."""

    ref: str
    sha: str
    repo: Hosting | None


class PullRow(BaseModel):
    number: int
    node_id: str
    html_url: str
    title: str
    body: str | None
    head: Side
    base: Side
    state: str
    draft: bool = False
    user: Account | None
    labels: list[Named]
    updated_at: datetime
    closed_at: datetime | None
    merged_at: datetime | None

    @property
    def is_ours(self) -> bool:
        """Whether its source is a branch of the same repository."""
        return self.head.repo is not None and self.head.repo == self.base.repo

    @property
    def status(self) -> HostRequestStatus:
        if self.merged_at is not None:
            return HostRequestStatus.MERGED
        return HostRequestStatus.OPEN if self.state == "open" else HostRequestStatus.CLOSED

    def told(self, merged: Merged | None) -> HostRequest:
        return HostRequest(
            number=self.number,
            url=self.html_url,
            title=self.title,
            # What is typed at GitHub has line ends of the web; as a difference from ours they would come
            # and go for ever.
            description=(self.body or "").replace("\r\n", "\n"),
            source_branch=self.head.ref,
            target_branch=self.base.ref,
            source_sha=self.head.sha,
            status=self.status,
            is_draft=self.draft,
            author=self.user.login if self.user is not None else "ghost",
            labels=tuple(label.name for label in self.labels),
            merge_sha=merged.sha if merged is not None else None,
            updated_at=self.updated_at.astimezone(UTC),
            merged_by=merged.by if merged is not None else None,
        )


class GitHubRequests:
    """Implements ports.request_host.RequestHost.

    GitHub takes no second request for a pair of branches, which makes the first one the answer to a repeated
    call. REST opens drafts; only GraphQL makes one ready, and tells what a merge made.
    """

    def __init__(self, api: GitHubApi) -> None:
        self._api = api

    async def open_request(
        self, place: Place, *, source: str, target: str, title: str, description: str, is_draft: bool
    ) -> HostRequest:
        """As a plain one where the plan of the repository has no drafts."""
        remote = self._api.at(place)
        if (known := await _open_one(remote, source, target)) is not None:
            return known.told(None)
        body = {"head": source, "base": target, "title": title, "body": _fitting(description)}
        answer = await remote.send("POST", "pulls", body={**body, "draft": is_draft}, takes=(404, 422))
        if is_draft and _NO_DRAFTS in said(answer).casefold():
            answer = await remote.send("POST", "pulls", body={**body, "draft": False}, takes=(404, 422))
        if answer.status == 201:
            return answer.read(PullRow).told(None)
        # Refused as it is there: another was quicker, or our own answer was lost.
        if (known := await _open_one(remote, source, target)) is not None:
            return known.told(None)
        for branch in (source, target):
            await remote.head(branch)
        raise Invalid(
            f"GitHub opens no pull request from '{source}' into '{target}' ({shown(said(answer))})."
        )

    async def find_request(self, place: Place, number: int) -> HostRequest | None:
        remote = self._api.at(place)
        row = await _find(remote, number)
        return (await _told(remote, [row]))[0] if row is not None else None

    async def requests(self, place: Place, *, since: datetime) -> list[HostRequest]:
        # GitHub tells whole seconds: what ended later in this one is told as earlier.
        remote, since = self._api.at(place), since.replace(microsecond=0)
        rows: dict[int, PullRow] = {}
        async for page in _pages(remote, state="open"):
            rows |= {row.number: row for row in page}
        # Newest change first, and the end of a request is one: what changed before cannot have ended after.
        async for page in _pages(remote, state="closed", sort="updated", direction="desc"):
            rows |= {row.number: row for row in page if row.closed_at is not None and row.closed_at >= since}
            if page[-1].updated_at < since:
                break
        ours = [rows[number] for number in sorted(rows) if rows[number].is_ours]
        return await _told(remote, ours)

    async def edit_request(
        self, place: Place, number: int, *, title: str, description: str, is_draft: bool
    ) -> HostRequest:
        """One that has ended keeps being a draft or none, as does one whose repository has no drafts."""
        remote = self._api.at(place)
        await _get(remote, number)
        row = await _change(remote, number, {"title": title, "body": _fitting(description)})
        if row.status is HostRequestStatus.OPEN and row.draft != is_draft:
            reply = await turn(remote, row.node_id, into_draft=is_draft)
            row = await _get(remote, number)
            if row.draft != is_draft and not (is_draft and _NOT_INTO_DRAFT in reply.said.casefold()):
                reply.check()
        return (await _told(remote, [row]))[0]

    async def close_request(self, place: Place, number: int) -> None:
        remote = self._api.at(place)
        if (await _get(remote, number)).status is HostRequestStatus.OPEN:
            await _change(remote, number, {"state": "closed"})

    async def reopen_request(self, place: Place, number: int) -> HostRequest:
        remote = self._api.at(place)
        row = await _get(remote, number)
        if row.status is HostRequestStatus.MERGED:
            raise Invalid(f"Pull request {number} is merged on GitHub; open a new one.")
        if row.status is HostRequestStatus.CLOSED:
            row = await _change(remote, number, {"state": "open"})
        return row.told(None)


async def _open_one(remote: Remote, source: str, target: str) -> PullRow | None:
    pair = {"head": f"{remote.organization}:{source}", "base": target}
    async for page in _pages(remote, state="open", **pair):
        for row in page:
            if row.is_ours and (row.head.ref, row.base.ref) == (source, target):
                return row
    return None


async def _pages(remote: Remote, **query: str) -> AsyncIterator[list[PullRow]]:
    """None of them empty."""
    asked: Query = {**query, "per_page": PAGE}
    async for answer in remote.http.pages(remote.account, f"{remote.path}/pulls", query=asked, takes=(404,)):
        if answer.status == 404:
            await remote.get()
            # A token without the right is answered as if there were no such list.
            await remote.send("GET", "pulls")
        if rows := answer.read(list[PullRow]):
            yield rows


async def _find(remote: Remote, number: int) -> PullRow | None:
    """None also where it comes from a fork."""
    answer = await remote.send("GET", "pulls", str(number), takes=(404,))
    if answer.status == 404:
        await remote.get()
        return None
    row = answer.read(PullRow)
    return row if row.is_ours else None


async def _get(remote: Remote, number: int) -> PullRow:
    found = await _find(remote, number)
    if found is None:
        raise UnknownRequest(f"There is no pull request {number} on GitHub.", number=number)
    return found


async def _change(remote: Remote, number: int, body: dict[str, str]) -> PullRow:
    answer = await remote.send("PATCH", "pulls", str(number), body=body, takes=(422,))
    if answer.status == 422:
        raise Invalid(f"GitHub does not change pull request {number} so ({shown(said(answer))}).")
    return answer.read(PullRow)


async def _told(remote: Remote, rows: Sequence[PullRow]) -> list[HostRequest]:
    merged = [row.node_id for row in rows if row.status is HostRequestStatus.MERGED]
    made = await merges(remote, merged) if merged else {}
    return [row.told(made.get(row.node_id)) for row in rows]


def _fitting(description: str) -> str:
    """Cut visibly where GitHub would refuse it."""
    if len(description) <= _BODY_CHARACTERS:
        return description
    return description[: _BODY_CHARACTERS - len(_CUT)] + _CUT
