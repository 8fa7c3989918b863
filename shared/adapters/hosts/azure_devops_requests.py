"""Pull requests of Azure Repos. Must not merge one: merges are made elsewhere, and pushed.

https://learn.microsoft.com/rest/api/azure/devops/git/pull-requests
"""

from datetime import UTC, datetime

from shared.adapters.hosts.azure_devops_api import HEADS, AzureRepository
from shared.adapters.hosts.azure_devops_models import Listed, PullRequest
from shared.adapters.hosts.azure_devops_places import Organizations
from shared.adapters.hosts.azure_devops_refs import Refs
from shared.adapters.vendors.http import Query
from shared.domain.kernel.errors import Conflict, Invalid, NotFound, Transient
from shared.ports.request_host import HostRequest, HostRequestStatus, UnknownRequest
from shared.ports.source_host import Place, RepositoryMissing

_TITLE, _DESCRIPTION = 400, 4000
"""Characters that the service takes."""
_CUT = "\u2026"
_LISTED_DESCRIPTION = 400
"""Characters of a description that a list shows."""
_PAGE = 100
_STATUSES = {
    "active": HostRequestStatus.OPEN,
    "completed": HostRequestStatus.MERGED,
    "abandoned": HostRequestStatus.CLOSED,
}


class AzureDevOpsRequests:
    """Implements ports.request_host.RequestHost.

    What is too long for the service is cut, and ends with an ellipsis. It tells of no changes to a request,
    so `updated_at` is when it ended, or began. A merge that is pushed leaves a request active.
    """

    def __init__(self, organizations: Organizations) -> None:
        self._organizations = organizations

    async def open_request(
        self, place: Place, *, source: str, target: str, title: str, description: str, is_draft: bool
    ) -> HostRequest:
        remote = self._organizations.repository(place)
        if (found := await self._active(remote, source, target)) is not None:
            return found
        refs = Refs(remote)
        base, head = await refs.head(target), await refs.head(source)
        if await refs.is_ancestor(head, base):
            raise Invalid(f"There is nothing to merge: '{target}' already contains '{source}'.")
        body = {
            "sourceRefName": HEADS + source,
            "targetRefName": HEADS + target,
            **_texts(title, description),
            "isDraft": is_draft,
        }
        try:
            answer = await remote.send("POST", "pullrequests", body=body)
        except Conflict:
            # Another call made it, or this one, whose answer was lost.
            found = await self._active(remote, source, target)
            if found is None:
                raise Transient(
                    f"Azure DevOps says that '{source}' has a pull request to '{target}', and shows none yet;"
                    " try again."
                ) from None
            return found
        return self._told(place, answer.read(PullRequest))

    async def find_request(self, place: Place, number: int) -> HostRequest | None:
        found = await _find(self._organizations.repository(place), number)
        return None if found is None else self._told(place, found)

    async def requests(self, place: Place, *, since: datetime) -> list[HostRequest]:
        remote = self._organizations.repository(place)
        after: Query = {
            "searchCriteria.queryTimeRangeType": "closed",
            "searchCriteria.minTime": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        found = await self._list(remote, {"searchCriteria.status": "active"})
        for ended in ("completed", "abandoned"):
            rows = await self._list(remote, {"searchCriteria.status": ended, **after})
            found += (each for each in rows if each.closed_date is not None and each.closed_date >= since)
        # One that ended while the lists were read is in both; it has ended.
        latest = {each.pull_request_id: self._told(place, each) for each in found}
        return [latest[number] for number in sorted(latest)]

    async def edit_request(
        self, place: Place, number: int, *, title: str, description: str, is_draft: bool
    ) -> HostRequest:
        remote = self._organizations.repository(place)
        await _get(remote, number)
        body = {**_texts(title, description), "isDraft": is_draft}
        return self._told(place, await _change(remote, number, body))

    async def close_request(self, place: Place, number: int) -> None:
        remote = self._organizations.repository(place)
        if (await _get(remote, number)).status == "active":
            await _change(remote, number, {"status": "abandoned"})

    async def reopen_request(self, place: Place, number: int) -> HostRequest:
        remote = self._organizations.repository(place)
        found = await _get(remote, number)
        if found.status == "completed":
            raise Invalid(f"The pull request {number} is merged; open another one.")
        if found.status != "active":
            found = await _change(remote, number, {"status": "active"})
        return self._told(place, found)

    async def _active(self, remote: AzureRepository, source: str, target: str) -> HostRequest | None:
        criteria: Query = {
            "searchCriteria.status": "active",
            "searchCriteria.sourceRefName": HEADS + source,
            "searchCriteria.targetRefName": HEADS + target,
        }
        found = await self._list(remote, criteria)
        return self._told(remote.place, found[0]) if found else None

    async def _list(self, remote: AzureRepository, criteria: Query) -> list[PullRequest]:
        """Without those from forks, and with the whole of their descriptions."""
        found: list[PullRequest] = []
        skip = 0
        while True:
            query = {**criteria, "$top": _PAGE, "$skip": skip}
            rows = (await remote.send("GET", "pullrequests", query=query)).read(Listed[PullRequest]).value
            for each in rows:
                if each.fork_source is None:
                    is_cut = len(each.description) >= _LISTED_DESCRIPTION
                    found.append(await _get(remote, each.pull_request_id) if is_cut else each)
            skip += len(rows)
            if len(rows) < _PAGE:
                return found

    def _told(self, place: Place, row: PullRequest) -> HostRequest:
        ended = row.closed_date if row.status in {"completed", "abandoned"} else None
        head, merge = row.last_merge_source_commit, row.last_merge_commit
        is_merged = row.status == "completed"
        return HostRequest(
            number=row.pull_request_id,
            url=f"{self._organizations.clone_url(place)}/pullrequest/{row.pull_request_id}",
            title=row.title,
            description=row.description,
            source_branch=row.source_ref_name.removeprefix(HEADS),
            target_branch=row.target_ref_name.removeprefix(HEADS),
            source_sha=head.commit_id if head else "",
            status=_STATUSES.get(row.status, HostRequestStatus.OPEN),
            is_draft=row.is_draft,
            author=row.created_by.display_name,
            labels=tuple(each.name for each in row.labels if each.active),
            merge_sha=merge.commit_id if merge and is_merged else None,
            updated_at=(ended or row.creation_date).astimezone(UTC),
            merged_by=row.closed_by.display_name if row.closed_by and is_merged else None,
        )


async def _find(remote: AzureRepository, number: int) -> PullRequest | None:
    try:
        found = (await remote.send("GET", "pullrequests", str(number))).read(PullRequest)
    except RepositoryMissing:
        raise
    except NotFound:
        return None
    return found if found.fork_source is None else None


async def _get(remote: AzureRepository, number: int) -> PullRequest:
    found = await _find(remote, number)
    if found is None:
        raise UnknownRequest(f"Azure DevOps has no pull request {number} in this repository.", number=number)
    return found


async def _change(remote: AzureRepository, number: int, body: object) -> PullRequest:
    try:
        return (await remote.send("PATCH", "pullrequests", str(number), body=body)).read(PullRequest)
    except Conflict as error:
        raise Invalid(error.message) from None


def _texts(title: str, description: str) -> dict[str, str]:
    return {"title": _cut(title, _TITLE), "description": _cut(description, _DESCRIPTION)}


def _cut(text: str, most: int) -> str:
    """The service counts as UTF-16 does."""
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * most:
        return text
    return units[: 2 * (most - 1)].decode("utf-16-le", "ignore") + _CUT
