"""Benchmarks against named peers: equal work, one run, ratios. Nothing here is served or deployed."""
