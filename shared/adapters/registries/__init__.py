"""Container registries: the embedded one on disk, and any that speaks the OCI distribution protocol."""
