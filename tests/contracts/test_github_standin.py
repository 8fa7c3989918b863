"""The stand-in for GitHub, asked by githubkit: its models, made from GitHub's own description of the API,
have to find every member that they demand."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from githubkit import GitHub
from githubkit.exception import RequestFailed
from githubkit_schemas.v2026_03_10.rest import RestNamespace

from tests.contracts.github_site import SITES, Site

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
