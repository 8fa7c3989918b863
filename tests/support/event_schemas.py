"""The event schemas as committed files, and the check of what is emitted against them.

`python -m tests.support.event_schemas` writes them anew.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from functions.relay.outbox import to_message
from shared.domain.catalogue.declare import Schema, envelope_schema
from shared.domain.catalogue.events import EVENTS
from shared.names import ROUTES

FOLDER = Path(__file__).parents[2] / "docs" / "events"


def generated() -> dict[Path, str]:
    """Every committed file with its text."""
    files = {FOLDER / "envelope.json": written(envelope_schema())}
    files |= {FOLDER / f"{name}.json": written(event.schema()) for name, event in EVENTS.items()}
    return files | {FOLDER / "README.md": readme()}


def written(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def readme() -> str:
    """The introduction, with the table of types in its place."""
    head, _, _ = (FOLDER / "README.md").read_text().partition("\n| type |")
    rows = ["| type | what it says | kind | worker |", "|---|---|---|---|"]
    for name, event in sorted(EVENTS.items()):
        queues = ", ".join(ROUTES.get(name, ())) or "-"
        rows.append(f"| [{name}]({name}.json) | {event.summary} | {event.kind} | {queues} |")
    return head + "\n" + "\n".join(rows) + "\n"


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(EVENTS[name].schema(), format_checker=FormatChecker())


def problems_of(body: Mapping[str, Any]) -> list[str]:
    """What is wrong with an outbox document's body, as the message it becomes."""
    name = str(body["eventType"])
    if name not in EVENTS:
        return [f"{name} is not declared in shared/domain/catalogue"]
    return list(_problems(name, to_message(body).body))


@lru_cache(maxsize=10_000)
def _problems(name: str, message: bytes) -> tuple[str, ...]:
    """Kept, as the crash points have the same events a thousand times."""
    errors = validator(name).iter_errors(json.loads(message))
    return tuple(f"{name} at {error.json_path}: {error.message}" for error in errors)


def require_declared(bodies: Iterable[Mapping[str, Any]]) -> None:
    """AssertionError where an emitted event is not as it is declared."""
    found = [problem for body in bodies for problem in problems_of(body)]
    assert not found, "\n".join(found)


if __name__ == "__main__":
    files = generated()
    for path, text in files.items():
        path.write_text(text)
    for gone in set(FOLDER.iterdir()) - files.keys():
        gone.unlink()
