"""An organization: who may do what, its projects, and the repositories in them. Serves nothing."""

import itertools
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.standins.azure_devops import errors
from tests.standins.azure_devops.hooks import Statuses, Subscriptions
from tests.standins.azure_devops.pipelines import Pipelines
from tests.standins.azure_devops.pulls import Pulls
from tests.standins.azure_devops.repository import Repository

IN_THE_MAKING = 2
"""How often someone may look at a new project before it is there."""


@dataclass(slots=True)
class Project:
    id: str
    name: str
    looks_left: int = 0
    repositories: dict[str, Repository] = field(default_factory=dict)
    pipelines: Pipelines = field(default_factory=Pipelines)
    _pulls: dict[str, Pulls] = field(default_factory=dict)
    _statuses: dict[str, Statuses] = field(default_factory=dict)

    def pulls(self, repository: Repository) -> Pulls:
        return self._pulls.setdefault(repository.id, Pulls(repository))

    def statuses(self, repository: Repository) -> Statuses:
        return self._statuses.setdefault(repository.id, Statuses())

    def look(self) -> bool:
        """Whether it is there by now."""
        self.looks_left -= 1
        return self.looks_left < 0

    def view(self, url: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "url": f"{url}/_apis/projects/{self.id}",
            "state": "wellFormed" if self.looks_left <= 0 else "createPending",
            "revision": 1,
            "visibility": "private",
            "lastUpdateTime": "2026-06-11T09:00:00Z",
        }


@dataclass(slots=True)
class Organization:
    """`tokens` by what they may not do, as `GenericContribute`."""

    name: str
    tokens: dict[str, frozenset[str]] = field(default_factory=dict)
    projects: dict[str, Project] = field(default_factory=dict)
    operations: dict[str, Project] = field(default_factory=dict)
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def add_project(self, name: str) -> Project:
        project = self.projects[name.casefold()] = Project(str(uuid.uuid4()), name)
        return project

    def project(self, name: str) -> Project:
        for each in self.projects.values():
            if name.casefold() in {each.name.casefold(), each.id}:
                return each
        raise errors.no_project(name)

    def repository(self, project: str, name: str) -> Repository:
        for each in self.project(project).repositories.values():
            if name.casefold() in {each.name.casefold(), each.id}:
                return each
        raise errors.no_repository(name)
