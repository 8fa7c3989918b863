"""The secrets of a Key Vault over https on loopback: as strict as the service, and no wider than our use."""
