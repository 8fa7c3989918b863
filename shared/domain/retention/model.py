"""From which moment the period of a thing counts; None while it has not begun."""

from collections.abc import Iterable
from datetime import datetime

from shared.domain.pipelines.model import BuildResult, PipelineRun
from shared.domain.promotions.model import Promotion
from shared.domain.releases.model import Release
from shared.domain.source.model import PullRequest, PullRequestStatus


def pull_request_since(request: PullRequest) -> datetime | None:
    """From its merge or its end."""
    if request.status is PullRequestStatus.MERGED:
        return request.merged_at or request.updated_at
    return request.updated_at if request.status is PullRequestStatus.ABANDONED else None


def run_since(run: PipelineRun) -> datetime | None:
    """From its end."""
    return (run.finished_at or run.updated_at) if run.is_terminal else None


def build_since(build: BuildResult) -> datetime | None:
    """From its making: it is written once."""
    return build.created_at


def release_since(release: Release, promotions: Iterable[Promotion]) -> datetime | None:
    """From the last that happened to any of its promotions; None while one is under way."""
    seen = list(promotions)
    if any(promotion.is_open for promotion in seen):
        return None
    return max([release.created_at, *(promotion.updated_at for promotion in seen)])
