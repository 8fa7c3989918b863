"""What is taken for a secret, and what is not. No line here holds one whole: this file is committed, too."""

import pytest

from shared.domain.source.errors import SecretsFound
from shared.domain.source.secrets import (
    ALLOWED,
    MOST_BYTES,
    MOST_SHOWN,
    RULES,
    Found,
    find_secrets,
    require_no_secrets,
)

KINDS = {
    "private key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
    "GitHub token": "ghp" + "_" + "a1B2" * 9,
    "GitLab token": "glpat" + "-" + "a1B2_" * 4,
    "Azure DevOps token": "a1B2" * 19 + "AZDO" + "a1B2",
    "Azure account key": "Account" + "Key=" + "a1/+" * 21 + "ab==",
    "Azure shared access key": "SharedAccess" + "Key=" + "a1/+" * 10 + "abc=",
    "Entra ID client secret": "abc8" + "Q~" + "a.B_" * 8,
    "AWS access key": "AK" + "IA" + "ABCD2345" * 2,
    "Google API key": "AI" + "za" + "a1B2_" * 7,
    "Slack token": "xo" + "xb-" + "123456789012-abcdefghij",
    "Slack webhook": "https://hooks.slack.com/" + "services/T12345678/B12345678/" + "a1B2" * 5,
    "Stripe key": "sk" + "_live_" + "a1B2" * 6,
    "npm token": "npm" + "_" + "a1B2" * 9,
    "PyPI token": "pypi" + "-AgEIcHlwaS5vcmc" + "a1B2_" * 10,
    "NuGet key": "oy" + "2" + "a1b2" * 10 + "abc",
    "OpenAI key": "sk" + "-proj-" + "a1B2" * 10,
    "Anthropic key": "sk" + "-ant-" + "a1B2" * 10,
}


def test_every_kind_has_an_example_here() -> None:
    assert {rule.kind for rule in RULES} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_is_found_in_its_line(kind: str) -> None:
    content = f"first = 1\nsecret = '{KINDS[kind]}'\nlast = 3\n".encode()
    assert find_secrets(content) == [Found(kind, 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_marked_as_none_is_let_through(kind: str) -> None:
    assert find_secrets(f"x = '{KINDS[kind]}'  # ".encode() + ALLOWED) == []
    assert find_secrets(ALLOWED + f"\nx = '{KINDS[kind]}'".encode()) == [Found(kind, 2)]


@pytest.mark.parametrize(
    "harmless",
    [
        "token = os.environ['GITHUB_TOKEN']",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_short",
        "npm_config_registry=https://registry.example.com/",
        "AccountKey="
        + "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        "AccountKey=$(az storage account keys list)",
        "sha256:" + "0123456789abcdef" * 4,
    ],
)
def test_what_only_looks_a_little_like_one_is_let_through(harmless: str) -> None:
    assert find_secrets(harmless.encode()) == []


def test_data_is_not_searched() -> None:
    assert find_secrets(KINDS["GitHub token"].encode() + b" " * MOST_BYTES) == []


def test_every_place_is_named_and_no_secret_is_quoted() -> None:
    files = [(f"conf/{name}", secret.encode()) for name, secret in sorted(KINDS.items())]
    with pytest.raises(SecretsFound) as refused:
        require_no_secrets(files * 2)
    told = f"{refused.value.message} {refused.value.facts}"
    assert "conf/AWS access key:1 (AWS access key)" in told
    assert len(refused.value.facts["secrets"]) == MOST_SHOWN  # type: ignore[arg-type]
    assert not any(secret in told for secret in KINDS.values())
