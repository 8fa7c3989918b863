"""pydantic's findings as sentences a caller can act on, under the names the caller wrote."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from shared.domain.kernel.errors import Problem

type Context = Mapping[str, Any]


def problems_of(error: ValidationError) -> Iterable[Problem]:
    """One problem per finding, at paths like `changes[0].path`."""
    for row in error.errors(include_url=False, include_input=False):
        # What is not in the table is rare, or a model's own finding: its type and sentence are the model's.
        code, sentence = _SENTENCES.get(row["type"], (row["type"], _as_it_is))
        yield Problem(field_path(row["loc"]), sentence(row.get("ctx", {}), row["msg"]), code)


def field_path(location: Iterable[str | int]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _says(text: str) -> Callable[[Context, str], str]:
    return lambda context, _: text.format(**context)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _as_it_is(_: Context, message: str) -> str:
    return message if message.endswith(".") else f"{message}."


# pydantic's type -> our stable code and the sentence.
_SENTENCES: Mapping[str, tuple[str, Callable[[Context, str], str]]] = {
    "missing": ("required", _says("This field is required.")),
    "extra_forbidden": ("unknown_field", _says("This field is not known here; remove it.")),
    "string_too_short": (
        "too_short",
        lambda context, _: f"Must have at least {_plural(context['min_length'], 'character')}.",
    ),
    "string_too_long": (
        "too_long",
        lambda context, _: f"Must have at most {_plural(context['max_length'], 'character')}.",
    ),
    "too_short": (
        "too_short",
        lambda context, _: f"Must have at least {_plural(context['min_length'], 'item')}.",
    ),
    "too_long": (
        "too_long",
        lambda context, _: f"Must have at most {_plural(context['max_length'], 'item')}.",
    ),
    "literal_error": ("not_allowed", _says("Must be one of {expected}.")),
    "enum": ("not_allowed", _says("Must be one of {expected}.")),
    "string_pattern_mismatch": ("invalid_format", _says("Must match the pattern {pattern}")),
    "greater_than_equal": ("out_of_range", _says("Must be {ge} or more.")),
    "greater_than": ("out_of_range", _says("Must be more than {gt}.")),
    "less_than_equal": ("out_of_range", _says("Must be {le} or less.")),
    "less_than": ("out_of_range", _says("Must be less than {lt}.")),
    "finite_number": ("out_of_range", _says("Must be a finite number.")),
    "string_type": ("invalid_type", _says("Must be a text.")),
    "int_type": ("invalid_type", _says("Must be a whole number.")),
    "int_parsing": ("invalid_type", _says("Must be a whole number.")),
    "int_from_float": ("invalid_type", _says("Must be a whole number.")),
    "float_type": ("invalid_type", _says("Must be a number.")),
    "float_parsing": ("invalid_type", _says("Must be a number.")),
    "bool_type": ("invalid_type", _says("Must be true or false.")),
    "bool_parsing": ("invalid_type", _says("Must be true or false.")),
    "list_type": ("invalid_type", _says("Must be a list.")),
    "tuple_type": ("invalid_type", _says("Must be a list.")),
    "dict_type": ("invalid_type", _says("Must be an object.")),
    "model_type": ("invalid_type", _says("Must be an object.")),
    "model_attributes_type": ("invalid_type", _says("Must be an object.")),
    "datetime_parsing": ("invalid_format", _says("Must be a time such as 2026-06-11T09:00:00Z.")),
    "datetime_from_date_parsing": ("invalid_format", _says("Must be a time such as 2026-06-11T09:00:00Z.")),
    "timezone_aware": (
        "invalid_format",
        _says("Must be a time with its zone, such as 2026-06-11T09:00:00Z."),
    ),
    "value_error": ("invalid", lambda context, _: str(context["error"])),
    "wire_id": ("invalid_format", _as_it_is),
    "cursor": ("invalid_format", _as_it_is),
}
