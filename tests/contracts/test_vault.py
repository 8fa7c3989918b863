"""The Vault port: versions, disabling, tenants, names; and the sealed files beneath."""

import asyncio
import sqlite3
import traceback
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from shared.adapters.embedded.system import SystemClock
from shared.adapters.embedded.vault import FileVault
from shared.domain.kernel.errors import Forbidden, Invalid, NotFound, Permanent
from shared.ports.vault import SecretVersion, Vault
from tests.contracts.azure_site import AzureSite
from tests.support.app import CountingIds, SteppingClock

PLAIN = "correct-horse-battery-staple"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "vault"


@pytest.fixture
def file_vault(root: Path) -> FileVault:
    return _vault(root)


@pytest.fixture(params=["file_vault", "azure"])
async def vault(request: pytest.FixtureRequest) -> AsyncIterator[Vault]:
    """A second adapter is one more parameter, and the fixture of that name."""
    adapter = request.getfixturevalue(request.param)
    if isinstance(adapter, AzureSite):
        async with adapter.vault(SystemClock()) as made:
            yield made
    else:
        yield adapter


def _vault(root: Path) -> FileVault:
    return FileVault(root, SteppingClock(), CountingIds())


@pytest.mark.parametrize("value", [PLAIN, "", "päss wörd\n\0 張", "x" * 25_600])
async def test_what_is_set_is_got(vault: Vault, value: str) -> None:
    version = await vault.set("acme", "db-password", value)
    secret = await vault.get("acme", "db-password")
    assert secret.value == value
    assert (secret.name, secret.version, secret.created_at) == (
        "db-password",
        version.version,
        version.created_at,
    )
    assert secret.enabled


async def test_each_set_is_a_new_version_and_old_ones_stay(vault: Vault) -> None:
    versions = [await vault.set("acme", "key", f"value-{number}") for number in range(3)]
    assert (await vault.get("acme", "key")).value == "value-2"
    for number, version in enumerate(versions):
        assert (await vault.get("acme", "key", version.version)).value == f"value-{number}"
    assert await vault.versions("acme", "key") == versions[::-1]
    assert all(version.created_at.utcoffset() is not None for version in versions)


async def test_sets_at_once_all_become_versions(vault: Vault) -> None:
    await asyncio.gather(*(vault.set("acme", "key", str(number)) for number in range(10)))
    found = await vault.versions("acme", "key")
    assert len({version.version for version in found}) == 10
    assert (await vault.get("acme", "key")).version == found[0].version


async def test_a_disabled_version_is_forbidden_and_others_are_not(vault: Vault) -> None:
    first = await vault.set("acme", "key", "1")
    second = await vault.set("acme", "key", "2")
    await vault.disable("acme", "key", second.version)
    await vault.disable("acme", "key", second.version)
    for version in (None, second.version):
        with pytest.raises(Forbidden, match="disabled"):
            await vault.get("acme", "key", version)
    assert (await vault.get("acme", "key", first.version)).value == "1"
    shown = SecretVersion("key", second.version, second.created_at, enabled=False)
    assert await vault.versions("acme", "key") == [shown, first]
    await vault.set("acme", "key", "3")
    assert (await vault.get("acme", "key")).value == "3"


async def test_what_is_unknown_is_not_found(vault: Vault) -> None:
    with pytest.raises(NotFound):
        await vault.get("acme", "nothing")
    await vault.set("acme", "key", "1")
    with pytest.raises(NotFound):
        await vault.get("acme", "key", "0" * 32)
    with pytest.raises(NotFound):
        await vault.disable("acme", "key", "0" * 32)
    assert await vault.versions("acme", "nothing") == []


async def test_a_deleted_secret_is_gone_with_every_version(vault: Vault) -> None:
    version = await vault.set("acme", "key", "1")
    await vault.set("acme", "other", "2")
    await vault.delete("acme", "key")
    await vault.delete("acme", "key")
    with pytest.raises(NotFound):
        await vault.get("acme", "key", version.version)
    assert await vault.versions("acme", "key") == []
    assert (await vault.get("acme", "other")).value == "2"


async def test_tenants_never_see_each_others_secrets(vault: Vault) -> None:
    version = await vault.set("acme", "key", "acme's")
    for tenant in ("other", "ACME", "acme ", ""):
        with pytest.raises(NotFound):
            await vault.get(tenant, "key", version.version)
        with pytest.raises(NotFound):
            await vault.disable(tenant, "key", version.version)
        await vault.delete(tenant, "key")
    assert (await vault.get("acme", "key")).value == "acme's"


async def test_names_compare_without_case(vault: Vault) -> None:
    await vault.set("acme", "Db-Key", "1")
    assert (await vault.get("acme", "db-kEY")).value == "1"
    await vault.set("acme", "DB-KEY", "2")
    assert len(await vault.versions("acme", "db-key")) == 2


@pytest.mark.parametrize("name", ["a", "A-9", "-", "x" * 127])
async def test_a_name_of_letters_digits_and_dashes_is_taken(vault: Vault, name: str) -> None:
    await vault.set("acme", name, "1")
    assert (await vault.get("acme", name)).value == "1"


@pytest.mark.parametrize("name", ["", "a b", "a_b", "a.b", "a/b", "é", "\u0661", "a\n", "x" * 128, "a\0"])
async def test_any_other_name_is_refused_everywhere(vault: Vault, name: str) -> None:
    for call in (
        vault.set("acme", name, PLAIN),
        vault.get("acme", name),
        vault.versions("acme", name),
        vault.disable("acme", name, "0" * 32),
        vault.delete("acme", name),
    ):
        with pytest.raises(Invalid):
            await call


@pytest.mark.parametrize("value", [PLAIN + "x" * 25_600, PLAIN + "\ud800"], ids=["big", "surrogate"])
async def test_a_value_that_cannot_be_kept_is_refused_without_quoting_it(vault: Vault, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        await vault.set("acme", "key", value)
    assert PLAIN not in "".join(traceback.format_exception(refused.value))
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


async def test_a_secret_does_not_show_its_value(vault: Vault) -> None:
    await vault.set("acme", "key", PLAIN)
    assert PLAIN not in repr(await vault.get("acme", "key"))
    assert PLAIN not in repr(await vault.versions("acme", "key"))


async def test_secrets_outlive_the_process(file_vault: FileVault, root: Path) -> None:
    await file_vault.set("acme", "key", PLAIN)
    assert (await _vault(root).get("acme", "key")).value == PLAIN


async def test_no_file_holds_a_value_in_the_clear(file_vault: FileVault, root: Path) -> None:
    for number in range(20):
        await file_vault.set("acme", "key", f"{PLAIN}-{number}")
    await file_vault.delete("acme", "other")
    files = [file for file in root.rglob("*") if file.is_file()]
    assert {file.name for file in files} == {"vault.sqlite", "master.key"}
    for file in files:
        content = file.read_bytes()
        for form in (PLAIN.encode(), PLAIN.encode().hex().encode(), PLAIN.encode("utf-16-le")):
            assert form not in content


async def test_equal_values_are_sealed_differently(file_vault: FileVault, root: Path) -> None:
    for _ in range(3):
        await file_vault.set("acme", "key", PLAIN)
    with closing(sqlite3.connect(root / "vault.sqlite")) as database:
        rows = database.execute("SELECT nonce, sealed FROM secrets").fetchall()
    assert len({nonce for nonce, _ in rows}) == len({sealed for _, sealed in rows}) == 3


async def test_the_folder_is_closed_to_others(root: Path) -> None:
    root.mkdir(mode=0o755)
    root.chmod(0o755)
    (root / "master.key").write_bytes(b"k" * 32)
    (root / "master.key").chmod(0o644)
    await _vault(root).set("acme", "key", PLAIN)
    assert root.stat().st_mode & 0o777 == 0o700
    for name in ("master.key", "vault.sqlite"):
        assert (root / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "swap",
    [
        "UPDATE secrets SET tenant = 'other' WHERE name = 'key'",
        "UPDATE secrets SET name = 'victim' WHERE name = 'key'",
        "UPDATE secrets SET version = 'v1' WHERE name = 'key'",
        "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'rich') WHERE name = 'key'",
        "UPDATE secrets SET nonce = zeroblob(12) WHERE name = 'key'",
        "UPDATE secrets SET sealed = zeroblob(40) WHERE name = 'key'",
        "UPDATE secrets SET sealed = x'00' WHERE name = 'key'",
    ],
)
async def test_a_sealed_value_moved_or_altered_does_not_open(
    file_vault: FileVault, root: Path, swap: str
) -> None:
    await file_vault.set("acme", "key", "poor")
    await file_vault.set("acme", "rich", PLAIN)
    with closing(sqlite3.connect(root / "vault.sqlite")) as database:
        database.execute(swap)
        database.commit()
        [[tenant, name]] = database.execute("SELECT tenant, name FROM secrets WHERE name <> 'rich'")
    with pytest.raises(Permanent, match="altered"):
        await file_vault.get(tenant, name)


@pytest.mark.parametrize("loss", ["missing", "wrong", "cut"])
async def test_without_its_master_key_the_vault_says_what_to_do(root: Path, loss: str) -> None:
    await _vault(root).set("acme", "key", PLAIN)
    key = root / "master.key"
    original = key.read_bytes()
    if loss == "missing":
        key.unlink()
    else:
        key.write_bytes(b"x" * 32 if loss == "wrong" else original[:-1])
    for call in (_vault(root).get("acme", "key"), _vault(root).set("acme", "key", "new")):
        with pytest.raises(Permanent, match="Restore"):
            await call
    key.write_bytes(original)
    assert (await _vault(root).get("acme", "key")).value == PLAIN
    assert len(await _vault(root).versions("acme", "key")) == 1


async def test_a_damaged_vault_is_told(root: Path) -> None:
    await _vault(root).set("acme", "key", PLAIN)
    (root / "vault.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(Permanent, match="damaged"):
        await _vault(root).get("acme", "key")


async def test_two_processes_that_start_together_share_one_key(root: Path) -> None:
    vaults = [_vault(root) for _ in range(8)]
    ids = [f"key-{number}" for number in range(8)]
    # Each set runs in a thread of its own, and each vault opens the empty folder for itself.
    await asyncio.gather(*(one.set("acme", name, name) for one, name in zip(vaults, ids, strict=True)))
    for name in ids:
        assert (await vaults[0].get("acme", name)).value == name
