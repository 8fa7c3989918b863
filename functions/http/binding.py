"""Path, query, headers and body to typed arguments. Every mistake of a request is reported at once."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from functions.http.cursors import Cursors
from functions.http.endpoint import Endpoint, Received
from functions.http.fields import ListQuery
from functions.http.problems import problems_of
from shared.domain.kernel.errors import Invalid, NotFound, Problem
from shared.ports.signer import Signer

MAX_DEPTH = 64
_ETAG = re.compile(r'"([0-9]{1,18})"')
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Bound(NamedTuple):
    """A request that is well formed. `document` is the JSON body as parsed, before any model; `cursors` are
    those of the list that it asks for."""

    path: tuple[Any, ...]
    arguments: dict[str, Any]
    document: dict[str, Any] | None
    if_match: int | None
    key: str | None
    cursors: Cursors | None


def bind(
    endpoint: Endpoint,
    received: Received,
    route: Mapping[str, str],
    params: Mapping[str, str],
    signer: Signer,
    tenant: str,
) -> Bound:
    """The arguments of the handler. Raises NotFound for an id in the path that cannot exist, Invalid with
    every problem of query, headers and body together. `signer` and `tenant` are those of its cursors."""
    path = bind_path(endpoint, route)
    problems: list[Problem] = []
    arguments: dict[str, Any] = {}
    document = if_match = key = cursors = None
    if endpoint.query is not None:
        query = arguments["query"] = _validated(endpoint.query, dict(params), problems)
        if query is not None:
            cursors = Cursors(signer, endpoint.name, tenant, path, query)
            problems.extend(_placed(query, cursors))
    if endpoint.method != "GET":
        if_match = _if_match(received.headers.get("if-match"), problems)
        if if_match is not None and not endpoint.reads_if_match:
            # Taken in silence, the caller would believe that somebody else's change could not slip in.
            problems.append(
                Problem("If-Match", "This operation decides on no revision; leave it out.", "not_used")
            )
        key = _key(received.headers.get("idempotency-key"), problems)
    if endpoint.raw_body:
        arguments["body"] = received.body
    elif endpoint.body is not None:
        try:
            document = parse_object(received.body, endpoint.body)
        except BadJson as error:
            problems.append(Problem("", str(error), "invalid_json"))
        else:
            arguments["body"] = _validated(endpoint.body, document, problems)
    if problems:
        raise Invalid(_summary(problems), *problems)
    return Bound(path, arguments, document, if_match, key, cursors)


def bind_path(endpoint: Endpoint, route: Mapping[str, str]) -> tuple[Any, ...]:
    """An id that is malformed names nothing, so it answers as an unknown one does."""
    try:
        return tuple(param.adapter.validate_python(route.get(param.name)) for param in endpoint.params)
    except ValidationError:
        raise NotFound("There is nothing at this path; check the ids in it.") from None


def _placed(query: ListQuery, cursors: Cursors) -> Iterator[Problem]:
    """Tell the query what its cursor means, once that is verified."""
    yield from query.mistakes()
    if query.sent_cursor is None:
        return
    try:
        query.place(*cursors.read(query.sent_cursor))
    except ValueError:
        yield Problem(
            "cursor",
            "Must be the `next` of an earlier page of this very list, unchanged; leave it out for the first"
            " page.",
            "invalid_format",
        )


def _validated[M: BaseModel](model: type[M], value: dict[str, Any], problems: list[Problem]) -> M | None:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems.extend(problems_of(error))
        return None


def _summary(problems: list[Problem]) -> str:
    if len(problems) > 1:
        return f"The request has {len(problems)} mistakes; mend them all and send it again."
    [problem] = problems
    return f"{problem.field}: {problem.message}" if problem.field else problem.message


def _if_match(value: str | None, problems: list[Problem]) -> int | None:
    if value is None or value.strip() == "*":
        return None
    if found := _ETAG.fullmatch(value.strip()):
        return int(found[1])
    problems.append(
        Problem("If-Match", 'Must be one ETag as we gave it, such as "12", or *.', "invalid_format")
    )
    return None


def _key(value: str | None, problems: list[Problem]) -> str | None:
    if value is not None and not _KEY.fullmatch(value):
        problems.append(
            Problem("Idempotency-Key", "Must be 1 to 255 visible ASCII characters.", "invalid_format")
        )
    return value


class BadJson(ValueError):
    """The body is no JSON object that we take; the text says why."""


def parse_object(body: bytes, model: type[BaseModel]) -> dict[str, Any]:
    """The JSON object in `body`: one parse, no duplicate names, finite numbers, at most 64 levels.

    An empty body stands for an empty object where the model requires nothing.
    """
    if not body.strip():
        if any(field.is_required() for field in model.model_fields.values()):
            raise BadJson("A JSON body is needed here; send an object.")
        return {}
    try:
        value = _DECODER.decode(body.decode())
    except UnicodeDecodeError:
        raise BadJson("The body is not valid UTF-8.") from None
    except json.JSONDecodeError as error:
        raise BadJson(
            f"The body is not valid JSON: {error.msg} at line {error.lineno} column {error.colno}."
        ) from None
    except RecursionError:
        raise BadJson(_TOO_DEEP) from None
    except BadJson:
        raise
    except ValueError:
        raise BadJson("The body holds a number of too many digits.") from None
    if not isinstance(value, dict):
        raise BadJson("The body must be a JSON object.")
    # Nothing can be nested deeper than it has brackets, so that nearly every body is spared the walk.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise BadJson(_TOO_DEEP)
    if b"\\u" in body:
        _refuse_lone_surrogates(value)
    return value


_TOO_DEEP = f"The body is nested deeper than {MAX_DEPTH} levels."


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise BadJson(f"The name {name[:80]!r} stands twice in one object; keep one.")
    return made


def _no_constant(name: str) -> None:
    raise BadJson(f"{name} is not JSON; send a finite number.")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BadJson("The body holds a number too large to keep; send a finite one.")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def _is_deeper(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return any(isinstance(node, dict | list) for node in level)


def _children(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _refuse_lone_surrogates(value: object) -> None:
    # JSON can spell half a character, which no UTF-8 text can hold: it would fail when it is stored.
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadJson("The body holds half of a surrogate pair; send whole characters.") from None
