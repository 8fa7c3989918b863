"""Small Pulumi programs and policy packs, and what runs them in tests."""
