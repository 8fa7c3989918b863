"""Desired state as text, and back."""

from typing import Protocol

from shared.domain.gitops.model import DesiredState


class ManifestFormat(Protocol):
    def render(self, desired: DesiredState) -> bytes:
        """The manifest. Equal states give equal bytes on every machine."""

    def parse(self, content: bytes) -> DesiredState:
        """What a manifest asks for. BadManifest names what is wrong with it."""
