"""An installation beside a hand-written vendor, and what people do on either side."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.domain.source.model import Provider
from shared.ports.source_host import FileChange, Place, Signature
from tests.faults.crash_points.installation import QuickRunner
from tests.support.api import SERVICE, Api, an_api
from tests.support.app import SteppingClock
from tests.support.vendors import FolderVendor, a_folder_vendor

PLACE = Place("acme", "proj-x", "api", Provider.GITHUB)
ADA = Signature("Ada", "ada@example.com", SteppingClock().now())


@dataclass
class HostBench:
    """One repository at a hand-written vendor, with a service on `main` that builds."""

    api: Api
    vendor: FolderVendor
    clock: SteppingClock
    repository: str

    async def push(self, branch: str, path: str = "a.txt", text: str = "1\n") -> str:
        """By a user of the vendor."""
        heads = await self.vendor.git.branches(PLACE)
        if branch not in heads:
            await self.vendor.git.create_branch(PLACE, branch, heads["main"], by="octocat")
        files = [FileChange(path, "add", text.encode())]
        return (await self.vendor.git.commit(PLACE, branch, files, message=path, author=ADA)).sha

    async def ours(self, branch: str = "topic", **draft: Any) -> str:
        """Opened here; its path."""
        await self.push(branch, f"{branch}.txt")
        await self.sweep()
        wanted = {"repositoryId": self.repository, "sourceBranch": branch, "targetBranch": "main"}
        opened = await self.api.expect(201, "POST", "/pull-requests", {"title": "T", **wanted, **draft})
        await self.api.drain()
        return f"/pull-requests/{opened['pullRequestId']}"

    async def get(self, request: str) -> Any:
        return await self.api.expect(200, "GET", request)

    async def listed(self) -> list[Any]:
        return list((await self.api.expect(200, "GET", "/pull-requests"))["items"])

    async def there(self, number: int = 100) -> Any:
        found = await self.vendor.find_request(PLACE, number)
        assert found is not None
        return found

    async def sweep(self) -> int:
        moved = await self.api.app.vendor_sweep.run()
        await self.api.drain()
        return moved

    async def later(self, **delta: float) -> int:
        self.clock.advance(**delta)
        await self.api.drain()
        return await self.sweep()


@asynccontextmanager
async def a_host_bench(
    folder: Path, kind: type[FolderVendor] = FolderVendor, **settings: Any
) -> AsyncIterator[HostBench]:
    clock = SteppingClock()
    vendor = a_folder_vendor(folder / "vendor", clock, kind)
    vendors = {Provider.GITHUB: vendor.vendor()}
    api = an_api(
        folder / "data",
        clock=clock,
        vendors=vendors,
        runner=QuickRunner(folder / "work"),
        more={"github_organizations": {"acme": "acme-corp"}, **settings},
    )
    async with aclosing(api.app):
        draft = {"projectId": "proj-x", "name": "api", "provider": "GitHub"}
        made = await api.expect(201, "POST", "/repositories", draft)
        await api.drain()
        await vendor.git.commit(
            PLACE,
            "main",
            [FileChange(p, "add", t.encode()) for p, t in SERVICE.items()],
            message="start",
            author=ADA,
        )
        bench = HostBench(api, vendor, clock, made["repositoryId"])
        await bench.sweep()
        yield bench
