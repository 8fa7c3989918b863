"""Wire shapes of container images and of published packages."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from functions.api.devops.models_pipelines import Text
from functions.http.fields import Body, Name, PascalStatus, Slug, View, WireId
from shared.domain.images.model import EMBEDDED
from shared.domain.images.oci import DIGEST, REPOSITORY, TAG
from shared.domain.packages.naming import PackageType, coordinates
from shared.services.container_images import ImageDraft
from shared.services.packages import PackageDraft

BuildResultId = Annotated[str, WireId("build")]
ContainerImageId = Annotated[str, WireId("img")]
PublicationId = Annotated[str, WireId("pkg")]

Digest = Annotated[str, Field(pattern=DIGEST)]
Reason = Annotated[str, Field(min_length=3, max_length=2000, pattern=r"\S")]
ArtifactRef = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|[A-Za-z0-9][A-Za-z0-9._-]{0,99})$")]
"""The id of an uploaded artifact, or the digest of one that the build has stored."""


class RequestImage(Body):
    """An image that is in its registry by `digest`, or an OCI layout to push, by `artifactRef`."""

    tenant_id: str | None = None
    build_result_id: BuildResultId
    registry: Name = EMBEDDED
    repository: Annotated[str, Field(pattern=REPOSITORY, max_length=200)]
    tag: Annotated[str, Field(pattern=TAG)]
    digest: Digest | None = None
    artifact_ref: ArtifactRef | None = None

    def draft(self) -> ImageDraft:
        return ImageDraft(
            build_result=self.build_result_id,
            registry=self.registry,
            repository=self.repository,
            tag=self.tag,
            digest=self.digest,
            artifact=self.artifact_ref,
        )


class ReportScan(Body):
    """`report` is what the scanner wrote: SARIF 2.1.0, Trivy JSON or Grype JSON."""

    tenant_id: str | None = None
    report: dict[str, Any]


class ReleaseQuarantine(Body):
    tenant_id: str | None = None
    reason: Reason


class FindingsView(View):
    critical: int
    high: int
    medium: int
    low: int
    unknown: int


class ScanView(View):
    scanner: str
    findings: FindingsView
    digest: str
    at: datetime


class QuarantineReleaseView(View):
    by: str
    reason: str
    at: datetime
    accepted: FindingsView


class ContainerImageView(View):
    container_image_id: Annotated[ContainerImageId, Field(validation_alias="id")]
    build_result_id: Annotated[BuildResultId, Field(validation_alias="build_result")]
    project_id: Annotated[str, Field(validation_alias="project")]
    module_id: Annotated[str, Field(validation_alias="module")]
    registry: str
    repository: str
    tag: str
    digest: str
    reference: str
    media_type: str | None
    status: PascalStatus
    scan_status: PascalStatus
    scan: ScanView | None
    reason: Text
    quarantine_release: Annotated[QuarantineReleaseView | None, Field(validation_alias="release")]
    created_by: str
    created_at: datetime
    updated_at: datetime


class RequestPackage(Body):
    """`artifactRef` says what is published; `digest` alone means an artifact that the build has stored."""

    tenant_id: str | None = None
    build_result_id: BuildResultId
    package_type: PackageType
    package_id: Annotated[str, Field(min_length=1, max_length=214)]
    version: Annotated[str, Field(min_length=1, max_length=128)]
    feed: Slug
    artifact_ref: ArtifactRef | None = None
    digest: Digest | None = None
    file_name: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$")] = None
    """As installers read it; default: as the ecosystem names it, or as the artifact is called."""

    @model_validator(mode="after")
    def _content(self) -> Self:
        if self.artifact_ref is None and self.digest is None:
            raise PydanticCustomError("content", "Say what is published: artifactRef, or digest.")
        return self

    def draft(self) -> PackageDraft:
        return PackageDraft(
            build_result=self.build_result_id,
            feed=self.feed,
            coordinates=coordinates(self.package_type, self.package_id, self.version),
            artifact=self.artifact_ref or self.digest or "",
            digest=self.digest,
            file_name=self.file_name,
        )


class UnlistPackage(Body):
    tenant_id: str | None = None
    reason: Reason


class PackageView(View):
    publication_id: Annotated[PublicationId, Field(validation_alias="id")]
    build_result_id: Annotated[BuildResultId | None, Field(validation_alias="build_result")]
    project_id: Annotated[str | None, Field(validation_alias="project")]
    module_id: Annotated[str | None, Field(validation_alias="module")]
    feed: str
    package_type: str
    package_id: str
    name: str
    version: str
    normalized_version: str
    file_name: str
    digest: str
    size: int
    status: PascalStatus
    reason: Text
    created_by: str
    created_at: datetime
    updated_at: datetime
