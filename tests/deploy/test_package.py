"""The deployment package: the same bytes for the same checkout, whole, and only what is served."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from deploy.archive import Archive, write_archive
from deploy.closure import NotInstalled, closure, installed, pinned
from deploy.imports import ELSEWHERE, NotInPackage, check_imports
from deploy.package import make_package
from deploy.probe import BrokenPackage, import_seconds, unpacked
from deploy.sbom import NAME as BILL
from deploy.tree import UnpackableFile, package_files
from functions.routes import routes
from local.worker import MODULE
from shared.names import QUEUES
from tests.support.host import ROOT

_INDEX = """
import asyncio, json, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:]
from local.worker import Worker
worker = Worker(new_id=lambda: "1")
asyncio.run(worker.start(Path(sys.argv[1])))
import function_app, shared
print(json.dumps([[each.name for each in worker.functions], function_app.__file__, shared.__file__]))
worker.stop()
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return make_package(ROOT, tmp_path_factory.mktemp("dist") / "slipway.zip")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small app of the same shape, with something of every room that stays behind."""
    texts = {
        "function_app.py": "import json\nimport served.things\n",
        "host.json": "{}",
        "requirements.txt": "PyYAML==6.0.3\n",
        "pyproject.toml": '[project]\nversion = "1.2.3"\n',
        "served/__init__.py": "",
        "served/things.py": "import yaml\nfrom served import __name__\n",
        "served/routes.tsv": "a\tb\n",
        "local/cli.py": "",
        "tests/test_things.py": "",
        "notes.secret": "not for anybody",
        "served/__pycache__/things.pyc": "",
    }
    folder = tmp_path / "checkout"
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(ROOT / ".funcignore", folder)
    (folder / ".gitignore").write_text("*.secret\n")
    return folder


def names(archive: Archive) -> list[str]:
    with zipfile.ZipFile(archive.path) as opened:
        return opened.namelist()


def test_the_same_checkout_makes_the_same_bytes(checkout: Path, tmp_path: Path) -> None:
    first = make_package(checkout, tmp_path / "dist" / "one.zip")
    os.utime(checkout / "host.json", (1, 1))
    (checkout / "host.json").chmod(0o600)
    second = make_package(checkout, tmp_path / "dist" / "two.zip")
    assert first.path.read_bytes() == second.path.read_bytes()


def test_another_place_makes_the_same_bytes(
    package: Archive, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path / "somewhere" / "else"
    with unpacked(package.path) as folder:
        shutil.copytree(folder, elsewhere)
    (elsewhere / BILL).unlink()
    for name in ("requirements.txt", "pyproject.toml", ".gitignore"):
        shutil.copy(ROOT / name, elsewhere)
    (elsewhere / "local").mkdir()
    (elsewhere / "local" / "left.py").write_text("never deployed")
    again = make_package(elsewhere, tmp_path_factory.mktemp("dist") / "slipway.zip")
    assert again.digest == package.digest


def test_the_zip_tells_nothing_of_the_machine(package: Archive) -> None:
    with zipfile.ZipFile(package.path) as opened:
        entries = opened.infolist()
    assert [each.filename for each in entries] == sorted(each.filename for each in entries)
    assert {(each.date_time, each.external_attr, each.create_system) for each in entries} == {
        ((1980, 1, 1, 0, 0, 0), 0o100644 << 16, 3)
    }


def test_only_what_is_served_is_in_it(package: Archive) -> None:
    tops = {name.partition("/")[0] for name in names(package)}
    wanted = {"function_app.py", "host.json", "functions", "shared", "requirements.txt", BILL, ".funcignore"}
    assert tops == wanted


def test_both_ignore_files_are_honoured(checkout: Path) -> None:
    assert sorted(package_files(checkout)) == [
        ".funcignore",
        "function_app.py",
        "host.json",
        "requirements.txt",
        "served/__init__.py",
        "served/routes.tsv",
        "served/things.py",
    ]


def test_a_link_is_not_packed(checkout: Path) -> None:
    (checkout / "served" / "link.py").symlink_to("/etc/hostname")
    with pytest.raises(UnpackableFile, match=r"link\.py"):
        package_files(checkout)


@pytest.mark.parametrize(
    "line",
    [
        "import local.cli",
        "from tests import test_things",
        "def f():\n    import pytest",
        "import azure.batch",
    ],
)
def test_an_import_of_what_stays_behind_is_refused(checkout: Path, tmp_path: Path, line: str) -> None:
    (checkout / "served" / "things.py").write_text(line + "\n")
    with pytest.raises(NotInPackage, match=r"served/things\.py:[12]"):
        make_package(checkout, tmp_path / "dist" / "one.zip")
    assert not (tmp_path / "dist").exists()


def test_every_exception_to_whole_imports_is_still_needed() -> None:
    components = closure(pinned(ROOT / "requirements.txt"), installed())
    for folder in ELSEWHERE:
        files = {name: text for name, text in package_files(ROOT).items() if name.startswith(folder)}
        moved = {f"other/{name}": text for name, text in files.items()}
        with pytest.raises(NotInPackage):
            check_imports(moved, components)


def test_a_requirement_that_pins_nothing_is_refused(checkout: Path, tmp_path: Path) -> None:
    (checkout / "requirements.txt").write_text("PyYAML>=6\n")
    with pytest.raises(NotInstalled, match="does not pin PyYAML"):
        make_package(checkout, tmp_path / "dist" / "one.zip")


def test_an_environment_of_other_versions_is_refused(checkout: Path, tmp_path: Path) -> None:
    (checkout / "requirements.txt").write_text("PyYAML==1.0\n")
    with pytest.raises(NotInstalled, match="make setup"):
        make_package(checkout, tmp_path / "dist" / "one.zip")


def test_a_remote_build_gets_the_versions_that_were_tested(package: Archive) -> None:
    with zipfile.ZipFile(package.path) as opened:
        lines = opened.read("requirements.txt").decode().splitlines()
        bill = json.loads(opened.read(BILL))
    pins = {line for line in lines if not line.startswith("#")}
    assert pins == {f"{each['name']}=={each['version']}" for each in bill["components"]}
    asked = {f"{canonicalize_name(each.name)}{each.specifier}" for each in pinned(ROOT / "requirements.txt")}
    assert asked < pins


def test_the_bill_of_materials_lies_beside_the_zip_and_in_it(package: Archive) -> None:
    with zipfile.ZipFile(package.path) as opened:
        inside = opened.read(BILL)
    assert package.path.with_suffix(".cdx.json").read_bytes() == inside
    bill = json.loads(inside)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    refs = {each["bom-ref"] for each in bill["components"]}
    assert all(each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}" for each in bill["components"])
    assert [each["name"] for each in bill["components"] if "licenses" not in each] == []
    told = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    assert set(told) == refs | {bill["metadata"]["component"]["bom-ref"]}
    assert {ref for needed in told.values() for ref in needed} == refs


def indexed(folder: Path) -> set[str]:
    """What Microsoft's worker library finds there, in a process that has nothing else to import it from."""
    done = subprocess.run(
        [sys.executable, "-c", _INDEX, str(folder), str(ROOT)],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    functions, *origins = json.loads(done.stdout.splitlines()[-1])
    assert all(Path(origin).is_relative_to(folder) for origin in origins)
    assert len(functions) == len(set(functions))
    return set(functions)


def test_the_unpacked_package_is_the_same_app_to_microsofts_worker(package: Archive) -> None:
    with unpacked(package.path) as folder:
        functions = indexed(folder)
    assert functions == indexed(ROOT)
    assert functions >= {each.name for each in routes()} | {f"{queue}_worker" for queue in QUEUES}


def test_the_image_is_made_of_the_package_and_runs_as_nobody(package: Archive) -> None:
    lines = (ROOT / "deploy" / "job.Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from=" not in line]
    there = {part for name in names(package) for part in (name, name.partition("/")[0])}
    assert {source for sources in copied for source in sources} <= there
    assert "USER 10001:10001" in lines
    assert 'ENTRYPOINT ["python", "-m", "functions.workers.job"]' in lines
    assert not [line for line in lines if line.startswith("ADD ")]


def test_the_package_starts_without_a_setting(package: Archive) -> None:
    with unpacked(package.path) as folder:
        assert import_seconds(folder) > 0


def test_a_package_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    made = write_archive(tmp_path / "one.zip", {f"{MODULE}.py": b"import nothing_of_that_name"})
    with unpacked(made.path) as folder, pytest.raises(BrokenPackage, match="nothing_of_that_name"):
        import_seconds(folder)
