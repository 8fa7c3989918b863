"""The pipelines of one project: definitions, builds of them, and what a runner does. Serves nothing."""

import io
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

from tests.standins.azure_devops import errors
from tests.standins.azure_devops.errors import Refused
from tests.standins.azure_devops.repository import Repository

_NOT_IN_NAMES = frozenset('"/:<>\\|?@*')


@dataclass(frozen=True)
class Ending:
    """How a build ends. `jobs` are the names of their tasks; `log` is by job; an artifact is its files."""

    result: str = "succeeded"
    jobs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    log: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)


@dataclass
class Artifact:
    id: int
    name: str
    archive: bytes
    url: str
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def told(self) -> dict[str, Any]:
        project = self.url.partition("/_apis")[0]
        return {
            "id": self.id,
            "name": self.name,
            "source": None,
            "resource": {
                "type": "PipelineArtifact",
                "data": self.key,
                "properties": {"RootId": self.key, "artifactsize": str(len(self.archive))},
                "url": f"{self.url}?artifactName={self.name}",
                "downloadUrl": f"{project}/_apis/artifact/{self.key}/content?format=zip",
            },
        }


@dataclass
class Build:
    """`told` is what the service answers about it."""

    told: dict[str, Any]
    records: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[int, bytes] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)


@dataclass
class Pipelines:
    """With an `ending`, every build ends so as soon as it is queued."""

    definitions: dict[int, dict[str, Any]] = field(default_factory=dict)
    builds: dict[int, Build] = field(default_factory=dict)
    ending: Ending | None = None

    def define(self, repositories: Sequence[Repository], number: int, url: str, body: Any) -> dict[str, Any]:
        """As `POST pipelines` has it; only YAML files in a repository of the project."""
        name, folder = body.get("name", ""), body.get("folder", "\\")
        configuration = body.get("configuration", {})
        wanted = configuration.get("repository", {})
        if not name or _NOT_IN_NAMES & set(name) or len(name) > 260:
            raise errors.bad(
                f"The name '{name}' is not valid for a pipeline.", "InvalidPipelineNameException"
            )
        if configuration.get("type") != "yaml" or not configuration.get("path"):
            raise errors.bad("The configuration must be of type yaml, with a path.")
        found = next((each for each in repositories if each.id == wanted.get("id")), None)
        if found is None or wanted.get("type") != "azureReposGit":
            raise errors.no_repository(str(wanted.get("id")))
        for each in self.definitions.values():
            if (each["path"], each["name"].casefold()) == (folder, name.casefold()):
                raise errors.definition_exists(name)
        self.definitions[number] = {
            "id": number,
            "name": name,
            "path": folder,
            "type": "build",
            "quality": "definition",
            "queueStatus": "enabled",
            "revision": 1,
            "createdDate": told(datetime.now(UTC)),
            "uri": f"vstfs:///Build/Definition/{number}",
            "url": f"{url}/_apis/build/Definitions/{number}?revision=1",
            "process": {"yamlFilename": configuration["path"], "type": 2},
            "repository": {"id": found.id, "type": "TfsGit", "name": found.name},
        }
        return self.pipeline(number, url)

    def pipeline(self, number: int, url: str) -> dict[str, Any]:
        definition = self.definition(number)
        return {
            "id": number,
            "name": definition["name"],
            "folder": definition["path"],
            "revision": 1,
            "configuration": {"type": "yaml", "path": definition["process"]["yamlFilename"]},
            "url": f"{url}/_apis/pipelines/{number}?revision=1",
        }

    def definition(self, number: object) -> dict[str, Any]:
        for key, found in self.definitions.items():
            if key == number:
                return found
        raise errors.no_definition(number)

    def listed(self, repository: str, *, whole: bool) -> list[dict[str, Any]]:
        found = (each for each in self.definitions.values() if repository in {"", each["repository"]["id"]})
        shallow = {"process", "repository"}
        return [each if whole else {k: v for k, v in each.items() if k not in shallow} for each in found]

    def queue(self, repositories: Sequence[Repository], number: int, url: str, body: Any) -> Build:
        definition = self.definition(body.get("definition", {}).get("id"))
        (repository,) = (each for each in repositories if each.id == definition["repository"]["id"])
        branch = body.get("sourceBranch") or repository.default or ""
        head = repository.refs().get(branch)
        path, given = definition["process"]["yamlFilename"], body.get("templateParameters") or {}
        problems = _problems(repository, path, head, given)
        if definition["queueStatus"] == "disabled":
            problems = ["The pipeline is disabled."]
        if problems or head is None:
            raise errors.not_queued(problems)
        person = {"displayName": "Token Owner", "id": "7be59e48-a479-4e2b-a453-1234567890ab"}
        place = f"{url}/_apis/build/Builds/{number}"
        web = f"{url}/_build/results?buildId={number}"
        build = self.builds[number] = Build(
            {
                "_links": {"self": {"href": place}, "web": {"href": web}},
                "id": number,
                "buildNumber": str(number),
                "status": "notStarted",
                "queueTime": told(datetime.now(UTC)),
                "url": place,
                "uri": f"vstfs:///Build/Build/{number}",
                "definition": {key: definition[key] for key in ("id", "name", "path", "type", "url")},
                "sourceBranch": branch,
                "sourceVersion": head,
                "priority": "normal",
                "reason": "manual",
                "requestedBy": person,
                "requestedFor": person,
                "templateParameters": given,
                "triggerInfo": {},
                "tags": [],
                "keepForever": False,
                "repository": {"id": repository.id, "type": "TfsGit", "clean": None},
            }
        )
        if self.ending is not None:
            self.end(number, self.ending)
        return build

    def build(self, number: int) -> Build:
        if number not in self.builds:
            raise errors.no_build(number)
        return self.builds[number]

    def look(self, number: int) -> Build:
        """One that is being cancelled has ended by the next look."""
        build = self.build(number)
        if build.told["status"] == "cancelling":
            self.end(number, Ending("canceled"))
        return build

    def cancel(self, number: int) -> Build:
        build = self.build(number)
        match build.told["status"]:
            case "notStarted":
                self.end(number, Ending("canceled"))
            case "inProgress":
                build.told["status"] = "cancelling"
            case "completed":
                raise Refused(
                    400, "BuildStatusInvalidChangeException", f"The build {number} has ended already."
                )
        return build

    def begin(self, number: int) -> None:
        self.build(number).told |= {"status": "inProgress", "startTime": told(datetime.now(UTC))}

    def end(self, number: int, ending: Ending, at: datetime | None = None) -> None:
        build, finish = self.build(number), told(at or datetime.now(UTC))
        start = build.told.setdefault("startTime", build.told["queueTime"])
        build.told |= {"status": "completed", "result": ending.result, "finishTime": finish}
        ran = {"state": "completed", "result": ending.result, "startTime": start, "finishTime": finish}
        stage = self._record(build, None, "Stage", "__default", 1, ran)
        phase = self._record(build, stage, "Phase", "Job", 1, ran)
        for order, name in enumerate(dict.fromkeys([*ending.jobs, *ending.log]), 1):
            job = self._record(build, phase, "Job", name, order, ran)
            content = ending.log[name].encode() if name in ending.log else None
            for place, task in enumerate(ending.jobs.get(name, ()), 1):
                # The whole of it in the first, as the job's log is that of its tasks.
                said = content if place == 1 else b""
                self._record(build, job, "Task", task, place, ran, said if content is not None else None)
            self._keep(build, job, content)
        for name, files in ending.artifacts.items():
            archive = _zipped(name, files)
            url = f"{build.told['url']}/artifacts"
            build.artifacts.append(Artifact(len(build.artifacts) + 1, name, archive, url))

    def _record(
        self,
        build: Build,
        parent: dict[str, Any] | None,
        kind: str,
        name: str,
        order: int,
        ran: Mapping[str, Any],
        content: bytes | None = None,
    ) -> dict[str, Any]:
        record = {
            "id": str(uuid.uuid4()),
            "parentId": parent["id"] if parent else None,
            "type": kind,
            "name": name,
            "order": order,
            "log": None,
            "attempt": 1,
            "previousAttempts": [],
            **ran,
        }
        build.records.append(record)
        self._keep(build, record, content)
        return record

    @staticmethod
    def _keep(build: Build, record: dict[str, Any], content: bytes | None) -> None:
        if content is not None:
            number = len(build.logs) + 1
            build.logs[number] = content
            url = f"{build.told['url']}/logs/{number}"
            record["log"] = {"id": number, "type": "Container", "url": url}


def told(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


def _problems(repository: Repository, path: str, head: str | None, given: Mapping[str, str]) -> list[str]:
    if head is None:
        return ["The branch was not found, or you may not see it."]
    try:
        item = repository.item(head, path)
    except Refused:
        return [
            "An error occurred while loading the YAML build pipeline. Could not find"
            f" {path} in repository {repository.name} using commit {head}."
        ]
    pipeline = yaml.safe_load(repository.blob(item["objectId"])) or {}
    parameters = {each["name"]: each for each in pipeline.get("parameters", [])}
    unknown = [f"Unexpected parameter '{name}'" for name in sorted(given.keys() - parameters.keys())]
    missing = [
        f"A value for the '{name}' parameter must be provided."
        for name, each in parameters.items()
        if name not in given and "default" not in each
    ]
    return unknown + missing


def _zipped(name: str, files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for path, content in files.items():
            opened.writestr(f"{name}/{path}", content)
    return archive.getvalue()
