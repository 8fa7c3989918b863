"""What the house rules share: the syntax trees, which are let go when they are done."""

import gc
from collections.abc import Iterator

import pytest

from tests.architecture.tree import forget


@pytest.fixture(scope="package", autouse=True)
def _trees() -> Iterator[None]:
    """A million nodes: the garbage collector would go through them again while they are parsed, and then
    during every test that comes after."""
    gc.disable()
    yield
    forget()
    gc.enable()
