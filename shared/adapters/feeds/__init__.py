"""The embedded feeds: packages kept as blobs, after a look inside."""
