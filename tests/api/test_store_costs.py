"""What every devops endpoint may ask of the store: a change that adds a round trip has to say so here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from functions.http.endpoint import Endpoint
from functions.http.surface import endpoint_table
from functions.routes import declared
from tests.support.store_costs import Cost, store_costs

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Allowed:
    """`batches` name the kind of root and the documents written. `why` is for what needs more than one batch,
    or more reads than the marker, the thing and what it is decided by."""

    reads: int
    queries: int = 0
    batches: tuple[tuple[str, int], ...] = ()
    why: str = ""


KEY = ("key", 1)
"""Where the body decides the root, the key is bound in a partition of its own before the effect."""
RECORDED = "the ref moves in git first; recording it reads the branch, its repository and its pull requests"
LIST = Allowed(reads=1, queries=1)
"""One query, and one read for the total."""

ALLOWED: Mapping[str, Allowed] = {
    "devops_list_repositories": LIST,
    "devops_get_repository": Allowed(reads=1),
    "devops_list_branches": Allowed(reads=2, queries=1, why="the repository must be the tenant's"),
    "devops_list_commits": Allowed(reads=2, queries=1, why="the repository must be the tenant's"),
    "devops_list_pull_requests": LIST,
    "devops_get_pull_request": Allowed(reads=1),
    "devops_diff_pull_request": Allowed(reads=2, why="the repository says where its git is"),
    "devops_list_reviews": Allowed(reads=2, queries=1, why="the pull request must be the tenant's"),
    "devops_get_check_reports": Allowed(reads=2, why="the pull request must be the tenant's"),
    "devops_list_branch_policies": Allowed(reads=2, why="a repository without policies has its default"),
    "devops_get_branch_policy": Allowed(reads=2, why="a repository without policies has its default"),
    "devops_list_pipelines": LIST,
    "devops_get_pipeline": Allowed(reads=1),
    "devops_get_pipeline_definition": Allowed(reads=2, why="the pipeline says which version is the latest"),
    "devops_list_pipeline_versions": Allowed(reads=2, queries=1, why="the pipeline must be the tenant's"),
    "devops_list_pipeline_runs": LIST,
    "devops_get_pipeline_run": Allowed(reads=1),
    "devops_get_pipeline_run_logs": Allowed(reads=1),
    "devops_list_build_results": LIST,
    "devops_get_build_result": Allowed(reads=1),
    "devops_list_releases": LIST,
    "devops_get_release": Allowed(reads=4, why="its status is that of its promotions, one in each root"),
    "devops_list_release_approvals": Allowed(reads=4, why="votes lie with their promotions"),
    "devops_list_promotions": LIST,
    "devops_get_promotion": Allowed(reads=1),
    "devops_list_environments": Allowed(
        reads=8, queries=4, why="four environments: two reads and a query each"
    ),
    "devops_list_deployments": LIST,
    "devops_get_deployment": Allowed(reads=1),
    "devops_get_manifest": Allowed(reads=1),
    "devops_get_sync_state": Allowed(reads=1),
    "devops_list_sync_states": LIST,
    "devops_list_audit_entries": Allowed(reads=1, queries=1),
    "devops_show_limits": Allowed(reads=0),
    "devops_show_dora_metrics": Allowed(reads=0, queries=1),
    "devops_provision_repository": Allowed(
        reads=8,
        batches=(KEY, ("repository", 4), ("repository", 9)),
        why="intent, then git, then what git made: a crash between is taken up by the worker; and how the"
        " project is written",
    ),
    "devops_archive_repository": Allowed(reads=2, batches=(("repository", 5),)),
    "devops_unarchive_repository": Allowed(reads=2, batches=(("repository", 5),)),
    "devops_put_branch_policy": Allowed(reads=3, batches=(("repository", 4),)),
    "devops_delete_branch_policy": Allowed(reads=3, batches=(("repository", 4),)),
    "devops_get_branch": Allowed(reads=1),
    "devops_get_commit": Allowed(reads=1),
    "devops_delete_branch": Allowed(reads=9, batches=(("repository", 4),), why=RECORDED),
    "devops_create_branch": Allowed(reads=12, batches=(("repository", 5),), why=RECORDED),
    "devops_author_commit": Allowed(reads=12, batches=(("repository", 6),), why=RECORDED),
    "devops_open_pull_request": Allowed(reads=4, batches=(KEY, ("repository", 6))),
    "devops_abandon_pull_request": Allowed(reads=4, batches=(("repository", 6),)),
    "devops_merge_pull_request": Allowed(reads=16, batches=(("repository", 11),), why=RECORDED),
    "devops_bypass_policies": Allowed(
        reads=16,
        batches=(("repository", 4), ("repository", 11)),
        why="who passes over the policies, and why, is on record before anything is merged; " + RECORDED,
    ),
    "devops_reopen_pull_request": Allowed(
        reads=7, batches=(("repository", 7),), why="its branches, its place in the index, and its policies"
    ),
    "devops_edit_pull_request": Allowed(reads=3, batches=(("repository", 4),)),
    "devops_label_pull_request": Allowed(reads=3, batches=(("repository", 4),)),
    "devops_ready_pull_request": Allowed(reads=3, batches=(("repository", 5),)),
    "devops_waive_policies": Allowed(reads=3, batches=(("repository", 6),)),
    "devops_auto_complete_pull_request": Allowed(reads=3, batches=(("repository", 6),)),
    "devops_cancel_auto_complete": Allowed(reads=3, batches=(("repository", 4),)),
    "devops_review_pull_request": Allowed(reads=3, batches=(("repository", 6),)),
    "devops_ask_reviewers": Allowed(reads=3, batches=(("repository", 5),)),
    "devops_release_reviewer": Allowed(reads=3, batches=(("repository", 4),)),
    "devops_report_check": Allowed(reads=4, batches=(("repository", 5),)),
    "devops_rerun_checks": Allowed(reads=3, batches=(("repository", 6),)),
    "devops_generate_pipeline": Allowed(
        reads=13,
        batches=(KEY, ("repository", 6), ("repository", 6)),
        why="the definition is a commit of its own, and then a pipeline",
    ),
    "devops_retry_pipeline_run": Allowed(
        reads=9,
        batches=(("repository", 11), ("run", 4)),
        why="the slot and the intent in the repository, the run in its own root",
    ),
    "devops_run_pipeline": Allowed(
        reads=8,
        batches=(("repository", 11), ("run", 4)),
        why="the slot and the intent in the repository, the run in its own root",
    ),
    "devops_cancel_pipeline_run": Allowed(reads=2, batches=(("run", 8),)),
    "devops_list_container_images": LIST,
    "devops_get_container_image": Allowed(reads=1),
    "devops_list_packages": LIST,
    "devops_get_package": Allowed(reads=1),
    "devops_report_build": Allowed(reads=3, batches=(KEY, ("run", 8))),
    "devops_request_container_image": Allowed(
        reads=4, batches=(KEY, ("run", 10)), why="the build, and the artifact that it is pushed from"
    ),
    "devops_report_image_scan": Allowed(reads=4, batches=(("run", 7),)),
    "devops_release_quarantined_image": Allowed(reads=3, batches=(("run", 6),)),
    "devops_publish_package": Allowed(
        reads=4, batches=(KEY, ("package", 10)), why="the build, and the artifact that is published"
    ),
    "devops_unlist_package": Allowed(reads=3, batches=(("package", 7),)),
    "devops_plan_release": Allowed(
        reads=11,
        batches=(KEY, ("component", 5), ("environment", 9)),
        why="the release in its component, its promotion in the environment",
    ),
    "devops_approve_release": Allowed(
        reads=15,
        batches=(("environment", 8),),
        why="the release, its track and each open promotion are looked at for the one that is meant",
    ),
    "devops_cancel_release": Allowed(
        reads=11,
        batches=(("environment", 6),),
        why="the release, its track and each open promotion are looked at for the one that is meant",
    ),
    "devops_promote_release": Allowed(
        reads=11,
        batches=(KEY, ("component", 5), ("environment", 19)),
        why="whether it may be asked for; the policy; the hop in its component; its promotion in the"
        " environment, which"
        " starts at once where it may",
    ),
    "devops_render_manifest": Allowed(reads=6, batches=(KEY, ("environment", 4))),
    "devops_reconcile_environment": Allowed(reads=1, queries=1, batches=(KEY, ("environment", 5))),
    "devops_provision_infrastructure": Allowed(
        reads=6,
        batches=(KEY, ("stack", 12), ("stack", 11)),
        why="the wish, then its preview: a crash between is taken up by the worker",
    ),
    "devops_list_infrastructure_plans": LIST,
    "devops_get_infrastructure_plan": Allowed(reads=1),
    "devops_list_planned_resources": Allowed(reads=1),
    "devops_get_infrastructure_plan_log": Allowed(reads=1),
    "devops_approve_infrastructure_plan": Allowed(reads=5, batches=(("stack", 15),)),
    "devops_cancel_infrastructure_plan": Allowed(reads=3, batches=(("stack", 6),)),
    "devops_list_stacks": LIST,
    "devops_get_stack": Allowed(reads=1),
    "devops_destroy_stack": Allowed(
        reads=7,
        batches=(("stack", 11), ("stack", 6)),
        why="the wish, then its preview: a crash between is taken up by the worker",
    ),
    "devops_get_environment": Allowed(reads=2),
    "devops_list_freeze_windows": Allowed(reads=2),
    "devops_get_rollout": Allowed(reads=2, why="the promotion says which deployment is its own"),
    "devops_get_release_eligibility": Allowed(
        reads=7,
        why="what is asked at the start: the release, its track, the environment, its policy, the one before",
    ),
    "devops_advance_rollout": Allowed(reads=5, batches=(("environment", 10),)),
    "devops_abort_promotion": Allowed(reads=5, batches=(("environment", 6),)),
    "devops_override_freeze": Allowed(reads=6, batches=(("environment", 5),)),
    "devops_reject_release": Allowed(
        reads=14,
        batches=(("environment", 10),),
        why="the release, its track and each open promotion are looked at for the one that is meant",
    ),
    "devops_retry_release": Allowed(
        reads=8,
        batches=(("component", 5), ("environment", 17)),
        why="the hop in its component, its promotion in the environment, and it starts at once where it may",
    ),
    "devops_roll_back_release": Allowed(
        reads=10,
        batches=(("environment", 10),),
        why="each promotion of the release is looked at for the one by which it runs",
    ),
    "devops_set_environment_policy": Allowed(reads=2, batches=(("environment", 5),)),
    "devops_add_freeze_window": Allowed(reads=2, batches=(("environment", 6),)),
    "devops_delete_freeze_window": Allowed(reads=2, batches=(("environment", 5),)),
    "devops_release_environment_hold": Allowed(reads=2, batches=(("environment", 5),)),
    "devops_upload_artifact": Allowed(reads=2, batches=(("artifact", 3),)),
    "devops_get_artifact": Allowed(reads=1),
}
ENDPOINTS = [endpoint for endpoint in endpoint_table(declared()) if endpoint.surface == "devops"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def costs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cost]:
    return await store_costs(Path(tmp_path_factory.mktemp("costs")))


def named(endpoint: Endpoint) -> str:
    return endpoint.name


async def test_every_endpoint_of_the_surface_is_priced(costs: Mapping[str, Cost]) -> None:
    names = {endpoint.name for endpoint in ENDPOINTS}
    assert names == set(ALLOWED)
    assert names == set(costs)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=named)
async def test_it_asks_no_more_of_the_store_than_it_may(
    costs: Mapping[str, Cost], endpoint: Endpoint
) -> None:
    cost, allowed = costs[endpoint.name], ALLOWED[endpoint.name]
    assert cost.batches == allowed.batches
    assert cost.reads <= allowed.reads
    assert cost.queries <= allowed.queries


@pytest.mark.parametrize("endpoint", [each for each in ENDPOINTS if each.method == "GET"], ids=named)
async def test_a_read_writes_nothing(costs: Mapping[str, Cost], endpoint: Endpoint) -> None:
    assert costs[endpoint.name].batches == ()


async def test_what_needs_more_than_one_batch_says_why() -> None:
    silent = [
        name
        for name, allowed in ALLOWED.items()
        if len([batch for batch in allowed.batches if batch != KEY]) > 1 and not allowed.why
    ]
    assert silent == []


async def test_nothing_is_bound_in_a_batch_of_its_own_but_the_key(costs: Mapping[str, Cost]) -> None:
    """A write of one document outside a batch is how a state and its event come apart."""
    lone = {batch for cost in costs.values() for batch in cost.batches if batch[1] == 1}
    assert lone == {KEY}
