"""The feeds surface: published packages, as package managers ask for them."""
