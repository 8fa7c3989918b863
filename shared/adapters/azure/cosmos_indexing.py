"""The containers that the document store needs in Cosmos DB, as definitions in the shape of its REST API.

Pure: infrastructure deploys them, tests and stand-ins are made from them, the adapter's queries rely on them.
"""

import re
from collections.abc import Sequence
from typing import Any

from shared.names import DOCUMENTS, LEASES
from shared.ports.index import Index

type Definition = dict[str, Any]
type Path = tuple[str, ...]
"""Property names from the item's top down, such as ("body", "created_at")."""

TENANT: Path = ("tenantId",)
ROOT: Path = ("root",)
ID: Path = ("id",)
KIND: Path = ("kind",)
EXPIRES_AT: Path = ("expiresAt",)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_MAX_COMPOSITE_PATHS = 8
_MAX_COMPOSITES = 100


def containers(indexes: Sequence[Index]) -> tuple[Definition, ...]:
    """Every container of the database: the documents, and the leases of those who read their feed."""
    return documents_container(indexes), leases_container()


def documents_container(indexes: Sequence[Index]) -> Definition:
    """Raises ValueError for an index that cannot be had: its names do not fit, or Cosmos allows no more."""
    return {
        "id": DOCUMENTS,
        "partitionKey": {"paths": [_path(TENANT), _path(ROOT)], "kind": "MultiHash", "version": 2},
        # Nothing expires by itself, and a document may say when it does.
        "defaultTtl": -1,
        "indexingPolicy": indexing_policy(indexes),
    }


def leases_container() -> Definition:
    """As the change feed trigger of Azure Functions wants it."""
    return {"id": LEASES, "partitionKey": {"paths": ["/id"], "kind": "Hash", "version": 2}}


def indexing_policy(indexes: Sequence[Index]) -> Definition:
    """Only what a declared query asks for is indexed: every indexed path makes each write dearer."""
    fields = {("body", name) for index in indexes for name in (*index.equal, index.order)}
    paths = [TENANT, ROOT, ID, KIND, EXPIRES_AT, *sorted(fields)]
    composites = sorted({ordering(index) for index in indexes})
    if len(composites) > _MAX_COMPOSITES:
        raise ValueError(f"Cosmos DB has {_MAX_COMPOSITES} composite indexes at most, not {len(composites)}.")
    return {
        "indexingMode": "consistent",
        "automatic": True,
        "includedPaths": [{"path": f"{_path(path)}/?"} for path in paths],
        "excludedPaths": [{"path": "/*"}],
        "compositeIndexes": [
            [{"path": _path(path), "order": "ascending"} for path in composite] for composite in composites
        ],
    }


def ordering(index: Index) -> tuple[Path, ...]:
    """The paths that a query of that index orders by, which are those of its composite index.

    What is fixed by equality stands first: Cosmos then seeks the tenant's own stretch of the index instead of
    filtering everybody's. One composite serves this order and its exact reverse, which is all that is asked.
    """
    names = (index.kind, *index.equal, index.order)
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} in {index} must be letters, digits, `-` and `_`, a letter first.")
    paths = (TENANT, KIND, *(("body", name) for name in (*index.equal, index.order)), ID)
    if len(paths) > _MAX_COMPOSITE_PATHS:
        raise ValueError(f"{index} needs {len(paths)} paths; a composite index has {_MAX_COMPOSITE_PATHS}.")
    return paths


def _path(path: Path) -> str:
    return "".join(f"/{name}" if name.isidentifier() else f'/"{name}"' for name in path)
