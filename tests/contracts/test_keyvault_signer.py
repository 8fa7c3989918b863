"""The signer whose keys lie in the vault: how processes agree, rotation, and what an operator may do."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from shared.adapters.azure.signer import NAME, PLATFORM, SETTLED, KeyVaultSigner
from shared.adapters.embedded.vault import FileVault
from shared.domain.kernel.errors import Permanent, Transient
from shared.ports.vault import Secret, SecretVersion, Vault
from tests.contracts.azure_site import AzureSite, RealClock, TenantsApart
from tests.support.app import CountingIds, SteppingClock

DATA = b"what is handed out"


@pytest.fixture
def vault(tmp_path: Path, clock: SteppingClock) -> FileVault:
    return FileVault(tmp_path / "vault", clock, CountingIds())


async def _loaded(vault: Vault, clock: SteppingClock) -> KeyVaultSigner:
    return await KeyVaultSigner.load(vault, clock, undecided=0)


async def test_every_process_signs_with_the_key_that_was_made_first(
    vault: FileVault, clock: SteppingClock
) -> None:
    one, other = await _loaded(vault, clock), await _loaded(vault, clock)
    assert one.sign(DATA) == other.sign(DATA)
    assert other.verify(DATA, one.sign(DATA))
    assert len(await vault.versions(PLATFORM, NAME)) == 1


class AllAtOnce(TenantsApart):
    """The vault as one process sees it that looks for the first time when all others do."""

    def __init__(self, vault: Vault, others: asyncio.Barrier) -> None:
        super().__init__(vault, "")
        self._others: asyncio.Barrier | None = others

    async def versions(self, tenant: str, name: str) -> list[SecretVersion]:
        found = await super().versions(tenant, name)
        if self._others is not None:
            others, self._others = self._others, None
            await others.wait()
        return found


async def test_processes_that_start_together_agree_on_one_key(azure: AzureSite) -> None:
    clock, together = RealClock(), asyncio.Barrier(4)
    async with azure.vault(clock) as vault:
        signers = await asyncio.gather(
            *(KeyVaultSigner.load(AllAtOnce(vault, together), clock) for _ in range(4))
        )
        assert len(await vault.versions(PLATFORM, NAME)) == 4
        [signature] = {signer.sign(DATA) for signer in signers}
        late = await KeyVaultSigner.load(vault, clock)
        assert late.sign(DATA) == signature


async def test_a_new_key_signs_when_every_process_has_learned_of_it(
    vault: FileVault, clock: SteppingClock
) -> None:
    one, other = await _loaded(vault, clock), await _loaded(vault, clock)
    before = one.sign(DATA)
    await one.rotate()
    await one.refresh()
    assert one.sign(DATA) == before  # the other does not know it yet
    await other.refresh()
    clock.advance(seconds=SETTLED.total_seconds())
    after = one.sign(DATA)
    assert after != before
    assert len(after) == len(before)
    for signer in (one, other, await _loaded(vault, clock)):
        assert signer.sign(DATA) == after
        assert signer.verify(DATA, before)


async def test_a_disabled_key_verifies_nothing_more(vault: FileVault, clock: SteppingClock) -> None:
    signer = await _loaded(vault, clock)
    before = signer.sign(DATA)
    await signer.rotate()
    [newest, first] = await vault.versions(PLATFORM, NAME)
    await vault.disable(PLATFORM, NAME, first.version)
    assert signer.verify(DATA, before)  # until it looks
    await signer.refresh()
    assert not signer.verify(DATA, before)
    assert signer.verify(DATA, signer.sign(DATA))  # with the one that is left, settled or not
    await vault.disable(PLATFORM, NAME, newest.version)
    with pytest.raises(Permanent, match="Enable one"):
        await _loaded(vault, clock)
    with pytest.raises(Permanent, match="Enable one"):
        await signer.refresh()
    assert signer.verify(DATA, signer.sign(DATA))


async def test_a_key_an_operator_sets_is_taken_and_a_short_one_is_not(
    vault: FileVault, clock: SteppingClock
) -> None:
    await vault.set(PLATFORM, NAME, "an operator's own forty characters of key")
    signer = await _loaded(vault, clock)
    assert signer.verify(DATA, signer.sign(DATA))
    await vault.set(PLATFORM, NAME, "short")
    with pytest.raises(Permanent, match="too short") as refused:
        await signer.refresh()
    assert "'short'" not in str(refused.value)


async def test_no_key_is_shown(vault: FileVault, clock: SteppingClock) -> None:
    signer = await _loaded(vault, clock)
    value = (await vault.get(PLATFORM, NAME)).value
    assert value not in repr(signer.__dict__)


class FailingVault(FileVault):
    """Out of reach when told to be; a version is disabled just after it was listed when told so."""

    down = False
    disabling = False
    reads = 0

    async def versions(self, tenant: str, name: str) -> list[SecretVersion]:
        if self.down:
            raise Transient("The vault cannot be reached; try again.")
        found = await super().versions(tenant, name)
        if self.disabling:
            await self.disable(tenant, name, found[0].version)
        return found

    async def get(self, tenant: str, name: str, version: str | None = None) -> Secret:
        self.reads += 1
        return await super().get(tenant, name, version)


async def test_a_refresh_that_fails_leaves_the_keys_as_they_were(
    tmp_path: Path, clock: SteppingClock
) -> None:
    vault = FailingVault(tmp_path / "vault", clock, CountingIds())
    signer = await _loaded(vault, clock)
    before = signer.sign(DATA)
    vault.down = True
    with pytest.raises(Transient):
        await signer.refresh()
    assert signer.sign(DATA) == before


async def test_a_key_disabled_while_it_is_read_is_left_out(tmp_path: Path, clock: SteppingClock) -> None:
    vault = FailingVault(tmp_path / "vault", clock, CountingIds())
    signer = await _loaded(vault, clock)
    before = signer.sign(DATA)
    await signer.rotate()
    vault.disabling = True
    await signer.refresh()
    clock.advance(seconds=SETTLED.total_seconds())
    assert signer.sign(DATA) == before


async def test_a_refresh_reads_only_the_keys_that_are_new(tmp_path: Path, clock: SteppingClock) -> None:
    vault = FailingVault(tmp_path / "vault", clock, CountingIds())
    signer = await _loaded(vault, clock)
    for _ in range(3):
        await signer.refresh()
    assert vault.reads == 1
    await signer.rotate()
    await signer.refresh()
    assert vault.reads == 2


def test_a_signer_that_was_not_loaded_says_so(vault: FileVault, clock: SteppingClock) -> None:
    with pytest.raises(Permanent, match="load"):
        KeyVaultSigner(vault, clock).sign(DATA)
    assert timedelta(0) < SETTLED


async def test_a_loaded_signer_goes_on_over_another_client(vault: FileVault, clock: SteppingClock) -> None:
    loaded = await _loaded(vault, clock)
    signer = loaded.over(vault)
    assert signer.sign(DATA) == loaded.sign(DATA)
    await signer.rotate()
    await signer.refresh()
    clock.advance(seconds=SETTLED.total_seconds())
    assert signer.sign(DATA) != loaded.sign(DATA)
    assert signer.verify(DATA, loaded.sign(DATA))
