"""The definition that each type of module starts with: plain shell that looks at the checkout it runs in.

Bump TEMPLATE_VERSION with every change of a script; equal inputs must keep giving equal text.
"""

import re

from shared.domain.kernel.errors import Problem
from shared.domain.pipelines.definition import (
    ArtifactSpec,
    Definition,
    StageSpec,
    StepSpec,
    TaskSpec,
    refused,
    short_name,
)
from shared.domain.pipelines.model import ModuleType

TEMPLATE_VERSION = 1

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

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
# Sorted names, one time, one owner and one set of permissions: the same tree packs to the same digest.
_TAR = "tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r,go-w,a+X --format=gnu"

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


def template(module: str, module_type: ModuleType, feed: str | None) -> Definition:
    """The definition for a module. Raises InvalidDefinition where the module's name cannot name a file."""
    if not _FILE_NAME.fullmatch(module):
        hint = "use up to 100 letters, digits, dots, dashes and underscores, starting with a letter or digit"
        raise refused(Problem("module", hint, "invalid_name"))
    name = short_name(module)
    npm = module_type is ModuleType.FRONTEND
    stages = _npm_stages(name) if npm else _python_stages(name, module_type)
    archive = f"{'package' if npm else 'dist'}/{name}.tar.gz"
    return Definition(
        module=module,
        module_type=module_type,
        feed=feed,
        stages=stages,
        artifacts=(ArtifactSpec(name, archive),),
        test_reports=("reports/**/*.xml",),
    )


def _python_stages(name: str, module_type: ModuleType) -> tuple[StageSpec, ...]:
    checks = [StepSpec(name="compile", run=_COMPILE)]
    if module_type is ModuleType.GATEWAY:
        checks.append(StepSpec(name="check-json", run=_CHECK_JSON))
    pack = _SOURCE_ARCHIVE if module_type is ModuleType.LIBRARY else _PACKAGE
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
    return script.format(tar=_TAR, left_out=_NOT_PACKED, name=name)
