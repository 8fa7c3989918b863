"""What may be asked about the versions of a pipeline."""

from typing import Annotated

from pydantic import Field as Parameter

from functions.http.fields import Query
from functions.http.lists import ListingQuery, OneOf, words
from shared.domain.kernel.filters import Field
from shared.domain.pipelines.model import PipelineStatus
from shared.services.listing import Listing

PIPELINE_VERSIONS = Listing(
    "pipeline-version",
    {
        "version": Field("number"),
        "status": Field("status", words=words("status", PipelineStatus)),
        "templateVersion": Field("template_version"),
        "createdBy": Field("created_by"),
    },
    sort="-version",
)


class PipelineVersionsQuery(ListingQuery):
    LISTING = PIPELINE_VERSIONS

    status: Annotated[str, OneOf(words("status", PipelineStatus))] | None = None


class DefinitionQuery(Query):
    version: Annotated[int | None, Parameter(ge=1, description="Default: the latest.")] = None
