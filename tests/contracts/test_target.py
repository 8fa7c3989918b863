"""What every target must do. An adapter joins with one more parameter of the fixture `target`."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.sample_bundle import bundle, paths
from shared.adapters.targets.folder import FolderTarget
from shared.domain.kernel.errors import Invalid
from shared.ports.target import DeployFailed, LiveState, Workload
from tests.support.targets import (
    MANIFEST,
    PLACE,
    SERVER,
    SERVICE,
    Pack,
    folder,
    get,
    made,
    running,
    tar_gz,
    workload,
    zipped,
)
from tests.support.waiting import until


async def test_nothing_is_deployed_at_first(target: FolderTarget) -> None:
    assert await target.observe(*PLACE) == LiveState(None, None, None, "none", "unknown")


@pytest.mark.parametrize("packer", [tar_gz, zipped])
async def test_files_are_unpacked_and_switched_to(
    target: FolderTarget, root: Path, pack: Pack, packer: Callable[[dict[str, str]], bytes]
) -> None:
    artifact = pack(packer({"index.html": "one", "css/site.css": "body {}"}))
    live = await target.apply(workload(artifact), artifact)
    assert live == LiveState("rev-1.0.0", artifact.digest, "1.0.0", "files", "healthy")
    assert (folder(root) / "current" / "css" / "site.css").read_text() == "body {}"
    assert await target.observe(*PLACE) == live


async def test_a_bundle_with_another_digest_changes_nothing(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    one, other = pack({"a": "1"}), pack({"a": "2"})
    before = await target.apply(workload(one), one)
    with pytest.raises(DeployFailed, match="digest mismatch"):
        await target.apply(workload(one, "2.0.0"), other)
    assert await target.observe(*PLACE) == before
    assert [path.name for path in (folder(root) / "releases").iterdir()] == ["rev-1.0.0"]


@pytest.mark.parametrize(
    "content",
    [
        b"neither zip nor tar",
        tar_gz({"../outside": "x"}),
        tar_gz({"slipway.yml": "service: {command: []}"}),
        tar_gz({"slipway.yml": "service: {command: python}"}),
        tar_gz({"slipway.yml": "service: {command: [x], health: 'http://elsewhere/'}"}),
        tar_gz({"slipway.yml": "service: {command: [x], port: 80}"}),
        tar_gz({"slipway.yml": "service: [unclosed"}),
        tar_gz({"slipway.yml": "- a\n- list"}),
        tar_gz({"slipway.yml": "#" * 70_000}),
        tar_gz({"slipway.yml": "service: {command: [no-such-program]}"}),
        tar_gz({"slipway.yml": 'service: {command: ["a\\0b"]}'}),
    ],
)
async def test_a_bundle_that_cannot_run_is_refused_and_leaves_nothing(
    target: FolderTarget, root: Path, pack: Pack, content: bytes
) -> None:
    good = pack({"a": "1"})
    before = await target.apply(workload(good), good)
    broken = pack(content)
    with pytest.raises(DeployFailed):
        await target.apply(workload(broken, "2.0.0"), broken)
    assert await target.observe(*PLACE) == before
    assert [path.name for path in (folder(root) / "releases").iterdir()] == ["rev-1.0.0"]
    assert list((folder(root) / "instances").iterdir()) == []


async def test_the_sample_is_served_and_says_what_it_is(target: FolderTarget, pack: Pack) -> None:
    artifact = pack(bundle())
    live = await target.apply(workload(artifact, "1.2.3", SLIPWAY_COMMIT="abc123"), artifact)
    assert (live.kind, live.health) == ("service", "healthy")
    assert json.loads(await get(live)) == {
        "service": "greeter",
        "version": "1.2.3",
        "commit": "abc123",
        "environment": "dev",
    }
    assert json.loads(await get(live, "/greetings/Ada")) == {"greeting": "Hello, Ada!"}


def test_the_sample_is_bundled_without_caches_and_always_the_same() -> None:
    assert bundle() == bundle()
    assert {"slipway.yml", "app/__main__.py", "pyproject.toml"} <= set(paths())
    assert not any("cache" in path for path in paths())


async def test_the_environment_of_a_service_is_scrubbed(target: FolderTarget, root: Path, pack: Pack) -> None:
    artifact = pack(SERVICE)
    live = await target.apply(workload(artifact, GREETING="hi", SLIPWAY_VERSION="forged", PORT="1"), artifact)
    environment = eval(await get(live))
    environment.pop("LC_CTYPE", None)  # Python's own
    assert live.url is not None
    assert environment.pop("HOME").startswith(str(folder(root)))
    assert environment.pop("TMPDIR").startswith(str(folder(root)))
    assert environment == {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PORT": live.url.rpartition(":")[2],
        "SLIPWAY_ENVIRONMENT": "dev",
        "SLIPWAY_COMPONENT": "greeter",
        "SLIPWAY_VERSION": "1.0.0",
        "GREETING": "hi",
    }


async def test_a_new_version_takes_over_without_a_gap(target: FolderTarget, root: Path, pack: Pack) -> None:
    artifact = pack(SERVICE)
    await target.apply(workload(artifact, "1"), artifact)
    answers: list[LiveState] = []

    async def watch() -> None:
        while True:
            live = await target.observe(*PLACE)
            answers.append(live)
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    live = await target.apply(workload(artifact, "2", SLOW="0.3"), artifact)
    watching.cancel()
    assert "'SLIPWAY_VERSION': '2'" in await get(live)
    assert {answer.version for answer in answers} == {"1", "2"}
    assert [answer.health for answer in answers].count(
        "unhealthy"
    ) <= 1  # read before and asked after the switch
    assert (folder(root) / "current").resolve().name == "rev-2"
    assert len(running(root)) == 1


async def test_the_same_revision_again_does_nothing(target: FolderTarget, root: Path, pack: Pack) -> None:
    artifact = pack(SERVICE)
    first = await target.apply(workload(artifact), artifact)
    before = running(root)
    assert await target.apply(workload(artifact), artifact) == first
    assert (running(root), artifact.fetched) == (before, 1)


async def test_the_same_revision_is_started_again_when_it_died(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    artifact = pack(SERVICE)
    first = await target.apply(workload(artifact), artifact)
    (old,) = running(root)
    subprocess.run(["kill", "-9", str(old)], check=True)
    await until(lambda: not running(root))
    dead = await target.observe(*PLACE)
    assert (dead.health, dead.url, dead.revision) == ("unhealthy", None, "rev-1.0.0")
    assert "not running" in dead.message
    assert await target.apply(workload(artifact), artifact) == first  # the same address, too
    assert running(root) != [old]
    assert artifact.fetched == 1


@pytest.mark.parametrize("edit", ["other\n", None], ids=["edited", "removed"])
async def test_a_file_that_somebody_changed_is_told_and_made_anew(
    target: FolderTarget, root: Path, pack: Pack, edit: str | None
) -> None:
    artifact = pack({"pages/index.txt": "hello\n"})
    await target.apply(workload(artifact), artifact)
    file = folder(root) / "current" / "pages" / "index.txt"
    (file.parent / "__pycache__").mkdir()
    assert (await target.observe(*PLACE)).altered == "", "what a service makes itself is no change"
    if edit is None:
        file.unlink()
    else:
        file.write_text(edit)
    seen = await target.observe(*PLACE)
    assert (seen.altered, seen.revision) == ("pages/index.txt", "rev-1.0.0")
    await target.apply(workload(artifact), artifact)
    assert ((await target.observe(*PLACE)).altered, file.read_text()) == ("", "hello\n")


async def test_a_service_whose_files_were_changed_is_started_anew(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    artifact = pack(SERVICE)
    await target.apply(workload(artifact), artifact)
    (old,) = running(root)
    (folder(root) / "current" / "server.py").write_text("import sys; sys.exit(1)\n")
    assert (await target.observe(*PLACE)).altered == "server.py"
    live = await target.apply(workload(artifact), artifact)
    assert live.health == "healthy"
    assert old not in running(root)
    assert len(running(root)) == 1
    assert len(list((folder(root) / "seals").iterdir())) == 1


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"EXIT": "3"}, "exit code 3"),
        ({"STATUS": "503"}, "GET /ready answered 503"),
        ({"STATUS": "302"}, "GET /ready answered 302"),
        ({"SLOW": "30"}, "GET /ready was not answered"),
    ],
)
async def test_an_unhealthy_version_leaves_the_old_one_answering(
    root: Path, pack: Pack, variables: dict[str, str], message: str
) -> None:
    target = made(root, health_timeout=1)
    artifact = pack(SERVICE)
    first = await target.apply(workload(artifact, "1"), artifact)
    before = running(root)
    state = (folder(root) / "state.json").read_bytes()
    with pytest.raises(DeployFailed, match=message) as failure:
        await target.apply(workload(artifact, "2", **variables), artifact)
    assert "starting" in failure.value.message
    assert await target.observe(*PLACE) == first
    assert "'SLIPWAY_VERSION': '1'" in await get(first)
    assert running(root) == before
    assert (folder(root) / "state.json").read_bytes() == state
    assert (folder(root) / "current").resolve().name == "rev-1"
    assert [path.name for path in (folder(root) / "releases").iterdir()] == ["rev-1"]
    await target.stop_all()


async def test_a_failure_tells_the_last_lines_and_no_value_of_the_environment(
    target: FolderTarget, pack: Pack
) -> None:
    server = "for i in range(30): print('line', i)\n" + SERVER
    artifact = pack({"server.py": server, "slipway.yml": MANIFEST})
    with pytest.raises(DeployFailed) as failure:
        await target.apply(workload(artifact, SECRET="hunter2-hunter2\nsecond-line", EXIT="1"), artifact)
    assert "the secret is [SECRET]" in failure.value.message
    assert "hunter2" not in failure.value.message
    assert "second-line" not in failure.value.message
    assert "line 29" in failure.value.message
    assert "line 5\n" not in failure.value.message


async def test_an_old_version_that_will_not_stop_is_killed_with_its_children(
    target: FolderTarget, root: Path, pack: Pack, tmp_path: Path
) -> None:
    artifact = pack(SERVICE)
    await target.apply(workload(artifact, "1", STUBBORN="1", CHILD=str(tmp_path / "child")), artifact)
    assert len(running(root)) == 2
    live = await target.apply(workload(artifact, "2"), artifact)
    assert len(running(root)) == 1
    assert "'SLIPWAY_VERSION': '2'" in await get(live)


async def test_a_service_can_become_files_and_back(target: FolderTarget, root: Path, pack: Pack) -> None:
    service, files = pack(SERVICE), pack({"a": "1"})
    await target.apply(workload(service, "1"), service)
    assert (await target.apply(workload(files, "2"), files)).kind == "files"
    assert running(root) == []
    assert (await target.apply(workload(service, "3"), service)).kind == "service"


async def test_three_releases_stay_on_disk_and_an_old_one_can_come_back(
    target: FolderTarget, root: Path, pack: Pack
) -> None:
    artifacts = {str(number): pack({"n": str(number)}) for number in range(1, 6)}
    for version, artifact in artifacts.items():
        await target.apply(workload(artifact, version), artifact)
    (folder(root) / "releases" / "rev-4" / "n").write_text("spoilt")
    assert sorted(path.name for path in (folder(root) / "releases").iterdir()) == ["rev-3", "rev-4", "rev-5"]
    await target.apply(workload(artifacts["4"], "4"), artifacts["4"])
    assert (folder(root) / "current" / "n").read_text() == "4"
    assert sorted(path.name for path in (folder(root) / "releases").iterdir()) == ["rev-3", "rev-4", "rev-5"]


async def test_removing_ends_the_service_and_forgets_it(target: FolderTarget, root: Path, pack: Pack) -> None:
    artifact = pack(SERVICE)
    await target.apply(workload(artifact), artifact)
    await target.remove(*PLACE)
    assert running(root) == []
    assert not folder(root).exists()
    assert (await target.observe(*PLACE)).kind == "none"
    await target.remove(*PLACE)


async def test_names_cannot_climb_out_or_meet(target: FolderTarget, root: Path, pack: Pack) -> None:
    artifact = pack({"a": "1"})
    for number, names in enumerate(
        [("..", ".", "../../x"), ("a/b", "c", "d"), ("a", "b/c", "d"), ("ä", ".x", "%2F")]
    ):
        wanted = Workload(*names, str(number), artifact.digest, f"../{number}")
        await target.apply(wanted, artifact)
        assert (await target.observe(*names)).version == str(number)
    assert {path.name for path in root.parent.iterdir()} == {"target", artifact.path.name}
    with pytest.raises(Invalid):
        await target.observe("", "dev", "x")


async def test_turns_of_one_place_wait_for_each_other(target: FolderTarget, root: Path, pack: Pack) -> None:
    artifact = pack(SERVICE)
    versions = [str(number) for number in range(4)]
    lives = await asyncio.gather(
        *(target.apply(workload(artifact, v, SLOW="0.1"), artifact) for v in versions)
    )
    assert [live.version for live in lives] == versions
    assert len(running(root)) == 1
