"""One repository of the stand-in: a real bare git repository, and GitHub's rules about its refs."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree
from dulwich.refs import HEADREF, Ref, check_ref_format
from dulwich.repo import Repo

from tests.standins.github.faults import Refused, invalid, not_found

HEADS = b"refs/heads/"
EMPTY_TREE = Tree()


@dataclass
class Hosted:
    """`protected` branches are moved by nobody. `tree_limit`: entries that a recursive listing tells.
    `watchers` are called whenever a ref has moved."""

    organization: str
    name: str
    folder: Path
    number: int
    description: str | None = None
    visibility: str = "private"
    default_branch: str = "main"
    protected: set[str] = field(default_factory=set)
    tree_limit: int = 100_000
    watchers: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.git = Repo.init_bare(str(self.folder), mkdir=True)
        self._point(self.default_branch)

    def close(self) -> None:
        self.git.close()
        shutil.rmtree(self.folder)

    @property
    def full_name(self) -> str:
        return f"{self.organization}/{self.name}"

    @property
    def heads(self) -> dict[str, str]:
        found = self.git.refs.as_dict(Ref(b"refs/heads"))
        return {name.decode(): sha.decode() for name, sha in sorted(found.items())}

    def require_commits(self) -> None:
        if not self.heads:
            raise Refused(409, "Git Repository is empty.")

    def find[O: ShaFile](self, sha: str, kind: type[O]) -> O | None:
        """An object of that kind; None where there is none. Git knows the empty tree unasked."""
        if len(sha) != 40 or not set(sha) <= set("0123456789abcdef"):
            return None
        if kind is Tree and sha == EMPTY_TREE.id.decode():
            return EMPTY_TREE  # type: ignore[return-value]
        try:
            found = self.git.object_store[ObjectID(sha.encode())]
        except KeyError:
            return None
        return found if isinstance(found, kind) else None

    def commit(self, revision: str) -> Commit:
        """By sha or by branch. 404 where there is none."""
        found = self.find(self.heads.get(revision, revision), Commit)
        if found is None:
            raise Refused(404, f"No commit found for the ref {revision}")
        return found

    def tree(self, revision: str) -> Tree:
        """Of a commit, or by its own sha."""
        commit = self.find(self.heads.get(revision, revision), Commit)
        found = self.find(commit.tree.decode() if commit is not None else revision, Tree)
        if found is None:
            raise not_found()
        return found

    def add(self, *objects: ShaFile) -> None:
        for each in objects:
            self.git.object_store.add_object(each)

    def on_top(self, parent: str | None, message: str) -> str:
        """A commit of somebody else's, with an empty tree, that no branch names yet; its sha."""
        commit = Commit()
        commit.tree = EMPTY_TREE.id
        commit.parents = [ObjectID(parent.encode())] if parent else []
        commit.author = commit.committer = b"Somebody Else <else@example.com>"
        commit.author_time = commit.commit_time = 1_800_000_000
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = f"{message}\n".encode()
        self.add(EMPTY_TREE, commit)
        return commit.id.decode()

    def empty(self) -> None:
        """Without any branch."""
        for branch in self.heads:
            del self.git.refs[Ref(HEADS + branch.encode())]

    def make_ref(self, ref: str, sha: str) -> None:
        if not ref.startswith("refs/") or not check_ref_format(Ref(ref.encode())):
            raise invalid(f"{ref} is not a valid ref name.")
        self._require_target(ref, sha)
        if self.git.refs.read_loose_ref(Ref(ref.encode())):
            raise invalid("Reference already exists")
        branch = ref.removeprefix("refs/heads/")
        for other in self.heads:
            if other.startswith(f"{branch}/") or branch.startswith(f"{other}/"):
                raise invalid("Reference update failed")
        self.git.refs[Ref(ref.encode())] = ObjectID(sha.encode())
        self._moved()

    def move_ref(self, ref: str, sha: str, *, force: bool) -> None:
        old = self.git.refs.read_loose_ref(Ref(ref.encode()))
        if old is None:
            raise invalid("Reference does not exist")
        self._require_target(ref, sha)
        self._require_unprotected(ref)
        if not force and old.decode() not in self.ancestors(sha):
            raise invalid("Update is not a fast forward")
        self.git.refs[Ref(ref.encode())] = ObjectID(sha.encode())
        self._moved()

    def delete_ref(self, ref: str) -> None:
        if self.git.refs.read_loose_ref(Ref(ref.encode())) is None:
            raise invalid("Reference does not exist")
        self._require_unprotected(ref)
        if ref == f"refs/heads/{self.default_branch}":
            raise invalid("Cannot delete the default branch")
        del self.git.refs[Ref(ref.encode())]
        self._moved()

    def switch_default(self, branch: str) -> None:
        self.default_branch = branch
        self._point(branch)

    def ancestors(self, sha: str) -> set[str]:
        """The commit and all before it."""
        seen: set[str] = set()
        waiting = [sha]
        while waiting:
            here = waiting.pop()
            if here not in seen:
                seen.add(here)
                waiting += (parent.decode() for parent in self.commit(here).parents)
        return seen

    def history(self, sha: str, without: Sequence[str] = ()) -> list[Commit]:
        """As `git log --topo-order`: newest first, no parent before its child."""
        known = {each for other in without for each in self.ancestors(other)}
        walker = self.git.get_walker(include=[ObjectID(sha.encode())], order="topo")
        return [entry.commit for entry in walker if entry.commit.id.decode() not in known]

    def merge_base(self, one: str, other: str) -> str | None:
        common = self.ancestors(one) & self.ancestors(other)
        passed = {parent.decode() for sha in common for parent in self.commit(sha).parents}
        return min(common - passed, default=None)

    def entries(self, tree: Tree, *, recursive: bool, at: str = "") -> Iterator[tuple[str, int, ObjectID]]:
        """Path, mode and sha of what is in a tree; folders come with what is below them."""
        for entry in tree.iteritems():
            path = at + entry.path.decode()
            yield path, entry.mode, entry.sha
            if recursive and entry.mode == 0o040000:
                below = self.find(entry.sha.decode(), Tree)
                assert below is not None
                yield from self.entries(below, recursive=True, at=f"{path}/")

    def content(self, sha: ObjectID) -> bytes:
        found = self.find(sha.decode(), Blob)
        assert found is not None
        return found.data

    def _moved(self) -> None:
        for watcher in self.watchers:
            watcher()

    def _require_target(self, ref: str, sha: str) -> None:
        if self.find(sha, ShaFile) is None:
            raise invalid("Object does not exist")
        if ref.startswith("refs/heads/") and self.find(sha, Commit) is None:
            raise invalid("Reference update failed")

    def _require_unprotected(self, ref: str) -> None:
        if ref.removeprefix("refs/heads/") in self.protected:
            raise invalid(f"Protected branch update failed for {ref}.")

    def _point(self, branch: str) -> None:
        self.git.refs.set_symbolic_ref(HEADREF, Ref(HEADS + branch.encode()))
