"""The deployable unit and the line of releases that it has had. Names stay as the caller wrote them."""

from datetime import datetime

from shared.domain.kernel.ids import child_id, root_id
from shared.domain.kernel.record import Entity, record


@record("component", root="component")
class Component(Entity):
    """One deployable unit of a project. `repository` is where its last planned build came from."""

    id: str
    tenant: str
    project: str
    module: str
    repository: str | None
    created_at: datetime
    updated_at: datetime
    revision: int = 0


@record("release-line", root="component")
class ReleaseLine(Entity):
    """The counter of a component's releases: numbers without gaps, versions that only grow."""

    id: str
    tenant: str
    component: str
    last_number: int = 0
    last_version: str | None = None
    last_commit: str | None = None
    revision: int = 0


def component_id(tenant: str, project: str, module: str) -> str:
    return root_id("component", tenant, project, module)


def release_line_id(component: str) -> str:
    return child_id(component, "release-line")
