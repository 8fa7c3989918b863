"""The lists of stacks and infrastructure plans: what each can be sorted and filtered by."""

from typing import Annotated

from functions.api.devops.models_iac import StackId
from functions.api.devops.models_releases import EnvironmentName
from functions.api.devops.queries import CREATED, ENVIRONMENT, PROJECT, UPDATED
from functions.http.fields import Name
from functions.http.lists import ListingQuery, OneOf, ids, words
from shared.domain.infrastructure.model import Operation, PlanStatus, StackStatus
from shared.domain.kernel.filters import Field
from shared.services.listing import Listing

STACKS = Listing(
    "stack",
    {
        "name": Field("name"),
        "projectId": PROJECT,
        "environment": ENVIRONMENT,
        "program": Field("program"),
        "status": Field("status", words=words("status", StackStatus)),
        "createdBy": Field("created_by"),
        "createdAt": CREATED,
        "updatedAt": UPDATED,
    },
    sort="-createdAt",
)
INFRASTRUCTURE_PLANS = Listing(
    "infrastructure-plan",
    {
        "stackId": ids("stack", "stack"),
        "stack": Field("stack_name"),
        "projectId": PROJECT,
        "environment": ENVIRONMENT,
        "program": Field("program"),
        "operation": Field("operation", words=words("operation", Operation)),
        "status": Field("status", words=words("status", PlanStatus)),
        "requestedBy": Field("requested_by"),
        "createdAt": CREATED,
        "updatedAt": UPDATED,
    },
    sort="-createdAt",
)


class StacksQuery(ListingQuery):
    LISTING = STACKS

    environment: EnvironmentName | None = None
    project_id: Name | None = None
    status: Annotated[str, OneOf(words("status", StackStatus))] | None = None


class InfrastructurePlansQuery(ListingQuery):
    LISTING = INFRASTRUCTURE_PLANS

    stack_id: StackId | None = None
    environment: EnvironmentName | None = None
    project_id: Name | None = None
    status: Annotated[str, OneOf(words("status", PlanStatus))] | None = None
