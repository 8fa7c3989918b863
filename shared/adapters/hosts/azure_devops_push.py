"""A push as git's own protocol has it: one ref's compare-and-swap with the objects that it needs.

REST could not say it: a push there sets no file modes, and a merge there has neither author nor time.
https://git-scm.com/docs/pack-protocol
"""

import re
from collections.abc import Sequence
from io import BytesIO

from dulwich.errors import GitProtocolError
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import ShaFile
from dulwich.pack import write_pack_objects
from dulwich.protocol import Protocol, pkt_seq

from shared.adapters.hosts.azure_devops_api import HEADS, NOTHING
from shared.adapters.vendors.guard import shown
from shared.domain.kernel.errors import Forbidden, Invalid, Permanent
from shared.domain.source.errors import ProtectedBranch

MOST_PUSHED = 100 << 20
"""Bytes of one push, packed."""
_STALE = re.compile(r"TF401028|stale|already been updated|fetch first|non-fast-forward|failed to update ref")
_PERMISSION = re.compile(r"TF401027|Git '(\w+)' permission")


def push_request(
    branch: str, old: str | None, new: str, objects: Sequence[ShaFile], *, most: int = MOST_PUSHED
) -> bytes:
    """The body to send to git-receive-pack. Invalid where it is too large."""
    body = BytesIO()
    body.write(pkt_seq(f"{old or NOTHING} {new} {HEADS}{branch}\0report-status".encode()))
    write_pack_objects(body, list({each.id: each for each in objects}.values()), DEFAULT_OBJECT_FORMAT)
    if body.tell() > most:
        raise Invalid(f"The commit has more than {most} bytes, packed; split it or leave files out.")
    return body.getvalue()


def has_moved(report: bytes, branch: str) -> bool:
    """Whether the ref moved; False where it was not at the old commit.

    ProtectedBranch where a policy forbids it, Forbidden where the token lacks a right.
    """
    lines = _lines(report)
    if not lines or not lines[0].startswith("unpack "):
        raise Permanent("Azure DevOps answered a push with no report; see whether a proxy stands before it.")
    if lines[0] != "unpack ok":
        raise Permanent(f"Azure DevOps could not read the push: {shown(lines[0].removeprefix('unpack '))}.")
    for line in lines[1:]:
        verdict, _, rest = line.partition(" ")
        ref, _, reason = rest.partition(" ")
        if ref != HEADS + branch:
            continue
        if verdict == "ok":
            return True
        if _STALE.search(reason):
            return False
        said = shown(reason).rstrip(".")
        if found := _PERMISSION.search(reason):
            raise Forbidden(f"Azure DevOps does not allow this: {said}.", permission=found[1])
        raise ProtectedBranch(
            f"Azure DevOps does not let '{branch}' be pushed to: {said}. Take another branch, or change the"
            " policy.",
            branch=branch,
        )
    raise Permanent(f"Azure DevOps answered a push without a word on '{branch}'; look, then try again.")


def _lines(report: bytes) -> list[str]:
    try:
        packets = list(Protocol(BytesIO(report).read, lambda _: None).read_pkt_seq())
    except (GitProtocolError, ValueError):
        return []
    return [packet.decode("utf-8", "replace").rstrip("\n") for packet in packets]
