"""What GitHub's users do to a repository: they push, and the merge button commits for them."""

import time
from collections.abc import Mapping, Sequence

from dulwich.index import commit_tree
from dulwich.objects import Blob, Commit, ObjectID

from tests.standins.github.faults import Refused
from tests.standins.github.repository import Hosted

type Files = dict[str, tuple[int, ObjectID]]
"""Mode and sha by path."""


def push(hosted: Hosted, branch: str, files: Mapping[str, bytes], message: str = "theirs") -> str:
    """A commit with these files, on the branch or, where there is none, on the default branch. Its sha."""
    heads = hosted.heads
    parent = heads.get(branch, heads.get(hosted.default_branch))
    found = files_of(hosted, parent) if parent else {}
    for path, content in files.items():
        blob = Blob.from_string(content)
        hosted.add(blob)
        found[path] = (0o100644, blob.id)
    sha = commit(hosted, found, [parent] if parent else [], message)
    if branch in heads:
        hosted.move_ref(f"refs/heads/{branch}", sha, force=False)
    else:
        hosted.make_ref(f"refs/heads/{branch}", sha)
    return sha


def files_of(hosted: Hosted, sha: str) -> Files:
    entries = hosted.entries(hosted.tree(sha), recursive=True)
    return {path: (mode, blob) for path, mode, blob in entries if mode != 0o040000}


def merged(hosted: Hosted, base: str, ours: str, theirs: str) -> Files:
    """Our files with what they changed since the base. Refused where both changed one."""
    before, here, there = (files_of(hosted, sha) for sha in (base, ours, theirs))
    found = dict(here)
    for path in before.keys() | there.keys():
        old, new = before.get(path), there.get(path)
        if new in (old, here.get(path)):
            continue
        if here.get(path) != old:
            raise Refused(405, "Pull Request is not mergeable")
        if new is None:
            del found[path]
        else:
            found[path] = new
    return found


def commit(hosted: Hosted, files: Files, parents: Sequence[str], message: str) -> str:
    made = Commit()
    made.tree = commit_tree(
        hosted.git.object_store, [(path.encode(), sha, mode) for path, (mode, sha) in files.items()]
    )
    made.parents = [ObjectID(parent.encode()) for parent in parents]
    made.author = made.committer = b"Octo Cat <octocat@example.com>"
    made.author_time = made.commit_time = int(time.time())
    made.author_timezone = made.commit_timezone = 0
    made.message = f"{message}\n".encode()
    hosted.add(made)
    return made.id.decode()
