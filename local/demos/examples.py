"""Examples of a contract, sent as they stand with this installation's ids, and how an answer is held to them.

What depends on the place and the hour is told by its form; every other word has to be the contract's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

type Json = Any

_ID: Final = re.compile(r"\b[a-z]+-[0-9a-f]{4}\b")


@dataclass(frozen=True, slots=True)
class Example:
    """One request of a contract and the answer it shows. `forms` are the patterns of what is another here,
    by where it is in the answer: `sha`, `checks[policy-gate].status`."""

    number: int
    method: str
    path: str
    body: Mapping[str, Json] | None
    answer: Mapping[str, Json]
    status: int = 201
    forms: Mapping[str, str] = field(default_factory=dict)


class Known:
    """What the words of the contract's examples are called in this installation."""

    def __init__(self, **words: str) -> None:
        self.words = words

    def path(self, example: Example) -> str:
        return _ID.sub(lambda found: self.words.get(found[0], found[0]), example.path)

    def here(self, value: Json) -> Json:
        """The value with every word, at any depth, as it is called here."""
        if isinstance(value, Mapping):
            return {name: self.here(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.here(each) for each in value]
        return self.words.get(value, value) if isinstance(value, str) else value

    def learn(self, example: Example, told: Mapping[str, Json]) -> None:
        """The ids that an answer gives to what it made."""
        for name, promised in example.answer.items():
            if isinstance(promised, str) and _ID.fullmatch(promised):
                self.words.setdefault(promised, told[name])

    def differences(self, example: Example, told: Json) -> list[str]:
        """Where an answer has less than was promised, or other words; a sentence each."""
        return list(_differences(told, self.here(example.answer), "", example.forms))


def _differences(told: Json, promised: Json, at: str, forms: Mapping[str, str]) -> list[str]:
    if form := forms.get(at):
        alike = type(told) is type(promised) and re.fullmatch(form, str(told))
        return [] if alike else [f"`{at}` is {told!r}, not of the form of {promised!r}"]
    if isinstance(promised, Mapping):
        if not isinstance(told, Mapping):
            return [f"`{at}` is {told!r}, not an object"]
        found = []
        for name, value in promised.items():
            place = f"{at}.{name}" if at else name
            found += (
                _differences(told[name], value, place, forms) if name in told else [f"`{place}` is missing"]
            )
        return found
    if isinstance(promised, list):
        if not isinstance(told, list):
            return [f"`{at}` is {told!r}, not a list"]
        return [found for one in promised for found in _unlisted(told, one, at, forms)]
    if isinstance(promised, str) and _ID.fullmatch(promised):
        form = promised.partition("-")[0] + "-[0-9a-f]{32}"
        return [] if re.fullmatch(form, str(told)) else [f"`{at}` is {told!r}, no id like {promised!r}"]
    same = type(told) is type(promised) and told == promised
    return [] if same else [f"`{at}` is {told!r}, not {promised!r}"]


def _unlisted(told: list[Json], promised: Json, at: str, forms: Mapping[str, str]) -> list[str]:
    """Items with a name are found by it; others have to be there as they are."""
    if not isinstance(promised, Mapping):
        return [] if promised in told else [f"`{at}` is {told!r}, without {promised!r}"]
    name = promised.get("name")
    for one in told:
        if name is None or one.get("name") == name:
            return _differences(one, promised, f"{at}[{name}]" if name else f"{at}[]", forms)
    return [f"`{at}` has no {name or 'item'}"]
