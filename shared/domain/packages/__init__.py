"""Packages of a feed: names and versions as each ecosystem has them, published once and never changed."""
