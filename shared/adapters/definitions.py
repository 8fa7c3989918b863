"""Pipeline definitions as YAML. Reads what strangers commit: no tags, no aliases, no doubled keys."""

import yaml

from shared.adapters.strict_yaml import load_yaml
from shared.domain.kernel.errors import Problem
from shared.domain.pipelines.definition import (
    FORMAT_VERSION,
    MAX_BYTES,
    Definition,
    StepSpec,
    read_definition,
    refused,
)
from shared.domain.pipelines.errors import InvalidDefinition
from shared.domain.pipelines.generators.inputs import headed
from shared.domain.pipelines.generators.lint import lint_azure, lint_workflow
from shared.domain.source.model import Provider

_NOTES = (
    "# You may edit it: runs use the file as it is in their commit.",
    "# Generating the pipeline again replaces your edits.",
)


class YamlDefinitions:
    """The Definitions port."""

    def render(self, definition: Definition) -> bytes:
        data: dict[str, object] = {
            "version": FORMAT_VERSION,
            "module": definition.module,
            "moduleType": str(definition.module_type),
        }
        if definition.feed:
            data["feed"] = definition.feed
        data["stages"] = [
            {
                "name": stage.name,
                "tasks": [
                    {"name": task.name, "steps": [_step(step) for step in task.steps]} for task in stage.tasks
                ],
            }
            for stage in definition.stages
        ]
        if definition.artifacts:
            data["artifacts"] = [
                {"name": each.name, "path": each.path, "kind": each.kind} for each in definition.artifacts
            ]
        if definition.test_reports:
            data["testReports"] = list(definition.test_reports)
        if definition.coverage_report:
            data["coverageReport"] = definition.coverage_report
        text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
        return headed(text, *_NOTES)

    def lint(self, provider: Provider, text: bytes) -> tuple[Problem, ...]:
        try:
            if provider is Provider.EMBEDDED:
                self.parse(text)
                return ()
            data = load_yaml(text)
        except InvalidDefinition as refused_text:
            return refused_text.problems
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            return (_problem(f"is not YAML: {str(error)[:200]}"),)
        return lint_workflow(data) if provider is Provider.GITHUB else lint_azure(data)

    def parse(self, text: bytes) -> Definition:
        if len(text) > MAX_BYTES:
            raise refused(_problem(f"has {len(text)} bytes; at most {MAX_BYTES} are allowed"))
        try:
            data = load_yaml(text)
        except yaml.MarkedYAMLError as error:
            where = f" on line {error.problem_mark.line + 1}" if error.problem_mark else ""
            raise refused(_problem(f"is not YAML: {error.problem}{where}")) from error
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise refused(_problem("is not YAML in UTF-8, or is nested too deeply")) from error
        except ValueError as error:
            raise refused(_problem(f"has a value that YAML cannot read: {error}")) from error
        return read_definition(data)


def _step(step: StepSpec) -> dict[str, object]:
    data: dict[str, object] = {"name": step.name, "run": step.run}
    if step.timeout is not None:
        data["timeoutSeconds"] = step.timeout
    if step.environment:
        data["environment"] = dict(step.environment)
    if step.optional:
        data["optional"] = True
    return data


def _problem(message: str) -> Problem:
    return Problem("definition", message, "invalid_definition")


class _Dumper(yaml.SafeDumper):
    """Scripts as blocks, lists indented under their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)
