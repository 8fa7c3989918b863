"""Releases, environments, promotions and votes as a test of the pure rules needs them."""

from dataclasses import replace
from typing import Any

from shared.domain.approvals.model import Approval, ApprovalStatus, Decision, approval_id
from shared.domain.components.lifecycle import extend, first_line, mention
from shared.domain.deployments.lifecycle import begin
from shared.domain.deployments.model import Deployment
from shared.domain.environments.lifecycle import Ladder, declare
from shared.domain.environments.model import Environment
from shared.domain.kernel.actor import Actor, ActorKind
from shared.domain.kernel.ids import root_id
from shared.domain.pipelines.model import BuildArtifact, BuildResult, BuildStatus, build_result_id, run_id
from shared.domain.promotions.gates import Facts
from shared.domain.promotions.lifecycle import request
from shared.domain.promotions.model import Promotion, PromotionStatus
from shared.domain.releases.lifecycle import cut, first_track, plan
from shared.domain.releases.model import Release, ReleaseStatus, Strategy
from tests.support.app import START

TENANT = "acme"
PAULA = Actor("user:paula", ActorKind.HUMAN, TENANT)
PLANNER = Actor("agent:Planner", ActorKind.AGENT, TENANT, on_behalf_of="user:paula")
ANN = Actor("user:ann", ActorKind.HUMAN, TENANT)
BOB = Actor("user:bob", ActorKind.HUMAN, TENANT)
MANAGER = Actor("agent:ReleaseManager", ActorKind.AGENT, TENANT)
LADDER = Ladder.of({"dev": 0, "test": 0, "staging": 1, "prod": 2})


def an_environment(name: str = "staging") -> Environment:
    return declare(TENANT, LADDER.resolve(name), START).entity


def a_build(**changes: Any) -> BuildResult:
    run = run_id(TENANT, "pipeline", "1")
    build = BuildResult(
        id=build_result_id(run, 1),
        tenant=TENANT,
        project="proj-x",
        module="module-y",
        repository=root_id("repository", TENANT, "proj-x/api"),
        pipeline="pipeline",
        pipeline_run=run,
        branch="main",
        commit_sha="c" * 40,
        build_number="20260611.1",
        status=BuildStatus.SUCCEEDED,
        tests=None,
        coverage=None,
        artifacts=(an_artifact("bundle", "a"),),
        exit_codes=(),
        logs_uri="",
        created_at=START,
    )
    return replace(build, **changes)


def an_artifact(name: str, filler: str) -> BuildArtifact:
    return BuildArtifact(
        name=name,
        kind="bundle",
        ref=f"artifacts/sha256/{filler * 64}",
        digest=f"sha256:{filler * 64}",
        size=1,
    )


def a_release(build: BuildResult | None = None, by: Actor = PLANNER, **changes: Any) -> Release:
    build = build or a_build()
    component = mention(TENANT, build.project, build.module, repository=None, at=START).entity
    line = extend(first_line(component), build.commit_sha, [])
    return replace(cut(component, line, build, by, START).entity, **changes)


def a_promotion(
    environment: Environment | None = None,
    by: Actor = PLANNER,
    release: Release | None = None,
    **changes: Any,
) -> Promotion:
    environment = environment or an_environment()
    release = release or a_release()
    track = plan(release, first_track(release), environment, Strategy.ROLLING_UPDATE, by, START).entity
    return replace(request(release, track.hops[-1], environment).entity, **changes)


def an_approval(
    promotion: Promotion, by: Actor = ANN, decision: Decision = Decision.APPROVED, **changes: Any
) -> Approval:
    approval = Approval(
        id=approval_id(promotion.id, by.subject),
        tenant=TENANT,
        promotion=promotion.id,
        environment=promotion.environment,
        release=promotion.release,
        release_digest=promotion.release_digest,
        approver=by.subject,
        approver_for=by.on_behalf_of,
        approver_kind=by.kind,
        decision=decision,
        comment="looked at it",
        status=ApprovalStatus.ACTIVE,
        created_at=START,
        updated_at=START,
    )
    return replace(approval, **changes)


def some_facts(promotion: Promotion, **changes: Any) -> Facts:
    """Facts with which every gate but the votes passes."""
    facts = Facts(
        release_status=ReleaseStatus.READY,
        release_digest=promotion.release_digest,
        arrived_before=True,
        current_release=None,
        others_open=False,
        human_required=False,
    )
    return replace(facts, **changes)


def a_deployment() -> Deployment:
    approved = a_promotion(status=PromotionStatus.APPROVED)
    return begin(approved, 1, None, START).entity
