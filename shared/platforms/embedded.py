"""The embedded platform: SQLite, files, real git and real processes below the data folder."""

from functools import partial

from shared.adapters.embedded.blobs import FileBlobs
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.bus_watch import BusWatch
from shared.adapters.embedded.signer import HmacSigner
from shared.adapters.embedded.store import SqliteStore
from shared.adapters.embedded.system import RandomIds, SystemClock
from shared.adapters.embedded.vault import FileVault
from shared.adapters.hosts.embedded_git import EmbeddedGit
from shared.adapters.runners.subprocess import SubprocessRunner
from shared.adapters.targets.folder import FolderTarget
from shared.names import INDEXES
from shared.platforms import (
    Ports,
    Replacements,
    nobody,
    nothing,
    provisioner_of,
    registries_of,
    telemetry_of,
    tokens_of,
    vendors_of,
)
from shared.ports.clock import Clock
from shared.ports.ids import Ids
from shared.ports.telemetry import Telemetry
from shared.ports.vault import Vault
from shared.settings import Settings

TIDIED_AT_ONCE = 5000
"""Expired documents freed in one turn."""


def ports(settings: Settings, replacements: Replacements) -> Ports:
    folder, port = settings.data_dir, replacements.get
    folder.mkdir(parents=True, exist_ok=True)
    clock: Clock = port("clock") or SystemClock()
    ids: Ids = port("ids") or RandomIds()
    telemetry: Telemetry = port("telemetry") or telemetry_of(settings)
    telemetry.watch(BusWatch(folder / "bus.db", clock))
    store: SqliteStore = port("store") or SqliteStore(folder / "store.db", INDEXES, clock)
    vault: Vault = port("vault") or FileVault(folder / "vault", clock, ids)
    health = settings.health_timeout_seconds
    return Ports(
        settings=settings,
        clock=clock,
        ids=ids,
        store=store,
        ordered_feed=store,
        bus=port("bus") or SqliteBus(folder / "bus.db", clock),
        telemetry=telemetry,
        blobs=port("blobs") or FileBlobs(folder / "blobs", base_url=settings.base_url, clock=clock),
        vault=vault,
        signer=port("signer") or HmacSigner(folder / "signing.key"),
        tokens=port("tokens") or tokens_of(settings, clock),
        source_host=port("source_host") or EmbeddedGit(folder / "git", clock),
        vendors=port("vendors") or vendors_of(settings, vault, ids),
        runner=port("runner") or SubprocessRunner(folder / "work", output_cap=settings.step_output_bytes),
        target=port("target") or FolderTarget(folder / "environments", clock, health_timeout=health),
        provisioner=port("provisioner") or provisioner_of(settings, clock),
        registries=port("registries") or registries_of(settings, vault),
        secret_owner=nobody,
        tidy=partial(store.purge, limit=TIDIED_AT_ONCE),
        refresh=None,
        release=nothing,
    )
