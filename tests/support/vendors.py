"""A vendor by hand: real git repositories in a folder, and pull requests, statuses and webhooks in a file
beside them, so that they outlive a process."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.domain.kernel.errors import Invalid
from shared.ports.ci_host import CiHost, CommitStatus, Hook, HookEvent
from shared.ports.clock import Clock
from shared.ports.request_host import HostRequest, HostRequestStatus, UnknownRequest
from shared.ports.source_host import Place, UnknownBranch
from shared.ports.vendor import Vendor

OPEN, CLOSED, MERGED = "open", "closed", "merged"


class MissingCi:
    """Nothing is run there."""


class FolderVendor:
    """Implements ports.request_host.RequestHost and ports.ci_host.HookHost.

    As GitHub, it marks a request as merged whose commits its target branch contains. `open_by` and `change`
    are what its users do.
    """

    def __init__(self, folder: Path, git: EmbeddedGit, clock: Clock) -> None:
        self.git = git
        self._file = folder / "vendor.json"
        self._clock = clock
        folder.mkdir(parents=True, exist_ok=True)

    def vendor(self, *, source: Any = None, hooks: Any = None, requests: Any = None) -> Vendor:
        ci = cast(CiHost, MissingCi())
        return Vendor(source or self.git, ci, hooks or self, requests or self, self.aclose)

    async def aclose(self) -> None:
        """Nothing is connected."""

    async def open_request(
        self, place: Place, *, source: str, target: str, title: str, description: str, is_draft: bool
    ) -> HostRequest:
        known = [row for row in await self._rows(place) if row["status"] == OPEN]
        for row in known:
            if (row["source_branch"], row["target_branch"]) == (source, target):
                return _told(row)
        return await self.open_by("slipway-app", place, source, target, title, description, is_draft)

    async def open_by(
        self,
        author: str,
        place: Place,
        source: str,
        target: str,
        title: str,
        description: str = "",
        is_draft: bool = False,
    ) -> HostRequest:
        heads = await self.git.branches(place)
        if source not in heads or target not in heads:
            raise UnknownBranch("There is no such branch.", branch=source)
        state = self._read()
        rows = state["requests"].setdefault(_key(place), [])
        number = len(rows) + 100
        row = {
            "number": number,
            "url": f"https://vendor.example/{place.project}/{place.name}/pull/{number}",
            "title": title,
            "description": description,
            "source_branch": source,
            "target_branch": target,
            "source_sha": heads[source],
            "status": OPEN,
            "is_draft": is_draft,
            "author": author,
            "labels": [],
            "merge_sha": None,
            "updated_at": self._now(),
        }
        rows.append(row)
        self._write(state)
        return _told(row)

    async def change(self, place: Place, number: int, **changed: Any) -> HostRequest:
        state = self._read()
        for row in state["requests"].get(_key(place), []):
            if row["number"] == number:
                row.update(changed, updated_at=self._now())
                self._write(state)
                return _told(row)
        raise UnknownRequest("There is no such request.")

    async def find_request(self, place: Place, number: int) -> HostRequest | None:
        return next((_told(row) for row in await self._rows(place) if row["number"] == number), None)

    async def requests(self, place: Place, *, since: datetime) -> list[HostRequest]:
        found = [_told(row) for row in await self._rows(place)]
        return [each for each in found if each.status is HostRequestStatus.OPEN or each.updated_at >= since]

    async def edit_request(
        self, place: Place, number: int, *, title: str, description: str, is_draft: bool
    ) -> HostRequest:
        return await self.change(place, number, title=title, description=description, is_draft=is_draft)

    async def close_request(self, place: Place, number: int) -> None:
        known = await self.find_request(place, number)
        if known is None or known.status is HostRequestStatus.OPEN:
            await self.change(place, number, status=CLOSED)

    async def reopen_request(self, place: Place, number: int) -> HostRequest:
        known = await self.find_request(place, number)
        if known is not None and known.status is HostRequestStatus.MERGED:
            raise Invalid("It is merged.")
        return await self.change(place, number, status=OPEN)

    async def add_hook(self, place: Place, url: str, secret: str, events: tuple[HookEvent, ...]) -> Hook:
        state = self._read()
        hooks = state["hooks"].setdefault(_key(place), {})
        hooks[url] = {"secret": secret, "events": list(events)}
        self._write(state)
        return Hook(url, url, events)

    def is_genuine(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        return hmac.compare_digest(headers.get("x-signature", ""), signature(body, secret))

    async def hooks(self, place: Place) -> list[Hook]:
        hooks = self._read()["hooks"].get(_key(place), {})
        return [Hook(url, url, tuple(map(HookEvent, hook["events"]))) for url, hook in hooks.items()]

    async def remove_hook(self, place: Place, hook: str) -> None:
        state = self._read()
        state["hooks"].get(_key(place), {}).pop(hook, None)
        self._write(state)

    async def set_status(self, place: Place, sha: str, status: CommitStatus) -> None:
        await self.git.info(place, sha)
        state = self._read()
        shown = state["statuses"].setdefault(f"{_key(place)}@{sha}", {})
        shown[status.context] = [status.state, status.description, status.target_url]
        self._write(state)

    async def statuses(self, place: Place, sha: str) -> list[CommitStatus]:
        await self.git.info(place, sha)
        shown = self._read()["statuses"].get(f"{_key(place)}@{sha}", {})
        return [CommitStatus(context, *said) for context, said in sorted(shown.items())]

    async def _rows(self, place: Place) -> list[dict[str, Any]]:
        """After the vendor has looked what is merged, and where the sources are."""
        state, heads = self._read(), await self.git.branches(place)
        rows: list[dict[str, Any]] = state["requests"].get(_key(place), [])
        for row in (each for each in rows if each["status"] == OPEN and each["target_branch"] in heads):
            row["source_sha"] = heads.get(row["source_branch"], row["source_sha"])
            target = heads[row["target_branch"]]
            if await self.git.is_ancestor(place, row["source_sha"], target):
                row.update(status=MERGED, merge_sha=target, updated_at=self._now())
        self._write(state)
        return rows

    def _read(self) -> dict[str, Any]:
        if not self._file.exists():
            return {"requests": {}, "hooks": {}, "statuses": {}}
        return cast(dict[str, Any], json.loads(self._file.read_text()))

    def _write(self, state: dict[str, Any]) -> None:
        self._file.write_text(json.dumps(state, indent=1, sort_keys=True))

    def _now(self) -> str:
        return self._clock.now().isoformat()


def signature(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def a_folder_vendor(folder: Path, clock: Clock, kind: type[FolderVendor] = FolderVendor) -> FolderVendor:
    return kind(folder, EmbeddedGit(folder / "git", clock), clock)


def _key(place: Place) -> str:
    return f"{place.tenant}/{place.project}/{place.name}"


def _told(row: dict[str, Any]) -> HostRequest:
    status, at = HostRequestStatus(row["status"]), datetime.fromisoformat(row["updated_at"])
    return HostRequest(**{**row, "status": status, "labels": tuple(row["labels"]), "updated_at": at})
