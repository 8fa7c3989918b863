"""How a component comes to be and how its release line grows."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from shared.domain.components.model import Component, ReleaseLine, component_id, release_line_id
from shared.domain.components.semver import next_version
from shared.domain.kernel.change import Change


def mention(
    tenant: str, project: str, module: str, *, repository: str | None, at: datetime
) -> Change[Component]:
    """A component is created when it is first named."""
    component = Component(
        id=component_id(tenant, project, module),
        tenant=tenant,
        project=project,
        module=module,
        repository=repository,
        created_at=at,
        updated_at=at,
    )
    return Change(component, "component.created")


def first_line(component: Component) -> ReleaseLine:
    return ReleaseLine(id=release_line_id(component.id), tenant=component.tenant, component=component.id)


def extend(line: ReleaseLine, commit: str, messages: Iterable[str]) -> ReleaseLine:
    """The line with one more release on it, made of `commit`."""
    return replace(
        line,
        last_number=line.last_number + 1,
        last_version=next_version(line.last_version, messages),
        last_commit=commit,
    )
