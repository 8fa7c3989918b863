"""Every module type's generated pipeline on a small project of that type, with real tools."""

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from shared.domain.pipelines.model import BuildResult, ModuleType, RunStatus, TestCounts
from tests.support.pipelines import Platform, a_platform
from tests.support.source import ANN

PYTHON = {
    "app.py": "def double(x):\n    return 2 * x\n",
    "tests/test_app.py": "from app import double\n\ndef test_double():\n    assert double(2) == 4\n",
    "requirements.txt": "# nothing yet\n\n",
}
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    made = a_platform(tmp_path, step_timeout=120)
    yield made
    await made.source.aclose()


async def built(
    platform: Platform,
    module_type: ModuleType,
    files: Mapping[str, str | bytes],
    status: RunStatus = RunStatus.SUCCEEDED,
) -> BuildResult:
    """Generate, push the project, run."""
    repository = await platform.a_repository(files)
    pipeline = await platform.a_pipeline(repository, module_type)
    run = await platform.execute(await platform.started(pipeline))
    assert run.status is status, await platform.log(run)
    return await platform.runs.build_result(ANN, run.build_result or "")


async def packed(platform: Platform, result: BuildResult) -> dict[str, bytes]:
    """The files of the one artifact."""
    (artifact,) = result.artifacts
    data = await platform.blobs.read("acme", artifact.ref)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        assert {(member.mtime, member.uid, member.gid) for member in members} == {(0, 0, 0)}
        files = {member.name.removeprefix("./"): archive.extractfile(member) for member in members}
        return {name: file.read() for name, file in files.items() if file is not None}


@pytest.mark.parametrize("module_type", [ModuleType.MICROSERVICE, ModuleType.WORKER])
async def test_a_python_service_is_tested_and_packed_without_its_tests(
    platform: Platform, module_type: ModuleType
) -> None:
    result = await built(platform, module_type, PYTHON)
    assert result.tests == TestCounts(1, 1, 0, 0)
    files = await packed(platform, result)
    assert set(files) == {"app.py", "requirements.txt", "README.md"}
    assert files["app.py"].decode() == PYTHON["app.py"]


async def test_the_same_commit_packs_to_the_same_digest(platform: Platform) -> None:
    repository = await platform.a_repository(PYTHON)
    pipeline = await platform.a_pipeline(repository)
    runs = [await platform.execute(await platform.started(pipeline)) for _ in range(2)]
    results = [await platform.runs.build_result(ANN, run.build_result or "") for run in runs]
    assert results[0].artifacts == results[1].artifacts


async def test_a_failing_test_is_counted_and_nothing_is_packed(platform: Platform) -> None:
    broken = {**PYTHON, "app.py": "def double(x):\n    return x\n"}
    result = await built(platform, ModuleType.MICROSERVICE, broken, RunStatus.FAILED)
    assert (result.tests, result.artifacts) == (TestCounts(1, 0, 1, 0), ())


async def test_code_that_does_not_compile_fails_before_its_tests(platform: Platform) -> None:
    result = await built(platform, ModuleType.WORKER, {"app.py": "def (:\n"}, RunStatus.FAILED)
    assert [each.step for each in result.exit_codes] == ["build/validate/compile"]


async def test_a_service_without_tests_and_requirements_is_packed(platform: Platform) -> None:
    result = await built(platform, ModuleType.MICROSERVICE, {"app.py": "x = 1\n"})
    assert result.tests is None
    assert set(await packed(platform, result)) == {"app.py", "README.md"}


def a_wheel() -> bytes:
    """The package `tiny`, installable without a network."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as wheel:
        wheel.writestr("tiny.py", "SIZE = 1\n")
        wheel.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr("tiny-1.dist-info/WHEEL", tags)
        wheel.writestr("tiny-1.dist-info/RECORD", "tiny.py,,\n")
    return made.getvalue()


async def test_required_packages_are_restored_for_the_tests_and_packed_along(platform: Platform) -> None:
    files: dict[str, str | bytes] = {
        "app.py": "import tiny\n\n\ndef double(x):\n    return 2 * x * tiny.SIZE\n",
        "tests/test_app.py": PYTHON["tests/test_app.py"],
        "wheels/tiny-1-py3-none-any.whl": a_wheel(),
        "requirements.txt": "./wheels/tiny-1-py3-none-any.whl\n",
    }
    result = await built(platform, ModuleType.MICROSERVICE, files)
    assert result.tests == TestCounts(1, 1, 0, 0)
    assert (await packed(platform, result))[".deps/tiny.py"] == b"SIZE = 1\n"


async def test_a_package_that_cannot_be_had_fails_the_restore(platform: Platform) -> None:
    files = {**PYTHON, "requirements.txt": "./nowhere.whl\n"}
    result = await built(platform, ModuleType.MICROSERVICE, files, RunStatus.FAILED)
    assert result.exit_codes[-1].step == "build/restore/install"


async def test_a_library_is_packed_as_source_under_its_name(platform: Platform) -> None:
    result = await built(platform, ModuleType.LIBRARY, PYTHON)
    files = await packed(platform, result)
    assert set(files) == {
        "orders/app.py",
        "orders/requirements.txt",
        "orders/README.md",
        "orders/tests/test_app.py",
    }


async def test_a_gateway_with_broken_configuration_fails(platform: Platform) -> None:
    good = await built(platform, ModuleType.GATEWAY, {"routes/a b.json": '{"a": 1}', "gateway.py": "x = 1\n"})
    assert set(await packed(platform, good)) == {"routes/a b.json", "gateway.py", "README.md"}


async def test_a_gateway_is_checked_file_by_file(platform: Platform) -> None:
    bad = {"routes/a.json": '{"a": 1}', "routes/b.json": "{"}
    result = await built(platform, ModuleType.GATEWAY, bad, RunStatus.FAILED)
    assert result.exit_codes[-1].step == "build/validate/check-json"


async def test_a_static_site_is_packed_as_it_is(platform: Platform) -> None:
    result = await built(platform, ModuleType.FRONTEND, {"index.html": "<p>hi</p>"})
    assert set(await packed(platform, result)) == {"index.html", "README.md"}


@needs_npm
async def test_a_frontend_is_installed_tested_built_and_its_output_packed(platform: Platform) -> None:
    manifest = {
        "name": "shop",
        "version": "1.0.0",
        "scripts": {
            "test": "node test.js",
            "build": "mkdir dist && cp index.html dist/",
        },
    }
    lock = {
        "name": "shop",
        "version": "1.0.0",
        "lockfileVersion": 3,
        "requires": True,
        "packages": {"": {"name": "shop", "version": "1.0.0"}},
    }
    files = {
        "package.json": json.dumps(manifest),
        "package-lock.json": json.dumps(lock),
        "index.html": "<p>hi</p>",
        "test.js": "console.log('tested')\n",
    }
    result = await built(platform, ModuleType.FRONTEND, files)
    assert set(await packed(platform, result)) == {"index.html"}


@needs_npm
async def test_a_frontend_whose_test_fails_is_not_built(platform: Platform) -> None:
    manifest = {"name": "shop", "version": "1.0.0", "scripts": {"test": "exit 4", "build": "true"}}
    result = await built(
        platform, ModuleType.FRONTEND, {"package.json": json.dumps(manifest)}, RunStatus.FAILED
    )
    assert result.exit_codes[-1].step == "test/unit/npm-test"
