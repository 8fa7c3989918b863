"""Builds that CI systems report. What is known of a build is read in `runs`."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from functions.api.devops.models_pipelines import BuildResultView, PipelineId, PipelineRunId
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from functions.http.fields import Body, Name
from shared.domain.pipelines.ingestion import BuildReport, OfPipeline, OfRun
from shared.domain.pipelines.model import BuildArtifact, BuildResult, BuildStatus, TestCounts

_WORDS = {
    "Succeeded": BuildStatus.SUCCEEDED,
    "PartiallySucceeded": BuildStatus.PARTIALLY_SUCCEEDED,
    "Failed": BuildStatus.FAILED,
    "Canceled": BuildStatus.CANCELED,
}
_AFTER_NAME = re.compile("[:@?#]")
_MAX_COUNT = 10_000_000
_MAX_SIZE = 1 << 50

Count = Annotated[int, Field(ge=0, le=_MAX_COUNT)]


class ReportedTests(Body):
    total: Count
    passed: Count
    failed: Count = 0
    skipped: Count = 0

    def counts(self) -> TestCounts:
        return TestCounts(self.total, self.passed, self.failed, self.skipped)


class ReportedArtifact(Body):
    """`ref` is the id of an uploaded artifact, or where the content lies: a URL, the name of an image."""

    name: Name | None = None
    """Default: the last part of `ref`, without a tag."""
    kind: Annotated[str, Field(min_length=1, max_length=100)]
    ref: Annotated[str, Field(min_length=1, max_length=1000)]
    digest: Annotated[str, Field(max_length=100)]
    size: Annotated[int, Field(ge=0, le=_MAX_SIZE)] = 0

    def artifact(self) -> BuildArtifact:
        last = _AFTER_NAME.split(self.ref.rstrip("/").rpartition("/")[2])[0]
        name = self.name or last[:100] or self.kind
        return BuildArtifact(name=name, kind=self.kind, ref=self.ref, digest=self.digest, size=self.size)


class ReportBuild(Body):
    """Of a run known here, by `pipelineRunId`; or of the CI system's own, by pipeline and build number."""

    tenant_id: str | None = None
    pipeline_run_id: PipelineRunId | None = None
    pipeline_id: PipelineId | None = None
    commit_sha: Annotated[str | None, Field(pattern=r"^[0-9a-f]{40}$")] = None
    branch: Annotated[str | None, Field(min_length=1, max_length=244)] = None
    build_number: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$")] = None
    module_id: Name
    status: Literal["Succeeded", "PartiallySucceeded", "Failed", "Canceled"]
    tests: ReportedTests | None = None
    coverage: Annotated[float | None, Field(ge=0, le=1)] = None
    artifacts: Annotated[tuple[ReportedArtifact, ...], Field(max_length=100)] = ()
    logs_uri: Annotated[str, Field(max_length=2000)] = ""
    attempt: Annotated[int, Field(ge=1, le=1000)] = 1

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        external = (self.pipeline_id, self.commit_sha, self.branch, self.build_number)
        of_run, of_pipeline = self.pipeline_run_id is not None, all(part is not None for part in external)
        if of_run == of_pipeline or (of_run and any(part is not None for part in external)):
            raise PydanticCustomError(
                "origin",
                "Say pipelineRunId, or else pipelineId, commitSha, branch and buildNumber together.",
            )
        return self

    def report(self) -> BuildReport:
        return BuildReport(
            origin=self._origin(),
            module=self.module_id,
            status=_WORDS[self.status],
            tests=self.tests.counts() if self.tests else None,
            coverage=self.coverage,
            artifacts=tuple(each.artifact() for each in self.artifacts),
            logs_uri=self.logs_uri,
            attempt=self.attempt,
        )

    def _origin(self) -> OfRun | OfPipeline:
        if self.pipeline_run_id is not None:
            return OfRun(self.pipeline_run_id)
        return OfPipeline(
            pipeline=self.pipeline_id or "",
            commit_sha=self.commit_sha or "",
            branch=self.branch or "",
            build_number=self.build_number or "",
        )


@devops.post(
    "/build-results",
    scope="devops.buildresults.write",
    returns=BuildResultView,
    status=201,
    location="/build-results/{id}",
    examples={
        "tenantId": "connectsoft",
        "pipelineId": "pipe-4f120000000080008000000000000000",
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
                "digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            }
        ],
        "logsUri": "https://ci.example.com/builds/20260611.3",
        "attempt": 1,
    },
)
async def report_build(call: Call, body: ReportBuild) -> BuildResult:
    """Report a finished build of a run, or of a CI system's own pipeline."""
    return await call.app.build_ingestion.report(call.actor, body.report(), call.once)
