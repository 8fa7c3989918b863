"""What a request asks for: its kind and what it names, from method, path and headers."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.standins.cosmos.errors import bad_request, not_in_the_data_plane, not_offered

_ITEM_KINDS = {"GET": "read", "PUT": "replace", "DELETE": "delete", "PATCH": "patch"}


@dataclass(frozen=True, slots=True)
class Ask:
    """`kind` is what faults and counts go by. Names are empty where the request has none."""

    kind: str
    headers: Mapping[str, str]
    body: bytes
    database: str = ""
    container: str = ""
    item: str = ""

    @property
    def resource(self) -> str:
        return f"dbs/{self.database}/colls/{self.container}" if self.container else "/"

    def flag(self, name: str) -> bool:
        return self.headers.get(name, "").lower() == "true"


def asked(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Ask:
    """Refused where the stand-in has no such route, or the data plane no such right."""
    match path.strip("/").split("/"):
        case [""] if method == "GET":
            return Ask("account", headers, body)
        case ["dbs", database] if method == "GET":
            return Ask("database", headers, body, database)
        case ["dbs", database, "colls"] if method == "GET":
            return Ask("containers", headers, body, database)
        case ["dbs", database, "colls", container] if method == "GET":
            return Ask("container", headers, body, database, container)
        case ["dbs", database, "colls", container, "pkranges"] if method == "GET":
            return Ask("pkranges", headers, body, database, container)
        case ["dbs", database, "colls", container, "docs"] if method in {"GET", "POST"}:
            kind = _collection_kind(method, headers)
            return Ask(kind, headers, body, database, container)
        case ["dbs", database, "colls", container, "docs", item] if method in _ITEM_KINDS:
            return Ask(_ITEM_KINDS[method], headers, body, database, container, item)
        case ["dbs"] | ["dbs", _] | ["dbs", _, "colls"] | ["dbs", _, "colls", _] | ["offers", *_]:
            raise not_in_the_data_plane(method, path)
        case ["dbs", _, "colls", _, "sprocs" | "triggers" | "udfs" | "conflicts" as what, *_]:
            raise not_offered(what)
    raise bad_request(f"The request {method} {path} is not understood.")


def _collection_kind(method: str, headers: Mapping[str, str]) -> str:
    if method == "GET":
        return "feed" if "A-IM" in headers else "read-feed"

    def on(name: str) -> bool:
        return headers.get(name, "").lower() == "true"

    if on("x-ms-cosmos-is-batch-request"):
        return "batch"
    if on("x-ms-cosmos-is-query-plan-request"):
        return "query-plan"
    if on("x-ms-documentdb-isquery"):
        return "query"
    return "upsert" if on("x-ms-documentdb-is-upsert") else "create"
