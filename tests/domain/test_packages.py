"""Names and versions as each ecosystem has them."""

import pytest

from shared.domain.kernel.errors import Invalid
from shared.domain.packages.naming import (
    PackageType,
    coordinates,
    normalized_name,
    normalized_version,
)

P = PackageType


@pytest.mark.parametrize(
    ("kind", "written", "normal"),
    [
        (P.PYPI, "Shop.Orders__Client", "shop-orders-client"),
        (P.PYPI, "a", "a"),
        (P.NPM, "@shop/orders", "@shop/orders"),
        (P.NPM, "orders", "orders"),
        (P.NUGET, "Shop.Orders", "shop.orders"),
        (P.GENERIC, "Tool-1", "Tool-1"),
    ],
)
def test_equal_names_are_one_package(kind: PackageType, written: str, normal: str) -> None:
    assert normalized_name(kind, written) == normal


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (P.PYPI, "-orders"),
        (P.PYPI, "orders."),
        (P.PYPI, "or ders"),
        (P.PYPI, ""),
        (P.NPM, "Orders"),
        (P.NPM, "@shop"),
        (P.NPM, "@shop/"),
        (P.NPM, "shop/orders"),
        (P.NPM, "x" * 215),
        (P.NPM, "../up"),
        (P.NUGET, "Shop..Orders"),
        (P.NUGET, "Shop/Orders"),
        (P.NUGET, "x" * 101),
        (P.GENERIC, "../up"),
        (P.GENERIC, "a\n"),
    ],
)
def test_what_is_no_name_is_refused(kind: PackageType, name: str) -> None:
    assert normalized_name(kind, name) is None


@pytest.mark.parametrize(
    ("kind", "written", "normal"),
    [
        (P.PYPI, "1.0", "1.0"),
        (P.PYPI, "v1.0.0-ALPHA.1", "1.0.0a1"),
        (P.PYPI, "1!01.2.0rc", "1!1.2.0rc0"),
        (P.PYPI, "1.0-1", "1.0.post1"),
        (P.PYPI, "1.0.rev2.dev3+Ubuntu_01", "1.0.post2.dev3+ubuntu.1"),
        (P.PYPI, "1.0preview2", "1.0rc2"),
        (P.NPM, "1.2.3", "1.2.3"),
        (P.NPM, "1.2.3-rc.1+build.5", "1.2.3-rc.1"),
        (P.NUGET, "1.0", "1.0.0"),
        (P.NUGET, "1.02.3.0", "1.2.3"),
        (P.NUGET, "1.2.3.4-Beta.1+sha", "1.2.3.4-beta.1"),
        (P.GENERIC, "2026-11", "2026-11"),
    ],
)
def test_equal_versions_are_one_version(kind: PackageType, written: str, normal: str) -> None:
    assert normalized_version(kind, written) == normal
    again = normalized_version(kind, normal)
    assert again == normal


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        (P.PYPI, "1.0.x"),
        (P.PYPI, "latest"),
        (P.PYPI, "1.0+"),
        (P.PYPI, ""),
        (P.NPM, "1.2"),
        (P.NPM, "01.2.3"),
        (P.NPM, "1.2.3-01"),
        (P.NPM, "v1.2.3"),
        (P.NUGET, "1.2.3.4.5"),
        (P.NUGET, "1.2-"),
        (P.GENERIC, "a/b"),
        (P.GENERIC, "1\n"),
    ],
)
def test_what_is_no_version_is_refused(kind: PackageType, version: str) -> None:
    assert normalized_version(kind, version) is None


def test_name_and_version_are_refused_together() -> None:
    with pytest.raises(Invalid) as refused:
        coordinates(P.NPM, "Orders", "1")
    assert [problem.field for problem in refused.value.problems] == ["packageId", "version"]


@pytest.mark.parametrize("text", ["1" * 5000, "1." * 5000, "1-" + "a." * 5000, "1+" + "a-" * 5000])
@pytest.mark.parametrize("kind", list(PackageType))
def test_a_long_text_is_refused_at_once(kind: PackageType, text: str) -> None:
    assert normalized_version(kind, text) is None
