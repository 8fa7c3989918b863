"""The one permission vocabulary: what a scope is called, and which scopes a role grants.

A grant is a dotted scope, or a prefix ending in `.*`, or `*.read` for every scope of that verb, or `*`.
"""

from collections.abc import Iterable

PUBLIC = "public"

_DEVELOP = (
    "*.read",
    "devops.repositories.write",
    "devops.artifacts.write",
    "devops.images.write",
    "devops.packages.write",
    "devops.pullrequests.write",
    "devops.pullrequests.review",
    "devops.pipelines.write",
    "devops.pipelines.run",
    "devops.releases.plan",
)
_OPERATE = (
    "devops.promotions.write",
    "devops.manifests.write",
    "devops.gitops.reconcile",
    "devops.gitops.write",
    "devops.releases.cancel",
    "devops.releases.rollback",
    "devops.environments.write",
    "devops.environments.release",
    "devops.iac.provision",
)

_BUILD = ("devops.buildresults.write", "devops.checks.write", "devops.images.scan")
"""What a CI system says of its own work: nobody who wrote the code may say it instead."""

ROLE_GRANTS: dict[str, tuple[str, ...]] = {
    "viewer": ("*.read",),
    "developer": _DEVELOP,
    "approver": (
        "*.read",
        "devops.pullrequests.review",
        "devops.releases.approve",
        "devops.iac.approve",
        "devops.images.release",
    ),
    "operator": ("*.read", *_OPERATE),
    "service-account": (*_DEVELOP, *_OPERATE, *_BUILD),
    "agent": _DEVELOP,
    "admin": ("*",),
}


def grants_of(scopes: Iterable[str], roles: Iterable[str]) -> frozenset[str]:
    """Everything that a token's own scopes and its roles grant. Unknown roles grant nothing."""
    granted = set(scopes)
    for role in roles:
        granted.update(ROLE_GRANTS.get(role, ()))
    return frozenset(granted)


def is_granted(scope: str, grants: frozenset[str]) -> bool:
    if scope in grants or "*" in grants:
        return True
    area, _, verb = scope.rpartition(".")
    return f"*.{verb}" in grants or any(g.endswith(".*") and f"{area}.".startswith(g[:-1]) for g in grants)
