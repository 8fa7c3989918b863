"""GitHub's JSON for pull requests, in lists and by themselves."""

from typing import Any

from tests.standins.github.pulls import MERGER, Pull
from tests.standins.github.repository import Hosted
from tests.standins.github.shapes import Shapes, node


def pull_node(hosted: Hosted, pull: Pull) -> str:
    return f"PR_{node(f'{hosted.number}/{pull.number}')}"


def pull_row(shapes: Shapes, hosted: Hosted, pull: Pull) -> dict[str, Any]:
    """Of a list. Since 2026-03-10 it does not tell what a merge made."""
    number = str(pull.number)
    place, page = shapes.api(hosted, "pulls", number), shapes.page(hosted, "pull", number)
    urls = {
        "url": place,
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "issue_url": shapes.api(hosted, "issues", number),
        "commits_url": f"{place}/commits",
        "review_comments_url": f"{place}/comments",
        "review_comment_url": shapes.api(hosted, "pulls", "comments{/number}"),
        "comments_url": shapes.api(hosted, "issues", number, "comments"),
        "statuses_url": shapes.api(hosted, "statuses", pull.head_sha),
    }
    links = ("comments", "commits", "statuses", "html", "issue", "review_comments", "review_comment", "self")
    owner = "stranger" if pull.fork else hosted.organization
    repository = shapes.repository(hosted)
    theirs = repository | {"id": -hosted.number, "full_name": f"stranger/{hosted.name}", "fork": True}
    return urls | {
        "id": hosted.number * 1000 + pull.number,
        "node_id": pull_node(hosted, pull),
        "number": pull.number,
        "state": pull.state,
        "locked": False,
        "title": pull.title,
        "user": shapes.owner(pull.author),
        "body": pull.body,
        "labels": [_label(shapes, hosted, name) for name in pull.labels],
        "milestone": None,
        "created_at": pull.created_at,
        "updated_at": pull.updated_at,
        "closed_at": pull.closed_at,
        "merged_at": pull.merged_at,
        "draft": pull.draft,
        "head": {
            "label": f"{owner}:{pull.source}",
            "ref": pull.source,
            "sha": pull.head_sha,
            "user": shapes.owner(owner),
            "repo": theirs if pull.fork else repository,
        },
        "base": {
            "label": f"{hosted.organization}:{pull.target}",
            "ref": pull.target,
            "sha": pull.base_sha,
            "user": shapes.owner(hosted.organization),
            "repo": repository,
        },
        "_links": {name: {"href": urls.get(f"{name}_url", place)} for name in links},
        "author_association": "NONE",
        "auto_merge": None,
    }


def pull_whole(shapes: Shapes, hosted: Hosted, pull: Pull) -> dict[str, Any]:
    is_merged = pull.merged_at is not None
    counts = ("comments", "review_comments", "commits", "additions", "deletions", "changed_files")
    return pull_row(shapes, hosted, pull) | {
        "merged": is_merged,
        "mergeable": None,
        "mergeable_state": "unknown",
        "merged_by": shapes.owner(MERGER) if is_merged else None,
        "maintainer_can_modify": False,
        **dict.fromkeys(counts, 0),
    }


def _label(shapes: Shapes, hosted: Hosted, name: str) -> dict[str, Any]:
    return {
        "id": len(name),
        "node_id": node(name),
        "url": shapes.api(hosted, "labels", name),
        "name": name,
        "description": None,
        "color": "ededed",
        "default": False,
        "archived_by": None,
    }
