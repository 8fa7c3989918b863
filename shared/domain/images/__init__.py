"""Container images: recorded by digest, pushed, scanned, and kept out of releases while in quarantine."""
