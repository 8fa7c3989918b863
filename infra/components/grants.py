"""Turns the table of `infra/access.py` into role assignments. Decides nothing about who may do what."""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_azure_native import authorization, cosmosdb

from infra.access import COSMOS_ROLES, GRANTS, ROLES, Grant, assignment_id
from infra.components.data import Data
from infra.components.site import Component, Site, Text

type Scopes = Mapping[str, Sequence[tuple[str, Text]]]
"""Scope of a grant -> the resources behind it in this stack: a short name and the resource id."""


class Grants(Component):
    """The rows of the table whose scope is among `scopes` and whose identity is among `principals`."""

    def __init__(
        self, site: Site, name: str, principals: Mapping[str, Text], scopes: Scopes, data: Data
    ) -> None:
        super().__init__(site, name)
        self._data = data
        for grant in GRANTS:
            for label, scope in scopes.get(grant.scope, ()) if grant.who in principals else ():
                make = self._cosmos if grant.role in COSMOS_ROLES else self._assign
                make(grant, principals[grant.who], label, scope)
        self.register_outputs({})

    def _assign(self, grant: Grant, principal: Text, label: str, scope: Text) -> None:
        definition = pulumi.Output.concat(
            "/subscriptions/",
            self.site.subscription,
            "/providers/Microsoft.Authorization/roleDefinitions/",
            ROLES[grant.role],
        )
        authorization.RoleAssignment(
            _logical_name(grant, label),
            role_assignment_name=assignment_id(self.site.names.suffix, grant, label),
            principal_id=principal,
            # Without its type a principal that was made a moment ago is looked up, and not found.
            principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
            role_definition_id=definition,
            scope=scope,
            description=grant.why,
            opts=self.under(delete_before_replace=True),
        )

    def _cosmos(self, grant: Grant, principal: Text, label: str, scope: Text) -> None:
        account = self._data.account
        definition = pulumi.Output.concat(account.id, "/sqlRoleDefinitions/", COSMOS_ROLES[grant.role])
        cosmosdb.SqlResourceSqlRoleAssignment(
            _logical_name(grant, label),
            account_name=account.name,
            role_assignment_id=assignment_id(self.site.names.suffix, grant, label),
            principal_id=principal,
            role_definition_id=definition,
            scope=scope,
            opts=self.under(delete_before_replace=True, depends_on=[self._data.database]),
            **self.site.inside,
        )


def _logical_name(grant: Grant, label: str) -> str:
    return f"{grant.who}-{grant.role}-{label}".lower().replace(" ", "-")
