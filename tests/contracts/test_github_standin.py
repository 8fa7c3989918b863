"""The stand-in for GitHub, asked by githubkit: its models, made from GitHub's own description of the API,
have to find every member that they demand."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from githubkit import GitHub
from githubkit.exception import GraphQLFailed, RequestFailed
from githubkit_schemas.v2026_03_10.rest import RestNamespace

from tests.contracts.github_site import SITES, Site
from tests.standins.github import users
from tests.standins.github.actions import Ending, Workflow

WHO = {"name": "Ada", "email": "ada@example.com", "date": "2026-06-11T09:00:00Z"}


@pytest.fixture
def site() -> Site:
    return SITES.new()


@pytest.fixture
async def github(site: Site) -> AsyncIterator[GitHub[Any]]:
    made = GitHub(site.token, base_url=site.server.url, http_cache=False, auto_retry=False)
    async with made:
        yield made


@pytest.fixture
def rest(github: GitHub[Any]) -> RestNamespace:
    found: RestNamespace = github.rest("2026-03-10")
    return found


async def started(rest: RestNamespace, site: Site) -> str:
    await rest.repos.async_create_in_org(site.organization, name="api", private=True, description="d")
    content = base64.b64encode(b"# api\n").decode()
    answer = await rest.repos.async_create_or_update_file_contents(
        site.organization, "api", "README.md", message="Initial commit", content=content
    )
    return str(answer.parsed_data.commit.sha)


async def test_a_repository_is_told_whole(rest: RestNamespace, site: Site) -> None:
    first = await started(rest, site)
    repository = (await rest.repos.async_get(site.organization, "API")).parsed_data
    assert (repository.full_name, repository.private) == (f"{site.organization}/api", True)
    assert repository.default_branch == "main"
    [branch] = (await rest.repos.async_list_branches(site.organization, "api")).parsed_data
    assert (branch.name, branch.commit.sha) == ("main", first)
    renamed = await rest.repos.async_rename_branch(site.organization, "api", "main", new_name="trunk")
    assert renamed.status_code == 201
    assert (await rest.repos.async_get(site.organization, "api")).parsed_data.default_branch == "trunk"


async def test_a_commit_is_made_of_a_blob_and_a_tree_and_a_branch_is_moved(
    rest: RestNamespace, site: Site
) -> None:
    first, place = await started(rest, site), (site.organization, "api")
    blob = (await rest.git.async_create_blob(*place, content="AAEC", encoding="base64")).parsed_data
    found = (await rest.git.async_get_blob(*place, blob.sha)).parsed_data
    assert base64.b64decode(found.content) == b"\0\1\2"
    entries: Any = [
        {"path": "bin", "mode": "100755", "type": "blob", "sha": blob.sha},
        {"path": "text", "mode": "100644", "type": "blob", "content": "text\n"},
    ]
    tree = (await rest.git.async_create_tree(*place, tree=entries)).parsed_data
    assert [(entry.path, entry.mode) for entry in tree.tree] == [("bin", "100755"), ("text", "100644")]
    told: Any = {"message": "m", "tree": tree.sha, "parents": [first], "author": WHO, "committer": WHO}
    commit = (await rest.git.async_create_commit(*place, data=told)).parsed_data
    assert (commit.author.name, [parent.sha for parent in commit.parents]) == ("Ada", [first])
    await rest.git.async_update_ref(*place, "heads/main", sha=commit.sha)
    assert (await rest.git.async_get_ref(*place, "heads/main")).parsed_data.object_.sha == commit.sha
    listed = (await rest.repos.async_list_commits(*place, per_page=1)).parsed_data
    assert [row.sha for row in listed] == [commit.sha]
    compared = (await rest.repos.async_compare_commits(*place, f"{first}...{commit.sha}")).parsed_data
    assert (compared.status, compared.total_commits) == ("ahead", 1)
    assert {file.filename: file.status for file in compared.files or []} == {
        "README.md": "removed",
        "bin": "added",
        "text": "added",
    }
    file = (await rest.repos.async_get_content(*place, "text", ref=commit.sha)).parsed_data
    assert base64.b64decode(getattr(file, "content", "")) == b"text\n"


async def refusal(call: object) -> tuple[int, str]:
    with pytest.raises(RequestFailed) as caught:
        await call  # type: ignore[misc]
    answer = caught.value.response
    return answer.status_code, str(answer.json()["message"])


async def test_refs_are_refused_as_github_refuses_them(rest: RestNamespace, site: Site) -> None:
    first, place = await started(rest, site), (site.organization, "api")
    tree = (await rest.git.async_get_commit(*place, first)).parsed_data.tree.sha
    told: Any = {"message": "m", "tree": tree, "parents": [], "author": WHO}
    other = (await rest.git.async_create_commit(*place, data=told)).parsed_data.sha
    git = rest.git
    update = "Update is not a fast forward"
    assert await refusal(git.async_update_ref(*place, "heads/main", sha=other)) == (422, update)
    exists = (422, "Reference already exists")
    assert await refusal(git.async_create_ref(*place, ref="refs/heads/main", sha=first)) == exists
    gone = (422, "Reference does not exist")
    assert await refusal(git.async_delete_ref(*place, "heads/nope")) == gone
    no_object = (422, "Object does not exist")
    assert await refusal(git.async_create_ref(*place, ref="refs/heads/x", sha="0" * 40)) == no_object
    site.server.repository(*place).protected.add("main")
    status, message = await refusal(git.async_update_ref(*place, "heads/main", sha=first))
    assert (status, message) == (422, "Protected branch update failed for refs/heads/main.")


async def test_an_empty_repository_takes_no_objects(rest: RestNamespace, site: Site) -> None:
    await rest.repos.async_create_in_org(site.organization, name="api")
    call = rest.git.async_create_blob(site.organization, "api", content="x")
    assert await refusal(call) == (409, "Git Repository is empty.")


async def test_a_name_that_is_taken_is_told_by_its_field(rest: RestNamespace, site: Site) -> None:
    await rest.repos.async_create_in_org(site.organization, name="api")
    with pytest.raises(RequestFailed) as caught:
        await rest.repos.async_create_in_org(site.organization, name="API")
    [error] = caught.value.response.json()["errors"]
    assert (error["field"], error["message"]) == ("name", "name already exists on this account")


async def test_who_may_not_see_it_is_told_that_it_is_not_there(site: Site, rest: RestNamespace) -> None:
    await started(rest, site)
    site.server.tokens.grant("ghp_another0000", "another")
    async with GitHub("ghp_another0000", base_url=site.server.url, http_cache=False) as other:
        call = other.rest("2026-03-10").repos.async_get(site.organization, "api")
        assert await refusal(call) == (404, "Not Found")
    async with GitHub("wrong", base_url=site.server.url, http_cache=False) as other:
        call = other.rest("2026-03-10").repos.async_get(site.organization, "api")
        assert await refusal(call) == (401, "Bad credentials")


async def test_a_spent_limit_is_told_by_its_headers(
    site: Site, github: GitHub[Any], rest: RestNamespace
) -> None:
    token = site.server.tokens.grant(site.token, site.organization)
    token.remaining = 1
    answer = await rest.repos.async_create_in_org(site.organization, name="api")
    assert answer.headers["x-ratelimit-remaining"] == "0"
    with pytest.raises(RequestFailed) as caught:
        await rest.repos.async_get(site.organization, "api")
    assert caught.value.response.status_code == 403
    assert caught.value.response.headers["x-ratelimit-remaining"] == "0"


def pushed(site: Site, branch: str) -> str:
    return users.push(site.server.repository(site.organization, "api"), branch, {branch: b"x\n"})


async def failure(call: object) -> tuple[int, dict[str, str]]:
    """The status, and the first of the errors."""
    with pytest.raises(RequestFailed) as caught:
        await call  # type: ignore[misc]
    answer = caught.value.response
    body = answer.json()
    assert body["message"] == "Validation Failed"
    return answer.status_code, body["errors"][0]


async def test_a_pull_request_is_opened_edited_listed_and_merged(rest: RestNamespace, site: Site) -> None:
    await started(rest, site)
    place, pulls = (site.organization, "api"), rest.pulls
    head = pushed(site, "topic")
    made = (await pulls.async_create(*place, title="t", head="topic", base="main", draft=True)).parsed_data
    assert (made.number, made.draft, made.merged, made.head.sha) == (1, True, False, head)
    edited = (await pulls.async_update(*place, 1, title="u", body="why")).parsed_data
    assert (edited.title, edited.body, edited.state) == ("u", "why", "open")
    label = f"{site.organization}:topic"
    fits: list[dict[str, Any]] = [{"head": label}, {"base": "main"}, {"state": "all", "sort": "updated"}]
    for query in fits:
        told_of: Any = (await pulls.async_list(*place, **query)).parsed_data
        [row] = told_of
        assert (row.number, row.head.label, row.labels) == (1, label, [])
    others: list[dict[str, Any]] = [{"head": f"{label}2"}, {"base": "topic"}, {"state": "closed"}]
    for query in others:
        assert (await pulls.async_list(*place, **query)).parsed_data == []
    assert (await refusal(pulls.async_merge(*place, 1)))[0] == 405
    site.server.pulls.of(site.server.repository(*place)).turn(1, draft=False)
    assert (await refusal(pulls.async_merge(*place, 1, sha="0" * 40)))[0] == 409
    merged = (await pulls.async_merge(*place, 1, merge_method="squash", sha=head)).parsed_data
    assert merged.merged
    told = (await pulls.async_get(*place, 1)).parsed_data
    assert (told.merged, told.state, told.merged_at is not None) == (True, "closed", True)
    assert (await rest.git.async_get_ref(*place, "heads/main")).parsed_data.object_.sha == merged.sha


async def test_what_github_takes_no_pull_request_for_is_told_by_its_errors(
    rest: RestNamespace, site: Site
) -> None:
    await started(rest, site)
    place, pulls = (site.organization, "api"), rest.pulls
    pushed(site, "topic")

    def create(head: str, base: str, title: str = "t", body: str = "") -> object:
        return pulls.async_create(*place, title=title, head=head, base=base, body=body)

    for head, base, wrong in (("nope", "main", "head"), ("topic", "nope", "base")):
        status, error = await failure(create(head, base))
        assert (status, error["field"], error["code"]) == (422, wrong, "invalid")
    _, error = await failure(create("main", "main"))
    assert error["message"] == "No commits between main and main"
    _, error = await failure(create("topic", "main", title=""))
    assert (error["field"], error["code"]) == ("title", "missing_field")
    _, error = await failure(create("topic", "main", body="x" * 65_537))
    assert error["message"] == "body is too long (maximum is 65536 characters)"
    await pulls.async_create(*place, title="t", head="topic", base="main")
    _, error = await failure(create("topic", "main"))
    assert error["message"] == f"A pull request already exists for {site.organization}:topic."
    site.server.pulls.of(site.server.repository(*place)).drafts = False
    pushed(site, "other")
    draft = pulls.async_create(*place, title="t", head="other", base="main", draft=True)
    assert await refusal(draft) == (422, "Draft pull requests are not supported in this repository.")
    assert await refusal(pulls.async_get(*place, 99)) == (404, "Not Found")


async def test_a_source_that_is_set_back_into_its_target_closes_its_request(
    rest: RestNamespace, site: Site
) -> None:
    first, place = await started(rest, site), (site.organization, "api")
    pushed(site, "topic")
    await rest.pulls.async_create(*place, title="t", head="topic", base="main")
    await rest.git.async_update_ref(*place, "heads/topic", sha=first, force=True)
    told = (await rest.pulls.async_get(*place, 1)).parsed_data
    assert (told.state, told.merged, told.head.sha) == ("closed", False, first)


async def test_what_rest_does_not_tell_of_a_pull_request_graphql_does(
    rest: RestNamespace, github: GitHub[Any], site: Site
) -> None:
    await started(rest, site)
    place = (site.organization, "api")
    pushed(site, "topic")
    made = (await rest.pulls.async_create(*place, title="t", head="topic", base="main")).parsed_data
    turn = "mutation($id: ID!) { %s(input: {pullRequestId: $id}) { pullRequest { isDraft } } }"
    for name, is_draft in (("convertPullRequestToDraft", True), ("markPullRequestReadyForReview", False)):
        data = await github.async_graphql(turn % name, {"id": made.node_id})
        assert data[name]["pullRequest"]["isDraft"] is is_draft
    merged = (await rest.pulls.async_merge(*place, 1, merge_method="rebase")).parsed_data
    ask = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on PullRequest { id mergeCommit { oid } } } }"
    data = await github.async_graphql(ask, {"ids": [made.node_id]})
    assert data["nodes"] == [{"id": made.node_id, "mergeCommit": {"oid": merged.sha}}]
    with pytest.raises(GraphQLFailed, match="mergeSha"):
        await github.async_graphql(ask.replace("mergeCommit { oid }", "mergeSha"), {"ids": [made.node_id]})
    with pytest.raises(GraphQLFailed, match="closed"):
        await github.async_graphql(turn % "convertPullRequestToDraft", {"id": made.node_id})


async def test_a_run_is_dispatched_read_and_cancelled(rest: RestNamespace, site: Site) -> None:
    await started(rest, site)
    place, actions = (site.organization, "api"), rest.actions
    automation = site.server.automations.of(site.server.repository(*place))
    left = Ending("success", {"build": ["one", "two"]}, {"build": "built\n"}, {"results": {"a": b"a"}})
    automation.workflows["build.yml"] = Workflow("build.yml", ending=left)
    dispatch = actions.async_create_workflow_dispatch
    run = (await dispatch(*place, "build.yml", ref="main")).parsed_data.workflow_run_id
    assert (await actions.async_get_workflow_run(*place, run)).parsed_data.conclusion == "success"
    [listed] = (await actions.async_list_workflow_runs(*place, "build.yml")).parsed_data.workflow_runs
    assert listed.id == run
    [job] = (await actions.async_list_jobs_for_workflow_run(*place, run)).parsed_data.jobs
    assert [step.name for step in job.steps or []] == ["one", "two"]
    [artifact] = (await actions.async_list_workflow_run_artifacts(*place, run)).parsed_data.artifacts
    assert (artifact.name, artifact.expired) == ("results", False)
    assert (await refusal(actions.async_cancel_workflow_run(*place, run)))[0] == 409
    automation.workflows["build.yml"] = Workflow("build.yml")
    again = (await dispatch(*place, "build.yml", ref="main")).parsed_data.workflow_run_id
    assert (await actions.async_cancel_workflow_run(*place, again)).status_code == 202


async def test_a_dispatch_takes_nothing_but_its_branch_and_inputs(
    rest: RestNamespace, github: GitHub[Any], site: Site
) -> None:
    await started(rest, site)
    place = f"/repos/{site.organization}/api/actions/workflows/build.yml/dispatches"
    automation = site.server.automations.of(site.server.repository(site.organization, "api"))
    automation.workflows["build.yml"] = Workflow("build.yml")
    body = {"ref": "main", "return_run_details": True}
    status, message = await refusal(github.arequest("POST", place, json=body))
    assert (status, message.endswith('"return_run_details" is not a permitted key.')) == (422, True)
