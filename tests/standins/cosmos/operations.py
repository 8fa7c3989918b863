"""Requests on the items of one container: headers and body in, answer out."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from tests.standins.cosmos import batch, charges, feed, plans, queries
from tests.standins.cosmos.documents import Documents, Stored
from tests.standins.cosmos.errors import Refused, bad_request, not_found, not_offered
from tests.standins.cosmos.feed import Span
from tests.standins.cosmos.items import Key, item_of, key_of, parsed
from tests.standins.cosmos.ranges import Ranges
from tests.standins.cosmos.requests import Ask
from tests.standins.cosmos.sql import Select, parse

_KEY = "x-ms-documentdb-partitionkey"
_RANGE = "x-ms-documentdb-partitionkeyrangeid"
_PAGE_SIZE = "x-ms-max-item-count"
_ANY_SIZE = 1000
_WEAK_ENOUGH = {"Session", "ConsistentPrefix", "Eventual"}
_UNHEARD = (
    "x-ms-documentdb-pre-trigger-include",
    "x-ms-documentdb-post-trigger-include",
    "x-ms-indexing-directive",
)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    charge: float = charges.METADATA
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operations:
    documents: Documents
    ranges: Ranges

    def perform(self, ask: Ask) -> Answer:
        _check_headers(ask)
        match ask.kind:
            case "read":
                return self._read(ask)
            case "create" | "upsert" | "replace":
                return self._write(ask)
            case "delete":
                return self._delete(ask)
            case "batch":
                return self._batch(ask)
            case "query":
                return self._query(ask)
            case "query-plan":
                return Answer(200, plans.plan(_parsed_query(ask)[0]))
            case "feed":
                return self._feed(ask)
            case "read-feed":
                return self._page(ask, self._span(ask), parse("SELECT * FROM c", {}), "")
        raise not_offered(ask.kind)

    def _read(self, ask: Ask) -> Answer:
        key, item = self._named(ask)
        stored = self.documents.read(key, item)
        headers = self._headers(key, stored)
        if ask.headers.get("If-None-Match") in {stored.etag, "*"}:
            return Answer(304, None, charges.read(0), headers)
        return Answer(200, stored.text.encode(), stored.charge, headers)

    def _write(self, ask: Ask) -> Answer:
        if_match = ask.headers.get("If-Match")
        status = 200
        with self.documents.turn():
            if ask.kind == "replace":
                key, name = self._named(ask)
                item = item_of(self.documents.container, key, parsed(ask.body), name)
                stored = self.documents.replace(key, item, if_match)
            else:
                key = key_of(self.documents.container, ask.headers.get(_KEY))
                item = item_of(self.documents.container, key, parsed(ask.body))
                if ask.kind == "create":
                    stored, created = self.documents.create(key, item), True
                else:
                    stored, created = self.documents.upsert(key, item, if_match)
                status = 201 if created else 200
        minimal = ask.headers.get("Prefer") == "return=minimal"
        body = None if minimal else stored.text.encode()
        return Answer(status, body, stored.charge, self._headers(key, stored))

    def _delete(self, ask: Ask) -> Answer:
        with self.documents.turn():
            key, item = self._named(ask)
            charge = self.documents.delete(key, item, ask.headers.get("If-Match"))
        return Answer(204, None, charge, self._headers(key))

    def _batch(self, ask: Ask) -> Answer:
        if not ask.flag("x-ms-cosmos-batch-atomic"):
            raise not_offered("a batch that is not atomic")
        key = key_of(self.documents.container, ask.headers.get(_KEY))
        status, results = batch.run(self.documents, key, parsed(ask.body), len(ask.body))
        charge = sum(result["requestCharge"] for result in results)
        return Answer(status, results, charge, self._headers(key))

    def _query(self, ask: Ask) -> Answer:
        query, text = _parsed_query(ask)
        routed = _KEY in ask.headers or _RANGE in ask.headers
        if not routed and not ask.flag("x-ms-documentdb-query-enablecrosspartition"):
            raise plans.cross_partition_disabled()
        if not routed and plans.needs_plan(query):
            raise plans.refused_without_plan()
        return self._page(ask, self._span(ask), query, text)

    def _page(self, ask: Ask, span: Span, query: Select, text: str) -> Answer:
        limit = _limit(ask, queries.DEFAULT_PAGE)
        page = queries.run(self.documents, span, query, text, limit, ask.headers.get("x-ms-continuation"))
        headers = self._headers(None, span=span) | {"x-ms-item-count": str(len(page.texts))}
        if page.continuation:
            headers["x-ms-continuation"] = page.continuation
        return Answer(200, self._listed(page.texts), page.charge, headers)

    def _feed(self, ask: Ask) -> Answer:
        if ask.headers["A-IM"].lower() != "incremental feed":
            raise not_offered(f"the change feed mode {ask.headers['A-IM']}")
        span = self._span(ask)
        after, since = ask.headers.get("If-None-Match"), ask.headers.get("If-Modified-Since")
        page = feed.read(self.documents, span, after, since, _limit(ask, feed.DEFAULT_PAGE))
        headers = self._headers(None, span=span) | {
            "etag": page.etag,
            "x-ms-item-count": str(len(page.texts)),
        }
        if not page.texts:
            return Answer(304, None, charges.FEED_BASE, headers)
        return Answer(200, self._listed(page.texts), charges.feed(sum(map(len, page.texts))), headers)

    def _listed(self, texts: list[str]) -> bytes:
        documents = ",".join(texts)
        rid = self.documents.container.rid
        return f'{{"_rid":"{rid}","Documents":[{documents}],"_count":{len(texts)}}}'.encode()

    def _span(self, ask: Ask) -> Span:
        """Which keys the request is about."""
        span = Span()
        if (name := ask.headers.get(_RANGE)) is not None:
            span = self.ranges.span(name.rpartition(",")[2])
        if (low := ask.headers.get("x-ms-start-epk")) is not None:
            span = span.within(Span(low, ask.headers.get("x-ms-end-epk", "FF")))
        if _KEY in ask.headers:
            span = Span(key_of(self.documents.container, ask.headers[_KEY]).epk, None)
        return span

    def _named(self, ask: Ask) -> tuple[Key, str]:
        """The key and id of the item in the path, which names it by `_rid` if it names the container so."""
        container = self.documents.container
        key = key_of(container, ask.headers.get(_KEY))
        if ask.container != container.rid or container.rid == container.id:
            return key, ask.item
        pk, item_id = self.documents.named(_number(ask.item))
        if pk != key.text:
            raise not_found()
        return key, item_id

    def _headers(
        self, key: Key | None, stored: Stored | None = None, span: Span | None = None
    ) -> dict[str, str]:
        lsn = self.documents.lsn
        place = self.ranges.name_of(key.epk if key else span.low if span else "")
        headers = {"x-ms-session-token": f"{place}:-1#{lsn}", "lsn": str(lsn)}
        if stored is not None:
            headers["etag"] = stored.etag
        return headers


def _check_headers(ask: Ask) -> None:
    """A header that asks for more than there is must not pass unheard."""
    level = ask.headers.get("x-ms-consistency-level", "Session")
    if level not in _WEAK_ENOUGH:
        raise bad_request(
            f"ConsistencyLevel {level} specified in the request is invalid when service is configured with "
            "consistency level Session. Ensure the request consistency level is not stronger than the "
            "service consistency level."
        )
    for name in _UNHEARD:
        if name in ask.headers:
            raise not_offered(f"the header {name}")
    if ask.kind in {"create", "upsert", "replace", "delete"} and "If-None-Match" in ask.headers:
        raise not_offered("If-None-Match on a write")


def _parsed_query(ask: Ask) -> tuple[Select, str]:
    body = parsed(ask.body)
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise bad_request("The request body has no query.")
    given = {entry["name"]: entry.get("value") for entry in body.get("parameters") or []}
    return parse(body["query"], given), body["query"] + repr(sorted(given.items()))


def _limit(ask: Ask, default: int) -> int:
    given = ask.headers.get(_PAGE_SIZE)
    if given is None:
        return default
    if given == "-1":
        return _ANY_SIZE
    if not given.isdigit() or int(given) == 0:
        raise bad_request(f"The x-ms-max-item-count {given} is neither -1 nor a number above 0.")
    return int(given)


def _number(rid: str) -> int:
    try:
        return int.from_bytes(base64.b64decode(rid.replace("-", "/"))[8:])
    except (binascii.Error, ValueError):
        raise Refused(400, "BadRequest", f"The resource id {rid} is not valid.") from None
