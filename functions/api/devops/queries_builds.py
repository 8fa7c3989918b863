"""The lists of what builds make: results, packages and images."""

from typing import Annotated

from pydantic import Field as Parameter

from functions.api.devops.models_pipelines import PipelineId, RepositoryId
from functions.api.devops.models_releases import BuildResultId
from functions.api.devops.queries import (
    BRANCH,
    CREATED,
    MODULE,
    PIPELINE,
    PROJECT,
    REPOSITORY,
    UPDATED,
    BranchName,
)
from functions.http.fields import Name
from functions.http.lists import ListingQuery, OneOf, ids, verbatim, words
from shared.domain.images.model import ImageStatus
from shared.domain.kernel.filters import Field
from shared.domain.packages.model import PublicationStatus
from shared.domain.packages.naming import PackageType
from shared.domain.pipelines.model import BuildStatus
from shared.services.listing import Listing

BUILD_RESULT = ids("build_result", "build")

BUILD_RESULTS = Listing(
    "build-result",
    {
        "repositoryId": REPOSITORY,
        "pipelineId": PIPELINE,
        "pipelineRunId": ids("pipeline_run", "run"),
        "projectId": PROJECT,
        "moduleId": MODULE,
        "branch": BRANCH,
        "commitSha": Field("commit_sha"),
        "status": Field("status", words=words("status", BuildStatus)),
        "createdAt": CREATED,
    },
    sort="-createdAt",
)
PACKAGES = Listing(
    "package-publication",
    {
        "buildResultId": BUILD_RESULT,
        "projectId": PROJECT,
        "moduleId": MODULE,
        "feed": Field("feed"),
        "packageType": Field("package_type", words=verbatim("package_type", PackageType)),
        "packageId": Field("package_id"),
        "name": Field("name"),
        "version": Field("version"),
        "digest": Field("digest"),
        "status": Field("status", words=words("status", PublicationStatus)),
        "createdBy": Field("created_by"),
        "createdAt": CREATED,
        "updatedAt": UPDATED,
    },
    sort="-createdAt",
)
CONTAINER_IMAGES = Listing(
    "container-image",
    {
        "buildResultId": BUILD_RESULT,
        "projectId": PROJECT,
        "moduleId": MODULE,
        "registry": Field("registry"),
        "repository": Field("repository"),
        "tag": Field("tag"),
        "digest": Field("digest"),
        "status": Field("status", words=words("status", ImageStatus)),
        "createdBy": Field("created_by"),
        "createdAt": CREATED,
        "updatedAt": UPDATED,
    },
    sort="-createdAt",
)


class BuildResultsQuery(ListingQuery):
    LISTING = BUILD_RESULTS

    repository_id: RepositoryId | None = None
    pipeline_id: PipelineId | None = None
    project_id: Name | None = None
    branch: BranchName | None = None
    status: Annotated[str, OneOf(words("status", BuildStatus))] | None = None


class PackagesQuery(ListingQuery):
    LISTING = PACKAGES

    build_result_id: BuildResultId | None = None
    feed: Annotated[str, Parameter(min_length=1, max_length=63)] | None = None
    name: Annotated[str, Parameter(min_length=1, max_length=214)] | None = None
    package_type: Annotated[str, OneOf(verbatim("package_type", PackageType))] | None = None
    status: Annotated[str, OneOf(words("status", PublicationStatus))] | None = None


class ContainerImagesQuery(ListingQuery):
    LISTING = CONTAINER_IMAGES

    build_result_id: BuildResultId | None = None
    project_id: Name | None = None
    repository: Annotated[str, Parameter(min_length=1, max_length=200)] | None = None
    digest: Annotated[str, Parameter(max_length=71)] | None = None
    status: Annotated[str, OneOf(words("status", ImageStatus))] | None = None
