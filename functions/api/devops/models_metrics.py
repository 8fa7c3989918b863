"""The figures of delivery performance, and how to ask for them."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field

from functions.http.fields import Name, Query, View
from shared.domain.metrics.performance import (
    FAILURE_BANDS,
    FREQUENCY_BANDS,
    LEAD_TIME_BANDS,
    RESTORE_BANDS,
    Bucket,
)
from shared.services.performance import Asked

Seconds = float | None
Instant = Annotated[AwareDatetime, AfterValidator(lambda at: at.astimezone(UTC))]
BANDS = {
    "deploymentFrequency": {"atLeastPerDay": dict(FREQUENCY_BANDS)},
    "leadTime": {"p50AtMostSeconds": dict(LEAD_TIME_BANDS)},
    "changeFailureRate": {"rateAtMost": dict(FAILURE_BANDS)},
    "timeToRestore": {"p50AtMostSeconds": dict(RESTORE_BANDS)},
}
"""What passes none of the thresholds is Low."""


class DoraQuery(Query):
    project_id: Name
    module_id: Name | None = None
    environment: Annotated[str, Field(min_length=1, max_length=63, description="By name or stage.")] = "prod"
    start: Annotated[Instant | None, Field(alias="from", description="Default: 30 days before `to`.")] = None
    end: Annotated[Instant | None, Field(alias="to", description="Default: now.")] = None
    bucket: Bucket = Bucket.WEEK

    def about(self, environment: str) -> Asked:
        return Asked(self.project_id, self.module_id, environment, self.start, self.end, self.bucket)


class FrequencyView(View):
    deployments: int
    per_day: float
    band: str | None


class SpreadView(View):
    samples: int
    p50_seconds: Annotated[Seconds, Field(validation_alias="p50")]
    p90_seconds: Annotated[Seconds, Field(validation_alias="p90")]
    band: str | None


class FailureRateView(View):
    changes: int
    failures: int
    rate: float | None
    band: str | None


class FiguresView(View):
    """Of one period, from `start` to before `end`. A band is left out where there is nothing to judge."""

    start: datetime
    end: datetime
    deployment_frequency: FrequencyView
    lead_time: SpreadView
    change_failure_rate: FailureRateView
    time_to_restore: SpreadView
    open_failures: int


class AskedView(View):
    project_id: Annotated[str, Field(validation_alias="project")]
    module_id: Annotated[str | None, Field(validation_alias="module")]
    environment: str | None
    bucket: str


class DoraView(View):
    of: Annotated[AskedView, Field(validation_alias="asked")]
    overall: FiguresView
    periods: tuple[FiguresView, ...]
    is_exact: Annotated[bool, Field(description="False where the newest deployments may be missing.")]
    bands: Annotated[dict[str, Any], Field(description="Thresholds; what passes none is Low.")] = BANDS
