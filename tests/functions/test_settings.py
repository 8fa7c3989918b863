"""The settings: one clear line per mistake, before anything runs."""

import pytest

from shared.settings import NEEDED_ON_AZURE, BadSettings, Settings

AZURE = {
    "SLIPWAY_PLATFORM": "azure",
    "SLIPWAY_COSMOS_ENDPOINT": "https://acme.documents.azure.com:443/",
    "SLIPWAY_SERVICEBUS_NAMESPACE": "acme.servicebus.windows.net",
    "SLIPWAY_KEYVAULT_URL": "https://acme.vault.azure.net/",
    "SLIPWAY_BLOB_ENDPOINT": "https://acme.blob.core.windows.net/",
    "SLIPWAY_ISSUER": "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
    "SLIPWAY_PUBLIC_URL": "https://slipway.example.com",
}


def complaints(**given: str) -> list[str]:
    with pytest.raises(BadSettings) as refused:
        Settings.load({**AZURE, **given})
    return str(refused.value).splitlines()


def test_what_azure_needs_is_enough() -> None:
    settings = Settings.load(AZURE)
    assert (settings.platform, settings.client_id, settings.job_queues) == ("azure", "", ())


@pytest.mark.parametrize("name", NEEDED_ON_AZURE)
def test_each_thing_that_azure_needs_is_asked_for_by_name(name: str) -> None:
    variable = f"SLIPWAY_{name.upper()}"
    assert complaints(**{variable: ""}) == [f"{variable}: SLIPWAY_PLATFORM=azure needs it."]


def test_every_mistake_is_told_at_once() -> None:
    told = complaints(
        SLIPWAY_COSMOS_ENDPOINT="acme.documents.azure.com",
        SLIPWAY_KEYVAULT_URL="http://acme.vault.azure.net",
        SLIPWAY_SERVICEBUS_NAMESPACE="sb://acme.servicebus.windows.net/",
        SLIPWAY_BLOB_ENDPOINT="",
    )
    assert [line.partition(":")[0] for line in told] == [
        "SLIPWAY_COSMOS_ENDPOINT",
        "SLIPWAY_SERVICEBUS_NAMESPACE",
        "SLIPWAY_KEYVAULT_URL",
        "SLIPWAY_BLOB_ENDPOINT",
    ]


@pytest.mark.parametrize("url", ["https://127.0.0.1:8081", "http://localhost:8081", "http://127.0.0.1:1/x"])
def test_this_machine_may_be_asked_without_tls(url: str) -> None:
    assert Settings.load({**AZURE, "SLIPWAY_BLOB_ENDPOINT": url}).blob_endpoint == url


@pytest.mark.parametrize("host", ["127.0.0.1:5672", "localhost:5672", "acme.servicebus.windows.net"])
def test_a_namespace_is_a_host_name(host: str) -> None:
    assert Settings.load({**AZURE, "SLIPWAY_SERVICEBUS_NAMESPACE": host}).servicebus_namespace == host


def test_only_queues_that_exist_can_be_worked_elsewhere() -> None:
    assert Settings.load(AZURE | {"SLIPWAY_JOB_QUEUES": "runs, gitops"}).job_queues == ("runs", "gitops")
    (told,) = complaints(SLIPWAY_JOB_QUEUES="runs,walks")
    assert "there is no queue walks; there are source" in told
