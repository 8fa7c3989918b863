"""A small strict registry of the OCI distribution protocol, with its token service."""
