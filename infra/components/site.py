"""What every component is handed: the stack's settings, names and resource group. Makes no resource."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.names import Names
from infra.settings import Settings

type Text = pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a stack is built."""

    settings: Settings
    names: Names
    group: Text
    group_id: Text
    subscription: Text
    tenant: Text
    tags: Mapping[str, str]

    @property
    def location(self) -> str:
        return self.settings.location

    @property
    def place(self) -> dict[str, Any]:
        """What a resource that stands in a region and carries tags is made with."""
        return {"resource_group_name": self.group, "location": self.location, "tags": dict(self.tags)}

    @property
    def inside(self) -> dict[str, Any]:
        """What a part of another resource is made with."""
        return {"resource_group_name": self.group}

    @property
    def public_access(self) -> str:
        return "Disabled" if self.settings.private else "Enabled"


class Component(pulumi.ComponentResource):
    """A part of the stack, parent of its resources."""

    def __init__(self, site: Site, name: str) -> None:
        super().__init__(f"slipway:infra:{type(self).__name__}", name)
        self.site = site

    def under(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def kept(self, **options: Any) -> pulumi.ResourceOptions:
        """For what holds data: where the stack says so, the program cannot destroy it."""
        return self.under(protect=self.site.settings.protect or None, **options)
