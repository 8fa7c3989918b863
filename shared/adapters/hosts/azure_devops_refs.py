"""The branches of a repository on Azure DevOps, and the two ways to move one, always by compare-and-swap."""

from collections.abc import Sequence
from dataclasses import dataclass

from dulwich.objects import ShaFile
from dulwich.refs import Ref

from shared.adapters.hosts.azure_devops_api import HEADS, AzureRepository
from shared.adapters.hosts.azure_devops_push import has_moved, push_request
from shared.adapters.hosts.git_paths import branch_ref, ref_in_the_way
from shared.domain.kernel.errors import Forbidden, Invalid, Permanent
from shared.domain.source.errors import ProtectedBranch
from shared.ports.source_host import BranchExists, HeadMoved, UnknownBranch, UnknownCommit

_PERMISSIONS = {
    "writePermissionRequired": "GenericContribute",
    "createBranchPermissionRequired": "CreateBranch",
    "createTagPermissionRequired": "CreateTag",
    "manageNotePermissionRequired": "ManageNote",
    "forcePushRequired": "ForcePush",
}
_RULES = {"rejectedByPolicy": "a policy", "rejectedByPlugin": "an extension", "locked": "a lock"}


@dataclass(frozen=True, slots=True)
class Refs:
    remote: AzureRepository

    async def heads(self) -> dict[str, str]:
        """Short branch name -> head sha."""
        found = await self.remote.refs("heads/")
        return {ref.removeprefix(HEADS): sha for ref, sha in sorted(found.items())}

    async def find_head(self, branch: str) -> str | None:
        if branch_ref(branch) is None:
            return None
        return (await self.remote.refs(f"heads/{branch}")).get(HEADS + branch)

    async def head(self, branch: str) -> str:
        head = await self.find_head(branch)
        if head is None:
            raise UnknownBranch(f"There is no branch '{branch}'.", branch=branch)
        return head

    async def create(self, name: str, at: str) -> None:
        """BranchExists unless it is at that very commit; Invalid for a name that git does not take."""
        ref = branch_ref(name)
        if ref is None:
            raise Invalid(f"'{name}' is not a valid branch name; git would not take it.", branch=name)
        heads = await self.heads()
        if name not in heads:
            taken = ref_in_the_way(ref, (Ref((HEADS + each).encode()) for each in heads))
            if taken is not None:
                raise _in_the_way(name, taken.decode().removeprefix(HEADS))
            if await self._swap(name, None, at):
                return
            heads = await self.heads()
        if heads.get(name) != at:
            raise BranchExists(
                f"Branch '{name}' exists at another commit.", branch=name, actual=heads.get(name)
            )

    async def delete(self, name: str, expected: str) -> None:
        """HeadMoved where it is elsewhere; gone already is fine."""
        head = await self.find_head(name)
        if head is not None and (head != expected or not await self._swap(name, expected, None)):
            actual = await self.find_head(name)
            if actual is not None:
                raise moved(name, actual)

    async def push(self, branch: str, old: str | None, new: str, objects: Sequence[ShaFile]) -> bool:
        """Move a branch to a new commit, which goes along; False where others moved it first.

        Repeated after a lost answer it finds its own commit on the branch.
        """
        report = await self.remote.receive_pack(push_request(branch, old, new, objects))
        if has_moved(report, branch):
            return True
        head = await self.find_head(branch)
        return head is not None and (head == new or await self.is_ancestor(new, head))

    async def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """False also where the host has no such commit."""
        try:
            return ancestor in await self.remote.merge_bases(ancestor, descendant)
        except UnknownCommit:
            return False

    async def _swap(self, branch: str, old: str | None, new: str | None) -> bool:
        """False where the branch is not at `old`."""
        status = await self.remote.move(HEADS + branch, old, new)
        match status:
            case "succeeded" | "succeededNonExistentRef":
                return True
            case "staleOldObjectId":
                return False
            case "invalidRefName":
                raise Invalid(f"'{branch}' is not a branch name that Azure DevOps takes.", branch=branch)
            case "refNameConflict":
                raise _in_the_way(branch, "another branch")
            case "unresolvableToCommit":
                raise UnknownCommit(f"There is no commit '{new}' in this repository.", sha=new)
            case denied if denied in _PERMISSIONS:
                needed = _PERMISSIONS[denied]
                raise Forbidden(
                    f"Azure DevOps does not allow this; give the token's owner the permission {needed}.",
                    permission=needed,
                )
            case ruled if ruled in _RULES:
                raise ProtectedBranch(
                    f"{_RULES[ruled].capitalize()} on Azure DevOps forbids to move '{branch}'; change it"
                    " there, or take another branch.",
                    branch=branch,
                )
            case _:
                raise Permanent(f"Azure DevOps did not move '{branch}' and said '{status}'; look there.")


def moved(branch: str, actual: str | None) -> HeadMoved:
    return HeadMoved(
        f"Branch '{branch}' is not at the commit you started from; read its head and try again.",
        branch=branch,
        actual=actual,
    )


def _in_the_way(branch: str, other: str) -> BranchExists:
    return BranchExists(f"'{branch}' cannot be made beside '{other}'; choose another name.", branch=other)
