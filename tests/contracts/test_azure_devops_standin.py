"""The stand-in of Azure DevOps against Microsoft's own client: its requests are understood, and its models
parse the answers."""

import base64
import itertools
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import DeserializationError

from shared.adapters.hosts.azure_devops_places import basic
from tests.contracts.azure_devops_site import PAT, PROJECT, SITES
from tests.standins.azure_devops.organization import Organization
from tests.standins.azure_devops.pipelines import Ending
from tests.standins.azure_devops.server import AzureDevOpsStandIn

NUMBERS = itertools.count(1)
NOTHING = "0" * 40
VERSION = {"api-version": "7.1"}


@pytest.fixture
def service() -> Iterator[AzureDevOpsStandIn]:
    yield SITES.service
    SITES.service.faults.clear()


@pytest.fixture
def organization(service: AzureDevOpsStandIn) -> Organization:
    return service.add_organization(f"oracle{next(NUMBERS)}", PAT, PROJECT)


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The client's modules. They keep what a service told of itself on disk, and read where on import."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AZURE_DEVOPS_CACHE_DIR", str(tmp_path_factory.mktemp("sdk")))
        version = "azure.devops.v7_1"
        yield SimpleNamespace(
            exceptions=import_module("azure.devops.exceptions"),
            core=import_module(f"{version}.core.core_client").CoreClient,
            models=import_module(f"{version}.git.models"),
            git=import_module(f"{version}.git.git_client").GitClient,
            build=import_module(f"{version}.build.build_client").BuildClient,
            hooks=import_module(f"{version}.service_hooks.service_hooks_client").ServiceHooksClient,
            pipelines=import_module(f"{version}.pipelines.pipelines_client").PipelinesClient,
            operations=import_module(f"{version}.operations.operations_client").OperationsClient,
            auth=import_module("msrest.authentication").BasicAuthentication,
        )


@pytest.fixture
def git(sdk: Any, service: AzureDevOpsStandIn, organization: Organization) -> Any:
    return sdk.git(f"{service.url}/{organization.name}", sdk.auth("", PAT))


@pytest.fixture
async def plain(service: AzureDevOpsStandIn, organization: Organization) -> AsyncIterator[Any]:
    """Requests as anybody may send them, below the organization."""
    async with aiohttp.ClientSession(f"{service.url}/{organization.name}/") as session:
        yield session


def made(sdk: Any, git: Any, organization: Organization) -> Any:
    project = next(iter(organization.projects.values()))
    wanted = {"name": "api", "project": {"id": project.id}}
    return git.create_repository(wanted, project=PROJECT)


def pushed(sdk: Any, git: Any, repository: Any, old: str, *changes: dict[str, Any], ref: str = "main") -> Any:
    models = sdk.models
    push = models.GitPush(
        ref_updates=[models.GitRefUpdate(name=f"refs/heads/{ref}", old_object_id=old)],
        commits=[models.GitCommitRef(comment="change", changes=list(changes))],
    )
    return git.create_push(push, repository.id, project=PROJECT)


def added(path: str, content: bytes = b"x\n") -> dict[str, Any]:
    encoded = base64.b64encode(content).decode()
    return {
        "changeType": "add",
        "item": {"path": path},
        "newContent": {"content": encoded, "contentType": "base64encoded"},
    }


def test_the_client_finds_what_it_made(sdk: Any, git: Any, organization: Organization) -> None:
    repository = made(sdk, git, organization)
    assert (repository.name, repository.default_branch, repository.project.name) == ("api", None, PROJECT)
    assert git.get_repository("api", project=PROJECT).id == repository.id
    assert [each.name for each in git.get_repositories(project=PROJECT)] == ["api"]
    with pytest.raises(sdk.exceptions.AzureDevOpsServiceError, match="TF400948"):
        made(sdk, git, organization)
    with pytest.raises(sdk.exceptions.AzureDevOpsServiceError, match="TF401019") as caught:
        git.get_repository("other", project=PROJECT)
    assert caught.value.type_key == "GitRepositoryNotFoundException"
    with pytest.raises(sdk.exceptions.AzureDevOpsServiceError, match="TF200016"):
        git.get_repository("api", project="other")


def test_the_client_pushes_and_reads_commits_trees_and_files(
    sdk: Any, git: Any, organization: Organization
) -> None:
    repository = made(sdk, git, organization)
    first = pushed(sdk, git, repository, NOTHING, added("/README.md"), added("/src/a.bin", b"\0\1"))
    sha = first.ref_updates[0].new_object_id
    assert first.commits[0].commit_id == sha
    commit = git.get_commit(sha, repository.id, project=PROJECT)
    assert (commit.comment, commit.parents) == ("change", [])
    assert commit.author.date.tzinfo is not None
    tree = git.get_tree(repository.id, commit.tree_id, project=PROJECT, recursive=True)
    rows = [(each.relative_path, each.mode, each.git_object_type, each.size) for each in tree.tree_entries]
    assert rows == [
        ("README.md", "100644", "blob", 2),
        ("src", "40000", "tree", 0),
        ("src/a.bin", "100644", "blob", 2),
    ]
    at = sdk.models.GitVersionDescriptor(version=sha, version_type="commit")
    item = git.get_item(repository.id, "/src/a.bin", project=PROJECT, version_descriptor=at)
    content = git.get_blob_content(repository.id, item.object_id, project=PROJECT)
    assert b"".join(content) == b"\0\1"
    renamed = {"changeType": "rename", "sourceServerItem": "/README.md", "item": {"path": "/LICENSE"}}
    second = pushed(sdk, git, repository, sha, renamed).ref_updates[0].new_object_id
    criteria = sdk.models.GitQueryCommitsCriteria(
        item_version=sdk.models.GitVersionDescriptor(version=second, version_type="commit"), top=5
    )
    assert [each.commit_id for each in git.get_commits(repository.id, criteria, project=PROJECT)] == [
        second,
        sha,
    ]
    bases = git.get_merge_bases("api", sha, second, project=PROJECT)
    assert [each.commit_id for each in bases] == [sha]
    with pytest.raises(sdk.exceptions.AzureDevOpsServiceError, match="TF401174"):
        git.get_item(repository.id, "/no", project=PROJECT, version_descriptor=at)
    with pytest.raises(sdk.exceptions.AzureDevOpsServiceError, match="TF401175"):
        git.get_commit("1" * 40, repository.id, project=PROJECT)


def test_the_client_is_told_what_came_of_every_ref(sdk: Any, git: Any, organization: Organization) -> None:
    repository = made(sdk, git, organization)
    sha = pushed(sdk, git, repository, NOTHING, added("/a")).ref_updates[0].new_object_id
    organization.repository(PROJECT, "api").protected.add("refs/heads/main")

    def update(name: str, old: str, new: str) -> str:
        wanted = sdk.models.GitRefUpdate(name=f"refs/heads/{name}", old_object_id=old, new_object_id=new)
        (result,) = git.update_refs([wanted], repository.id, project=PROJECT)
        assert result.success == result.update_status.startswith("succeeded")
        return str(result.update_status)

    assert update("a/b", NOTHING, sha) == "succeeded"
    assert update("a/b", NOTHING, sha) == "staleOldObjectId"
    assert update("a", NOTHING, sha) == "refNameConflict"
    assert update("x..y", NOTHING, sha) == "invalidRefName"
    assert update("y", NOTHING, "1" * 40) == "unresolvableToCommit"
    assert update("z", NOTHING, NOTHING) == "succeededNonExistentRef"
    assert update("main", sha, NOTHING) == "rejectedByPolicy"
    names = [each.name for each in git.get_refs(repository.id, project=PROJECT, filter="heads/")]
    assert names == ["refs/heads/a/b", "refs/heads/main"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (added("/a"), "TF401021"),
        ({"changeType": "edit", "item": {"path": "/b"}, "newContent": {"content": ""}}, "TF401174"),
        ({"changeType": "delete", "item": {"path": "/b"}}, "TF401174"),
        ({"changeType": "encoding", "item": {"path": "/a"}}, "not supported"),
    ],
)
def test_a_push_that_does_not_fit_is_refused(
    sdk: Any, git: Any, organization: Organization, change: dict[str, Any], said: str
) -> None:
    repository = made(sdk, git, organization)
    sha = pushed(sdk, git, repository, NOTHING, added("/a")).ref_updates[0].new_object_id
    with pytest.raises(sdk.exceptions.AzureDevOpsServiceError, match=said):
        pushed(sdk, git, repository, sha, change)


def test_a_push_to_a_moved_or_a_protected_branch_is_refused(
    sdk: Any, git: Any, organization: Organization
) -> None:
    repository = made(sdk, git, organization)
    sha = pushed(sdk, git, repository, NOTHING, added("/a")).ref_updates[0].new_object_id
    with pytest.raises(sdk.exceptions.AzureDevOpsServiceError, match="TF401028"):
        pushed(sdk, git, repository, NOTHING, added("/b"))
    organization.repository(PROJECT, "api").protected.add("refs/heads/main")
    with pytest.raises(sdk.exceptions.AzureDevOpsServiceError, match="TF402455"):
        pushed(sdk, git, repository, sha, added("/b"))


def test_the_client_makes_a_project_and_waits_for_it(
    sdk: Any, service: AzureDevOpsStandIn, organization: Organization
) -> None:
    url, auth = f"{service.url}/{organization.name}", sdk.auth("", PAT)
    core, operations = sdk.core(url, auth), sdk.operations(url, auth)
    (process,) = core.get_processes()
    wanted = {
        "name": "made",
        "capabilities": {
            "versioncontrol": {"sourceControlType": "Git"},
            "processTemplate": {"templateTypeId": process.id},
        },
    }
    operation = core.queue_create_project(wanted)
    states = [operations.get_operation(operation.id).status for _ in range(3)]
    assert states == ["inProgress", "inProgress", "succeeded"]
    assert core.get_project("made").state == "wellFormed"


def test_the_client_sees_the_sign_in_page_of_a_bad_token(
    sdk: Any, service: AzureDevOpsStandIn, organization: Organization
) -> None:
    git = sdk.git(f"{service.url}/{organization.name}", sdk.auth("", "bad"))
    with pytest.raises(DeserializationError, match="text/html"):
        git.get_repositories(project=PROJECT)


async def test_a_call_without_a_token_or_with_a_bad_one_is_asked_to_sign_in(plain: Any) -> None:
    bad = {"Authorization": basic("bad")}
    async with plain.get("_apis/projects", params=VERSION, headers=bad) as answer:
        assert (answer.status, answer.content_type) == (203, "text/html")
        assert "Sign In" in await answer.text()
    async with plain.patch(f"{PROJECT}/_apis/git/repositories/api", headers=bad) as answer:
        assert answer.status == 401
        assert "TF400813" in await answer.text()
    async with plain.get("_apis/projects", params=VERSION) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(("version", "said"), [("", "No api-version"), ("9.9", "out of range")])
async def test_a_call_must_name_a_version_that_there_is(plain: Any, version: str, said: str) -> None:
    asked = {"api-version": version} if version else {}
    async with plain.get("_apis/projects", params=asked, headers={"Authorization": basic(PAT)}) as answer:
        assert answer.status == 400
        assert said in (await answer.json())["message"]


async def test_a_long_list_comes_in_pages(sdk: Any, git: Any, organization: Organization, plain: Any) -> None:
    repository = made(sdk, git, organization)
    sha = pushed(sdk, git, repository, NOTHING, added("/a")).ref_updates[0].new_object_id
    pushed(sdk, git, repository, NOTHING, added("/a"), ref="topic")
    kept = organization.repository(PROJECT, "api")
    names, token = [], ""
    while True:
        asked = VERSION | {"$top": "1"} | ({"continuationToken": token} if token else {})
        path = f"{PROJECT}/_apis/git/repositories/{kept.id}/refs"
        async with plain.get(path, params=asked, headers={"Authorization": basic(PAT)}) as answer:
            names += [each["name"] for each in (await answer.json())["value"]]
            token = answer.headers.get("x-ms-continuationtoken", "")
        if not token:
            break
    assert names == ["refs/heads/main", "refs/heads/topic"]
    assert kept.refs()["refs/heads/main"] == sha


PIPELINE = b"parameters:\n  - {name: slipwayRequest, type: string, default: none}\n"


def piped(sdk: Any, git: Any, service: AzureDevOpsStandIn, organization: Organization) -> tuple[Any, int]:
    """A client of builds, and a pipeline of a file on main."""
    repository = made(sdk, git, organization)
    pushed(sdk, git, repository, NOTHING, added("/build.yml", PIPELINE))
    kept, project = organization.repository(PROJECT, "api"), organization.project(PROJECT)
    configuration = {"type": "yaml", "path": "/build.yml"}
    body = {
        "name": "api",
        "configuration": configuration | {"repository": {"id": kept.id, "type": "azureReposGit"}},
    }
    url, auth = f"{service.url}/{organization.name}", sdk.auth("", PAT)
    project.pipelines.define([kept], 7, f"{url}/{PROJECT}", body)
    assert sdk.pipelines(url, auth).get_pipeline(PROJECT, 7).folder == "\\"
    return sdk.build(url, auth), 7


def test_the_client_runs_a_pipeline_and_reads_what_it_left(
    sdk: Any, git: Any, service: AzureDevOpsStandIn, organization: Organization
) -> None:
    builds, pipeline = piped(sdk, git, service, organization)
    kept = organization.repository(PROJECT, "api")
    (definition,) = builds.get_definitions(
        PROJECT, repository_id=kept.id, repository_type="TfsGit", include_all_properties=True
    )
    assert (definition.id, definition.queue_status) == (pipeline, "enabled")
    wanted = {
        "definition": {"id": pipeline},
        "sourceBranch": "refs/heads/main",
        "templateParameters": {"slipwayRequest": "one"},
    }
    queued = builds.queue_build(wanted, PROJECT)
    assert (queued.status, queued.template_parameters) == ("notStarted", {"slipwayRequest": "one"})
    assert queued.source_version == kept.refs()["refs/heads/main"]
    assert builds.get_build_timeline(PROJECT, queued.id) is None
    long_ago = queued.queue_time.replace(year=2020)
    (listed,) = builds.get_builds(
        PROJECT, definitions=[pipeline], min_time=long_ago, query_order="queueTimeDescending"
    )
    assert (listed.id, listed.template_parameters) == (queued.id, {"slipwayRequest": "one"})
    ending = Ending("failed", {"build": ["make"]}, {"build": "made\n"}, {"out": {"a": b"1"}})
    organization.project(PROJECT).pipelines.end(queued.id, ending)
    ended = builds.get_build(PROJECT, queued.id)
    assert (ended.status, ended.result, ended.finish_time.tzinfo is not None) == ("completed", "failed", True)
    records = builds.get_build_timeline(PROJECT, queued.id).records
    assert [each.type for each in records] == ["Stage", "Phase", "Job", "Task"]
    assert b"".join(builds.get_build_log(PROJECT, queued.id, records[2].log.id)) == b"made\n"
    assert len(builds.get_build_logs(PROJECT, queued.id)) == 2
    (artifact,) = builds.get_artifacts(PROJECT, queued.id)
    assert (artifact.name, artifact.resource.type) == ("out", "PipelineArtifact")
    assert artifact.resource.download_url.startswith(service.url)


def test_what_no_pipeline_takes_is_refused(
    sdk: Any, git: Any, service: AzureDevOpsStandIn, organization: Organization
) -> None:
    builds, pipeline = piped(sdk, git, service, organization)
    error = sdk.exceptions.AzureDevOpsServiceError
    with pytest.raises(error, match="validation errors") as caught:
        builds.queue_build({"definition": {"id": pipeline}, "templateParameters": {"x": "1"}}, PROJECT)
    (problem,) = caught.value.custom_properties["ValidationResults"]
    assert problem["message"] == "Unexpected parameter 'x'"
    with pytest.raises(error, match="4711"):
        builds.queue_build({"definition": {"id": 4711}}, PROJECT)
    queued = builds.queue_build({"definition": {"id": pipeline}}, PROJECT)
    assert builds.update_build({"status": "cancelling"}, PROJECT, queued.id).result == "canceled"
    for refused, build in (("ended already", queued.id), ("could not be found", 4711)):
        with pytest.raises(error, match=refused):
            builds.update_build({"status": "cancelling"}, PROJECT, build)


def test_the_client_subscribes_and_is_not_told_the_secret(
    sdk: Any, service: AzureDevOpsStandIn, organization: Organization
) -> None:
    hooks = sdk.hooks(f"{service.url}/{organization.name}", sdk.auth("", PAT))
    wanted = {
        "publisherId": "tfs",
        "eventType": "git.push",
        "consumerId": "webHooks",
        "consumerActionId": "httpRequest",
        "publisherInputs": {"projectId": organization.project(PROJECT).id},
        "consumerInputs": {"url": "https://here.test", "basicAuthPassword": "secret"},
    }
    subscribed = hooks.create_subscription(wanted)
    assert subscribed.consumer_inputs["basicAuthPassword"] == "********"
    assert [each.id for each in hooks.list_subscriptions(consumer_id="webHooks")] == [subscribed.id]
    assert hooks.list_subscriptions(event_type="build.complete") == []
    changed = hooks.replace_subscription(wanted | {"eventType": "build.complete"}, subscribed.id)
    assert (changed.id, changed.event_type) == (subscribed.id, "build.complete")
    # Not by the client, which leaves the connection of an answer without a body to the garbage collector.
    organization.subscriptions.remove(subscribed.id)
    assert hooks.list_subscriptions() == []
    for wrong in ({"eventType": "git.dance"}, {"consumerInputs": {"url": "ftp://x"}}, {"consumerId": "x"}):
        with pytest.raises(sdk.exceptions.AzureDevOpsServiceError):
            hooks.create_subscription(wanted | wrong)
    with pytest.raises(sdk.exceptions.AzureDevOpsServiceError, match="was not found"):
        hooks.delete_subscription(subscribed.id)


def test_the_client_opens_a_pull_request_and_sets_a_status(
    sdk: Any, git: Any, organization: Organization
) -> None:
    repository = made(sdk, git, organization)
    main = pushed(sdk, git, repository, NOTHING, added("/a")).ref_updates[0].new_object_id
    sha = pushed(sdk, git, repository, NOTHING, added("/b"), ref="topic").ref_updates[0].new_object_id
    wanted = {"sourceRefName": "refs/heads/topic", "targetRefName": "refs/heads/main", "title": "t"}
    opened = git.create_pull_request(wanted, repository.id, project=PROJECT)
    assert (opened.status, opened.is_draft, opened.last_merge_source_commit.commit_id) == (
        "active",
        False,
        sha,
    )
    error = sdk.exceptions.AzureDevOpsServiceError
    with pytest.raises(error, match="TF401179"):
        git.create_pull_request(wanted, repository.id, project=PROJECT)
    criteria = sdk.models.GitPullRequestSearchCriteria(status="active", source_ref_name="refs/heads/topic")
    (listed,) = git.get_pull_requests(repository.id, criteria, project=PROJECT)
    assert listed.pull_request_id == opened.pull_request_id
    number = opened.pull_request_id
    changed = git.update_pull_request({"status": "abandoned"}, repository.id, number, project=PROJECT)
    assert (changed.status, changed.closed_date is not None) == ("abandoned", True)
    with pytest.raises(error, match="TF401181"):
        git.update_pull_request({"title": "u"}, repository.id, number, project=PROJECT)
    with pytest.raises(error, match="TF401180"):
        git.get_pull_request(repository.id, 4711, project=PROJECT)
    for state in ("pending", "succeeded"):
        status = {"state": state, "context": {"name": "build", "genre": "slipway"}}
        git.create_commit_status(status, main, repository.id, project=PROJECT)
    (latest,) = git.get_statuses(main, repository.id, project=PROJECT, latest_only=True)
    assert (latest.state, latest.context.genre) == ("succeeded", "slipway")
    assert len(git.get_statuses(main, repository.id, project=PROJECT)) == 2
    with pytest.raises(error, match="TF401175"):
        git.create_commit_status(status, "1" * 40, repository.id, project=PROJECT)
