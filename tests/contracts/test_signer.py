"""What every signer promises, and where the embedded one keeps its key."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.azure.signer import KeyVaultSigner
from shared.adapters.embedded.signer import HmacSigner
from shared.adapters.embedded.vault import FileVault
from shared.ports.signer import Signer
from tests.support.app import CountingIds, SteppingClock


async def _hmac(folder: Path) -> Signer:
    return HmacSigner(folder / "signing.key")


async def _vault(folder: Path) -> Signer:
    """Over the Vault port; which adapter is behind it makes no difference."""
    clock = SteppingClock()
    return await KeyVaultSigner.load(FileVault(folder / "vault", clock, CountingIds()), clock, undecided=0)


SIGNERS: dict[str, Callable[[Path], Awaitable[Signer]]] = {"hmac": _hmac, "vault": _vault}


@pytest.fixture(params=SIGNERS)
async def signer(request: pytest.FixtureRequest, tmp_path: Path) -> Signer:
    return await SIGNERS[request.param](tmp_path)


def test_what_it_signed_verifies_and_nothing_else_does(signer: Signer) -> None:
    signature = signer.sign(b"data")
    assert signer.verify(b"data", signature)
    assert len(signature) == len(signer.sign(b"")) < 256
    for data, spoilt in (
        (b"Data", signature),
        (b"data ", signature),
        (b"data", b""),
        (b"data", signature[:-1]),
        (b"data", signature + b"\0"),
        (b"data", bytes([signature[0] ^ 1]) + signature[1:]),
        (b"data", "é".encode()),
    ):
        assert not signer.verify(data, spoilt)


@pytest.mark.parametrize("name", SIGNERS)
async def test_it_signs_any_bytes(name: str, tmp_path: Path) -> None:
    made = await SIGNERS[name](tmp_path)

    @given(st.binary(), st.binary())
    def check(one: bytes, other: bytes) -> None:
        assert made.verify(one, made.sign(one))
        assert made.verify(one, made.sign(other)) is (one == other)

    check()


@pytest.mark.parametrize("name", SIGNERS)
async def test_two_installations_do_not_sign_for_each_other(name: str, tmp_path: Path) -> None:
    one, other = await SIGNERS[name](tmp_path / "one"), await SIGNERS[name](tmp_path / "other")
    assert not other.verify(b"data", one.sign(b"data"))


def test_the_key_is_a_file_that_only_this_user_reads_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "made" / "signing.key"
    signature = HmacSigner(path).sign(b"data")
    assert path.stat().st_mode & 0o777 == 0o600
    assert HmacSigner(path).verify(b"data", signature)
