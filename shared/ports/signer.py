"""Signatures of this installation over what it hands out and takes back."""

from typing import Protocol


class Signer(Protocol):
    """Signs with a key that never leaves the installation. Costs microseconds and does no I/O."""

    def sign(self, data: bytes) -> bytes:
        """A signature of fixed length."""

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether this installation made `signature` over exactly `data`; False for anything else."""
