"""The project file and the configuration of a stack: `Pulumi.yaml`, `Pulumi.<stack>.yaml`, and what the
caller sets above them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shared.adapters.strict_yaml import load_yaml
from shared.domain.kernel.errors import Problem
from shared.ports.provisioner import BadConfig, Config

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SECURE = "is encrypted with a key that this engine does not have; set its value with the request"


@dataclass(frozen=True, slots=True)
class Project:
    """`main` is the file to run, `config` has full keys (`namespace:key`) and texts."""

    name: str
    folder: Path
    main: Path
    config: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def values(self) -> dict[str, str]:
        """Everything the program may read, secrets too."""
        return {**self.config, **self.secrets}


def is_name(text: str) -> bool:
    """Whether this may name a stack or an organization: it becomes a part of URNs and of file names."""
    return _NAME.fullmatch(text) is not None


def project_name(folder: Path) -> str:
    """Raises BadConfig."""
    return str(_project(folder)["name"])


def load(folder: Path, stack: str, above: Config) -> Project:
    """Raises BadConfig with every problem at once."""
    project = _project(folder)
    name = str(project["name"])
    problems: list[Problem] = []
    values: dict[str, str] = {}
    secure: set[str] = set()
    for key, value in (*_defaults(project, name), *_of_stack(folder, stack, name)):
        if isinstance(value, dict) and set(value) == {"secure"}:
            secure.add(key)
        else:
            values[key] = value if isinstance(value, str) else json.dumps(value)
            secure.discard(key)
    given = {_full(key, name): value for key, value in above.values.items()}
    secrets = {_full(key, name): value for key, value in above.secrets.items()}
    problems += [
        Problem(f"config.{key}", f"`{key}` {_SECURE}.")
        for key in sorted(secure - given.keys() - secrets.keys())
    ]
    problems += [
        Problem(f"config.{key}", f"`{key}` is set as a value and as a secret; set it once.")
        for key in sorted(given.keys() & secrets.keys())
    ]
    if problems:
        raise BadConfig(
            f"The configuration of stack {stack!r} cannot be used: {problems[0].message}", *problems
        )
    config = {key: value for key, value in {**values, **given}.items() if key not in secrets}
    return Project(name, folder, _main(folder, project), config, secrets)


def _full(key: str, project: str) -> str:
    return key if ":" in key else f"{project}:{key}"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = load_yaml(path.read_bytes())
    except yaml.YAMLError as error:
        raise BadConfig(f"{path.name} is no plain YAML: {' '.join(str(error).split())}.") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise BadConfig(f"{path.name} has to be a mapping of names.")
    return content


def _project(folder: Path) -> dict[str, Any]:
    path = folder / "Pulumi.yaml"
    if not path.is_file():
        raise BadConfig(f"There is no Pulumi.yaml in the folder of program {folder.name!r}.")
    project = _read(path)
    name = project.get("name")
    if not isinstance(name, str) or not is_name(name):
        raise BadConfig("Pulumi.yaml needs a `name` of letters, digits, dots, dashes and underscores.")
    runtime = project.get("runtime")
    language = runtime.get("name") if isinstance(runtime, dict) else runtime
    if language != "python":
        raise BadConfig(f"The embedded engine runs Python programs; Pulumi.yaml says `runtime: {language}`.")
    return project


def _main(folder: Path, project: Mapping[str, Any]) -> Path:
    where = folder / str(project.get("main", "."))
    main = where / "__main__.py" if where.is_dir() else where
    if not main.is_file():
        raise BadConfig(f"The program has no file {main.relative_to(folder)}; see `main` in Pulumi.yaml.")
    return main


def _mapping(content: Mapping[str, Any], file: str) -> dict[str, Any]:
    config = content.get("config") or {}
    if not isinstance(config, dict):
        raise BadConfig(f"`config` in {file} has to be a mapping.")
    return {str(key): value for key, value in config.items()}


def _defaults(project: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """Declarations of the project: a plain value, or a mapping with `value` or `default`."""
    for key, declared in _mapping(project, "Pulumi.yaml").items():
        if not isinstance(declared, dict):
            yield _full(key, name), declared
        elif "value" in declared or "default" in declared:
            yield _full(key, name), declared.get("value", declared.get("default"))


def _of_stack(folder: Path, stack: str, name: str) -> Iterator[tuple[str, Any]]:
    file = f"Pulumi.{stack}.yaml"
    if (folder / file).is_file():
        for key, value in _mapping(_read(folder / file), file).items():
            yield _full(key, name), value
