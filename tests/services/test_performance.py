"""Facts of deployments projected from a real change feed: whatever comes twice, late or out of order."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.embedded.store import SqliteStore
from shared.domain.kernel.ids import Root
from shared.names import INDEXES
from shared.ports.store import Document, Write
from shared.services.performance import DeploymentFacts
from shared.services.views import Views
from tests.support.api import a_world, an_api
from tests.support.app import SteppingClock

AT = datetime(2026, 6, 11, 9, tzinfo=UTC)
OVER = {
    "succeeded": {"deploy": "deployed", "rollback": "undone"},
    "failed": {"deploy": "failed"},
    "rolled_back": {"deploy": "rolled_back"},
}


def a_deployment(number: int, status: str, kind: str, hour: int) -> Document:
    """As it is stored; running ones have not ended."""
    at = f"{AT + timedelta(hours=hour):%Y-%m-%dT%H:%M:%S.%f}Z"
    body: dict[str, Any] = {
        "id": f"{number:032x}",
        "kind": kind,
        "status": status,
        "promotion": f"{number % 5:032x}",
        "project": "proj-x",
        "module": "module-x",
        "environment_name": "prod",
        "release": f"{7:032x}",
        "created_at": at,
        "started_at": at,
        "completed_at": None if status == "running" else at,
    }
    return Document("acme", "environment:1", f"deployment:{number}", "deployment", body, "1", 0)


HISTORY = st.lists(
    st.builds(
        a_deployment,
        st.integers(0, 12),
        st.sampled_from(["succeeded", "failed", "rolled_back", "cancelled"]),
        st.sampled_from(["deploy", "rollback"]),
        st.integers(0, 100),
    ),
    max_size=12,
    unique_by=lambda document: document.id,
)


def recounted(documents: Sequence[Document]) -> set[tuple[str, str, str]]:
    return {
        (body["id"], outcome, body["completed_at"])
        for body in (document.body for document in documents)
        if (outcome := OVER.get(body["status"], {}).get(body["kind"])) is not None
    }


@settings(max_examples=60, deadline=None)
@given(history=HISTORY, order=st.randoms(use_true_random=False))
async def test_any_interleaving_and_repeat_of_versions_comes_to_the_same_as_a_recount(
    history: list[Document], order: Random
) -> None:
    earlier = [
        replace(each, body={**each.body, "status": "running", "completed_at": None}) for each in history
    ]
    versions = [*history, *earlier, *history[::2]]
    order.shuffle(versions)
    with TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "store.db", INDEXES, SteppingClock())
        facts = DeploymentFacts(store)
        while versions:
            size = order.randint(1, len(versions))
            await facts.project(versions[:size])
            del versions[:size]
        found = await facts.between("acme", "proj-x", AT - timedelta(days=1), AT + timedelta(days=9))
        await store.aclose()
    told = {(fact.deployment, str(fact.outcome), f"{fact.at:%Y-%m-%dT%H:%M:%S.%f}Z") for fact in found}
    assert told == recounted(history)
    assert [fact.at for fact in found] == sorted(fact.at for fact in found)


async def test_a_deployment_through_the_api_is_measured_from_its_commit_on(tmp_path: Path) -> None:
    api = an_api(tmp_path)
    await a_world(api)
    asked = "/metrics/dora?projectId=proj-x&environment=dev&bucket=day"
    told = await api.expect(200, "GET", asked, token="acme/user+eve/viewer")
    assert told["overall"]["deploymentFrequency"]["deployments"] == 1
    lead = told["overall"]["leadTime"]
    assert lead["samples"] == 1
    assert lead["p50Seconds"] == lead["p90Seconds"] > 0
    assert told["overall"]["changeFailureRate"] == {"changes": 1, "failures": 0, "rate": 0.0, "band": "Elite"}
    assert len(told["periods"]) >= 30
    assert told["periods"][0]["leadTime"] == {"samples": 0}
    assert told["isExact"] is True
    assert told["bands"]["leadTime"]["p50AtMostSeconds"]["Elite"] == 86400
    for other in ("projectId=proj-x", "projectId=proj-y&environment=dev"):
        empty = await api.expect(200, "GET", f"/metrics/dora?{other}")
        assert empty["overall"]["changeFailureRate"] == {"changes": 0, "failures": 0}
    rival = await api.expect(200, "GET", asked, token="rival/user+ann/admin")
    assert rival["overall"]["deploymentFrequency"] == {"deployments": 0, "perDay": 0.0}
    await api.app.aclose()


async def test_what_is_refused_says_why(tmp_path: Path) -> None:
    api = an_api(tmp_path)
    for query, status in (
        ("", 400),
        ("?projectId=p&from=2026-06-02T00:00:00Z&to=2026-06-01T00:00:00Z", 400),
        ("?projectId=p&from=2020-06-02T00:00:00Z&to=2026-06-01T00:00:00Z", 400),
        ("?projectId=p&from=2026-06-02T00:00:00", 400),
        ("?projectId=p&bucket=hour", 400),
        ("?projectId=p&environment=nowhere", 400),
    ):
        answer = await api.send("GET", f"/metrics/dora{query}")
        assert answer.status == status, (query, answer.body)
    refused = await api.send("GET", "/metrics/dora?projectId=p", token="acme/user+eve/none")
    assert refused.status == 403
    await api.app.aclose()


async def test_a_rebuild_of_the_views_makes_lost_facts_again(tmp_path: Path) -> None:
    api = an_api(tmp_path)
    await a_world(api)
    asked = "/metrics/dora?projectId=proj-x&environment=dev"
    before = await api.expect(200, "GET", asked)
    store = api.app.store
    found = (await api.app.feed.read("", 5000)).documents
    facts = [each for each in found if each.kind == "view-deployment-over"]
    assert facts
    for each in facts:
        kind, _, key = each.root.partition(":")
        delete = Write("delete", each.id, each.kind, etag=each.etag)
        await store.open("acme").partition(Root(kind, key)).commit([delete])
    lost = await api.expect(200, "GET", asked)
    assert lost["overall"]["deploymentFrequency"]["deployments"] == 0
    await Views(store, INDEXES, others=(DeploymentFacts(store),)).rebuild(api.app.feed)
    again = await api.expect(200, "GET", asked)
    assert again["overall"]["changeFailureRate"] == before["overall"]["changeFailureRate"]
    assert again["overall"]["leadTime"] == before["overall"]["leadTime"]
    await api.app.aclose()
