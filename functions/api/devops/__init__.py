"""The DevOps surface: importing it declares every endpoint."""

from functions.api.devops import audit, pipelines, pull_requests, repositories, runs

__all__ = ["audit", "pipelines", "pull_requests", "repositories", "runs"]
