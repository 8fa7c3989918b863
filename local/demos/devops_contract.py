"""The sixteen routes of the DevOps contract: ten public ones with its examples word for word, and the six
that services call. Must not say what an answer means; that is the walk's."""

from typing import Final

from local.demos.examples import Example

CONTROLLER: Final = "src/Controllers/ReservationsController.cs"
_SHA, _COUNT, _VERSION = "[0-9a-f]{40}", "[0-9]+", "[0-9]+[.][0-9]+[.][0-9]+"
_DIGEST = "sha256:[0-9a-f]{64}"
_SHOWN_DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

PROVISION_REPOSITORY: Final = Example(
    1,
    "POST",
    "/repositories",
    {
        "tenantId": "connectsoft",
        "projectId": "proj-booking-saas",
        "moduleId": "module-reservations-api",
        "name": "reservations-api",
        "provider": "AzureDevOps",
        "defaultBranch": "main",
        "visibility": "private",
    },
    {
        "repositoryId": "repo-7a1c",
        "remoteUrl": "https://dev.azure.com/connectsoft/proj-booking-saas/_git/reservations-api",
        "defaultBranch": "main",
        "status": "Provisioned",
    },
    forms={"remoteUrl": r"https?://[^/\s]+/\S*reservations-api\S*"},
)
CREATE_BRANCH: Final = Example(
    2,
    "POST",
    "/repositories/repo-7a1c/branches",
    {"tenantId": "connectsoft", "name": "feature/reservation-cancellation", "fromBranch": "main"},
    {
        "branchId": "branch-22e9",
        "name": "feature/reservation-cancellation",
        "fromCommit": "9f1c2b7d",
        "status": "Created",
    },
    forms={"fromCommit": _SHA},
)
AUTHOR_COMMIT: Final = Example(
    3,
    "POST",
    "/repositories/repo-7a1c/commits",
    {
        "tenantId": "connectsoft",
        "branch": "feature/reservation-cancellation",
        "message": "feat: add reservation cancellation endpoint",
        "artifactId": "art-reservations-api-3c",
        "changes": [{"path": CONTROLLER, "operation": "modify"}],
    },
    {
        "commitId": "commit-5d4a",
        "sha": "a1b2c3d4",
        "branch": "feature/reservation-cancellation",
        "status": "Committed",
    },
    forms={"sha": _SHA},
)
OPEN_PULL_REQUEST: Final = Example(
    4,
    "POST",
    "/pull-requests",
    {
        "tenantId": "connectsoft",
        "repositoryId": "repo-7a1c",
        "sourceBranch": "feature/reservation-cancellation",
        "targetBranch": "main",
        "title": "Add reservation cancellation",
        "description": "Implements cancellation for module-reservations-api",
    },
    {"pullRequestId": "pr-9931", "number": 42, "status": "Open", "policyEvaluation": "Pending"},
    forms={"number": _COUNT},
)
GET_PULL_REQUEST: Final = Example(
    5,
    "GET",
    "/pull-requests/pr-9931",
    None,
    {
        "pullRequestId": "pr-9931",
        "number": 42,
        "status": "Open",
        "sourceBranch": "feature/reservation-cancellation",
        "targetBranch": "main",
        "checks": [
            {"name": "build", "status": "Succeeded"},
            {"name": "policy-gate", "status": "Pending"},
        ],
        "reviewers": ["agent:PullRequestCreator"],
    },
    status=200,
    # The gate follows the build at once: whoever looks a moment later than the contract sees it decided.
    forms={"number": _COUNT, "checks[policy-gate].status": "Pending|Succeeded"},
)
GENERATE_PIPELINE: Final = Example(
    6,
    "POST",
    "/pipelines/generate",
    {
        "tenantId": "connectsoft",
        "repositoryId": "repo-7a1c",
        "moduleId": "module-reservations-api",
        "moduleType": "Microservice",
        "targetFeed": "connectsoft-internal",
    },
    {
        "pipelineId": "pipe-4f12",
        "definitionPath": ".azuredevops/pipelines/reservations-api.yml",
        "status": "Generated",
    },
)
RUN_PIPELINE: Final = Example(
    7,
    "POST",
    "/pipelines/pipe-4f12/run",
    {"tenantId": "connectsoft", "branch": "main", "reason": "ci"},
    {"pipelineRunId": "run-8c20", "buildNumber": "20260611.3", "status": "Started"},
    forms={"buildNumber": "20[0-9]{6}[.][1-9][0-9]*"},
)
PLAN_RELEASE: Final = Example(
    8,
    "POST",
    "/releases",
    {
        "tenantId": "connectsoft",
        "projectId": "proj-booking-saas",
        "moduleId": "module-reservations-api",
        "buildResultId": "build-7711",
        "targetEnvironment": "staging",
        "strategy": "RollingUpdate",
    },
    {"releaseId": "rel-3120", "version": "1.4.0", "status": "Planned", "requiredApprovals": 1},
    forms={"version": _VERSION},
)
APPROVE_RELEASE: Final = Example(
    9,
    "POST",
    "/releases/rel-3120/approve",
    {
        "tenantId": "connectsoft",
        "approver": "agent:ReleaseManager",
        "decision": "Approved",
        "comment": "Policy gate passed; staging soak complete",
    },
    {"releaseId": "rel-3120", "approvalId": "appr-66a1", "status": "Approved", "nextStep": "Promote"},
    status=200,
)
PROVISION_INFRASTRUCTURE: Final = Example(
    10,
    "POST",
    "/iac/provision",
    {
        "tenantId": "connectsoft",
        "projectId": "proj-booking-saas",
        "environment": "staging",
        "engine": "Pulumi",
        "stack": "booking-saas-staging",
        "program": "ConnectSoft.Factory.DevOps.Infra.BookingSaas",
    },
    {
        "infrastructurePlanId": "infra-5a90",
        "previewSummary": {"create": 7, "update": 2, "delete": 0},
        "status": "Applying",
    },
    forms={f"previewSummary.{action}": _COUNT for action in ("create", "update")},
)
CONTRACT: Final = (
    PROVISION_REPOSITORY,
    CREATE_BRANCH,
    AUTHOR_COMMIT,
    OPEN_PULL_REQUEST,
    GET_PULL_REQUEST,
    GENERATE_PIPELINE,
    RUN_PIPELINE,
    PLAN_RELEASE,
    APPROVE_RELEASE,
    PROVISION_INFRASTRUCTURE,
)
"""In the order of the contract; `number` is its own."""

REPORT_BUILD: Final = Example(
    11,
    "POST",
    "/build-results",
    {
        "tenantId": "connectsoft",
        "pipelineId": "pipe-4f12",
        "commitSha": "9f1c2b7d3a5e8f60718293a4b5c6d7e8f9012345",
        "branch": "main",
        "buildNumber": "20260611.3",
        "moduleId": "module-reservations-api",
        "status": "Succeeded",
        "tests": {"total": 412, "passed": 410, "failed": 0, "skipped": 2},
        "coverage": 0.87,
        "artifacts": [
            {
                "kind": "image",
                "ref": "registry.example.com/reservations-api:1.4.0",
                "digest": _SHOWN_DIGEST,
            }
        ],
        "logsUri": "https://ci.example.com/builds/20260611.3",
        "attempt": 1,
    },
    {
        "buildResultId": "build-90c1",
        "pipelineId": "pipe-4f12",
        "pipelineRunId": "run-11d7",
        "buildNumber": "20260611.3",
        "commitSha": "9f1c2b7d3a5e8f60718293a4b5c6d7e8f9012345",
        "status": "Succeeded",
        "tests": {"total": 412, "passed": 410, "failed": 0, "skipped": 2},
        "coverage": 0.87,
    },
)
RENDER_MANIFEST: Final = Example(
    12,
    "POST",
    "/deployment-manifests",
    {"tenantId": "connectsoft", "releaseId": "rel-3120", "environment": "staging"},
    {
        "manifestId": "man-2b04",
        "releaseId": "rel-3120",
        "environment": "staging",
        "gitPath": "staging/proj-booking-saas/module-reservations-api.yaml",
        "contentHash": _SHOWN_DIGEST,
        "status": "Rendered",
    },
    forms={"contentHash": _DIGEST, "gitPath": r"\S*module-reservations-api\S*"},
)
PROMOTE_RELEASE: Final = Example(
    13,
    "POST",
    "/promotions",
    {"tenantId": "connectsoft", "releaseId": "rel-3120", "toEnvironment": "dev"},
    {
        "promotionId": "prom-77e5",
        "releaseId": "rel-3120",
        "toEnvironment": "dev",
        "strategy": "RollingUpdate",
        "status": "Planned",
        "nextStep": "Promote",
    },
)
PUBLISH_PACKAGE: Final = Example(
    14,
    "POST",
    "/packages",
    {
        "tenantId": "connectsoft",
        "buildResultId": "build-7711",
        "packageType": "NuGet",
        "packageId": "ConnectSoft.Reservations.Client",
        "version": "1.4.0",
        "feed": "connectsoft-internal",
        "artifactRef": "art-reservations-client",
    },
    {
        "publicationId": "pkg-41aa",
        "buildResultId": "build-7711",
        "packageType": "NuGet",
        "packageId": "ConnectSoft.Reservations.Client",
        "version": "1.4.0",
        "feed": "connectsoft-internal",
        "status": "Pending",
    },
)
BUILD_IMAGE: Final = Example(
    15,
    "POST",
    "/container-images",
    {
        "tenantId": "connectsoft",
        "buildResultId": "build-7711",
        "repository": "booking-saas/reservations-api",
        "tag": "1.4.0",
        "artifactRef": "art-reservations-api-image",
    },
    {
        "containerImageId": "img-5c3e",
        "buildResultId": "build-7711",
        "repository": "booking-saas/reservations-api",
        "tag": "1.4.0",
        "digest": _SHOWN_DIGEST,
        "status": "Pending",
        "scanStatus": "Pending",
    },
    forms={"digest": _DIGEST},
)
RECONCILE: Final = Example(
    16,
    "POST",
    "/gitops/reconcile",
    {"tenantId": "connectsoft", "environment": "staging", "moduleId": "module-reservations-api"},
    {
        "syncStates": [
            {
                "syncStateId": "sync-0d9b",
                "environment": "staging",
                "moduleId": "module-reservations-api",
                "status": "Syncing",
            }
        ]
    },
    status=200,
)
INTERNAL: Final = (
    REPORT_BUILD,
    RENDER_MANIFEST,
    PROMOTE_RELEASE,
    PUBLISH_PACKAGE,
    BUILD_IMAGE,
    RECONCILE,
)
"""The routes between services; what they answer is Slipway's own word."""
