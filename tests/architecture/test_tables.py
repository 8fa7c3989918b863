"""The tables that code and infrastructure share, held against the code that uses them, both ways."""

import ast
from dataclasses import fields

import pytest

import function_app  # noqa: F401 - declares every endpoint
import shared.app  # noqa: F401 - registers every record
from functions.http.endpoint import Endpoint
from functions.http.surface import endpoint_table
from functions.routes import declared
from functions.workers import CONSUMERS
from shared.domain.kernel.record import REGISTRY
from shared.names import INDEXES, PARKED_EVENT, QUEUES, ROUTES
from shared.ports.index import Index
from tests.architecture.tree import called_with_text, sources

ENDPOINTS = endpoint_table(declared())
REMINDER = "Again"
"""What `kernel.events.with_reminders` puts behind the type of a command."""
HANDLED = {(consumer.queue, event_type) for consumer in CONSUMERS for event_type in consumer.handles}


def test_every_routed_event_has_exactly_one_handler_on_each_of_its_queues() -> None:
    """An event without a handler is parked in production, where nobody sent it on purpose; a handler without
    a route is never called."""
    assert {(queue, event_type) for event_type, queues in ROUTES.items() for queue in queues} == HANDLED


def test_every_routed_event_is_emitted_somewhere() -> None:
    """A row that is spelled unlike the event routes nothing, and the event goes nowhere in silence."""
    emitted = {text for _, _, text in called_with_text(sources("shared/", "functions/"), "Event")}
    reminded = {event_type for event_type in ROUTES if event_type.removesuffix(REMINDER) in emitted}
    assert sorted(ROUTES.keys() - emitted - reminded) == []


def test_a_reminder_goes_where_its_command_goes() -> None:
    """A reminder in another queue is handled by a worker that does not know the command."""
    reminders = [event_type for event_type in ROUTES if event_type.endswith(REMINDER)]
    assert {each: ROUTES[each] for each in reminders} == {
        each: ROUTES[each.removesuffix(REMINDER)] for each in reminders
    }


def test_what_is_parked_is_routed_by_its_queue() -> None:
    """With a row of its own it would be sent twice."""
    assert PARKED_EVENT not in ROUTES


def test_an_event_without_a_route_is_a_fact() -> None:
    """Facts are in the past tense and may have no reader. A command without a route is work that is never
    done, and nothing would say so."""
    lost = [
        source.at(call, f"{text} is a command that ROUTES does not know")
        for source, call, text in called_with_text(sources("shared/", "functions/"), "Event")
        if text not in ROUTES and not text.endswith(("ed", "RolledBack"))
    ]
    assert not lost, "\n".join(lost)


def test_every_queue_has_exactly_one_consumer() -> None:
    """Two would share the messages of one session and break its order; none lets them pile up."""
    assert sorted(consumer.queue for consumer in CONSUMERS) == sorted(QUEUES)


def test_every_route_leads_to_a_queue_that_exists() -> None:
    """Sending to a queue that infrastructure never made fails the whole batch of the feed, for ever."""
    assert {queue for queues in ROUTES.values() for queue in queues} <= set(QUEUES)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_endpoint_says_who_may_call_it_and_what_it_does(endpoint: Endpoint) -> None:
    """Without a scope it is open to every token; without a summary it is a blank line in OpenAPI."""
    assert endpoint.scope
    assert endpoint.summary.endswith("."), endpoint.summary


def test_every_mutation_hands_its_idempotency_key_to_its_service() -> None:
    """A handler that drops `call.once` does its work twice when the caller retries. Who calls a public one
    has no key: its service knows the message by itself."""
    wrong = [
        source.at(node, f"{node.name} never uses call.once")
        for source in sources("functions/api/")
        for node in source.nodes
        if isinstance(node, ast.AsyncFunctionDef) and _mutates(node) and "call.once" not in ast.unparse(node)
    ]
    assert not wrong, "\n".join(wrong)


def _mutates(handler: ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in {"post", "put", "delete"}
        and "scope=PUBLIC" not in ast.unparse(decorator)
        for decorator in handler.decorator_list
    )


@pytest.mark.parametrize("index", INDEXES, ids=str)
def test_every_index_is_of_fields_that_its_record_has(index: Index) -> None:
    """An index of a field that was renamed finds nothing, and a list that finds nothing looks like an empty
    one."""
    record = REGISTRY.get(index.kind)
    assert record is not None, f"no record is called {index.kind}"
    known = {field.name for field in fields(record)}  # type: ignore[arg-type]
    assert {*index.equal, index.order} <= known


def test_no_index_is_declared_twice() -> None:
    """Two names for one index cost every write twice."""
    shapes = [(index.kind, frozenset(index.equal), index.order) for index in INDEXES]
    assert len(shapes) == len(set(shapes))


def test_every_record_lives_in_a_root_that_is_named_after_a_record() -> None:
    """The audit trail and every GET find a tree by its root's kind; a misspelled one is a partition apart."""
    roots = {record.__record__.root for record in REGISTRY.values()}
    assert sorted(roots - REGISTRY.keys()) == []
