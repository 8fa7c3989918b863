"""What may not be in a generated pipeline, whoever changes a template: read from its text as plain data."""

import re
from collections.abc import Iterator, Mapping

from shared.domain.kernel.errors import Problem

_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
_MAJOR = re.compile(r"\w+@\d+")
_SECRET = re.compile(r"\$\{\{[^}]*\bsecrets\b")
_EXPRESSION = re.compile(r"\$\{\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def lint_workflow(data: object) -> tuple[Problem, ...]:
    """The problems of a GitHub workflow."""
    jobs = _mapping(_mapping(data).get("jobs"))
    found = [_problem("jobs", "there is none")] if not jobs else []
    if _mapping(data).get("permissions") != {}:
        found.append(_problem("permissions", "grant nothing for the workflow, and each job what it needs"))
    for name, job in jobs.items():
        at, body = f"jobs.{name}", _mapping(job)
        found += _named(at, name)
        found += _known(f"{at}.needs", body.get("needs"), jobs)
        if "timeout-minutes" not in body or "permissions" not in body:
            found.append(_problem(at, "say timeout-minutes and permissions"))
        for number, step in enumerate(_steps(body.get("steps"))):
            uses, run = step.get("uses"), step.get("run")
            if isinstance(uses, str) and not _PINNED.fullmatch(uses):
                found.append(_problem(f"{at}.steps[{number}].uses", "pin the action to a full commit id"))
            if isinstance(run, str) and _EXPRESSION.search(run):
                hint = "hand the expression in as an environment variable; in a script it is code"
                found.append(_problem(f"{at}.steps[{number}].run", hint))
    return (*found, *_without_secrets(data))


def lint_azure(data: object) -> tuple[Problem, ...]:
    """The problems of an Azure pipeline."""
    stages = {str(stage.get("stage")): stage for stage in _steps(_mapping(data).get("stages"))}
    found = [_problem("stages", "there is none")] if not stages else []
    for name, stage in stages.items():
        at = f"stages.{name}"
        found += _named(at, name)
        found += _known(f"{at}.dependsOn", stage.get("dependsOn"), stages)
        for job in _steps(stage.get("jobs")):
            if "timeoutInMinutes" not in job:
                found.append(_problem(f"{at}.{job.get('job')}", "say timeoutInMinutes"))
            for number, step in enumerate(_steps(job.get("steps"))):
                task = step.get("task")
                if isinstance(task, str) and not _MAJOR.fullmatch(task):
                    found.append(_problem(f"{at}.steps[{number}].task", "name the task's major version"))
    return (*found, *_without_secrets(data))


def _without_secrets(data: object) -> Iterator[Problem]:
    for where, text in _texts(data, ""):
        if _SECRET.search(text):
            yield _problem(where, "sign in by federation instead of a stored secret")


def _named(where: str, name: object) -> list[Problem]:
    return [] if _NAME.fullmatch(str(name)) else [_problem(where, "use letters, digits, _ and -")]


def _known(where: str, wanted: object, known: Mapping[str, object]) -> list[Problem]:
    names = wanted if isinstance(wanted, list) else [wanted] if wanted else []
    return [_problem(where, f"there is no {name}") for name in names if name not in known]


def _texts(data: object, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(data, str):
        yield where, data
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from _texts(value, f"{where}.{name}".lstrip("."))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _texts(value, f"{where}[{number}]")


def _mapping(data: object) -> Mapping[str, object]:
    return data if isinstance(data, dict) else {}


def _steps(data: object) -> list[Mapping[str, object]]:
    return [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []


def _problem(where: str, message: str) -> Problem:
    return Problem(where, message, "unsafe_pipeline")
