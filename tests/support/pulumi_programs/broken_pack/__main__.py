"""A pack that cannot be loaded."""

raise RuntimeError("no policies today")
