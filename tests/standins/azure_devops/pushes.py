"""The two ways to push: REST's, of file changes, and git's own, of a pack. Real commits either way."""

import base64
import io
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from dulwich.errors import GitProtocolError
from dulwich.index import commit_tree
from dulwich.object_store import MemoryObjectStore, iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.protocol import Protocol, pkt_seq

from tests.standins.azure_devops import errors
from tests.standins.azure_devops.repository import NOTHING, Repository

MOST_REST_BYTES = 25 << 20

type Files = dict[bytes, tuple[ObjectID, int]]


def push(repository: Repository, body: Any, at: Callable[[], datetime], number: int) -> dict[str, Any]:
    """One commit on one branch, of changes, as `POST pushes` has it. It sets no mode, and makes no merge."""
    try:
        (update,), (wanted,) = body["refUpdates"], body["commits"]
        ref, old = update["name"], update["oldObjectId"]
        comment, changes = wanted["comment"], wanted["changes"]
    except (KeyError, TypeError, ValueError):
        raise errors.bad("The push must have exactly one ref update and one commit.") from None
    head = repository.refs().get(ref, NOTHING)
    if head != old:
        raise errors.stale(ref)
    if ref in repository.protected:
        raise errors.by_policy()
    files = {} if head == NOTHING else files_of(repository, head)
    for change in changes:
        _apply(repository, files, change)
    commit = Commit()
    tree = commit_tree(repository.git.object_store, [(path, *entry) for path, entry in files.items()])
    if head != NOTHING and tree == repository.commit(head).tree:
        raise errors.bad("The commit changes nothing.", "GitNoChangesException")
    author = wanted.get("author", {"name": "Token Owner", "email": "owner@example.com"})
    commit.tree = tree
    commit.parents = [] if head == NOTHING else [ObjectID(head.encode())]
    commit.author = commit.committer = f"{author['name']} <{author['email']}>".encode()
    commit.author_time = commit.commit_time = int(at().timestamp())
    commit.author_timezone = commit.commit_timezone = 0
    commit.message = comment.encode()
    repository.git.object_store.add_object(commit)
    new = commit.id.decode()
    if (status := repository.move(ref, old, new)) != "succeeded":
        raise errors.bad(f"The ref was not updated: {status}.")
    return {
        "pushId": number,
        "date": f"{at():%Y-%m-%dT%H:%M:%SZ}",
        "commits": [repository.commit_view(new)],
        "refUpdates": [{"repositoryId": repository.id, "name": ref, "oldObjectId": old, "newObjectId": new}],
        "repository": repository.view(),
    }


def files_of(repository: Repository, head: str) -> Files:
    entries = iter_tree_contents(repository.git.object_store, repository.commit(head).tree)
    return {entry.path: (entry.sha, entry.mode) for entry in entries}


def add_commit(
    repository: Repository, files: Files, parents: Sequence[str], message: str, at: datetime
) -> str:
    """By the owner of the token. Its sha; no branch moves."""
    commit = Commit()
    commit.tree = commit_tree(repository.git.object_store, [(path, *entry) for path, entry in files.items()])
    commit.parents = [ObjectID(parent.encode()) for parent in parents]
    commit.author = commit.committer = b"Token Owner <owner@example.com>"
    commit.author_time = commit.commit_time = int(at.timestamp())
    commit.author_timezone = commit.commit_timezone = 0
    commit.message = message.encode()
    repository.git.object_store.add_object(commit)
    return commit.id.decode()


def _apply(repository: Repository, files: Files, change: Any) -> None:
    path = change["item"]["path"].lstrip("/").encode()
    kind = change["changeType"]
    if kind == "add" and path in files:
        raise errors.bad(
            f"TF401021: The item '/{path.decode()}' exists already.", "GitItemAlreadyExistsException"
        )
    if kind in {"edit", "delete"} and path not in files:
        raise errors.no_item(f"/{path.decode()}", "HEAD")
    mode = files[path][1] if path in files else 0o100644
    if kind == "delete":
        del files[path]
        return
    if kind == "rename":
        source = change["sourceServerItem"].lstrip("/").encode()
        if source not in files:
            raise errors.no_item(f"/{source.decode()}", "HEAD")
        files[path] = files.pop(source)
        return
    if kind not in {"add", "edit"}:
        raise errors.bad(f"The change type {kind} is not supported in a push.")
    blob = Blob.from_string(_content(change["newContent"]))
    repository.git.object_store.add_object(blob)
    files[path] = blob.id, mode


def _content(new: Any) -> bytes:
    content: str = new["content"]
    if len(content) > MOST_REST_BYTES:
        raise errors.bad("The push is larger than REST takes.", "GitPushTooLargeException")
    return base64.b64decode(content) if new.get("contentType") == "base64encoded" else content.encode()


def receive_pack(repository: Repository, body: bytes) -> bytes:
    """The report of a push of one or more refs, each by compare-and-swap."""
    source = io.BytesIO(body)
    try:
        commands = [
            packet.partition(b"\0") for packet in Protocol(source.read, lambda _: None).read_pkt_seq()
        ]
    except (GitProtocolError, AssertionError):
        raise errors.bad("The request is no push.") from None
    if not commands or b"report-status" not in commands[0][2]:
        raise errors.bad("The push asks for no report.")
    pack = source.read()
    lines = [b"unpack ok\n"]
    if pack:
        try:
            stream = io.BytesIO(pack)
            store = repository.git.object_store
            assert isinstance(store, MemoryObjectStore)
            store.add_thin_pack(stream.read, stream.read)
        except (GitProtocolError, AssertionError, ValueError, KeyError, OSError) as error:
            lines = [f"unpack {error}\n".encode()]
    for line, _, _ in commands:
        old, new, ref = line.decode().strip().split(" ", 2)
        lines.append(_verdict(repository, ref, old, new))
    return pkt_seq(*lines)


def _verdict(repository: Repository, ref: str, old: str, new: str) -> bytes:
    status = repository.move(ref, old, new)
    if status == "succeeded":
        return f"ok {ref}\n".encode()
    reasons = {
        "staleOldObjectId": errors.stale(ref).message,
        "rejectedByPolicy": errors.by_policy().message,
        "unresolvableToCommit": errors.no_object(new).message,
    }
    return f"ng {ref} {reasons.get(status, status)}\n".encode()
