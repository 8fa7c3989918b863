"""Decisions about a pull request and its twin at a vendor. Pure: what the vendor shows comes in as facts."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event
from shared.domain.source.eligibility import is_open
from shared.domain.source.links import links_in
from shared.domain.source.mirroring import words_of
from shared.domain.source.model import PullRequest
from shared.domain.source.pull_requests import decided, merge, payload_of
from shared.domain.source.twins import Twin, Words, agreed, begun, compare, is_rendering

MAX_TITLE = 200
MAX_DESCRIPTION = 65_536


def fitting(words: Words) -> Words:
    """As it is taken over here: a title is one line of 200 characters at most."""
    title = " ".join(words.title.split())[:MAX_TITLE].strip() or "(without a title)"
    return replace(words, title=title, description=words.description[:MAX_DESCRIPTION])


def announce(request: PullRequest) -> Change[PullRequest] | None:
    """Put on record what the vendor is about to be told, before it is: otherwise an edit after a lost answer
    would look as if the vendor had changed it. None where that is on record, or the vendor has it."""
    twin = begun(words_of(request))
    if request.twin == twin or request.host_number is not None:
        return None
    return Change(replace(request, twin=twin), "pull-request.announced")


def link(request: PullRequest, number: int, url: str, there: Words) -> Change[PullRequest]:
    """Its twin has this number. What that says otherwise was changed there, unless it is a rendering of what
    it was told: texts are cut, and not every vendor's plan has drafts."""
    here = words_of(request)
    twin = replace(request.twin or begun(here), number=number, url=url)
    rendered = [
        name
        for name in ("title", "description")
        if is_rendering(getattr(here, name), getattr(there, name))
        and getattr(here.sealed(), name) == getattr(twin.here, name)
    ]
    if here.is_draft and not there.is_draft:
        rendered.append("is_draft")
    return Change(replace(request, twin=agreed(twin, here, there, rendered)), "pull-request.linked")


def agree(request: PullRequest, here: Words, there: Words) -> Change[PullRequest] | None:
    """Both sides know of each other what was read of them. None where they did."""
    twin = request.twin
    known = None if twin is None else agreed(twin, here, there)
    if known == twin:
        return None
    return Change(replace(request, twin=known), "pull-request.mirrored")


def absorb(request: PullRequest, there: Words, vendor: str, at: datetime) -> Change[PullRequest] | None:
    """Take over what was changed in its text at the vendor; what was changed on both sides is the vendor's,
    and the reason says so. None where there is nothing, or it is closed."""
    if request.twin is None or not is_open(request):
        return None
    here = words_of(request)
    found = compare(request.twin, here, there)
    names = found.inward - {"is_open"}
    if not names:
        return None
    taken = fitting(replace(here, **{name: getattr(there, name) for name in names}))
    edited = replace(
        request,
        title=taken.title,
        description=taken.description,
        closes=links_in(taken.description),
        is_draft=taken.is_draft,
        twin=agreed(request.twin, taken, there, names),
        updated_at=at,
    )
    change = decided(request, edited, "pull-request.edited", *_edits(request, edited))
    lost = ", ".join(sorted(found.contested & names))
    reason = f"changed at {vendor}" + (f"; changed here as well, which gave way: {lost}" if lost else "")
    return replace(change, reason=reason)


def _edits(before: PullRequest, after: PullRequest) -> Collection[Event]:
    said = {"title": after.title, "labels": list(after.labels)}
    edited = Event("PullRequestEdited", payload_of(after, **said), project=after.project)
    if before.is_draft and not after.is_draft:
        return edited, Event("PullRequestDraftFinished", payload_of(after), project=after.project)
    return (edited,)


def closing(request: PullRequest, there: Words) -> Twin:
    """What is agreed once the request is open here just as it is there."""
    here = replace(words_of(request), is_open=there.is_open)
    return agreed(request.twin or begun(here), here, there, {"is_open"})


def merge_at_host(request: PullRequest, there: Words, sha: str, by: str, at: datetime) -> Change[PullRequest]:
    """A fact: it was merged at the vendor, whose rules let it be."""
    told = replace(request, twin=closing(request, there))
    change = merge(told, sha=sha, by=by, at=at, requested_as=None, at_host=True)
    return replace(change, reason="merged at the vendor, not by Slipway")
