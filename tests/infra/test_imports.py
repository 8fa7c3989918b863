"""What the program may lean on. It runs where neither the app's libraries nor its settings are."""

import pytest

from tests.architecture.tree import sources

LENT = {
    "shared.adapters.azure.cosmos_indexing",
    "shared.adapters.azure.servicebus_entities",
    "shared.names",
}
"""Data about the app that infrastructure is made from, without any library."""


def test_the_program_takes_only_data_from_the_app() -> None:
    """An import of an adapter would ask for an SDK where the program is deployed from."""
    wrong = [
        source.at(node, module)
        for source in sources("infra/")
        for node, module in source.imports()
        if module.partition(".")[0] in {"shared", "functions", "local", "tests"} and module not in LENT
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_that_is_served_imports_the_program() -> None:
    """It is not in the package, and neither is Pulumi."""
    wrong = [
        source.at(node, module)
        for source in sources("function_app.py", "functions/", "shared/", "local/")
        for node, module in source.imports()
        if module.partition(".")[0] == "infra"
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", ["infra/access.py", "infra/names.py", "infra/policy/seen.py"])
def test_what_the_policy_pack_shares_with_the_program_needs_no_sdk(path: str) -> None:
    """The pack is started for every preview; a third of a gigabyte of SDK would be loaded with it."""
    (source,) = sources(path)
    assert not [module for _, module in source.imports() if module.startswith("pulumi")]
