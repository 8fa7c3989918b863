"""The crash point tests. Importing any of them declares every scenario."""

from tests.faults.crash_points import (  # noqa: F401
    artifact_scenarios,
    host_scenarios,
    infrastructure_scenarios,
    pull_request_scenarios,
    vendor_run_scenarios,
)
