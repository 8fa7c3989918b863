"""How each toolchain restores, builds, tests and packs a module: shell that runs the same on every host."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.pipelines.model import Toolchain


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripts:
    """`results` and `coverage` are globs of what `test` leaves; `pack` leaves its packages in `packages/`,
    and `site` what a target runs in `slipway-site/`."""

    version: str
    restore: str
    build: str
    test: str
    pack: str
    site: str
    packages: str
    results: str
    results_format: str
    coverage: str


TAR = "tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r,go-w,a+X --format=gnu"
"""Sorted names, one time, one owner and one set of permissions: the same tree packs to the same digest."""

_TRACKED = """\
git ls-files -z -- ':!tests' ':!.github' ':!.azuredevops' ':!.npmrc' |
  xargs -0 cp --recursive --no-dereference --parents --target-directory=slipway-site
"""

# One file, as vendors keep no permissions of an artifact's files.
PACK_SITE = f"""\
mkdir -p slipway-site slipway-archive
<<site>>
if [ -f slipway.yml ]; then cp slipway.yml slipway-site; fi
{TAR} \\
  -C slipway-site -cf "slipway-archive/$MODULE.tar" .
gzip -n -f "slipway-archive/$MODULE.tar"
"""

CHECK_JSON = """\
find . -name '*.json' -not -path '*/node_modules/*' -not -path '*/obj/*' -not -path '*/bin/*' -print0 |
  while IFS= read -r -d '' file; do
    python3 -m json.tool "$file" > /dev/null || { echo "$file is not valid JSON" >&2; exit 1; }
  done
"""

REQUIRE_DOCKERFILE = """\
if [ ! -f Dockerfile ]; then
  echo 'There is no Dockerfile; add one, or generate the pipeline for a Library.' >&2
  exit 1
fi
"""

SCRIPTS: Mapping[Toolchain, Scripts] = {
    Toolchain.DOTNET: Scripts(
        version="10.0.x",
        restore="dotnet restore\n",
        build="dotnet build --no-restore --configuration Release -p:ContinuousIntegrationBuild=true\n",
        test="""\
dotnet test --no-build --configuration Release --logger trx \\
  --results-directory reports --collect 'XPlat Code Coverage'
""",
        pack="dotnet pack --no-build --configuration Release --output packages\n",
        site='dotnet publish --no-build --configuration Release -p:PublishDir="$PWD/slipway-site/"\n',
        packages="packages/*.nupkg",
        results="reports/**/*.trx",
        results_format="VSTest",
        coverage="reports/**/coverage.cobertura.xml",
    ),
    Toolchain.NODE: Scripts(
        version="22.x",
        restore="npm ci --no-audit --no-fund\n",
        build="npm run build --if-present\n",
        test="npm run test --if-present\n",
        pack="mkdir -p packages\nnpm pack --pack-destination packages\n",
        site=f"""\
for folder in dist build; do
  if [ -d "$folder" ]; then
    cp --recursive "$folder/." slipway-site
    break
  fi
done
if [ -z "$(ls -A slipway-site)" ]; then
  {_TRACKED.replace("\n  ", "\n    ").rstrip()}
fi
""",
        packages="packages/*.tgz",
        results="reports/**/*.xml",
        results_format="JUnit",
        coverage="coverage/cobertura-coverage.xml",
    ),
    Toolchain.PYTHON: Scripts(
        version="3.13",
        restore="""\
python3 -m pip install --disable-pip-version-check build==1.3.0 pytest==8.4.2 pytest-cov==7.0.0
if [ -f requirements.txt ]; then
  python3 -m pip install --disable-pip-version-check -r requirements.txt
fi
""",
        build="python3 -m compileall -q .\n",
        test="""\
python3 -m pytest --junitxml=reports/junit.xml --cov=. --cov-report=xml:reports/coverage.xml
""",
        pack="python3 -m build --outdir packages\n",
        site=f"""\
{_TRACKED.rstrip()}
if [ -f requirements.txt ]; then
  python3 -m pip install --quiet --disable-pip-version-check --no-compile \\
    --target slipway-site/.deps -r requirements.txt
fi
""",
        packages="packages/*",
        results="reports/junit.xml",
        results_format="JUnit",
        coverage="reports/coverage.xml",
    ),
}
