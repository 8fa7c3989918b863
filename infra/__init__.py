"""Slipway's infrastructure on Azure, as one Pulumi program. Nothing that is served imports it."""
