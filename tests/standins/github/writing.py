"""What GitHub makes of bodies that ask for objects: checked by githubkit's models, refused in its words."""

import base64
import binascii
import time
from datetime import datetime
from typing import Any

from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree
from githubkit_schemas.v2026_03_10 import models
from pydantic import BaseModel, ValidationError

from tests.standins.github.faults import Refused, invalid
from tests.standins.github.repository import Hosted

BLOB_BYTES = 40 * 1024 * 1024
_MODES = {"100644": Blob, "100755": Blob, "120000": Blob, "040000": Tree, "160000": None}
_TYPES = {"040000": "tree", "160000": "commit"}


def parsed[M: BaseModel](model: type[M], body: object) -> M:
    """422 in GitHub's words where the body does not fit the model."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        rows = [f'"{row["loc"][-1] if row["loc"] else "body"}": {row["msg"]}' for row in error.errors()]
        raise invalid("Invalid request.\n\n" + "\n".join(rows)) from None


def make_blob(hosted: Hosted, body: object) -> Blob:
    wanted = parsed(models.ReposOwnerRepoGitBlobsPostBody, body)
    text, encoding = wanted.content, wanted.encoding or "utf-8"
    blob = Blob.from_string(decoded(text) if encoding == "base64" else text.encode())
    if len(blob.data) > BLOB_BYTES:
        raise invalid("The blob is too large to create.")
    hosted.add(blob)
    return blob


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise invalid("content is not valid Base64") from None


def make_tree(hosted: Hosted, body: object) -> Tree:
    wanted = parsed(models.ReposOwnerRepoGitTreesPostBody, body)
    if wanted.base_tree:
        raise invalid("This stand-in takes whole trees only.")
    if not wanted.tree:
        raise invalid("Invalid tree info")
    tree, blobs = Tree(), []
    for item in wanted.tree:
        path, mode = str(item.path), str(item.mode)
        if path.casefold() in {".git", ".", "..", ""} or "/" in path:
            raise invalid("tree contains a malformed path component")
        if mode not in _MODES or item.type != _TYPES.get(mode, "blob"):
            raise invalid("tree.mode and tree.type do not go together")
        if isinstance(item.content, str) == isinstance(item.sha, str):
            raise invalid("Must supply either tree.sha or tree.content")
        if isinstance(item.content, str):
            blob = Blob.from_string(item.content.encode())
            blobs.append(blob)
            sha = blob.id
        else:
            sha = ObjectID(str(item.sha).encode())
            kind = _MODES[mode]
            if kind is not None and hosted.find(str(item.sha), kind) is None:
                raise invalid(f"tree.sha {item.sha} is not a valid {item.type}")
        tree.add(path.encode(), int(mode, 8), sha)
    hosted.add(*blobs, tree)
    return tree


def make_commit(hosted: Hosted, body: object) -> Commit:
    wanted = parsed(models.ReposOwnerRepoGitCommitsPostBody, body)
    if hosted.find(wanted.tree, Tree) is None:
        raise invalid("Tree SHA does not exist")
    parents = list(wanted.parents or [])
    if any(hosted.find(parent, Commit) is None for parent in parents):
        raise invalid("Parent SHA does not exist or is not a commit object")
    author = wanted.author or None
    commit = commit_of(wanted.tree, parents, wanted.message, author, wanted.committer or author)
    hosted.add(commit)
    return commit


def put_file(hosted: Hosted, path: str, body: object) -> Commit:
    """The contents API, as far as it starts an empty repository."""
    wanted = parsed(models.ReposOwnerRepoContentsPathPutBody, body)
    if "/" in path:
        raise invalid("This stand-in puts files into the root only.")
    branch = str(wanted.branch) if wanted.branch else hosted.default_branch
    heads = hosted.heads
    if branch not in heads and heads:
        raise Refused(404, f"Branch {branch} not found")
    tree = Tree()
    parents: list[str] = []
    if branch in heads:
        parents = [heads[branch]]
        tree = hosted.tree(branch)
        if path.encode() in tree and not wanted.sha:
            raise invalid('Invalid request.\n\n"sha" wasn\'t supplied.')
    blob = Blob.from_string(decoded(wanted.content))
    tree.add(path.encode(), 0o100644, blob.id)
    author = wanted.author or None
    commit = commit_of(tree.id.decode(), parents, wanted.message, author, wanted.committer or author)
    hosted.add(blob, tree, commit)
    ref = f"refs/heads/{branch}"
    if parents:
        hosted.move_ref(ref, commit.id.decode(), force=False)
    else:
        hosted.make_ref(ref, commit.id.decode())
    return commit


def commit_of(tree: str, parents: list[str], message: str, author: Any, committer: Any) -> Commit:
    commit = Commit()
    commit.tree = ObjectID(tree.encode())
    commit.parents = [ObjectID(parent.encode()) for parent in parents]
    commit.author, commit.author_time = _identity(author)
    commit.committer, commit.commit_time = _identity(committer)
    commit.author_timezone = commit.commit_timezone = 0
    commit.message = message.encode()
    return commit


def _identity(who: Any) -> tuple[bytes, int]:
    """The token's own account where a body names nobody."""
    if who is None:
        return b"slipway-bot <slipway-bot@users.noreply.github.test>", int(time.time())
    at = getattr(who, "date", None)
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{who.name} <{who.email}>".encode(), int(at.timestamp()) if at else int(time.time())


def kind_of(found: ShaFile) -> str:
    return found.type_name.decode()
