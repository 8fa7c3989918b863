"""The definition that each type of module starts with: plain shell that looks at the checkout it runs in.

Raise TEMPLATE_VERSION with every change of a script; equal inputs must keep giving equal text.
"""

from shared.domain.pipelines.definition import (
    ArtifactSpec,
    Definition,
    StageSpec,
    StepSpec,
    TaskSpec,
    short_name,
)
from shared.domain.pipelines.generators.inputs import SHAPES, require_file_name
from shared.domain.pipelines.generators.scripts import SCRIPTS, TAR
from shared.domain.pipelines.model import ModuleType, Toolchain

_COMPILE = """\
python3 -m compileall -q -x '(^|/)([.]deps|[.]tools|node_modules)/' .
"""

_CHECK_JSON = """\
find . -name '*.json' -not -path './node_modules/*' -not -path './.deps/*' > .json-files
while IFS= read -r file; do
  python3 -m json.tool "$file" /dev/null || { echo "$file is not valid JSON" >&2; exit 1; }
done < .json-files
rm .json-files
"""

_RESTORE = """\
if [ -f requirements.txt ] && grep -qE '^[[:space:]]*[^#[:space:]]' requirements.txt; then
  python3 -m pip install --quiet --disable-pip-version-check --no-compile --target .deps -r requirements.txt
else
  echo 'requirements.txt names no packages'
fi
"""

_TEST = """\
if [ ! -d tests ]; then
  echo 'there is no tests folder'
  exit 0
fi
export PYTHONPATH="$PWD:$PWD/src:$PWD/.deps:$PWD/.tools"
if ! python3 -c 'import pytest' 2>/dev/null; then
  python3 -m pip install --quiet --disable-pip-version-check --target .tools pytest
fi
python3 -m pytest -q -p no:cacheprovider --junitxml=reports/junit.xml tests
"""

_NOT_PACKED = (
    "--exclude=./.slipway --exclude=./.git --exclude=./.tools --exclude=./dist --exclude=./reports"
    " --exclude=__pycache__ --exclude=.pytest_cache"
)

_PACKAGE = """\
mkdir -p dist
{tar} {left_out} --exclude=./tests -cf dist/{name}.tar .
gzip -n -f dist/{name}.tar
"""

_SOURCE_ARCHIVE = """\
mkdir -p dist
{tar} {left_out} --exclude=./.deps --transform='s,^[.],{name},' -cf dist/{name}.tar .
gzip -n -f dist/{name}.tar
"""

_DOTNET_SITE = """\
dotnet publish --no-build --configuration Release --output publish
mkdir -p dist
{tar} -C publish -cf dist/{name}.tar .
gzip -n -f dist/{name}.tar
"""

_DOTNET_PACKAGES = """\
dotnet pack --no-build --configuration Release --output packages
mkdir -p dist
{tar} -C packages -cf dist/{name}.tar .
gzip -n -f dist/{name}.tar
"""

_NPM_RESTORE = """\
if [ ! -f package.json ]; then
  echo 'there is no package.json'
elif [ -f package-lock.json ]; then
  npm ci --no-audit --no-fund
else
  npm install --no-audit --no-fund --no-package-lock
fi
"""

_NPM_RUN = """\
if [ -f package.json ]; then
  npm run --if-present {script}
fi
"""

_NPM_PACKAGE = """\
site=.
for folder in dist build; do
  if [ -d "$folder" ]; then site="$folder"; break; fi
done
mkdir -p package
{tar} {left_out} --exclude=./tests --exclude=./node_modules --exclude=./package -C "$site" -cf package.tar .
mv package.tar package/{name}.tar
gzip -n -f package/{name}.tar
"""


def template(
    module: str, module_type: ModuleType, feed: str | None, toolchain: Toolchain | None = None
) -> Definition:
    """The definition for a module. Raises InvalidDefinition where the module's name cannot name a file."""
    require_file_name(module)
    name = short_name(module)
    match toolchain or _USUAL.get(module_type, Toolchain.PYTHON):
        case Toolchain.NODE:
            stages, folder = _npm_stages(name), "package"
        case Toolchain.DOTNET:
            stages, folder = _dotnet_stages(name, module_type), "dist"
        case Toolchain.PYTHON:
            stages, folder = _python_stages(name, module_type), "dist"
    return Definition(
        module=module,
        module_type=module_type,
        feed=feed,
        stages=stages,
        artifacts=(ArtifactSpec(name, f"{folder}/{name}.tar.gz"),),
        test_reports=("reports/**/*.xml",),
    )


_USUAL = {
    ModuleType.FRONTEND: Toolchain.NODE,
    ModuleType.BLAZOR_MICROFRONTEND: Toolchain.DOTNET,
    ModuleType.BLAZOR_SHELL: Toolchain.DOTNET,
}
"""What Slipway's own runner builds a type with; the rest is Python."""


def _python_stages(name: str, module_type: ModuleType) -> tuple[StageSpec, ...]:
    checks = [StepSpec(name="compile", run=_COMPILE)]
    if SHAPES[module_type].checks_json:
        checks.append(StepSpec(name="check-json", run=_CHECK_JSON))
    pack = _PACKAGE if SHAPES[module_type].has_image else _SOURCE_ARCHIVE
    return (
        StageSpec(
            "build",
            (
                TaskSpec("validate", tuple(checks)),
                TaskSpec("restore", (StepSpec(name="install", run=_RESTORE),)),
            ),
        ),
        StageSpec("test", (TaskSpec("unit", (StepSpec(name="pytest", run=_TEST),)),)),
        StageSpec("package", (TaskSpec("archive", (StepSpec(name="pack", run=_filled(pack, name)),)),)),
    )


def _dotnet_stages(name: str, module_type: ModuleType) -> tuple[StageSpec, ...]:
    scripts = SCRIPTS[Toolchain.DOTNET]
    pack = _DOTNET_SITE if SHAPES[module_type].has_image else _DOTNET_PACKAGES
    build = [TaskSpec("restore", (StepSpec(name="restore", run=scripts.restore),))]
    if SHAPES[module_type].checks_json:
        build.insert(0, TaskSpec("validate", (StepSpec(name="check-json", run=_CHECK_JSON),)))
    build.append(TaskSpec("compile", (StepSpec(name="build", run=scripts.build),)))
    return (
        StageSpec("build", tuple(build)),
        StageSpec("test", (TaskSpec("unit", (StepSpec(name="dotnet-test", run=scripts.test),)),)),
        StageSpec("package", (TaskSpec("archive", (StepSpec(name="pack", run=_filled(pack, name)),)),)),
    )


def _npm_stages(name: str) -> tuple[StageSpec, ...]:
    build = (StepSpec(name="build", run=_NPM_RUN.format(script="build")),)
    return (
        StageSpec("restore", (TaskSpec("restore", (StepSpec(name="install", run=_NPM_RESTORE),)),)),
        StageSpec(
            "test", (TaskSpec("unit", (StepSpec(name="npm-test", run=_NPM_RUN.format(script="test")),)),)
        ),
        StageSpec("build", (TaskSpec("site", build),)),
        StageSpec(
            "package", (TaskSpec("archive", (StepSpec(name="pack", run=_filled(_NPM_PACKAGE, name)),)),)
        ),
    )


def _filled(script: str, name: str) -> str:
    return script.format(tar=TAR, left_out=_NOT_PACKED, name=name)
