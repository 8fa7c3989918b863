"""Delivery of Slipway itself: its package, its publishing, its smoke test. Never deployed."""
