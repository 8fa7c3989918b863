"""The crash point tests. Importing any of them declares every scenario."""

from tests.faults.crash_points import artifact_scenarios, infrastructure_scenarios, pull_request_scenarios  # noqa: F401
