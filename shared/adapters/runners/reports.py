"""Test reports of any form that we know, told apart by their first element."""

import re

from shared.adapters.runners import junit, trx

_FIRST = re.compile(rb"<([A-Za-z_][\w.-]{0,50})")
_OPENING = 4096


def count(xml: bytes) -> junit.TestCounts:
    """The CountTests port: TRX, or else JUnit XML. Raises BadReport."""
    first = _FIRST.search(xml[:_OPENING])
    return trx.count(xml) if first is not None and first[1] == b"TestRun" else junit.count(xml)
