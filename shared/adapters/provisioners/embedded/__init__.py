"""Runs real Pulumi programs without a cloud: a simulation that previews, compares and records. Importing this
needs no Pulumi; using it does."""

from shared.adapters.provisioners.embedded.engine import EmbeddedProvisioner
from shared.adapters.provisioners.embedded.process import Limits

__all__ = ["EmbeddedProvisioner", "Limits"]
