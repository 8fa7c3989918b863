"""GitHub Actions workflows. No stored secret: the job's own token, and OIDC where Azure is asked.

Actions are pinned to full commit ids with their release beside them, as a tag may be moved by its owner.
What Slipway starts carries its name as an input and shows it in its title, where a lost answer is found.
"""

import json
import re
from collections.abc import Mapping

from shared.domain.pipelines.generators.inputs import Inputs, feed_path, filled, headed
from shared.domain.pipelines.generators.scripts import CHECK_JSON, PACK_SITE, REQUIRE_DOCKERFILE, SCRIPTS
from shared.domain.pipelines.model import Toolchain

ACTIONS: Mapping[str, str] = {
    "checkout": "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0",
    "dotnet": "actions/setup-dotnet@d4c94342e560b34958eacfc5d055d21461ed1c5d # v5.0.0",
    "node": "actions/setup-node@a0853c24544627f65ddf259abe73b1d18a591444 # v5.0.0",
    "python": "actions/setup-python@e797f83bcb11b83ae66e0230d6156d7c80228e7c # v6.0.0",
    "upload": "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2",
    "download": "actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093 # v4.3.0",
    "attest": "actions/attest-build-provenance@977bb373ede98d70efdf65b84cb5f73e068dcc2a # v3.0.0",
    "azure": "azure/login@a457da9ea143d694b1b9c7c869ebb04ebe844ef5 # v2.3.0",
}

_WORKFLOW = """\
name: <<name>>
# Empty for every other start: the title is then the host's own.
run-name: ${{ inputs.slipway_request && format('{0} {1}', github.workflow, inputs.slipway_request) || '' }}

on:
  push:
    branches: [<<branch>>]
  pull_request:
    branches: [<<branch>>]
  workflow_dispatch:
    inputs:
      slipway_request:
        description: What Slipway calls this run; leave it empty
        type: string
        required: false
        default: ""

permissions: {}

concurrency:
  group: <<name>>-${{ inputs.slipway_request || github.ref }}
  cancel-in-progress: ${{ github.event_name == 'pull_request' }}

defaults:
  run:
    shell: bash

jobs:
  build:
    name: Build and test
    runs-on: ubuntu-24.04
    timeout-minutes: 30
    permissions:
      contents: read
    steps:
      - name: Check out
        uses: <<checkout>>
        with:
          persist-credentials: false
      - name: Set up <<toolchain>>
        uses: <<setup>>
        with:
          <<toolchain>>-version: "<<toolchain_version>>"
      <<check_json>>
      - name: Restore
        run: |
          <<restore>>
      - name: Build
        run: |
          <<build>>
      - name: Test
        run: |
          <<test>>
      - name: Keep test results and coverage
        if: ${{ !cancelled() }}
        uses: <<upload>>
        with:
          name: test-results
          path: |
            <<results>>
            <<coverage>>
          if-no-files-found: ignore
      - name: Pack
        run: |
          <<pack>>
      - name: Keep packages
        uses: <<upload>>
        with:
          name: packages
          path: packages
          if-no-files-found: ignore
      <<keep_site>>
"""

_CHECK_JSON_STEP = """\
- name: Check configuration
  run: |
    <<script>>
"""

_SITE_STEPS = """\
- name: Pack what runs
  env:
    MODULE: <<name>>
  run: |
    <<pack_site>>
- name: Keep what runs
  uses: <<upload>>
  with:
    name: site
    path: slipway-archive
    if-no-files-found: error
"""

_IMAGE = """
  image:
    name: Container image
    needs: build
    if: github.event_name != 'pull_request' && github.ref_name == '<<expression_branch>>'
    runs-on: ubuntu-24.04
    timeout-minutes: 30
    permissions:
      contents: read
      packages: write # pushes the image
      id-token: write # signs the attestation
      attestations: write # records it
    outputs:
      digest: ${{ steps.push.outputs.digest }}
    steps:
      - name: Check out
        uses: <<checkout>>
        with:
          persist-credentials: false
      - name: Build and push
        id: push
        env:
          MODULE: <<name>>
          TOKEN: ${{ github.token }}
        run: |
          <<require_dockerfile>>
          repository="ghcr.io/${GITHUB_REPOSITORY,,}/${MODULE,,}"
          docker login ghcr.io --username "$GITHUB_ACTOR" --password-stdin <<< "$TOKEN"
          docker buildx create --use
          docker buildx build --pull --push --sbom=true --metadata-file "$RUNNER_TEMP/image.json" \\
            --label "org.opencontainers.image.revision=$GITHUB_SHA" --tag "$repository:$GITHUB_SHA" .
          digest="$(jq -er '."containerimage.digest"' "$RUNNER_TEMP/image.json")"
          echo "repository=$repository" >> "$GITHUB_OUTPUT"
          echo "digest=$digest" >> "$GITHUB_OUTPUT"
      - name: Attest where the image came from
        uses: <<attest>>
        with:
          subject-name: ${{ steps.push.outputs.repository }}
          subject-digest: ${{ steps.push.outputs.digest }}
          push-to-registry: true
"""

_PUBLISH = """
  publish:
    name: Publish to <<feed>>
    needs: <<needs>>
    if: github.event_name != 'pull_request' && github.ref_name == '<<expression_branch>>'
    runs-on: ubuntu-24.04
    timeout-minutes: 15
    permissions:
      id-token: write # signs in to Azure, where the feed is
    steps:
      - name: Get packages
        uses: <<download>>
        with:
          name: packages
          path: packages
      - name: Sign in
        uses: <<azure>>
        with:
          client-id: ${{ vars.AZURE_CLIENT_ID }}
          tenant-id: ${{ vars.AZURE_TENANT_ID }}
          allow-no-subscriptions: true
      - name: Publish
        env:
          FEED: https://pkgs.dev.azure.com/${{ vars.AZURE_DEVOPS_ORGANIZATION }}/<<feed_path>>
        run: |
          token="$(az account get-access-token --resource 499b84ac-1321-427f-aa17-267ca6975798 \\
            --query accessToken --output tsv)"
          echo "::add-mask::$token"
          <<publish>>
"""

_PUBLISHING: Mapping[Toolchain, str] = {
    Toolchain.DOTNET: """\
dotnet nuget add source "$FEED/nuget/v3/index.json" --name feed \\
  --username slipway --password "$token" --store-password-in-clear-text
dotnet nuget push 'packages/*.nupkg' --source feed --api-key az --skip-duplicate
""",
    Toolchain.NODE: """\
registry="$FEED/npm/registry/"
npm config set "${registry#https:}:_authToken" "$token"
for package in packages/*.tgz; do
  npm publish "$package" --registry "$registry"
done
""",
    Toolchain.PYTHON: """\
python3 -m pip install --disable-pip-version-check twine==6.2.0
TWINE_USERNAME=slipway TWINE_PASSWORD="$token" \\
  python3 -m twine upload --skip-existing --repository-url "$FEED/pypi/upload/" packages/*
""",
}


def github_workflow(inputs: Inputs) -> bytes:
    """The workflow of a module: build and test always, image and packages from its branch. What runs also
    leaves an archive that a target can run."""
    scripts, shape = SCRIPTS[inputs.built_with], inputs.shape
    values = {
        **ACTIONS,
        "name": inputs.name,
        "branch": json.dumps(_pattern(inputs.branch), ensure_ascii=False),
        "expression_branch": inputs.branch.replace("'", "''"),
        "toolchain": inputs.built_with.value,
        "setup": ACTIONS[inputs.built_with],
        "toolchain_version": scripts.version,
        "check_json": filled(_CHECK_JSON_STEP, {"script": CHECK_JSON}) if shape.checks_json else "",
        "restore": scripts.restore,
        "build": scripts.build,
        "test": scripts.test,
        "results": scripts.results,
        "coverage": scripts.coverage,
        "pack": scripts.pack,
        "require_dockerfile": REQUIRE_DOCKERFILE,
        "pack_site": filled(PACK_SITE, {"site": scripts.site}),
    }
    values["keep_site"] = filled(_SITE_STEPS, values) if shape.has_image else ""
    text = _WORKFLOW + (_IMAGE if shape.has_image else "")
    if inputs.feed is not None:
        text += _PUBLISH
        values |= {
            "feed": inputs.feed,
            "feed_path": feed_path(inputs.feed),
            "needs": "[build, image]" if shape.has_image else "build",
            "publish": _PUBLISHING[inputs.built_with],
        }
    return headed(
        filled(text, values),
        f"# Module {inputs.module}, {inputs.module_type}. Generating the pipeline again replaces edits.",
        "# Set the repository variables AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_DEVOPS_ORGANIZATION to",
        "# publish; the client trusts this repository by federation. There is no secret to set.",
    )


def _pattern(branch: str) -> str:
    """A branch name as the filter that matches just it."""
    return re.sub(r"([+!\]])", r"\\\1", branch)
