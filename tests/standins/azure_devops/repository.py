"""One repository of an organization: a real git repository, and what REST tells of it. Serves nothing."""

import io
import stat
import uuid
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from dulwich.graph import find_merge_base
from dulwich.object_store import tree_lookup_path
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree, TreeEntry
from dulwich.refs import Ref, check_ref_format
from dulwich.repo import MemoryRepo

from tests.standins.azure_devops import errors

NOTHING = "0" * 40
COMMENT_SHOWN = 100
"""Characters of a message that a list shows."""
_HEADS = b"refs/heads/"


class Repository:
    """`protected` are full names of refs that a policy lets only pull requests move."""

    def __init__(self, name: str, project: dict[str, Any], url: str) -> None:
        self.id = str(uuid.uuid4())
        self.name = name
        self.git = MemoryRepo()
        self.protected: set[str] = set()
        self.default: str | None = None
        self._project = project
        self._url = url

    def view(self) -> dict[str, Any]:
        view = {
            "id": self.id,
            "name": self.name,
            "url": f"{self._url}/_apis/git/repositories/{self.id}",
            "project": self._project,
            "size": 0,
            "remoteUrl": f"{self._url}/_git/{self.name}",
            "webUrl": f"{self._url}/_git/{self.name}",
            "isDisabled": False,
            "isInMaintenance": False,
        }
        return view | ({"defaultBranch": self.default} if self.default else {})

    def refs(self) -> dict[str, str]:
        found = self.git.refs.as_dict(Ref(b"refs"))
        return {f"refs/{name.decode()}": sha.decode() for name, sha in sorted(found.items())}

    def move(self, ref: str, old: str, new: str) -> str:
        """Compare-and-swap; the service's word for what came of it."""
        refs = self.refs()
        if not ref.startswith("refs/heads/") or not check_ref_format(Ref(ref.encode())):
            return "invalidRefName"
        if refs.get(ref, NOTHING) != old:
            return "staleOldObjectId"
        if old == new == NOTHING:
            return "succeededNonExistentRef"
        if ref in self.protected:
            return "rejectedByPolicy"
        if new != NOTHING and not isinstance(self.find(new), Commit):
            return "unresolvableToCommit"
        if old == NOTHING and any(
            each.startswith(f"{ref}/") or ref.startswith(f"{each}/") or each.casefold() == ref.casefold()
            for each in refs
        ):
            return "refNameConflict"
        self._set(ref, new)
        return "succeeded"

    def _set(self, ref: str, new: str) -> None:
        name = Ref(ref.encode())
        if new == NOTHING:
            self.git.refs.remove_if_equals(name, None)
        else:
            self.git.refs.set_if_equals(name, None, ObjectID(new.encode()))
        if self.default is None and new != NOTHING:
            # The first branch to come is the default one.
            self.default = ref

    def find(self, sha: str) -> ShaFile | None:
        with suppress(KeyError, ValueError, AssertionError):
            return self.git.object_store[ObjectID(sha.encode())]
        return None

    def commit(self, sha: str) -> Commit:
        found = self.find(sha)
        if not isinstance(found, Commit):
            raise errors.no_commit(sha)
        return found

    def commit_view(self, sha: str) -> dict[str, Any]:
        commit = self.commit(sha)
        return {
            "treeId": commit.tree.decode(),
            "commitId": sha,
            "author": _signature(commit.author, commit.author_time),
            "committer": _signature(commit.committer, commit.commit_time),
            "comment": commit.message.decode("utf-8", "replace").rstrip("\n"),
            "parents": [parent.decode() for parent in commit.parents],
            "url": f"{self._url}/_apis/git/repositories/{self.id}/commits/{sha}",
            "remoteUrl": f"{self._url}/_git/{self.name}/commit/{sha}",
        }

    def history(self, sha: str, skip: int, top: int) -> list[dict[str, Any]]:
        """As in lists: without parents and trees, and with the beginning of each message."""
        self.commit(sha)
        walk = self.git.get_walker(include=[ObjectID(sha.encode())], max_entries=skip + top)
        rows = [self.commit_view(entry.commit.id.decode()) for entry in walk][skip:]
        for row in rows:
            del row["treeId"], row["parents"]
            if len(row["comment"]) > COMMENT_SHOWN:
                row |= {"comment": row["comment"][:COMMENT_SHOWN], "commentTruncated": True}
        return rows

    def merge_bases(self, one: str, other: str) -> list[str]:
        self.commit(one), self.commit(other)
        found = find_merge_base(self.git, [ObjectID(one.encode()), ObjectID(other.encode())])
        return [sha.decode() for sha in found]

    def tree_view(self, sha: str, *, recursive: bool) -> dict[str, Any]:
        tree = self.find(sha)
        if not isinstance(tree, Tree):
            raise errors.no_object(sha)
        rows = [self._entry(entry, b"") for entry in tree.iteritems()]
        if recursive:
            rows = [self._entry(entry, folder) for folder, entry in self._below(tree, b"")]
        return {"objectId": sha, "url": self._url, "treeEntries": rows, "size": len(tree.as_raw_string())}

    def _below(self, tree: Tree, folder: bytes) -> list[tuple[bytes, TreeEntry]]:
        rows = []
        for entry in tree.iteritems():
            rows.append((folder, entry))
            if stat.S_ISDIR(entry.mode):
                below = self.git.object_store[entry.sha]
                assert isinstance(below, Tree)
                rows += self._below(below, folder + entry.path + b"/")
        return rows

    def _entry(self, entry: TreeEntry, folder: bytes) -> dict[str, Any]:
        found = self.find(entry.sha.decode())
        return {
            "objectId": entry.sha.decode(),
            "relativePath": (folder + entry.path).decode("utf-8", "replace"),
            "mode": f"{entry.mode:o}",
            "gitObjectType": _kind(entry.mode),
            "url": self._url,
            "size": len(found.as_raw_string()) if isinstance(found, Blob) else 0,
        }

    def item(self, sha: str, path: str) -> dict[str, Any]:
        commit = self.commit(sha)
        try:
            mode, found = tree_lookup_path(
                self.git.object_store.__getitem__, commit.tree, path.strip("/").encode()
            )
        except (KeyError, NotADirectoryError, ValueError):
            raise errors.no_item(path, sha) from None
        kind = _kind(mode)
        return {
            "objectId": found.decode(),
            "gitObjectType": kind,
            "commitId": sha,
            "path": path,
            "url": f"{self._url}/_apis/git/repositories/{self.id}/items{path}",
        } | ({"isFolder": True} if kind == "tree" else {})

    def blob(self, sha: str) -> bytes:
        found = self.find(sha)
        if not isinstance(found, Blob):
            raise errors.no_object(sha)
        return found.data

    def zip(self, shas: Sequence[str]) -> bytes:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
            for sha in shas:
                files.writestr(sha, self.blob(sha))
        return archive.getvalue()


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "tree"
    return "blob" if stat.S_ISREG(mode) or stat.S_ISLNK(mode) else "commit"


def _signature(who: bytes, at: int) -> dict[str, Any]:
    name, _, email = who.decode("utf-8", "replace").rpartition(" <")
    date = datetime.fromtimestamp(at, UTC)
    return {"name": name, "email": email.removesuffix(">"), "date": f"{date:%Y-%m-%dT%H:%M:%SZ}"}
