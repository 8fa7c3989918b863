"""What a pipeline definition says, and every way it can be wrong. Text formats are read elsewhere."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from shared.domain.kernel.errors import Problem
from shared.domain.pipelines.errors import InvalidDefinition
from shared.domain.pipelines.model import ModuleType

FORMAT_VERSION = 1
FOLDER = ".slipway/pipelines"
MAX_BYTES = 64 * 1024
"""A definition's text; its steps are copied into the run's document, which has to stay small."""
MAX_STEPS = 100
MAX_PATHS = 20

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")
_UI = (ModuleType.FRONTEND, "ui")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """A shell script, started with `sh -eu -c` in the checkout. `timeout` in seconds, None for the default.

    A failing `optional` step does not end the run.
    """

    name: str
    run: str
    timeout: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True, slots=True)
class TaskSpec:
    name: str
    steps: tuple[StepSpec, ...]


@dataclass(frozen=True, slots=True)
class StageSpec:
    name: str
    tasks: tuple[TaskSpec, ...]


@dataclass(frozen=True, slots=True)
class ArtifactSpec:
    """A file that the steps must have made. `path` is relative to the checkout."""

    name: str
    path: str
    kind: str = "archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A pipeline. `test_reports` are globs of JUnit files, `coverage_report` one Cobertura file."""

    module: str
    module_type: ModuleType
    stages: tuple[StageSpec, ...]
    artifacts: tuple[ArtifactSpec, ...] = ()
    test_reports: tuple[str, ...] = ()
    coverage_report: str | None = None
    feed: str | None = None

    @property
    def steps(self) -> tuple[StepSpec, ...]:
        """Every step, in the order of execution."""
        return tuple(step for stage in self.stages for task in stage.tasks for step in task.steps)


def short_name(module: str) -> str:
    """`module-orders` is called `orders` in paths and package names."""
    short = module.removeprefix("module-")
    return short if short[:1].isalnum() else module


def definition_path(module: str) -> str:
    return f"{FOLDER}/{short_name(module)}.yml"


def read_definition(data: object) -> Definition:
    """The definition that plain data (mappings, lists, texts, numbers) describes.

    Raises InvalidDefinition with every problem found.
    """
    reader = _Reader()
    found = reader.definition(data)
    if reader.problems or found is None:
        raise refused(*reader.problems)
    return found


def refused(*problems: Problem) -> InvalidDefinition:
    text = "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
    return InvalidDefinition(f"The pipeline definition cannot be run: {text}", *problems)


def module_type_of(word: str) -> ModuleType | None:
    """A module type by its name in any case. Metadata calls a frontend `UI`."""
    name = word.lower()
    return next((kind for kind in ModuleType if kind.lower() == name or (kind, name) == _UI), None)


class _Reader:
    """Walks plain data and collects problems instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def definition(self, data: object) -> Definition | None:
        known = ("version", "module", "moduleType", "feed", "stages", "artifacts", "testReports")
        fields = self._fields(data, "", (*known, "coverageReport"))
        if not fields:
            return None
        if fields.get("version") != FORMAT_VERSION:
            self._problem("version", f"say `version: {FORMAT_VERSION}`")
        kind = module_type_of(str(fields.get("moduleType", "")))
        if kind is None:
            self._problem("moduleType", f"use one of {', '.join(ModuleType)}")
        made = Definition(
            module=self._name(fields.get("module"), "module"),
            module_type=kind or ModuleType.MICROSERVICE,
            feed=self._text(fields, "feed", "feed") or None,
            stages=self._each(fields, "stages", "", self._stage),
            artifacts=self._each(fields, "artifacts", "", self._artifact, at_least=0),
            test_reports=self._each(fields, "testReports", "", self._path, at_least=0),
            coverage_report=(
                self._path(fields["coverageReport"], "coverageReport") if "coverageReport" in fields else None
            ),
        )
        self._unique([stage.name for stage in made.stages], "stages")
        self._unique([artifact.name for artifact in made.artifacts], "artifacts")
        for name, paths in (("artifacts", made.artifacts), ("testReports", made.test_reports)):
            if len(paths) > MAX_PATHS:
                self._problem(name, f"has {len(paths)} entries; at most {MAX_PATHS} are allowed")
        if len(made.steps) > MAX_STEPS:
            self._problem("stages", f"have {len(made.steps)} steps; at most {MAX_STEPS} are allowed")
        return made

    def _stage(self, data: object, where: str) -> StageSpec:
        fields = self._fields(data, where, ("name", "tasks"))
        tasks = self._each(fields, "tasks", where, self._task)
        self._unique([task.name for task in tasks], f"{where}.tasks")
        return StageSpec(self._name(fields.get("name"), f"{where}.name"), tasks)

    def _task(self, data: object, where: str) -> TaskSpec:
        fields = self._fields(data, where, ("name", "steps"))
        steps = self._each(fields, "steps", where, self._step)
        self._unique([step.name for step in steps], f"{where}.steps")
        return TaskSpec(self._name(fields.get("name"), f"{where}.name"), steps)

    def _step(self, data: object, where: str) -> StepSpec:
        fields = self._fields(data, where, ("name", "run", "timeoutSeconds", "environment", "optional"))
        run = self._text(fields, "run", f"{where}.run")
        if not run.strip() or "\x00" in run:
            self._problem(f"{where}.run", "give a shell script without NUL characters")
        timeout = fields.get("timeoutSeconds")
        if timeout is not None and (isinstance(timeout, bool) or not _is_positive(timeout)):
            self._problem(f"{where}.timeoutSeconds", "give a number of seconds above 0 and up to 86400")
            timeout = None
        optional = fields.get("optional", False)
        if not isinstance(optional, bool):
            self._problem(f"{where}.optional", "say true or false")
        return StepSpec(
            name=self._name(fields.get("name"), f"{where}.name"),
            run=run,
            timeout=None if timeout is None else float(str(timeout)),
            environment=self._environment(fields.get("environment", {}), f"{where}.environment"),
            optional=optional is True,
        )

    def _environment(self, data: object, where: str) -> dict[str, str]:
        if not isinstance(data, dict):
            self._problem(where, "give a mapping of names to texts")
            return {}
        read: dict[str, str] = {}
        for name, value in data.items():
            if not _VARIABLE.fullmatch(str(name)):
                self._problem(where, f"{str(name)[:64]!r} cannot be the name of a variable")
            elif not isinstance(value, str | int | float) or "\x00" in str(value):
                self._problem(f"{where}.{name}", "give a text")
            else:
                read[str(name)] = str(value).lower() if isinstance(value, bool) else str(value)
        return read

    def _artifact(self, data: object, where: str) -> ArtifactSpec:
        fields = self._fields(data, where, ("name", "path", "kind"))
        path = self._path(fields.get("path"), f"{where}.path")
        if any(mark in path for mark in "*?["):
            self._problem(f"{where}.path", "name one file; wildcards are for test reports only")
        kind = self._name(fields.get("kind", "archive"), f"{where}.kind")
        return ArtifactSpec(self._name(fields.get("name"), f"{where}.name"), path, kind)

    def _path(self, value: object, where: str) -> str:
        """A path that stays inside the checkout: an artifact outside it would be someone else's file."""
        if not isinstance(value, str) or not value or "\x00" in value or "\\" in value:
            self._problem(where, "give a path with forward slashes")
            return ""
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            self._problem(where, "stay inside the repository: no leading slash, no `..`")
        return value

    def _name(self, value: object, where: str) -> str:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            self._problem(
                where, "give a name of 1 to 100 letters, digits, blanks, dots, dashes or underscores"
            )
            return ""
        return value

    def _text(self, fields: Mapping[str, object], name: str, where: str) -> str:
        value = fields.get(name, "")
        if value is None or isinstance(value, str):
            return value or ""
        self._problem(where, "give a text")
        return ""

    def _fields(self, data: object, where: str, known: tuple[str, ...]) -> dict[str, object]:
        if not isinstance(data, dict):
            self._problem(where or "definition", f"give a mapping with {', '.join(known)}")
            return {}
        for name in data:
            if name not in known:
                at = f"{where}.{name}" if where else str(name)
                self._problem(at[:200], f"is not known here; known are {', '.join(known)}")
        return {str(name): value for name, value in data.items()}

    def _each[T](
        self,
        fields: Mapping[str, object],
        name: str,
        where: str,
        read: Callable[[object, str], T],
        *,
        at_least: int = 1,
    ) -> tuple[T, ...]:
        at = f"{where}.{name}" if where else name
        rows = fields.get(name, [])
        if not isinstance(rows, list) or len(rows) < at_least:
            self._problem(at, "give a list" + (" with at least one entry" if at_least else ""))
            return ()
        return tuple(read(row, f"{at}[{index}]") for index, row in enumerate(rows))

    def _unique(self, names: list[str], where: str) -> None:
        twice = sorted({name for name in names if name and names.count(name) > 1})
        if twice:
            self._problem(where, f"have two called {', '.join(twice)}; give each its own name")

    def _problem(self, where: str, message: str) -> None:
        self.problems.append(Problem(where, message, "invalid_definition"))


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value <= 86400
