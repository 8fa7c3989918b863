"""The transactional batch: up to 100 operations on one partition key, all or nothing."""

from typing import Any

from pydantic_core import from_json

from tests.standins.cosmos import charges
from tests.standins.cosmos.documents import Documents, Stored
from tests.standins.cosmos.errors import (
    MAX_BYTES,
    MAX_OPERATIONS,
    Refused,
    bad_request,
    not_offered,
    too_large,
)
from tests.standins.cosmos.items import Key, item_of

_FAILED_DEPENDENCY = 424


def run(documents: Documents, key: Key, operations: Any, size: int) -> tuple[int, list[dict[str, Any]]]:
    """The status, 200 or 207, and the result of each operation."""
    if not isinstance(operations, list) or not operations:
        raise bad_request("The batch request body is not a list of operations.")
    if len(operations) > MAX_OPERATIONS:
        raise bad_request(
            "Batch request has more operations than what is supported. "
            f"The number of operations {len(operations)} exceeds the limit {MAX_OPERATIONS}."
        )
    if size > MAX_BYTES:
        raise too_large()
    results: list[dict[str, Any]] = []
    try:
        with documents.turn():
            for operation in operations:
                results.append(_apply(documents, key, operation))
    except Refused as refused:
        failed: dict[str, Any] = {"statusCode": refused.status, "requestCharge": charges.EMPTY}
        if refused.substatus:
            failed["subStatusCode"] = refused.substatus
        others = {"statusCode": _FAILED_DEPENDENCY, "requestCharge": 0.0}
        answer = [others] * len(operations)
        answer[len(results)] = failed
        return 207, answer
    return 200, results


def _apply(documents: Documents, key: Key, operation: dict[str, Any]) -> dict[str, Any]:
    kind = operation.get("operationType")
    if_match = operation.get("ifMatch")
    container = documents.container
    if "ifNoneMatch" in operation:
        raise not_offered("ifNoneMatch in a batch")
    if kind == "Read":
        return _result(200, documents.read(key, _id(operation)))
    if kind == "Delete":
        charge = documents.delete(key, _id(operation), if_match)
        return {"statusCode": 204, "requestCharge": charge}
    if kind not in {"Create", "Upsert", "Replace"}:
        raise not_offered(f"the batch operation {kind}")
    expected = _id(operation) if kind == "Replace" else None
    item = item_of(container, key, operation.get("resourceBody"), expected)
    if kind == "Create":
        return _result(201, documents.create(key, item))
    if kind == "Replace":
        return _result(200, documents.replace(key, item, if_match))
    stored, created = documents.upsert(key, item, if_match)
    return _result(201 if created else 200, stored)


def _id(operation: dict[str, Any]) -> str:
    if not isinstance(found := operation.get("id"), str):
        raise bad_request("The batch operation names no id.")
    return found


def _result(status: int, stored: Stored) -> dict[str, Any]:
    return {
        "statusCode": status,
        "requestCharge": stored.charge,
        "eTag": stored.etag,
        "resourceBody": from_json(stored.text),
    }
