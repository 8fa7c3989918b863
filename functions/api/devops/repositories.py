"""Repositories with their branches and commits, and the artifacts that commits take content from."""

from functions.api.devops.models_source import (
    ArtifactName,
    ArtifactView,
    AuthorCommit,
    BranchId,
    BranchView,
    CommitId,
    CommitView,
    CreateBranch,
    ProvisionRepository,
    RepositoryId,
    RepositoryView,
)
from functions.api.devops.queries import BranchesQuery, CommitsQuery, RepositoriesQuery
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.source.model import Artifact, Branch, Commit, Repository
from shared.services.unit import Page

WRITE, READ = "devops.repositories.write", "devops.repositories.read"
BUNDLES = ("application/zip", "application/gzip", "application/x-gzip", "application/x-tar+gzip")


@devops.post(
    "/repositories",
    scope=WRITE,
    returns=RepositoryView,
    status=201,
    location="/repositories/{id}",
    examples={
        "tenantId": "connectsoft",
        "projectId": "proj-booking-saas",
        "moduleId": "module-reservations-api",
        "name": "reservations-api",
        "provider": "AzureDevOps",
        "defaultBranch": "main",
        "visibility": "private",
    },
)
async def provision_repository(call: Call, body: ProvisionRepository) -> Repository:
    """Provision a repository."""
    return await call.app.repositories.provision(call.actor, body.draft(), call.once)


@devops.get("/repositories/{repositoryId}", scope=READ, returns=RepositoryView)
async def get_repository(call: Call, repository_id: RepositoryId) -> Repository:
    """Retrieve a repository."""
    return await call.app.repositories.get(call.actor, repository_id)


@devops.post("/repositories/{repositoryId}/archive", scope=WRITE, returns=RepositoryView)
async def archive_repository(call: Call, repository_id: RepositoryId) -> Repository:
    """Archive a repository: it can only be read, with the pull requests that are open."""
    return await call.app.repositories.archive(call.actor, repository_id, call.once, revision=call.if_match)


@devops.post("/repositories/{repositoryId}/unarchive", scope=WRITE, returns=RepositoryView)
async def unarchive_repository(call: Call, repository_id: RepositoryId) -> Repository:
    """Take an archived repository back into use."""
    return await call.app.repositories.unarchive(call.actor, repository_id, call.once, revision=call.if_match)


@devops.get("/repositories", scope=READ, returns=RepositoryView)
async def list_repositories(call: Call, query: RepositoriesQuery) -> Page[Repository]:
    """List repositories, newest first."""
    return await call.app.repositories.list(call.actor, query.wanted())


@devops.post(
    "/repositories/{repositoryId}/branches",
    scope=WRITE,
    returns=BranchView,
    status=201,
    examples={
        "tenantId": "connectsoft",
        "name": "feature/reservation-cancellation",
        "fromBranch": "main",
    },
)
async def create_branch(call: Call, repository_id: RepositoryId, body: CreateBranch) -> Branch:
    """Create a branch."""
    return await call.app.branches.create(call.actor, repository_id, body.name, body.from_branch, call.once)


@devops.get("/repositories/{repositoryId}/branches", scope=READ, returns=BranchView)
async def list_branches(call: Call, repository_id: RepositoryId, query: BranchesQuery) -> Page[Branch]:
    """List the branches of a repository by name."""
    wanted = query.wanted({"repository": repository_id})
    return await call.app.branches.list(call.actor, repository_id, wanted)


@devops.get("/repositories/{repositoryId}/branches/{branchId}", scope=READ, returns=BranchView)
async def get_branch(call: Call, repository_id: RepositoryId, branch_id: BranchId) -> Branch:
    """Retrieve a branch."""
    return await call.app.branches.get(call.actor, repository_id, branch_id)


@devops.delete("/repositories/{repositoryId}/branches/{branchId}", scope=WRITE, returns=None, status=204)
async def delete_branch(call: Call, repository_id: RepositoryId, branch_id: BranchId) -> None:
    """Delete a branch; its open pull requests are abandoned."""
    await call.app.branches.delete(call.actor, repository_id, branch_id, call.once)


@devops.post(
    "/repositories/{repositoryId}/commits",
    scope=WRITE,
    returns=CommitView,
    status=201,
    examples={
        "tenantId": "connectsoft",
        "branch": "feature/reservation-cancellation",
        "message": "feat: add reservation cancellation endpoint",
        "artifactId": "art-reservations-api-3c",
        "changes": [{"path": "src/Controllers/ReservationsController.cs", "operation": "modify"}],
    },
)
async def author_commit(call: Call, repository_id: RepositoryId, body: AuthorCommit) -> Commit:
    """Author a commit on an unprotected branch."""
    return await call.app.commits.author(call.actor, repository_id, body.draft(), call.once)


@devops.get("/repositories/{repositoryId}/commits", scope=READ, returns=CommitView)
async def list_commits(call: Call, repository_id: RepositoryId, query: CommitsQuery) -> Page[Commit]:
    """List the recorded commits of a repository, newest first."""
    wanted = query.wanted({"repository": repository_id})
    return await call.app.branches.commits(call.actor, repository_id, wanted)


@devops.get("/repositories/{repositoryId}/commits/{commitId}", scope=READ, returns=CommitView)
async def get_commit(call: Call, repository_id: RepositoryId, commit_id: CommitId) -> Commit:
    """Retrieve a recorded commit."""
    return await call.app.branches.commit(call.actor, repository_id, commit_id)


@devops.put(
    "/artifacts/{artifactId}",
    scope="devops.artifacts.write",
    returns=ArtifactView,
    status=201,
    location="/artifacts/{id}",
    consumes=BUNDLES,
)
async def upload_artifact(call: Call, artifact_id: ArtifactName, body: bytes) -> Artifact:
    """Upload a bundle (zip or tar.gz) whose files commits may name."""
    content_type = call.request.headers["content-type"]
    return await call.app.artifacts.upload(call.actor, artifact_id, body, content_type, call.once)


@devops.get("/artifacts/{artifactId}", scope="devops.artifacts.read", returns=ArtifactView)
async def get_artifact(call: Call, artifact_id: ArtifactName) -> Artifact:
    """Retrieve what is known of an uploaded bundle."""
    return await call.app.artifacts.get(call.actor, artifact_id)
