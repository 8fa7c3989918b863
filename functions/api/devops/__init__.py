"""The DevOps surface: importing it declares every endpoint."""

from functions.api.devops import (
    audit,
    gitops,
    limits,
    pipelines,
    promotions,
    pull_requests,
    releases,
    repositories,
    runs,
)

__all__ = [
    "audit",
    "gitops",
    "limits",
    "pipelines",
    "promotions",
    "pull_requests",
    "releases",
    "repositories",
    "runs",
]
