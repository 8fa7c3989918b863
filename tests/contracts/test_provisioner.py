"""Plans, approvals bound to their digest, and the state of stacks."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from shared.ports.provisioner import (
    ACTIONS,
    BadConfig,
    Config,
    PlanBlocked,
    PlanChanged,
    ProgramFailed,
    Stack,
    UnknownProgram,
    UnknownStack,
)
from tests.support.pulumi_programs.site import Site, actions, config, paths, thing

LINKED = (thing("one"), thing("two", link={"from": "one"}))
SAFE = thing("safe", opts={"protect": True})
KEPT = thing("kept", opts={"retain_on_delete": True})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture(scope="session")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root where a stack has been applied, and beside it one with a protected resource."""
    root = tmp_path_factory.mktemp("linked")
    asyncio.run(Site(root).up(config([*LINKED, KEPT])))
    asyncio.run(Site(root).up(config([SAFE]), Site(root).stack("safe")))
    return root


@pytest.fixture
def grown(linked: Path, tmp_path: Path) -> Site:
    shutil.copytree(linked, tmp_path / "grown")
    return Site(tmp_path / "grown")


async def test_a_first_preview_creates_everything_and_changes_nothing(site: Site) -> None:
    plan = await site.preview(config([thing("one"), thing("two", link={"from": "one"})]))
    assert (plan.operation, plan.engine_mode) == ("up", "local-simulation")
    assert plan.counts == dict.fromkeys(ACTIONS, 0) | {"create": 3}
    assert [change.name for change in plan.changes] == ["things-dev", "one", "two"]
    assert plan.changes[2].dependencies == (plan.changes[1].urn,)
    assert plan.changes[1].urn == "urn:pulumi:dev::things::demo:index:Thing::one"
    assert plan.outputs["one-address"] == "[unknown]"
    assert (plan.outputs["note"], plan.outputs["here"]) == ("from the project", "things")
    assert plan.diagnostics[0].message.startswith("This is a simulation")
    with pytest.raises(UnknownStack, match="apply it first"):
        await site.engine.state(site.stack())


async def test_equal_programs_give_equal_digests_and_others_do_not(site: Site) -> None:
    link = {"from": "thing-0"}
    many = [thing("thing-0"), *(thing(f"thing-{number}", number, link=link) for number in range(1, 20))]
    first = await site.preview(config(many))
    second = await site.preview(config(many))
    other = await site.preview(config([*many[:-1], thing("thing-19", 1000, link=link)]))
    assert first == second
    assert first.digest != other.digest


async def test_an_approved_plan_is_applied_once(site: Site) -> None:
    settings = config([thing("one"), thing("two", link={"from": "one"})])
    plan = await site.preview(settings)
    done = await site.engine.apply(site.stack(), settings, plan.digest, on_event=site.on_event)
    assert (done.repeated, done.digest, done.counts["create"]) == (False, plan.digest, 3)
    assert done.outputs["one-address"].startswith("simulated-")  # type: ignore[union-attr]
    written = site.state_file().read_bytes()
    again = await site.engine.apply(site.stack(), settings, plan.digest, on_event=site.on_event)
    assert (again.repeated, again.counts, again.outputs) == (True, done.counts, done.outputs)
    assert site.state_file().read_bytes() == written
    state = await site.engine.state(site.stack())
    assert state.digest == plan.digest
    assert [resource.name for resource in state.resources] == ["things-dev", "one", "two"]
    assert state.resources[2].inputs["link"] == done.outputs["one-address"]
    after = await site.preview(settings)
    assert (after.counts["same"], actions(after)) == (3, {})


async def test_the_state_has_the_layout_of_pulumi(grown: Site) -> None:
    file = grown.state_file(grown.stack("safe"))
    document = json.loads(file.read_text())
    assert document["version"] == 3
    stack, one = document["deployment"]["resources"]
    assert (stack["type"], stack["outputs"]["note"]) == ("pulumi:pulumi:Stack", "from the project")
    assert (one["inputs"], one["protect"], one["parent"]) == ({"size": 1}, True, stack["urn"])
    assert file.stat().st_mode & 0o777 == 0o600


async def test_another_plan_than_the_approved_one_is_refused(site: Site) -> None:
    plan = await site.preview(config([thing("one")]))
    with pytest.raises(PlanChanged, match="Preview it again") as refused:
        await site.engine.apply(site.stack(), config([thing("one", 2)]), plan.digest, on_event=site.on_event)
    assert refused.value.facts["digest"] != plan.digest
    assert not site.state_file().exists()


async def test_a_changed_secret_is_another_plan_and_is_never_shown(site: Site) -> None:
    settings = [thing("one", key={"secret": "password"})]
    first = Config(config(settings).values, {"password": "correct horse"})
    other = Config(config(settings).values, {"password": "battery staple"})
    done = await site.up(first)
    assert done.outputs["password"] == "[secret]"
    plan = await site.preview(other)
    assert actions(plan) == {"one": "update"}
    assert paths(plan, "one") == {"key": ("[secret]", "[secret]")}
    assert plan.digest != (await site.preview(first)).digest
    text = "".join(file.read_text() for file in site.root.rglob("*") if file.is_file())
    assert "correct horse" not in text
    assert "battery staple" not in text
    assert "correct" not in repr(first)


async def test_stacks_and_tenants_do_not_see_each_other(grown: Site) -> None:
    for stack in (grown.stack("staging"), grown.stack(tenant="other")):
        assert (await grown.preview(config(LINKED), stack)).counts["create"] == 3
        with pytest.raises(UnknownStack):
            await grown.engine.state(stack)


async def test_a_stack_is_destroyed_as_planned(grown: Site) -> None:
    stack, listen = grown.stack(), grown.on_event
    plan = await grown.engine.preview(stack, Config(), on_event=listen, destroy=True)
    assert actions(plan) == {"kept": "discard", "two": "delete", "one": "delete"}
    names = [change.name for change in plan.changes]
    assert names.index("two") < names.index("one") < names.index("things-dev")
    done = await grown.engine.destroy(stack, Config(), plan.digest, on_event=listen)
    again = await grown.engine.destroy(stack, Config(), plan.digest, on_event=listen)
    assert (done.counts["delete"], done.repeated, again.repeated) == (3, False, True)
    with pytest.raises(UnknownStack, match="destroyed"):
        await grown.engine.state(stack)
    with pytest.raises(UnknownStack, match="nothing to destroy"):
        await grown.engine.preview(stack, Config(), on_event=listen, destroy=True)


async def test_a_protected_resource_is_neither_deleted_nor_replaced(grown: Site) -> None:
    stack, listen = grown.stack("safe"), grown.on_event
    before = grown.state_file(stack).read_bytes()
    gone = await grown.preview(config([]), stack)
    assert (actions(gone), len(gone.obstacles)) == ({"safe": "delete"}, 1)
    other = config([thing("safe", 2, opts={"protect": True, "replace_on_changes": ["size"]})])
    replaced = await grown.preview(other, stack)
    assert actions(replaced) == {"safe": "replace"}
    with pytest.raises(PlanBlocked, match="take `protect` off"):
        await grown.engine.apply(stack, other, replaced.digest, on_event=listen)
    destruction = await grown.engine.preview(stack, Config(), on_event=listen, destroy=True)
    with pytest.raises(PlanBlocked):
        await grown.engine.destroy(stack, Config(), destruction.digest, on_event=listen)
    assert grown.state_file(stack).read_bytes() == before
    unprotected = await grown.up(config([thing("safe")]), stack)
    assert unprotected.counts["same"] == 2
    assert (await grown.preview(config([]), stack)).obstacles == ()


async def test_the_log_tells_what_happened(grown: Site) -> None:
    lines = [event.line for event in await grown.engine.log(grown.stack())]
    assert (lines[0], lines[-1]) == ("previewing", "recorded")
    assert lines.count("create demo:index:Thing one") == 2  # once to look, once to do
    await grown.preview(config(LINKED))
    assert tuple(grown.events) == await grown.engine.log(grown.stack())
    assert await grown.engine.log(grown.stack("other")) == ()


@pytest.mark.parametrize(
    ("stack", "settings", "message"),
    [
        (Stack("acme", "things", "no/name"), Config(), "letters, digits"),
        (Stack("acme", "things", "locked"), Config(), "set its value with the request"),
        (Stack("acme", "things", "dev"), Config({"a": "1"}, {"a": "2"}), "set it once"),
    ],
)
async def test_a_configuration_that_cannot_be_used_is_refused(
    site: Site, stack: Stack, settings: Config, message: str
) -> None:
    with pytest.raises(BadConfig, match=message):
        await site.preview(settings, stack)


async def test_the_configuration_comes_from_project_stack_and_request_in_this_order(site: Site) -> None:
    plan = await site.preview(Config(), site.stack("staging"))
    assert (plan.outputs["note"], actions(plan)) == ("from the stack", {"one": "create"})
    plan = await site.preview(Config({"things:note": "from the request"}), site.stack("staging"))
    assert plan.outputs["note"] == "from the request"
    plan = await site.preview(Config(secrets={"password": "open sesame"}), site.stack("locked"))
    assert plan.outputs["password"] == "[secret]"


async def test_a_program_that_refuses_its_configuration_says_why_in_one_line(site: Site) -> None:
    with pytest.raises(ProgramFailed, match="give a size") as failed:
        await site.act("refuse")
    assert [diagnostic.message for diagnostic in failed.value.diagnostics] == ["give a size"]


async def test_only_registered_programs_are_run(site: Site) -> None:
    with pytest.raises(UnknownProgram, match="name one of those"):
        await site.preview(Config(), Stack("acme", "/etc", "dev"))


async def test_an_own_mistake_of_the_listener_reaches_its_caller(site: Site) -> None:
    async def refuse(_event: object) -> None:
        raise ConnectionError("nobody listens")

    with pytest.raises(ConnectionError, match="nobody listens"):
        await site.preview(config([]), on_event=refuse)
    assert (await site.preview(config([]))).counts["create"] == 1
