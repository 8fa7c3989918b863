"""What `OPTIONS _apis` tells the official client: where each resource is that this stand-in has."""

from typing import Any

_REPOSITORY = "{project}/_apis/git/repositories/{repositoryId}"
_BUILD = "{project}/_apis/build/builds/{buildId}"

_ROUTES = {
    "603fe2ac-9723-48b9-88ad-09305aa6c6e1": ("core", "projects", "_apis/{resource}/{*projectId}", 4),
    "93878975-88c5-4e6a-8abb-7ddd77a8a7d8": ("core", "processes", "_apis/process/{resource}/{processId}", 1),
    "9a1b74b4-2ca8-4a9f-8470-c2f2e6fdc949": ("operations", "operations", "_apis/{resource}/{operationId}", 1),
    "225f7195-f9c7-4d14-ab28-a83f7ff77e1f": ("git", "repositories", _REPOSITORY, 1),
    "2d874a60-a811-4f62-9c9f-963a6ea0a55b": ("git", "refs", f"{_REPOSITORY}/{{resource}}", 1),
    "ea98d07b-3c87-4971-8ede-a613694ffb55": ("git", "pushes", f"{_REPOSITORY}/{{resource}}/{{pushId}}", 2),
    "c2570c3b-5b3f-41b8-98bf-5407bfde8d58": ("git", "commits", f"{_REPOSITORY}/{{resource}}/{{commitId}}", 1),
    "7cf2abb6-c964-4f7e-9872-f78c66e72e9c": (
        "git",
        "mergeBases",
        "{project}/_apis/git/repositories/{repositoryNameOrId}/commits/{commitId}/{resource}",
        1,
    ),
    "729f6437-6f92-44ec-8bee-273a7111063c": ("git", "trees", f"{_REPOSITORY}/{{resource}}/{{sha1}}", 1),
    "7b28e929-2c99-405d-9c5c-6167a06e6816": ("git", "blobs", f"{_REPOSITORY}/{{resource}}/{{sha1}}", 1),
    "428dd4fb-fda5-4722-af02-9313b80305da": (
        "git",
        "statuses",
        f"{_REPOSITORY}/commits/{{commitId}}/{{resource}}",
        1,
    ),
    "9946fd70-0d40-406e-b686-b4744cbbcc37": (
        "git",
        "pullRequests",
        f"{_REPOSITORY}/{{resource}}/{{pullRequestId}}",
        1,
    ),
    "28e1305e-2afe-47bf-abaf-cbb0e6a91988": (
        "pipelines",
        "pipelines",
        "{project}/_apis/{resource}/{pipelineId}",
        1,
    ),
    "dbeaf647-6167-421a-bda9-c9327b25e2e6": (
        "build",
        "definitions",
        "{project}/_apis/build/{resource}/{definitionId}",
        7,
    ),
    "0cd358e1-9217-4d94-8269-1c1ee6f93dcf": (
        "build",
        "builds",
        "{project}/_apis/build/{resource}/{buildId}",
        7,
    ),
    "8baac422-4c6e-4de5-8532-db96d92acffa": ("build", "timeline", f"{_BUILD}/{{resource}}/{{timelineId}}", 2),
    "35a80daf-7f30-45fc-86e8-6b813d9c90df": ("build", "logs", f"{_BUILD}/{{resource}}/{{logId}}", 2),
    "1db06c96-014e-44e1-ac91-90b2d4b3e984": ("build", "artifacts", f"{_BUILD}/{{resource}}", 5),
    "fc50d02a-849f-41fb-8af1-0a5216103269": (
        "hooks",
        "subscriptions",
        "_apis/hooks/{resource}/{subscriptionId}",
        1,
    ),
    "fb93c0db-47ed-4a31-8c20-47552878fb44": ("git", "items", f"{_REPOSITORY}/{{resource}}/{{*path}}", 1),
}


def locations() -> list[dict[str, Any]]:
    return [
        {
            "id": key,
            "area": area,
            "resourceName": resource,
            "routeTemplate": template,
            "resourceVersion": version,
            "minVersion": "1.0",
            "maxVersion": "7.1",
            "releasedVersion": "7.1",
        }
        for key, (area, resource, template, version) in _ROUTES.items()
    ]
