"""The composition root: which adapter stands behind which port, and which service is made of what."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.adapters.archives import ArchiveBundles
from shared.adapters.codec import RecordCodec
from shared.adapters.definitions import YamlDefinitions
from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.embedded.system import RandomIds, SystemClock
from shared.adapters.embedded.vault import FileVault
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.manifests import YamlManifests
from shared.adapters.oidc import OidcTokens
from shared.adapters.runners.subprocess import SubprocessRunner
from shared.adapters.targets.folder import FolderTarget
from shared.names import INDEXES
from shared.ports.blobs import Blobs
from shared.ports.bundles import Bundles
from shared.ports.clock import Clock
from shared.ports.ids import Ids
from shared.ports.runner import Runner
from shared.ports.source_host import SourceHost
from shared.ports.target import Target
from shared.ports.tokens import TokenVerifier
from shared.ports.vault import Vault
from shared.services.artifacts import Artifacts
from shared.services.audit import Audit
from shared.services.branches import Branches
from shared.services.checks import Checks
from shared.services.commits import Commits
from shared.services.deployments import Deployments
from shared.services.environments import Environments
from shared.services.gitops import GitOps
from shared.services.pipelines import Pipelines
from shared.services.promotions import Promotions
from shared.services.pull_requests import PullRequests
from shared.services.releases import Releases
from shared.services.repositories import Repositories
from shared.services.runs import Runs
from shared.services.unit import Units
from shared.settings import Settings
