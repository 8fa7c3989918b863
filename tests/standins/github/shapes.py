"""GitHub's JSON for what the repositories hold. The shapes are those that githubkit's models demand."""

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

from dulwich.diff_tree import RenameDetector, TreeChange, tree_changes
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.patch import unified_diff

from tests.standins.github.repository import Hosted

_AT = "2026-06-11T09:00:00Z"
_NAMES = {"add": "added", "delete": "removed", "modify": "modified", "rename": "renamed", "copy": "copied"}
_TEMPLATES = [
    "archive",
    "assignees",
    "blobs",
    "branches",
    "collaborators",
    "comments",
    "commits",
    "compare",
    "contents",
    "contributors",
    "deployments",
    "downloads",
    "events",
    "forks",
    "git_commits",
    "git_refs",
    "git_tags",
    "issue_comment",
    "issue_events",
    "issues",
    "keys",
    "labels",
    "languages",
    "merges",
    "milestones",
    "notifications",
    "pulls",
    "releases",
    "stargazers",
    "statuses",
    "subscribers",
    "subscription",
    "tags",
    "teams",
    "trees",
    "hooks",
]


class Shapes:
    """Of one server: every URL in them leads to it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def api(self, hosted: Hosted, *rest: str) -> str:
        return "/".join((f"{self.url}/repos/{hosted.full_name}", *rest))

    def page(self, hosted: Hosted, *rest: str) -> str:
        return "/".join((f"{self.url}/{hosted.full_name}", *rest))

    def repository(self, hosted: Hosted) -> dict[str, Any]:
        urls = {f"{name}_url": self.api(hosted, name) for name in _TEMPLATES}
        return urls | {
            "id": hosted.number,
            "node_id": node(hosted.full_name),
            "name": hosted.name,
            "full_name": hosted.full_name,
            "owner": self.owner(hosted.organization),
            "private": hosted.visibility != "public",
            "visibility": hosted.visibility,
            "html_url": self.page(hosted),
            "description": hosted.description,
            "fork": False,
            "url": self.api(hosted),
            "git_url": f"git:github.test/{hosted.full_name}.git",
            "ssh_url": f"git@github.test:{hosted.full_name}.git",
            "clone_url": f"{self.page(hosted)}.git",
            "svn_url": self.page(hosted),
            "mirror_url": None,
            "homepage": None,
            "language": None,
            "license": None,
            "size": 0,
            "default_branch": hosted.default_branch,
            "archived": False,
            "disabled": False,
            "pushed_at": _AT,
            "created_at": _AT,
            "updated_at": _AT,
            **dict.fromkeys(
                [
                    "forks_count",
                    "stargazers_count",
                    "watchers_count",
                    "open_issues_count",
                    "subscribers_count",
                    "network_count",
                    "forks",
                    "open_issues",
                    "watchers",
                ],
                0,
            ),
            **dict.fromkeys(
                ["has_issues", "has_projects", "has_wiki", "has_pages", "has_discussions"], False
            ),
        }

    def owner(self, login: str) -> dict[str, Any]:
        urls = [
            "avatar",
            "html",
            "followers",
            "following",
            "gists",
            "starred",
            "subscriptions",
            "organizations",
            "repos",
            "events",
            "received_events",
        ]
        return {f"{name}_url": f"{self.url}/users/{login}/{name}" for name in urls} | {
            "login": login,
            "id": 1,
            "node_id": node(login),
            "gravatar_id": "",
            "url": f"{self.url}/users/{login}",
            "type": "Organization",
            "site_admin": False,
        }

    def ref(self, hosted: Hosted, ref: str, sha: str) -> dict[str, Any]:
        target = {"type": "commit", "sha": sha, "url": self.api(hosted, "git/commits", sha)}
        return {"ref": ref, "node_id": node(ref), "url": self.api(hosted, "git", ref), "object": target}

    def branch(self, hosted: Hosted, name: str, sha: str) -> dict[str, Any]:
        commit = {"sha": sha, "url": self.api(hosted, "commits", sha)}
        return {"name": name, "commit": commit, "protected": name in hosted.protected}

    def git_commit(self, hosted: Hosted, commit: Commit) -> dict[str, Any]:
        sha = commit.id.decode()
        return {
            "sha": sha,
            "node_id": node(sha),
            "url": self.api(hosted, "git/commits", sha),
            "html_url": self.page(hosted, "commit", sha),
            **self._said(hosted, commit),
            "parents": self._parents(hosted, commit),
            "verification": _UNSIGNED,
        }

    def commit(self, hosted: Hosted, commit: Commit) -> dict[str, Any]:
        """Of lists and comparisons."""
        sha = commit.id.decode()
        inner = self._said(hosted, commit) | {
            "url": self.api(hosted, "git/commits", sha),
            "comment_count": 0,
            "verification": _UNSIGNED,
        }
        return {
            "sha": sha,
            "node_id": node(sha),
            "url": self.api(hosted, "commits", sha),
            "html_url": self.page(hosted, "commit", sha),
            "comments_url": self.api(hosted, "commits", sha, "comments"),
            "commit": inner,
            "author": None,
            "committer": None,
            "parents": self._parents(hosted, commit),
        }

    def tree(self, hosted: Hosted, sha: str, *, recursive: bool) -> dict[str, Any]:
        tree = hosted.tree(sha)
        found = list(hosted.entries(tree, recursive=recursive))
        truncated = recursive and len(found) > hosted.tree_limit
        rows = [self._entry(hosted, *entry) for entry in (found[: hosted.tree_limit] if truncated else found)]
        own = tree.id.decode()
        return {"sha": own, "url": self.api(hosted, "git/trees", own), "tree": rows, "truncated": truncated}

    def blob(self, hosted: Hosted, blob: Blob) -> dict[str, Any]:
        sha = blob.id.decode()
        return {
            "sha": sha,
            "node_id": node(sha),
            "url": self.api(hosted, "git/blobs", sha),
            "size": len(blob.data),
            "content": base64.encodebytes(blob.data).decode(),
            "encoding": "base64",
        }

    def comparison(self, hosted: Hosted, base: str, head: str, between: str, page: int, size: int) -> Any:
        ahead, behind = hosted.history(head, [base]), hosted.history(base, [head])
        status = ("diverged" if behind else "ahead") if ahead else ("behind" if behind else "identical")
        rows = ahead[::-1][(page - 1) * size : page * size]
        place = f"{base}...{head}"
        found = {
            "url": self.api(hosted, "compare", place),
            "html_url": self.page(hosted, "compare", place),
            "permalink_url": self.page(hosted, "compare", place),
            "diff_url": self.page(hosted, "compare", f"{place}.diff"),
            "patch_url": self.page(hosted, "compare", f"{place}.patch"),
            "base_commit": self.commit(hosted, hosted.commit(base)),
            "merge_base_commit": self.commit(hosted, hosted.commit(between)),
            "status": status,
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [self.commit(hosted, commit) for commit in rows],
        }
        return found | ({"files": self._files(hosted, between, head)[:300]} if page == 1 else {})

    def _files(self, hosted: Hosted, base: str, head: str) -> list[dict[str, Any]]:
        store = hosted.git.object_store
        detector = RenameDetector(store)
        changes = tree_changes(
            store, hosted.commit(base).tree, hosted.commit(head).tree, rename_detector=detector
        )
        return [self._file(hosted, change) for change in changes]

    def _file(self, hosted: Hosted, change: TreeChange) -> dict[str, Any]:
        old, new = change.old, change.new
        here = new or old
        assert here is not None
        before = hosted.content(old.sha) if old else b""
        after = hosted.content(new.sha) if new else b""
        path, sha = here.path.decode(), here.sha.decode()
        found = {
            "sha": sha,
            "filename": path,
            "status": _NAMES[change.type],
            "additions": 0,
            "deletions": 0,
            "changes": 0,
            "blob_url": self.page(hosted, "blob", path),
            "raw_url": self.page(hosted, "raw", path),
            "contents_url": self.api(hosted, "contents", path),
        }
        if change.type == "rename" and old is not None:
            found["previous_filename"] = old.path.decode()
        if b"\0" in before + after:
            return found
        lines = list(unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True)))[2:]
        added, deleted = (sum(line.startswith(sign) for line in lines) for sign in (b"+", b"-"))
        found |= {"additions": added, "deletions": deleted, "changes": added + deleted}
        return found | ({"patch": b"".join(lines).decode().removesuffix("\n")} if lines else {})

    def _entry(self, hosted: Hosted, path: str, mode: int, sha: ObjectID) -> dict[str, Any]:
        kind = {0o040000: "tree", 0o160000: "commit"}.get(mode, "blob")
        size = {"size": len(hosted.content(sha))} if kind == "blob" else {}
        url = self.api(hosted, f"git/{kind}s", sha.decode())
        return {"path": path, "mode": f"{mode:06o}", "type": kind, "sha": sha.decode(), "url": url, **size}

    def _said(self, hosted: Hosted, commit: Commit) -> dict[str, Any]:
        tree = commit.tree.decode()
        return {
            "author": _who(commit.author, commit.author_time),
            "committer": _who(commit.committer, commit.commit_time),
            "message": commit.message.decode(),
            "tree": {"sha": tree, "url": self.api(hosted, "git/trees", tree)},
        }

    def _parents(self, hosted: Hosted, commit: Commit) -> list[dict[str, str]]:
        return [
            {
                "sha": parent.decode(),
                "url": self.api(hosted, "git/commits", parent.decode()),
                "html_url": self.page(hosted, "commit", parent.decode()),
            }
            for parent in commit.parents
        ]


_UNSIGNED = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}


def node(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:12]).decode()


def _who(identity: bytes, at: int) -> dict[str, str]:
    name, _, email = identity.decode().rpartition(" <")
    date = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"name": name, "email": email.removesuffix(">"), "date": date}
