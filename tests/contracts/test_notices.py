"""What messages of webhooks say of themselves, and what is made of those that say nothing."""

import json

import pytest

from shared.adapters.hosts.notices import AZURE_DEVOPS_EVENTS, GITHUB_WORDS, read_azure_devops, read_github
from shared.ports.ci_host import HookEvent, Notice


@pytest.mark.parametrize(("event", "word"), GITHUB_WORDS.items())
def test_github_tells_in_headers_of_what_a_hook_is_registered_for(event: HookEvent, word: str) -> None:
    headers = {"x-github-delivery": "72d3162e", "x-github-event": word}
    assert read_github(headers, b"not read") == Notice("72d3162e", event)


@pytest.mark.parametrize("headers", [{}, {"x-github-event": "ping"}, {"x-github-event": "Push"}])
def test_what_github_tells_besides_concerns_nobody(headers: dict[str, str]) -> None:
    assert read_github(headers, b"{}") == Notice("", None)


@pytest.mark.parametrize(("word", "event"), AZURE_DEVOPS_EVENTS.items())
def test_azure_devops_tells_in_the_body_of_what_is_subscribed_to(word: str, event: HookEvent) -> None:
    body = json.dumps({"id": "03c164c2", "eventType": word, "resource": {}}).encode()
    assert read_azure_devops({}, body) == Notice("03c164c2", event)


@pytest.mark.parametrize(
    ("body", "delivery"),
    [
        (b"", ""),
        (b"\xff", ""),
        (b"[1]", ""),
        (b'"git.push"', ""),
        (b"{}", ""),
        (b'{"id": 7, "eventType": ["git.push"]}', "7"),
        (b'{"id": "a", "eventType": "workitem.created"}', "a"),
        (b'{"id": "a", "eventType": "git.pushed"}', "a"),
    ],
)
def test_what_is_no_message_of_azure_devops_concerns_nobody(body: bytes, delivery: str) -> None:
    assert read_azure_devops({}, body) == Notice(delivery, None)
