"""The audit trail of anything that is changed through the API."""

from functions.api.devops.models_source import AuditQuery, AuditTrailView
from functions.api.devops.surface import devops
from functions.http.endpoint import Call
from shared.domain.kernel.errors import NotFound
from shared.domain.kernel.ids import parse_id, root_of
from shared.services.audit import AuditTrail

# Prefix of an id -> the kind of root its tree has.
_ROOTS = {
    "repo": "repository",
    "branch": "repository",
    "commit": "repository",
    "pr": "repository",
    "pipe": "repository",
    "run": "run",
    "build": "run",
    "rel": "component",
    "prom": "environment",
    "appr": "environment",
    "dep": "environment",
    "env": "environment",
    "man": "environment",
    "sync": "environment",
    "comp": "component",
    "infra": "stack",
    "stack": "stack",
}


@devops.get("/audit-entries", scope="devops.audit.read", returns=AuditTrailView)
async def list_audit_entries(call: Call, query: AuditQuery) -> AuditTrail:
    """List and verify the hash-chained audit entries of the root that a resource belongs to, oldest first."""
    prefix = query.resource_id.partition("-")[0]
    found = parse_id(query.resource_id, prefix)
    if found is None or prefix not in _ROOTS:
        raise NotFound("There is no such resource.")
    return await call.app.audit.trail(
        call.actor, root_of(_ROOTS[prefix], found), after=query.after_sequence, limit=query.limit
    )
