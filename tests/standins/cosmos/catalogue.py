"""Databases and containers, from definitions in the shape of Cosmos's REST API. Holds no item."""

import base64
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from azure.cosmos.partition_key import PartitionKey
from pydantic_core import to_json

type Definition = Mapping[str, Any]
type Path = tuple[str, ...]

_SEGMENT = re.compile(r'/(?:"((?:[^"\\]|\\.)*)"|([^/"]+))')
_SYSTEM = {"_rid": "", "_ts": 0, "_etag": ""}


@dataclass(frozen=True, slots=True)
class Indexing:
    """Which paths are indexed: a path is a tuple of property names."""

    included: tuple[str, ...]
    excluded: tuple[str, ...]
    composite: tuple[tuple[tuple[Path, bool], ...], ...]
    """Each a sequence of (path, descending)."""
    _covered: dict[Path, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, policy: Definition) -> "Indexing":
        """Raises ValueError for a policy that Azure refuses, or that is none of ours."""
        if policy.get("indexingMode", "consistent").lower() != "consistent":
            raise ValueError("The stand-in offers the indexing mode consistent and no other.")
        included = tuple(entry["path"] for entry in policy.get("includedPaths", [{"path": "/*"}]))
        excluded = tuple(entry["path"] for entry in policy.get("excludedPaths", []))
        for path in (*included, *excluded):
            if not path.endswith(("/*", "/?")):
                raise ValueError(f"The index path {path!r} has to end in /? or /*.")
        if "/*" not in included and "/*" not in excluded:
            raise ValueError(
                "The special mandatory indexing path '/' is not provided in any of the path sets."
            )
        composite = tuple(_composite(entries) for entries in policy.get("compositeIndexes", []))
        if len(composite) > 100:
            raise ValueError("A container has at most 100 composite indexes.")
        return cls(included, excluded, composite)

    def covers(self, path: Path) -> bool:
        """Whether the scalar at that path is indexed: the most precise of the policy's paths decides."""
        if path in {("id",), ("_ts",)}:
            return True
        if path not in self._covered:
            asked = "/" + "/".join(path) + "/?"
            self._covered[path] = _precision(self.included, asked) > _precision(self.excluded, asked)
        return self._covered[path]

    def terms(self, value: Any, path: Path = ()) -> int:
        """How many values of an item the index holds: what makes its writes dearer."""
        if isinstance(value, dict):
            return sum(self.terms(inner, (*path, name)) for name, inner in value.items())
        if isinstance(value, list):
            return sum(self.terms(inner, (*path, "[]")) for inner in value)
        return int(self.covers(path))

    def serves(self, order: Sequence[tuple[Path, bool]]) -> bool:
        """Whether a composite index has exactly these paths, in these directions or in all the opposite."""
        opposite = tuple((path, not descending) for path, descending in order)
        return any(entries in (tuple(order), opposite) for entries in self.composite)


@dataclass(frozen=True, eq=False)
class Container:
    database: str
    id: str
    numbers: tuple[int, int]
    """Of the database and of the container, 1 upward: their `_rid`."""
    definition: Definition
    key_paths: tuple[Path, ...]
    unique: tuple[tuple[Path, ...], ...]
    indexing: Indexing
    default_ttl: int | None

    @classmethod
    def of(cls, database: str, definition: Definition, numbers: tuple[int, int]) -> "Container":
        key = definition["partitionKey"]
        kind = key.get("kind", "Hash")
        if (kind == "MultiHash") != (len(key["paths"]) > 1) or len(key["paths"]) > 3:
            raise ValueError(f"A {kind} partition key cannot have the paths {key['paths']}.")
        ttl = definition.get("defaultTtl")
        if ttl is not None and (ttl == 0 or ttl < -1):
            raise ValueError("defaultTtl is -1 or a number of seconds above 0.")
        unique = definition.get("uniqueKeyPolicy", {}).get("uniqueKeys", [])
        return cls(
            database,
            definition["id"],
            numbers,
            definition,
            tuple(path_of(path) for path in key["paths"]),
            tuple(tuple(path_of(path) for path in entry["paths"]) for entry in unique),
            Indexing.of(definition.get("indexingPolicy", {})),
            ttl,
        )

    @cached_property
    def database_rid(self) -> str:
        return _rid(struct.pack(">I", self.numbers[0]))

    @cached_property
    def rid(self) -> str:
        return _rid(struct.pack(">II", self.numbers[0], 0x80000000 | self.numbers[1]))

    @cached_property
    def link(self) -> str:
        return f"dbs/{self.database}/colls/{self.id}"

    @cached_property
    def self_link(self) -> str:
        return f"dbs/{self.database_rid}/colls/{self.rid}/"

    def item_rid(self, number: int) -> str:
        return _rid(struct.pack(">IIQ", self.numbers[0], 0x80000000 | self.numbers[1], number))

    @cached_property
    def _epks(self) -> dict[bytes, str]:
        return {}

    @cached_property
    def _key(self) -> PartitionKey:
        key = self.definition["partitionKey"]
        paths = list(key["paths"])
        if key.get("kind", "Hash") == "MultiHash":
            return PartitionKey(paths, kind="MultiHash")
        return PartitionKey(paths[0], kind="Hash", version=key.get("version", 1))

    def epk(self, components: Sequence[Any]) -> str:
        """The effective partition key of a whole key, by the SDK's own hash: in Python, so remembered."""
        text = to_json(components)
        if text not in self._epks:
            self._epks[text] = str(self._key._get_effective_partition_key_string(components))
        return self._epks[text]

    def resource(self) -> dict[str, Any]:
        """The container as a read of it answers."""
        return {
            "indexingPolicy": {
                "indexingMode": "consistent",
                "automatic": True,
                "includedPaths": [{"path": "/*"}],
                "excludedPaths": [{"path": '/"_etag"/?'}],
                **self.definition.get("indexingPolicy", {}),
            },
            "conflictResolutionPolicy": {"mode": "LastWriterWins", "conflictResolutionPath": "/_ts"},
            "geospatialConfig": {"type": "Geography"},
            **self.definition,
            **_SYSTEM,
            "_etag": '"00000000-0000-0000-0000-000000000001"',
            "_rid": self.rid,
            "_self": self.self_link,
            "_docs": "docs/",
            "_sprocs": "sprocs/",
            "_triggers": "triggers/",
            "_udfs": "udfs/",
            "_conflicts": "conflicts/",
        }


@dataclass
class Catalogue:
    """All containers, found by name or by `_rid`."""

    databases: dict[str, int] = field(default_factory=dict)
    containers: dict[tuple[str, str], Container] = field(default_factory=dict)
    by_rid: dict[tuple[str, str], Container] = field(default_factory=dict)

    @classmethod
    def of(cls, definitions: Mapping[str, Iterable[Definition]]) -> "Catalogue":
        """From {database: [container, ...]}."""
        catalogue = cls()
        for database, containers in definitions.items():
            catalogue.databases.setdefault(database, len(catalogue.databases) + 1)
            for definition in containers:
                catalogue.add(database, definition)
        return catalogue

    def add(self, database: str, definition: Definition) -> Container:
        """A new container; the database is made if it does not exist. Raises ValueError if the name is taken
        or the definition is one that Azure refuses."""
        if (database, definition["id"]) in self.containers:
            raise ValueError(f"The container {definition['id']} exists in {database}.")
        number = self.databases.setdefault(database, len(self.databases) + 1)
        made = Container.of(database, definition, (number, len(self.containers) + 1))
        self.containers[database, made.id] = self.by_rid[made.database_rid, made.rid] = made
        return made


def path_of(text: str) -> Path:
    """`/a/"b c"` as ("a", "b c")."""
    names = tuple(quoted or plain for quoted, plain in _SEGMENT.findall(text))
    if not names or any(character in text for character in "*?[]"):
        raise ValueError(f"{text!r} is not the path of a property.")
    return names


def _composite(entries: Sequence[Definition]) -> tuple[tuple[Path, bool], ...]:
    if not 2 <= len(entries) <= 8:
        raise ValueError("A composite index has 2 to 8 paths.")
    return tuple(
        (path_of(entry["path"]), entry.get("order", "ascending") == "descending") for entry in entries
    )


def _precision(patterns: Iterable[str], asked: str) -> int:
    plain = [pattern.replace('"', "") for pattern in patterns]
    fitting = [len(pattern) for pattern in plain if fnmatchcase(asked, pattern.replace("/?", "/[?]"))]
    return max(fitting, default=0)


def _rid(data: bytes) -> str:
    return base64.b64encode(data).decode().replace("/", "-")
