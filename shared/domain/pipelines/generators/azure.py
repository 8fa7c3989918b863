"""Azure Pipelines. No stored secret: the build's own identity on feeds, and a federated service connection.

Tasks are pinned to their major version: Azure DevOps serves tasks itself and knows no commit ids. Of each, it
is the newest major version that the vendor's published schema describes, so that a text can be checked by it.
"""

import json
from collections.abc import Mapping

from shared.domain.pipelines.generators.inputs import Inputs, feed_path, filled, headed
from shared.domain.pipelines.generators.scripts import CHECK_JSON, PACK_SITE, REQUIRE_DOCKERFILE, SCRIPTS
from shared.domain.pipelines.model import Toolchain

_PIPELINE = """\
name: $(Date:yyyyMMdd)$(Rev:.r)

trigger:
  branches:
    include: [<<branch>>]

# Pull requests into GitHub-hosted code; in Azure Repos a branch policy asks for this pipeline.
pr:
  branches:
    include: [<<branch>>]

parameters:
  - name: slipwayRequest
    displayName: What Slipway calls this run; leave it as it is
    type: string
    default: none
  <<parameters>>

pool:
  vmImage: ubuntu-24.04

stages:
  - stage: build
    displayName: Build and test
    jobs:
      - job: build
        displayName: Build and test
        timeoutInMinutes: "30"
        steps:
          - checkout: self
            fetchDepth: "1"
            persistCredentials: "false"
          <<setup>>
          <<authenticate>>
          <<check_json>>
          - bash: |
              set -euo pipefail
              <<restore>>
            displayName: Restore
          - bash: |
              set -euo pipefail
              <<build>>
            displayName: Build
          - bash: |
              set -euo pipefail
              <<test>>
            displayName: Test
          - task: PublishTestResults@2
            displayName: Publish test results
            condition: succeededOrFailed()
            inputs:
              testResultsFormat: <<results_format>>
              testResultsFiles: "<<results>>"
              failTaskOnFailedTests: true
          - task: PublishCodeCoverageResults@1
            displayName: Publish coverage
            condition: succeededOrFailed()
            inputs:
              codeCoverageTool: Cobertura
              summaryFileLocation: "<<coverage>>"
              failIfCoverageEmpty: false
          - bash: |
              set -euo pipefail
              shopt -s globstar nullglob
              mkdir -p test-results
              for file in <<results>> <<coverage>>; do
                if [ -f "$file" ]; then cp --parents "$file" test-results; fi
              done
            displayName: Gather test results
            condition: succeededOrFailed()
          - publish: test-results
            displayName: Keep test results and coverage
            artifact: test-results
            condition: succeededOrFailed()
          - bash: |
              set -euo pipefail
              <<pack>>
              mkdir -p packages
            displayName: Pack
          - publish: packages
            displayName: Keep packages
            artifact: packages
          <<keep_site>>
"""

_CHECK_JSON_STEP = """\
- bash: |
    set -euo pipefail
    <<script>>
  displayName: Check configuration
"""

_SITE_STEPS = """\
- bash: |
    set -euo pipefail
    <<pack_site>>
  displayName: Pack what runs
  env:
    MODULE: <<name>>
- publish: slipway-archive
  displayName: Keep what runs
  artifact: site
"""

_PARAMETERS = """\
- name: serviceConnection
  displayName: Azure service connection with workload identity federation
  type: string
  default: slipway
- name: registry
  displayName: Azure Container Registry, without .azurecr.io
  type: string
  default: slipway
"""

_IMAGE = """
  - stage: image
    displayName: Container image
    dependsOn: build
    condition: >-
      and(succeeded(), ne(variables['Build.Reason'], 'PullRequest'),
      eq(variables['Build.SourceBranch'], 'refs/heads/<<expression_branch>>'))
    jobs:
      - job: image
        displayName: Container image
        timeoutInMinutes: "30"
        steps:
          - checkout: self
            fetchDepth: "1"
            persistCredentials: "false"
          - task: AzureCLI@2
            displayName: Build and push
            env:
              MODULE: <<name>>
              REGISTRY: ${{ parameters.registry }}
            inputs:
              azureSubscription: ${{ parameters.serviceConnection }}
              scriptType: bash
              scriptLocation: inlineScript
              inlineScript: |
                set -euo pipefail
                <<require_dockerfile>>
                repository="$REGISTRY.azurecr.io/${MODULE,,}"
                az acr login --name "$REGISTRY"
                docker buildx create --use
                docker buildx build --pull --push --sbom=true --provenance=mode=max \\
                  --metadata-file "$AGENT_TEMPDIRECTORY/image.json" \\
                  --label "org.opencontainers.image.revision=$BUILD_SOURCEVERSION" \\
                  --tag "$repository:$BUILD_SOURCEVERSION" .
                jq -er '."containerimage.digest"' "$AGENT_TEMPDIRECTORY/image.json" > image-digest.txt
          - publish: image-digest.txt
            displayName: Keep the image's digest
            artifact: image
"""

_PUBLISH = """
  - stage: publish
    displayName: Publish to <<feed>>
    dependsOn: <<needs>>
    condition: >-
      and(succeeded(), ne(variables['Build.Reason'], 'PullRequest'),
      eq(variables['Build.SourceBranch'], 'refs/heads/<<expression_branch>>'))
    jobs:
      - job: publish
        displayName: Publish to <<feed>>
        timeoutInMinutes: "15"
        steps:
          - checkout: none
          - download: current
            displayName: Get packages
            artifact: packages
          <<publish>>
"""

_SETUP: Mapping[Toolchain, str] = {
    Toolchain.DOTNET: """\
- task: UseDotNet@2
  displayName: Set up .NET
  inputs:
    packageType: sdk
    version: "<<toolchain_version>>"
""",
    Toolchain.NODE: """\
- task: NodeTool@0
  displayName: Set up Node.js
  inputs:
    versionSpec: "<<toolchain_version>>"
""",
    Toolchain.PYTHON: """\
- task: UsePythonVersion@0
  displayName: Set up Python
  inputs:
    versionSpec: "<<toolchain_version>>"
""",
}

_AUTHENTICATE: Mapping[Toolchain, str] = {
    Toolchain.DOTNET: "- task: NuGetAuthenticate@1\n  displayName: Sign in to feeds\n",
    Toolchain.NODE: """\
- bash: touch .npmrc
  displayName: Have a place for the sign-in
- task: npmAuthenticate@0
  displayName: Sign in to feeds
  inputs:
    workingFile: .npmrc
""",
    Toolchain.PYTHON: """\
- task: PipAuthenticate@1
  displayName: Sign in to feeds
  inputs:
    artifactFeeds: "<<feed>>"
    onlyAddExtraIndex: true
""",
}

_PUBLISHING: Mapping[Toolchain, str] = {
    Toolchain.DOTNET: """\
- task: NuGetAuthenticate@1
  displayName: Sign in to feeds
- bash: |
    set -euo pipefail
    organization="$(basename "$SYSTEM_COLLECTIONURI" .visualstudio.com)"
    dotnet nuget push "$PIPELINE_WORKSPACE/packages/*.nupkg" --api-key az --skip-duplicate \\
      --source "https://pkgs.dev.azure.com/$organization/$FEED/nuget/v3/index.json"
  displayName: Publish
  env:
    FEED: "<<feed_path>>"
""",
    Toolchain.NODE: """\
- bash: |
    set -euo pipefail
    mkdir package
    tar -xzf "$PIPELINE_WORKSPACE"/packages/*.tgz --strip-components=1 -C package
  displayName: Unpack
- task: Npm@1
  displayName: Publish
  inputs:
    command: publish
    workingDir: package
    publishRegistry: useFeed
    publishFeed: "<<feed>>"
""",
    Toolchain.PYTHON: """\
- task: TwineAuthenticate@1
  displayName: Sign in to feeds
  inputs:
    artifactFeed: "<<feed>>"
- bash: |
    set -euo pipefail
    python3 -m pip install --disable-pip-version-check twine==6.2.0
    python3 -m twine upload --skip-existing --repository "$FEED" --config-file "$PYPIRC_PATH" \\
      "$PIPELINE_WORKSPACE"/packages/*
  displayName: Publish
  env:
    FEED: "<<feed_name>>"
""",
}


def azure_pipeline(inputs: Inputs) -> bytes:
    """The pipeline of a module: build and test always, image and packages from its branch. What runs also
    leaves an archive that a target can run."""
    scripts, shape, toolchain = SCRIPTS[inputs.built_with], inputs.shape, inputs.built_with
    feed = inputs.feed or ""
    within = {
        "toolchain_version": scripts.version,
        "feed": feed,
        "feed_name": feed.rpartition("/")[2],
        "feed_path": feed_path(feed),
    }
    values = {
        **within,
        "name": inputs.name,
        "pack_site": filled(PACK_SITE, {"site": scripts.site}),
        "branch": json.dumps(inputs.branch, ensure_ascii=False),
        "expression_branch": inputs.branch.replace("'", "''"),
        "parameters": _PARAMETERS if shape.has_image else "",
        "setup": filled(_SETUP[toolchain], within),
        "authenticate": filled(_AUTHENTICATE[toolchain], within) if feed else "",
        "check_json": filled(_CHECK_JSON_STEP, {"script": CHECK_JSON}) if shape.checks_json else "",
        "restore": scripts.restore,
        "build": scripts.build,
        "test": scripts.test,
        "results_format": scripts.results_format,
        "results": scripts.results,
        "coverage": scripts.coverage,
        "pack": scripts.pack,
        "require_dockerfile": REQUIRE_DOCKERFILE,
        "needs": "[build, image]" if shape.has_image else "build",
        "publish": filled(_PUBLISHING[toolchain], within),
    }
    values["keep_site"] = filled(_SITE_STEPS, values) if shape.has_image else ""
    text = _PIPELINE + (_IMAGE if shape.has_image else "") + (_PUBLISH if feed else "")
    return headed(
        filled(text, values),
        f"# Module {inputs.module}, {inputs.module_type}. Generating the pipeline again replaces edits.",
        "# The service connection and the build's own identity sign in; there is no secret to set.",
    )
