"""Manifests as YAML, written in one fixed form. Reads only plain YAML: no tags, no code."""

from dataclasses import fields
from typing import Any, ClassVar

import yaml

from shared.adapters.strict_yaml import load_yaml
from shared.domain.gitops.errors import BadManifest
from shared.domain.gitops.model import DesiredState

API_VERSION = "slipway/v1"
KIND = "Release"


class YamlManifests:
    """The ManifestFormat port."""

    _PLACES: ClassVar[dict[str, tuple[str, ...]]] = {
        "module": ("metadata", "name"),
        "project": ("metadata", "project"),
        "environment": ("metadata", "environment"),
        "component": ("spec", "component"),
        "release": ("spec", "release", "id"),
        "number": ("spec", "release", "number"),
        "version": ("spec", "release", "version"),
        "release_digest": ("spec", "release", "digest"),
        "commit_sha": ("spec", "release", "commit"),
        "artifact": ("spec", "artifact", "name"),
        "ref": ("spec", "artifact", "ref"),
        "digest": ("spec", "artifact", "digest"),
        "strategy": ("spec", "strategy"),
        "promotion": ("spec", "promotion"),
    }

    def render(self, desired: DesiredState) -> bytes:
        document: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND}
        for name, place in self._PLACES.items():
            value = getattr(desired, name)
            if value is not None:
                branch = document
                for key in place[:-1]:
                    branch = branch.setdefault(key, {})
                branch[place[-1]] = value
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=4096, line_break="\n")
        return text.encode()

    def parse(self, content: bytes) -> DesiredState:
        try:
            document = load_yaml(content)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise BadManifest("The manifest is not readable YAML; restore it from its history.") from error
        if not isinstance(document, dict) or document.get("apiVersion") != API_VERSION:
            raise BadManifest(f"The file is not a manifest of {API_VERSION}; restore it from its history.")
        values = {name: _at(document, place) for name, place in self._PLACES.items()}
        wrong = [
            ".".join(self._PLACES[field.name])
            for field in fields(DesiredState)
            if not _fits(field.name, values[field.name])
        ]
        if wrong:
            raise BadManifest(
                f"The manifest lacks {', '.join(wrong)}; restore it from its history.", missing=wrong
            )
        return DesiredState(**values)


def _at(document: dict[str, Any], place: tuple[str, ...]) -> Any:
    value: Any = document
    for key in place:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _fits(name: str, value: object) -> bool:
    if name == "number":
        return isinstance(value, int)
    return (value is None and name == "promotion") or (isinstance(value, str) and value != "")
