"""What every resource option and every kind of change means, asked of real programs."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.ports.provisioner import Config, Plan, ProgramFailed
from tests.support.pulumi_programs.site import Site, actions, change, config, paths, thing

BOX = {"name": "box", "kind": "box"}
BASE: tuple[dict[str, Any], ...] = (
    BOX,
    thing("plain", 1, tags={"a": "1", "b": "2"}, ports=[80, 443]),
    thing("user", link={"from": "plain"}),
    thing("box-inner", opts={"parent": "box"}),
    thing("box-last", opts={"parent": "box", "depends_on": ["box-inner"]}),
    thing("kept", opts={"retain_on_delete": True}),
    thing("triggered", opts={"replacement_trigger": "a"}),
    thing("follower", opts={"replace_with": ["triggered"]}),
    {"name": "near", "kind": "provider", "region": "north"},
    thing("provided", opts={"provider": "near"}),
    {"name": "seen", "kind": "read", "id": "id-of-seen"},
    thing("reader", link={"from": "seen"}),
)


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root where BASE has been applied."""
    root = tmp_path_factory.mktemp("grown")
    asyncio.run(Site(root).up(config(BASE)))
    return root


@pytest.fixture
def site(grown: Path, tmp_path: Path) -> Site:
    shutil.copytree(grown, tmp_path / "root")
    return Site(tmp_path / "root")


def without(*names: str) -> list[Mapping[str, Any]]:
    return [entry for entry in BASE if entry["name"] not in names]


async def preview(site: Site, *others: Mapping[str, Any]) -> Plan:
    """BASE with these entries in the place of their namesakes, new ones at the end."""
    replaced = {entry["name"]: entry for entry in others}
    entries = [replaced.pop(entry["name"], entry) for entry in BASE]
    return await site.preview(config([*entries, *replaced.values()]))


async def test_nothing_changed_is_nothing_to_do(site: Site) -> None:
    plan = await preview(site)
    assert actions(plan) == {"seen": "read"}
    assert plan.counts["same"] == len(BASE)


async def test_every_changed_path_is_told(site: Site) -> None:
    plan = await preview(site, thing("plain", 2, tags={"a": "9", "c": "3"}, ports=[80]))
    assert change(plan, "plain").action == "update"
    assert paths(plan, "plain") == {
        "ports[1]": (443, None),
        "size": (1, 2),
        "tags.a": ("1", "9"),
        "tags.b": ("2", None),
        "tags.c": (None, "3"),
    }
    assert {path.path: path.kind for path in change(plan, "plain").paths}["tags.c"] == "added"
    assert change(plan, "user").action == "same"


async def test_ignored_changes_keep_the_old_value_at_every_depth(site: Site) -> None:
    ignoring = {"ignore_changes": ["size", "tags.a", "ports[*]"]}
    plan = await preview(site, thing("plain", 2, tags={"a": "9", "b": "8"}, ports=[81, 443], opts=ignoring))
    assert paths(plan, "plain") == {"tags.b": ("2", "8")}


async def test_a_change_that_forces_replacement_reaches_the_dependants_as_unknown(site: Site) -> None:
    asked = {"replace_on_changes": ["tags"], "delete_before_replace": True}
    plan = await preview(site, thing("plain", 1, tags={"a": "9", "b": "2"}, ports=[80, 443], opts=asked))
    plain = change(plan, "plain")
    assert (plain.action, plain.reasons, plain.deleted_first) == ("replace", ("tags.a",), True)
    assert paths(plan, "user") == {"link": (paths(plan, "user")["link"][0], "[unknown]")}
    assert plan.outputs["plain-address"] == "[unknown]"


async def test_a_replacement_gives_new_values_and_then_rests(site: Site) -> None:
    asked = thing(
        "plain", 1, tags={"a": "9", "b": "2"}, ports=[80, 443], opts={"replace_on_changes": ["tags"]}
    )
    entries = config([asked if entry["name"] == "plain" else entry for entry in BASE])
    before = (await site.engine.state(site.stack())).outputs["plain-address"]
    done = await site.up(entries)
    assert (done.counts["replace"], done.counts["update"]) == (1, 1)
    assert done.outputs["plain-address"] != before
    assert (await site.preview(entries)).counts["same"] == len(BASE)


async def test_replacement_follows_a_trigger_and_whom_it_is_bound_to(site: Site) -> None:
    plan = await preview(site, thing("triggered", opts={"replacement_trigger": "b"}))
    assert actions(plan) == {"triggered": "replace", "follower": "replace", "seen": "read"}
    assert change(plan, "triggered").reasons == ("replacementTrigger",)
    assert change(plan, "follower").reasons == ("replaceWith:triggered",)


async def test_what_is_gone_is_deleted_last_in_reverse_and_retained_things_are_discarded(site: Site) -> None:
    plan = await site.preview(config(without("box", "box-inner", "box-last", "kept", "seen", "reader")))
    assert actions(plan) == {
        "reader": "delete",
        "box": "delete",
        "box-inner": "delete",
        "box-last": "delete",
        "kept": "discard",
        "seen": "discard",
    }
    names = [found.name for found in plan.changes]
    assert names.index("box-last") < names.index("box-inner") < names.index("box")
    assert set(names[-6:]) == {"box-last", "box-inner", "box", "kept", "seen", "reader"}


async def test_a_renamed_thing_is_the_same_thing_by_its_alias(site: Site) -> None:
    entries = [*without("kept"), thing("keeper", opts={"retain_on_delete": True, "alias_names": ["kept"]})]
    done = await site.up(config(entries))
    assert actions(done) == {"seen": "read"}
    assert change(done, "keeper").alias_of == "urn:pulumi:dev::things::demo:index:Thing::kept"
    names = [resource.name for resource in (await site.engine.state(site.stack())).resources]
    assert "keeper" in names
    assert "kept" not in names


async def test_children_follow_a_renamed_parent(site: Site) -> None:
    crate = {"name": "crate", "kind": "box", "opts": {"alias_names": ["box"]}}
    inner = thing("crate-inner", opts={"parent": "crate"})
    last = thing("crate-last", opts={"parent": "crate", "depends_on": ["crate-inner"]})
    plan = await site.preview(config([*without("box", "box-inner", "box-last"), crate, inner, last]))
    assert actions(plan) == {"seen": "read"}
    assert change(plan, "crate-inner").urn.endswith("::demo:index:Box$demo:index:Thing::crate-inner")


async def test_an_explicit_provider_is_a_resource_and_part_of_what_it_serves(site: Site) -> None:
    plan = await preview(site, {"name": "near", "kind": "provider", "region": "south"})
    assert actions(plan) == {"near": "update", "seen": "read"}
    plan = await preview(site, thing("provided"))
    assert [path.path for path in change(plan, "provided").paths] == ["provider"]


async def test_something_read_before_may_be_made_now_and_the_other_way_round(site: Site) -> None:
    plan = await preview(site, thing("seen"))
    assert actions(plan) == {"seen": "create", "reader": "update"}
    plan = await preview(site, {"name": "plain", "kind": "read", "id": "id-of-plain"})
    assert change(plan, "plain").action == "read"
    assert "plain was managed by this stack" in plan.diagnostics[-1].message


async def test_files_count_by_their_content(site: Site, tmp_path: Path) -> None:
    one, folder = tmp_path / "one.txt", tmp_path / "folder"
    folder.mkdir()
    one.write_text("first")
    (folder / "inner.txt").write_text("first")
    entries = config([thing("file", file={"file": str(one)}, tree={"archive": str(folder)})])
    await site.up(entries, site.stack("files"))
    assert "first" not in site.state_file(site.stack("files")).read_text()
    one.write_text("second")
    (folder / "more.txt").write_text("second")
    plan = await site.preview(entries, site.stack("files"))
    assert sorted(paths(plan, "file")) == ["file", "tree"]
    one.unlink()
    with pytest.raises(ProgramFailed, match=r"one\.txt"):
        await site.preview(entries, site.stack("files"))


async def test_a_stack_sees_what_its_siblings_gave_out(site: Site) -> None:
    sibling = Config(config([thing("one")]).values, {"password": "correct horse"})
    await site.up(sibling, site.stack("net"))
    given = (await site.engine.state(site.stack("net"))).outputs
    entries = [
        {"name": "near", "kind": "reference", "stack": "net", "output": "one-address"},
        {"name": "far", "kind": "reference", "stack": "acme/things/net", "output": "password"},
    ]
    plan = await site.preview(config(entries), site.stack("app"))
    assert actions(plan) == {"near": "read", "far": "read"}
    assert (plan.outputs["near-seen"], plan.outputs["far-seen"]) == (given["one-address"], "[secret]")
    assert any("password are stand-ins" in diagnostic.message for diagnostic in plan.diagnostics)


async def test_a_reference_to_a_stack_that_is_not_there_or_not_ours_fails(site: Site) -> None:
    shutil.copytree(site.root / "acme", site.root / "other")
    for name in ("never", "other/things/dev", "../../other/things/dev"):
        entries = [{"name": "near", "kind": "reference", "stack": name, "output": "x"}]
        with pytest.raises(ProgramFailed, match="has never been applied here"):
            await site.preview(config(entries), site.stack("app"))
