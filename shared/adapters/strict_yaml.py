"""YAML written by strangers: plain values only, no tags, no aliases, no doubled keys."""

from collections.abc import Hashable
from typing import Any

import yaml


class StrictLoader(yaml.SafeLoader):
    """SafeLoader without aliases (a few lines of them can stand for gigabytes) and without doubled keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        made: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                problem = "a key has to be a plain text"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if key.value in made:
                problem = f"{key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            made.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(text: bytes | str) -> Any:
    """The one document of `text`. Raises yaml.YAMLError."""
    return yaml.load(text, StrictLoader)  # noqa: S506 - a SafeLoader, made stricter
