"""Drift as data: what git wants against what is recorded and what is really there. Looks at nothing and
changes nothing itself."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.environments.policy import OnDrift
from shared.domain.gitops.lifecycle import MACHINE, asked, reconcile, synced
from shared.domain.gitops.model import DriftKind, Finding, Severity, SyncState, SyncStatus
from shared.domain.kernel.canonical import digest
from shared.domain.kernel.change import Change
from shared.domain.kernel.events import Event

OBSERVED_EVERY = timedelta(hours=1)
"""How old `observed_at` may get where nothing changes: a look in between writes nothing."""
ANSWERED_WITHIN = timedelta(minutes=10)
"""How long a reconciliation that was asked for is waited for, before a look takes its place."""
FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)
QUIET = timedelta(minutes=10)
"""What held for that long after a healing's delay has forgotten how often it was healed."""

_SEVERITIES = {
    DriftKind.MISSING: Severity.CRITICAL,
    DriftKind.UNHEALTHY: Severity.HIGH,
    DriftKind.VERSION: Severity.HIGH,
    DriftKind.CONTENT: Severity.HIGH,
    DriftKind.UNAPPLIED: Severity.MEDIUM,
    DriftKind.UNMANAGED: Severity.MEDIUM,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of a component. `revision` names a manifest's content, None where nothing is;
    `altered` is a file of it that somebody has changed; `version` and `message` are for people."""

    revision: str | None
    version: str | None = None
    url: str | None = None
    is_healthy: bool = True
    message: str = ""
    altered: str = ""


def compare(wanted: str | None, recorded: str | None, seen: Seen, at: datetime) -> tuple[Finding, ...]:
    """Where they differ; the revisions are of contents as `Seen` has them, None for nothing.

    `wanted` is at the head of git, `recorded` is what was last brought or asked for.
    """
    if wanted != recorded:
        return (_finding(DriftKind.UNAPPLIED, wanted, recorded, at),)
    if wanted is None:
        actual = _named(seen)
        return () if seen.revision is None else (_finding(DriftKind.UNMANAGED, None, actual, at),)
    if seen.revision is None:
        return (_finding(DriftKind.MISSING, wanted, None, at),)
    if seen.revision != wanted:
        return (_finding(DriftKind.VERSION, wanted, _named(seen), at),)
    found = []
    if seen.altered:
        found.append(_finding(DriftKind.CONTENT, wanted, f"{seen.altered} was changed", at))
    if not seen.is_healthy:
        # Of an illness the words may differ from look to look; it is the same one.
        ill = _finding(DriftKind.UNHEALTHY, wanted, "unhealthy", at)
        found.append(replace(ill, actual=seen.message or "unhealthy"))
    return tuple(found)


def observe(
    state: SyncState, found: tuple[Finding, ...], seen: Seen, on_drift: OnDrift, at: datetime
) -> Change[SyncState] | None:
    """What a look leads to; None where nothing is new. A reconciliation that it asks for is among the
    events."""
    if found:
        return _drifted(state, found, seen, on_drift, at)
    if state.status is SyncStatus.SYNCED and not state.drift:
        return None
    status = state.status if state.status is SyncStatus.SYNCED else MACHINE.next(state.status, "match")
    return synced(replace(state, status=status, observed_at=at), seen.url, at, drifted=bool(state.drift))


def seen_again(state: SyncState, found: tuple[Finding, ...], seen: Seen, at: datetime) -> SyncState | None:
    """The state after a look that found what the one before did; None where that need not be written."""
    is_calm = not found and state.heal_after is not None and at >= state.heal_after + QUIET
    url = state.url if found else seen.url
    is_old = state.observed_at is None or at >= state.observed_at + OBSERVED_EVERY
    if not (is_calm or is_old or url != state.url):
        return None
    later = replace(state, observed_at=at, url=url)
    later = replace(later, drift=tuple(replace(each, last_seen=at) for each in later.drift))
    return asked(later) if is_calm else later


def is_news(state: SyncState, found: tuple[Finding, ...], seen: Seen, at: datetime) -> bool:
    """Whether a look has anything to write down, under any policy."""
    is_changed = observe(state, found, seen, OnDrift.HEAL, at) is not None
    return is_changed or seen_again(state, found, seen, at) is not None


def is_awaited(state: SyncState, at: datetime) -> bool:
    """Whether somebody has just asked for its reconciliation, which is to be left alone."""
    return state.status is SyncStatus.SYNCING and at < state.updated_at + ANSWERED_WITHIN


def delay(healings: int) -> timedelta:
    """How long the next healing waits after that many in a row: 1, 2, 4 ... 60 minutes."""
    return min(FIRST_DELAY * (1 << min(healings - 1, 10)), LONGEST_DELAY)


def check_drift(environment: str, after: str) -> Event:
    """The command to look at some sync states of an environment, beginning after the id `after`."""
    return Event("CheckDrift", {"environment": environment, "after": after})


def _drifted(
    state: SyncState, found: tuple[Finding, ...], seen: Seen, on_drift: OnDrift, at: datetime
) -> Change[SyncState] | None:
    heals = on_drift is OnDrift.HEAL and (state.heal_after is None or at >= state.heal_after)
    known = {each.hash: each for each in state.drift}
    if not heals and known.keys() == {each.hash for each in found}:
        return None
    drift = tuple(replace(known.get(each.hash, each), last_seen=at) for each in found)
    degraded = state.status is SyncStatus.DEGRADED
    healings = state.healings + 1 if heals else state.healings
    told = replace(
        state,
        # What was tried and did not help stays so, until something does.
        status=state.status if degraded else MACHINE.next(state.status, "drift"),
        drift=drift,
        live_revision=state.live_revision if seen.revision == recorded_of(state) else None,
        observed_at=at,
        healings=healings,
        heal_after=at + delay(healings) if heals else state.heal_after,
        updated_at=at,
    )
    events = [_detected(told, each) for each in drift if each.hash not in known]
    if heals:
        events.append(reconcile(state.environment_name, state.component))
    action = "gitops.healing-asked" if heals else "gitops.drift-observed"
    return Change(told, action, tuple(events), f"Drift: {', '.join(each.kind for each in drift)}.")


def recorded_of(state: SyncState) -> str | None:
    """The revision of the content that git wanted when it was last asked."""
    return None if state.content_hash is None else state.content_hash.removeprefix("sha256:")


def _finding(kind: DriftKind, desired: str | None, actual: str | None, at: datetime) -> Finding:
    return Finding(
        kind=kind,
        desired=desired,
        actual=actual,
        severity=_SEVERITIES[kind],
        hash=digest({"kind": str(kind), "desired": desired, "actual": actual}),
        first_seen=at,
        last_seen=at,
    )


def _named(seen: Seen) -> str | None:
    return f"{seen.revision} ({seen.version})" if seen.version else seen.revision


def _detected(state: SyncState, finding: Finding) -> Event:
    payload: dict[str, object] = {
        "syncStateId": f"sync-{state.id}",
        "environment": state.environment_name,
        "desiredRevision": state.desired_revision,
        "kind": str(finding.kind),
        "desired": finding.desired,
        "actual": finding.actual,
        "severity": str(finding.severity),
        "hash": finding.hash,
    }
    return Event("GitOpsDriftDetected", payload, project=state.project, module=state.module)
