"""Branch policies of a repository: which branches only pull requests may move, and what these need."""

from functions.api.devops.models_policies import BranchPolicyView, PolicyName, PutBranchPolicy
from functions.api.devops.models_source import RepositoryId
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.source.policies import BranchPolicy
from shared.services.unit import Page

WRITE, READ = "devops.branchpolicies.write", "devops.branchpolicies.read"


@devops.get("/repositories/{repositoryId}/branch-policies", scope=READ, returns=BranchPolicyView)
async def list_branch_policies(call: Call, repository_id: RepositoryId) -> Page[BranchPolicy]:
    """List the branch policies of a repository by name."""
    return await call.app.branch_policies.list(call.actor, repository_id)


@devops.get("/repositories/{repositoryId}/branch-policies/{policyId}", scope=READ, returns=BranchPolicyView)
async def get_branch_policy(call: Call, repository_id: RepositoryId, policy_id: PolicyName) -> BranchPolicy:
    """Retrieve a branch policy."""
    return await call.app.branch_policies.get(call.actor, repository_id, policy_id)


@devops.put(
    "/repositories/{repositoryId}/branch-policies/{policyId}",
    scope=WRITE,
    returns=BranchPolicyView,
    examples={
        "tenantId": "connectsoft",
        "pattern": "release/*",
        "requiredChecks": ["build", "security/scan"],
        "minimumReviewers": 2,
        "requireUpToDate": True,
        "bypassRoles": ["operator"],
    },
)
async def put_branch_policy(
    call: Call, repository_id: RepositoryId, policy_id: PolicyName, body: PutBranchPolicy
) -> BranchPolicy:
    """Set a branch policy; of several that cover a branch, the strictest holds."""
    return await call.app.branch_policies.put(
        call.actor, repository_id, policy_id, body.draft(), call.once, revision=call.if_match
    )


@devops.delete(
    "/repositories/{repositoryId}/branch-policies/{policyId}", scope=WRITE, returns=None, status=204
)
async def delete_branch_policy(call: Call, repository_id: RepositoryId, policy_id: PolicyName) -> None:
    """Delete a branch policy; branches that no other covers are open to pushes from then on."""
    await call.app.branch_policies.delete(
        call.actor, repository_id, policy_id, call.once, revision=call.if_match
    )
