"""The parts of the embedded engine that are functions: paths, differences, names, shapes, made-up values."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.provisioners.embedded import child, diff, outputs, properties, urns
from shared.adapters.provisioners.embedded.properties import SECRET, SIGNATURE, UNKNOWN

KINDS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["a", "b", UNKNOWN]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)
MAPS = st.dictionaries(st.sampled_from("abc"), KINDS, max_size=3)


@given(MAPS, MAPS)
def test_what_differs_is_found_and_what_is_equal_is_not(old: dict[str, Any], new: dict[str, Any]) -> None:
    known = not properties.holds_unknown(new)
    assert bool(diff.changes(old, new)) == (old != new or not known or _retyped(old, new))


def _retyped(old: Any, new: Any) -> bool:
    """Python calls True and 1 equal; to a cloud they are not."""
    return json.dumps(old, sort_keys=True, default=repr) != json.dumps(new, sort_keys=True, default=repr)


@given(MAPS, MAPS)
def test_ignoring_everything_keeps_what_was(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert diff.keep_ignored(new, old, ["*"]) == old


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b[0].c", ("a", "b", 0, "c")),
        ('tags["with.dot"]', ("tags", "with.dot")),
        ("a[*].b", ("a", "*", "b")),
        ("*", ("*",)),
    ],
)
def test_paths_are_read_as_pulumi_writes_them(text: str, path: diff.Trail) -> None:
    assert diff.parse(text) == path


def test_paths_are_written_as_they_are_read() -> None:
    for path in (("a", "b", 0, "c"), ("tags", "with.dot", "x"), ("a", 1, 2)):
        assert diff.parse(diff.written(path)) == path


def test_names_and_places_replace_azure_resources_and_labels_do_not() -> None:
    kind = "azure-native:web:WebApp"
    changed: list[diff.Trail] = [
        ("location",), ("accountName",), ("name",), ("displayName",), ("skuName",), ("tags", "name"),
    ]  # fmt: skip
    assert diff.forcing(kind, changed, []) == ("location", "accountName", "name")
    assert diff.forcing("demo:index:Thing", changed, []) == ()
    assert diff.forcing("demo:index:Thing", [("tags", "a"), ("size",)], ["tags"]) == ("tags.a",)
    assert diff.forcing("demo:index:Thing", [("tags",)], ["tags.a"]) == ("tags",)


def test_a_secret_under_ignored_changes_stays_new_where_only_its_hash_is_left() -> None:
    old = {"key": {SIGNATURE: SECRET, "sha256": "0" * 64}, "size": 1}
    new = {"key": properties.secret("new"), "size": 2}
    assert diff.keep_ignored(new, old, ["*"], hashes=False) == {"key": properties.secret("new"), "size": 1}


def test_earlier_names_combine_own_and_inherited_aliases() -> None:
    parent = "urn:pulumi:dev::shop::shop:Box::crate"
    before = "urn:pulumi:dev::shop::shop:Box::box"
    found = set(
        urns.earlier_names(
            "dev",
            "shop",
            parent,
            "shop:Thing",
            "crate-one",
            ["urn:pulumi:dev::shop::shop:Old::x", urns.AliasSpec(name="uno"), urns.AliasSpec(no_parent=True)],
            [before],
        )
    )
    assert found == {
        "urn:pulumi:dev::shop::shop:Old::x",
        "urn:pulumi:dev::shop::shop:Box$shop:Thing::uno",
        "urn:pulumi:dev::shop::shop:Thing::crate-one",
        "urn:pulumi:dev::shop::shop:Box$shop:Thing::box-one",
    }


def test_shapes_are_read_from_the_sdk() -> None:
    from pulumi_azure_native import keyvault, storage  # noqa: PLC0415 - a second that only this test needs

    account = child.shape_of(storage.StorageAccount)
    assert isinstance(account, dict)
    fields = account["object"]
    assert fields["tags"] == {"required": False, "shape": {"map": "string"}}
    assert fields["privateEndpointConnections"]["shape"].keys() == {"list"}
    assert fields["primaryEndpoints"]["shape"]["object"]["blob"] == {"required": True, "shape": "string"}
    vault: Any = child.shape_of(keyvault.Vault)
    assert vault["object"]["properties"]["shape"]["object"]["vaultUri"]["required"]


SHAPE = {
    "object": {
        "name": {"required": True, "shape": "string"},
        "port": {"required": True, "shape": "integer"},
        "open": {"required": True, "shape": "boolean"},
        "mode": {"required": True, "shape": {"enum": "slow"}},
        "note": {"required": False, "shape": "string"},
        "links": {"required": True, "shape": {"list": "string"}},
        "ends": {"required": True, "shape": {"object": {"webUri": {"required": True, "shape": "string"}}}},
        "holders": {
            "required": False,
            "shape": {"map": {"object": {"principalId": {"required": True, "shape": "string"}}}},
        },
    }
}
URN = "urn:pulumi:dev::shop::azure-native:shop:Shelf::shelf"


def test_what_was_not_given_is_completed_to_the_shape() -> None:
    inputs: dict[str, Any] = {"shelfName": "s1", "holders": ["/ids/one"], "links": ["a"]}
    made = outputs.complete(SHAPE, inputs, outputs.invented(URN, inputs, 0))
    assert (made["name"], made["port"], made["open"], made["mode"]) == ("s1", 0, False, "slow")
    assert "note" not in made
    assert made["ends"] == {"webUri": "https://s1.weburi.simulated.invalid/"}
    assert len(made["holders"]["/ids/one"]["principalId"]) == 36
    again = outputs.complete(SHAPE, inputs, outputs.invented(URN, inputs, 0))
    replaced = outputs.complete(SHAPE, inputs, outputs.invented(URN, inputs, 1))
    assert made == again
    assert made["holders"] != replaced["holders"]


def test_in_a_preview_what_only_the_cloud_knows_is_unknown() -> None:
    made = outputs.complete(SHAPE, {"ends": {}, "links": ["a"]}, outputs.unknown)
    assert (made["name"], made["ends"], made["links"]) == (UNKNOWN, {"webUri": UNKNOWN}, ["a"])
    assert "note" not in made


def test_named_outputs_are_secret() -> None:
    made = outputs.complete(SHAPE, {"links": []}, outputs.unknown, frozenset({"name", "nothing"}))
    assert made["name"] == properties.secret(UNKNOWN)


def test_ids_are_paths_of_names() -> None:
    made = outputs.invented_id(URN, {"shelfName": "s1", "storeName": "main", "resourceGroupName": "rg"})
    root = f"/subscriptions/{outputs.SUBSCRIPTION}/resourceGroups/rg"
    assert made == f"{root}/providers/Microsoft.Shop/store/main/Shelf/s1"


def test_recorded_values_hold_neither_secrets_nor_unknown_numbers(tmp_path: Path) -> None:
    value = properties.plain({"a": 3.0, "b": properties.secret("hush"), "c": [1.5, {"d": True}]})
    stored = properties.recorded(value, tmp_path)
    assert (stored["a"], stored["c"]) == (3, [1.5, {"d": True}])
    assert "hush" not in repr(stored)
    assert properties.recorded(stored, tmp_path) == stored
    assert properties.shown(stored)["b"] == "[secret]"  # type: ignore[index, call-overload]
    assert properties.stand_in(stored)["b"]["value"].startswith("simulated-secret-")


def test_a_device_is_no_asset(tmp_path: Path) -> None:
    asset = {SIGNATURE: properties.ASSET, "path": "/dev/zero"}
    with pytest.raises(properties.AssetMissing, match="zero"):
        properties.recorded(asset, tmp_path)


def test_texts_lose_their_secrets_the_longest_first() -> None:
    hide = properties.hiding(["open", "open sesame", "no"])
    assert hide("say open sesame, not open or no") == "say [secret], not [secret] or no"
