"""The examples of the DevOps contract are those that are published, and a host that is not there is named.

How each is answered is held to the contract by the walk, in tests/journeys.
"""

from pathlib import Path

from local.demos.devops_contract import CONTRACT, PROVISION_REPOSITORY
from tests.support.api import an_api, find_endpoint
from tests.support.contract import published


def test_the_published_examples_are_those_of_the_contract() -> None:
    shown = {
        operation["operationId"]: operation.get("requestBody", {})
        .get("content", {})
        .get("application/json", {})
        for path in published()["devops"]["paths"].values()
        for operation in path.values()
    }
    for one in CONTRACT:
        endpoint, _ = find_endpoint(one.method, one.path)
        assert shown[endpoint.name].get("example") == one.body


async def test_a_provider_that_is_not_connected_is_named_with_what_to_do(tmp_path: Path) -> None:
    api = an_api(tmp_path)
    body, token = PROVISION_REPOSITORY.body, "connectsoft/agent+Planner/admin"
    answer = await api.send("POST", PROVISION_REPOSITORY.path, body, token=token)
    assert (answer.status, answer.body["code"]) == (422, "provider_unavailable")
    assert "Embedded" in answer.body["detail"]
    await api.app.aclose()
