"""What infrastructure deploys serves every query that is declared, and indexes nothing else."""

import re
from collections.abc import Sequence
from itertools import product

import pytest

from shared.adapters.azure.cosmos_indexing import containers, documents_container, indexing_policy, ordering
from shared.adapters.azure.cosmos_query import list_sql
from shared.names import DOCUMENTS, INDEXES, LEASES
from shared.ports.index import Index
from tests.standins.cosmos.catalogue import Catalogue

CASES = list(product(INDEXES, (False, True)))
_PATH = re.compile(r'c((?:\["[^"]+"\])+) (ASC|DESC)')


def order_by(index: Index, descending: bool) -> list[tuple[str, str]]:
    """The paths of the query's order, and their directions."""
    sql = list_sql(index, descending, False)
    order = sql[sql.index(" ORDER BY ") : sql.index(" OFFSET ")]
    return [
        ("/" + "/".join(re.findall(r'"([^"]+)"', path)), direction)
        for path, direction in _PATH.findall(order)
    ]


def composites(indexes: Sequence[Index]) -> list[list[str]]:
    return [[entry["path"] for entry in one] for one in indexing_policy(indexes)["compositeIndexes"]]


@pytest.mark.parametrize(("index", "descending"), CASES, ids=str)
def test_every_query_orders_by_exactly_one_composite_in_one_direction(index: Index, descending: bool) -> None:
    order = order_by(index, descending)
    assert composites(INDEXES).count([path for path, _ in order]) == 1
    assert {direction for _, direction in order} == {"DESC" if descending else "ASC"}


@pytest.mark.parametrize(("index", "descending"), CASES, ids=str)
def test_every_list_binds_its_tenant_and_fixes_what_it_orders_by_first(
    index: Index, descending: bool
) -> None:
    for is_after in (False, True):
        sql = list_sql(index, descending, is_after)
        assert 'c["tenantId"] = @tenant AND c["kind"] = @kind' in sql
        *fixed, _, _ = [path for path, _ in order_by(index, descending)]
        for path in fixed:
            names = "".join(f'["{name}"]' for name in path.strip("/").split("/"))
            assert f"c{names} = @" in sql


def test_only_what_a_query_asks_for_is_indexed() -> None:
    policy = indexing_policy(INDEXES)
    asked = {path for index, descending in CASES for path, _ in order_by(index, descending)}
    included = {entry["path"].removesuffix("/?") for entry in policy["includedPaths"]}
    assert included == asked | {"/root", "/expiresAt"}
    assert policy["excludedPaths"] == [{"path": "/*"}]


def test_kinds_that_are_asked_alike_share_a_composite() -> None:
    indexes = [Index(kind, ("project",), "at") for kind in ("a", "b", "c")]
    assert composites(indexes) == [["/tenantId", "/kind", "/body/project", "/body/at", "/id"]]
    assert len(composites(INDEXES)) < len(INDEXES)


def test_documents_are_partitioned_by_tenant_and_root_and_expire_only_where_they_say_so() -> None:
    documents, leases = containers(INDEXES)
    assert documents["id"] == DOCUMENTS
    assert documents["partitionKey"] == {"paths": ["/tenantId", "/root"], "kind": "MultiHash", "version": 2}
    assert documents["defaultTtl"] == -1
    assert (leases["id"], leases["partitionKey"]["paths"]) == (LEASES, ["/id"])


def test_the_service_takes_these_definitions() -> None:
    catalogue = Catalogue.of({"slipway": containers(INDEXES)})
    indexing = catalogue.containers["slipway", DOCUMENTS].indexing
    for index in INDEXES:
        for descending in (False, True):
            assert indexing.serves([(path, descending) for path in ordering(index)])
        for path in ordering(index):
            assert indexing.covers(path)


def test_definitions_are_the_same_whatever_the_order_of_the_declarations() -> None:
    """Else every deployment would find something to change."""
    assert documents_container(INDEXES) == documents_container(tuple(reversed(INDEXES)))


def test_a_name_with_a_dash_is_quoted_in_a_path() -> None:
    policy = indexing_policy([Index("thing", ("big-one",), "at")])
    assert {"path": '/body/"big-one"/?'} in policy["includedPaths"]


@pytest.mark.parametrize(
    "index",
    [
        Index("thing", ('a"b',), "at"),
        Index("thing", (), "a.b"),
        Index("thi'ng", (), "at"),
        Index("thing", ("a", "b", "c", "d", "e"), "at"),
    ],
    ids=str,
)
def test_an_index_that_cannot_be_had_is_refused_when_declared(index: Index) -> None:
    with pytest.raises(ValueError, match=re.escape(str(index))):
        indexing_policy([index])


def test_more_composites_than_a_container_may_have_are_refused() -> None:
    with pytest.raises(ValueError, match="100 composite indexes"):
        indexing_policy([Index("thing", (), f"field{number}") for number in range(101)])
