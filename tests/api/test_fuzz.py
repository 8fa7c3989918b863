"""Every operation of every surface, asked for what its own published schema allows and for what it does not.

Bounded by default; SLIPWAY_FUZZ_EXAMPLES says how many requests of each kind an operation gets.
"""

import asyncio
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import azure.functions as func
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from pydantic import BaseModel
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from functions.http.endpoint import Endpoint
from functions.http.serve import serve
from functions.http.surface import endpoint_table
from functions.routes import declared
from tests.support.api import SERVICE, World, a_world, an_api, find_endpoint
from tests.support.contract import published

EXAMPLES = int(os.environ.get("SLIPWAY_FUZZ_EXAMPLES", "8"))

type Told = schemathesis.Response
type Draw = Callable[[st.SearchStrategy[Any]], Any]

load_all_checks()
CHECKED: list[Any] = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ]
)
CALLERS = ("agent+Planner", "user+ann", "user+fay")


@dataclass
class Fuzzed:
    """A world that requests are sent into, on one loop. What they make is known to later ones."""

    world: World
    loop: asyncio.AbstractEventLoop
    known: dict[str, list[Any]]
    statuses: dict[str, set[int]] = field(default_factory=dict)

    def send(self, case: Case[Any], caller: str) -> Told:
        sent = requests.Request(**case.as_transport_kwargs(base_url="http://host")).prepare()
        url = urlsplit(str(sent.url))
        endpoint, route = find_endpoint(str(sent.method), url.path)
        headers = {name.lower(): _text(value) for name, value in sent.headers.items()}
        request = func.HttpRequest(
            method=str(sent.method),
            url=str(sent.url),
            headers={**headers, "accept": "*/*", "authorization": f"Bearer acme/{caller}/admin"},
            params=dict(parse_qsl(url.query, keep_blank_values=True)),
            route_params={name: unquote(value) for name, value in route.items()},
            body=_bytes(sent.body),
        )
        response = self.loop.run_until_complete(serve(endpoint, lambda: self.world.api.app, request))
        told = {name.lower(): [value] for name, value in response.headers.items()}
        body = response.get_body()
        if body:
            told["content-type"] = [response.mimetype]
        self.statuses.setdefault(endpoint.name, set()).add(response.status_code)
        if "json" in response.mimetype and response.status_code < 300:
            self._remember(json.loads(body))
        return schemathesis.Response(response.status_code, told, body, sent, elapsed=0.0, verify=False)

    def follow(self, told: Told) -> int:
        """The status of what Location names."""
        [location] = told.headers["location"]
        return self.loop.run_until_complete(
            self.world.api.send("GET", location, token="acme/user+ann/admin")
        ).status

    def drain(self) -> None:
        self.loop.run_until_complete(self.world.api.drain())

    def _remember(self, made: dict[str, Any]) -> None:
        for name, value in made.items():
            if name.endswith("Id") and name in self.known and value not in self.known[name]:
                self.known[name].append(value)
        if isinstance(made.get("next"), str):
            self.known["cursor"] = [made["next"]]


def _bytes(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(cast(bytes, value or b""))


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


@schemathesis.serializer(
    "application/zip", "application/gzip", "application/x-gzip", "application/x-tar+gzip"
)
def bundle(context: schemathesis.SerializationContext, value: Any) -> Any:
    """Arbitrary bytes, and a real bundle in the place of very few of them."""
    raw = value if isinstance(value, bytes) else repr(value).encode()
    if len(raw) > 4:
        return raw
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in SERVICE.items():
            archive.writestr(path, text)
    return made.getvalue()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    loop = asyncio.new_event_loop()
    api = an_api(Path(tmp_path_factory.mktemp("fuzzed")))
    world = loop.run_until_complete(a_world(api))
    yield Fuzzed(world, loop, known_of(world))
    loop.run_until_complete(api.app.aclose())
    loop.close()


@pytest.fixture(scope="module")
def endpoints() -> dict[str, Endpoint]:
    return {endpoint.name: endpoint for endpoint in endpoint_table(declared())}


def known_of(world: World) -> dict[str, list[Any]]:
    """Parameter or member -> what makes sense there."""
    environments = ["dev", "test", "staging"]
    known: dict[str, list[Any]] = {name: [value] for name, value in world.ids.items()}
    known["promotionId"].append(world.more["stagingPromotionId"])
    return known | {
        "asset": ["start.js", "page.css", "swagger-ui.css", "favicon-32x32.png"],
        "branch": ["main", "feature/x", "feature/y"],
        "cursor": [],
        "changes": [
            [{"path": f"docs/{number}.md", "operation": "add", "content": f"{number}\n"}]
            for number in range(9)
        ],
        "document": ["devops.json", "platform.json"],
        "environment": environments,
        "expectedHead": [None],
        "fromBranch": ["main", "feature/x"],
        "moduleId": ["module-x"],
        "projectId": ["proj-x"],
        "resourceId": [*world.ids.values()],
        "sourceBranch": ["feature/x", "feature/y"],
        "targetBranch": ["main"],
        "targetEnvironment": environments,
        "tenantId": ["acme"],
        "toEnvironment": environments,
    }


def knowing(value: Any, known: dict[str, list[Any]], draw: Draw) -> Any:
    """`value` with things that exist in most of the places that name one.

    What is drawn must not depend on what is known, which grows while requests are made: hypothesis takes a
    test that draws differently the second time for a broken one.
    """
    if isinstance(value, list):
        return [knowing(one, known, draw) for one in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, one in value.items():
        things = known.get(name)
        if things is None or not draw(st.integers(0, 7)):
            found[name] = knowing(one, known, draw)
        else:
            # Half of them the first: what is named together belongs together in the world that was made.
            is_first, which = draw(st.booleans()), draw(st.integers(0, 1023))
            found[name] = things[0 if is_first else which % len(things)] if things else one
    return found


def thinned(value: Any, model: type[BaseModel] | None, draw: Draw) -> Any:
    """`value` without half of what `model` can do without: what is generated names nearly everything."""
    if model is None or not isinstance(value, dict):
        return value
    optional = {field.alias for field in model.model_fields.values() if not field.is_required()}
    return {name: one for name, one in value.items() if name not in optional or draw(st.booleans())}


def turn_of(operation: Any) -> int:
    """First what makes things, repositories before what is made of them; then what reads, then what ends."""
    if operation.method == "get":
        return 2
    if operation.method == "delete" or operation.path.endswith(
        ("/abandon", "/archive", "/cancel", "/unarchive")
    ):
        return 3
    return 0 if operation.path.startswith("/repositories") else 1


def operations() -> Iterator[Any]:
    """What is allowed goes before what is not."""
    schemas = {name: schemathesis.openapi.from_dict(document) for name, document in published().items()}
    found = [
        ((mode is GenerationMode.NEGATIVE, turn_of(operation)), name, operation, mode)
        for name, schema in schemas.items()
        for operation in (cast(Any, one).ok() for one in schema.get_all_operations())
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    ]
    for _, name, operation, mode in sorted(found, key=lambda one: one[0]):
        yield pytest.param(operation, mode, id=f"{name} {operation.label} {mode.value}")


OPERATIONS = list(operations())


@pytest.mark.parametrize(("operation", "mode"), OPERATIONS)
def test_an_operation_answers_as_its_schema_says(
    fuzzed: Fuzzed, endpoints: dict[str, Endpoint], operation: Any, mode: GenerationMode
) -> None:
    endpoint = endpoints[operation.definition.raw["operationId"]]

    # Derandomized: the same requests everywhere, so that a failure is a change of ours.
    @settings(
        derandomize=True,
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def ask(case: Case[Any], data: st.DataObject) -> None:
        case.path_parameters = knowing(case.path_parameters, fuzzed.known, data.draw)
        case.query = thinned(knowing(case.query, fuzzed.known, data.draw), endpoint.query, data.draw)
        if endpoint.examples is not None and mode is GenerationMode.POSITIVE and data.draw(st.booleans()):
            case.body = cast(Any, endpoint.examples)
        case.body = thinned(knowing(case.body, fuzzed.known, data.draw), endpoint.body, data.draw)
        if data.draw(st.booleans()):
            case.headers.pop("If-Match", None)
        told = fuzzed.send(case, data.draw(st.sampled_from(CALLERS)))
        case.validate_response(told, checks=CHECKED)
        if "location" in told.headers:
            assert fuzzed.follow(told) == 200

    # Where everything is allowed, there is nothing to ask for that is not.
    with suppress(Unsatisfiable):
        ask()
    if operation.method != "get":
        fuzzed.drain()


NEEDS_CONTENT = {
    "devops_publish_package",
    "devops_report_build",
    "devops_request_container_image",
    "feeds_complete_nuget_packages",
    "feeds_delete_nuget_package",
    "feeds_fetch_generic_package",
    "feeds_fetch_nuget_file",
    "feeds_fetch_package_file",
    "feeds_list_nuget_versions",
    "feeds_publish_npm_package",
    "feeds_publish_scoped_npm_package",
    "feeds_push_nuget_package",
    "feeds_show_npm_package",
    "feeds_show_nuget_registration",
    "feeds_show_nuget_registrations",
    "feeds_show_python_package",
    "feeds_show_scoped_npm_package",
    "feeds_upload_python_package",
    "platform_receive_host_event",  # a signature
}
"""They name builds, digests and published packages, which no generated request knows."""


def test_the_requests_reached_what_lies_behind_the_door(fuzzed: Fuzzed) -> None:
    """An operation that only ever refuses has not been looked at; a write may be refused by a rule."""
    refused = {
        name
        for name, statuses in fuzzed.statuses.items()
        if not any(status < 300 or status in {409, 422} for status in statuses)
    }
    assert len(fuzzed.statuses) == len(OPERATIONS) // 2
    assert sorted(refused - NEEDS_CONTENT) == []
