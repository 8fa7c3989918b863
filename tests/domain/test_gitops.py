"""Sync states, exhaustively, and manifests as text."""

from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.manifests import YamlManifests
from shared.domain.environments.policy import OnDrift
from shared.domain.gitops.drift import (
    OBSERVED_EVERY,
    QUIET,
    Seen,
    compare,
    delay,
    is_awaited,
    is_news,
    observe,
    recorded_of,
    seen_again,
)
from shared.domain.gitops.errors import BadManifest
from shared.domain.gitops.lifecycle import (
    MACHINE,
    begin_sync,
    degrade,
    desire,
    desired_state,
    first_state,
    render,
    restore,
    settle,
)
from shared.domain.gitops.model import DesiredState, SyncState, SyncStatus, placed_at
from shared.domain.kernel.change import Change
from shared.domain.kernel.errors import IllegalTransition
from shared.domain.releases.model import Strategy
from tests.support.app import START
from tests.support.promotions import a_release, an_environment

S = SyncStatus

MOVES = (
    {(state, "desire"): S.OUT_OF_SYNC for state in S}
    | {(state, "sync"): S.SYNCING for state in S}
    | {(S.SYNCING, "settle"): S.SYNCED, (S.SYNCING, "degrade"): S.DEGRADED}
    | {(state, "drift"): S.OUT_OF_SYNC for state in S if state is not S.DEGRADED}
    | {(state, "match"): S.SYNCED for state in S if state is not S.SYNCED}
)


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("verb", MACHINE.moves)
def test_a_sync_state_moves_by_this_table_only(state: SyncStatus, verb: str) -> None:
    if (state, verb) in MOVES:
        assert MACHINE.next(state, verb) is MOVES[state, verb]
    else:
        with pytest.raises(IllegalTransition):
            MACHINE.next(state, verb)


def syncing(revision: str = "a" * 40) -> SyncState:
    state = first_state(a_release(), an_environment("dev"), START)
    return begin_sync(desire(state, revision, "sha256:1", START).entity, START).entity


def test_what_runs_is_what_was_desired_once_it_is_settled() -> None:
    change = settle(syncing(), "http://127.0.0.1:1", START)
    assert change.entity.live_revision == change.entity.desired_revision == "a" * 40
    assert change.events[0].type == "GitOpsSynced"


def test_a_degraded_state_says_why_and_can_be_synced_again() -> None:
    broken = degrade(syncing(), "no health", START).entity
    assert (broken.status, broken.last_error, broken.live_revision) == (S.DEGRADED, "no health", None)
    assert settle(begin_sync(broken, START).entity, None, START).entity.last_error is None


@pytest.mark.parametrize(("runs", "status"), [(True, S.SYNCED), (False, S.DEGRADED)])
def test_after_a_failed_deployment_it_says_whether_the_one_before_runs(
    runs: bool, status: SyncStatus
) -> None:
    state = restore(syncing(), "b" * 40, "sha256:0", "no health", None, START, runs=runs).entity
    assert (state.status, state.desired_revision, state.last_error) == (status, "b" * 40, "no health")
    assert state.live_revision == ("b" * 40 if runs else None)


DESIRED = desired_state(a_release(), "dev", Strategy.ROLLING_UPDATE, "f" * 32)


def test_a_manifest_is_plain_text_with_everything_a_target_needs() -> None:
    text = YamlManifests().render(DESIRED).decode()
    assert text.startswith("apiVersion: slipway/v1\nkind: Release\nmetadata:\n  name: module-y\n")
    for part in (DESIRED.digest, DESIRED.version, DESIRED.commit_sha, "f" * 32):
        assert part in text


def test_a_manifest_without_a_promotion_does_not_mention_one() -> None:
    rendered = YamlManifests().render(replace(DESIRED, promotion=None))
    assert b"promotion" not in rendered
    assert YamlManifests().parse(rendered).promotion is None


tricky = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30),
    st.sampled_from(["1e10", "0777", "yes", "null", "~", "1.0", "12:30:45", "2026-01-01", "a: b", "#"]),
    st.from_regex(r"[0-9]{32}", fullmatch=True),
)


@given(
    st.fixed_dictionaries(
        {field.name: tricky for field in fields(DesiredState) if field.name not in ("number", "promotion")}
    ),
    st.integers(min_value=1),
    st.none() | tricky,
)
def test_what_was_rendered_is_read_back_as_it_was(
    texts: dict[str, str], number: int, promotion: str | None
) -> None:
    desired = DesiredState(**texts, number=number, promotion=promotion)
    rendered = YamlManifests().render(desired)
    assert YamlManifests().parse(rendered) == desired
    assert YamlManifests().render(YamlManifests().parse(rendered)) == rendered


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"a: [",
        b"[]",
        b"apiVersion: other/v1\n",
        b"apiVersion: slipway/v1\nkind: Release\n",
        b"apiVersion: slipway/v1\nspec: text\n",
        b"!!python/object/apply:os.system ['true']",
    ],
)
def test_anything_else_is_no_manifest(content: bytes) -> None:
    with pytest.raises(BadManifest):
        YamlManifests().parse(content)


def test_the_same_content_is_the_same_manifest() -> None:
    content, environment = YamlManifests().render(DESIRED), an_environment("dev")
    one = render(a_release(), environment, content, START).entity
    assert one.id == render(a_release(), environment, content, START).entity.id
    assert one.git_path == "dev/proj-x/module-y/release.yaml"
    assert one.id != render(a_release(), environment, content + b"#\n", START).entity.id


AT = START
SEEN = Seen(revision="new", version="1.0.1", url="http://there")


def look(
    state: SyncState,
    seen: Seen,
    *,
    wanted: str | None = "new",
    on_drift: OnDrift = OnDrift.HEAL,
    minutes: int = 0,
) -> Change[SyncState] | None:
    at = AT + timedelta(minutes=minutes)
    return observe(state, compare(wanted, recorded_of(state), seen, at), seen, on_drift, at)


def at_rest() -> SyncState:
    """What runs is what git wants since a look at `AT`."""
    state = replace(syncing(), content_hash="sha256:new")
    return replace(settle(state, "http://there", AT).entity, observed_at=AT)


@pytest.mark.parametrize(
    ("wanted", "recorded", "seen", "kinds"),
    [
        ("new", "new", Seen("new"), []),
        (None, None, Seen(None), []),
        ("new", "new", Seen(None), ["missing"]),
        ("new", "new", Seen("old", "1.0.0"), ["version"]),
        ("new", "new", Seen("new", altered="a.py"), ["content"]),
        ("new", "new", Seen("new", is_healthy=False), ["unhealthy"]),
        ("new", "new", Seen("new", is_healthy=False, altered="a.py"), ["content", "unhealthy"]),
        (None, None, Seen("old"), ["unmanaged"]),
        ("new", "old", Seen("old"), ["unapplied"]),
        ("new", None, Seen(None), ["unapplied"]),
        (None, "old", Seen("old"), ["unapplied"]),
        ("new", "old", Seen(None), ["unapplied"]),
    ],
)
def test_what_differs_is_named(
    wanted: str | None, recorded: str | None, seen: Seen, kinds: list[str]
) -> None:
    assert [each.kind for each in compare(wanted, recorded, seen, AT)] == kinds


def test_the_same_difference_has_the_same_hash_whenever_and_in_whatever_words_it_is_seen() -> None:
    (one,) = compare("new", "new", Seen("new", is_healthy=False, message="refused"), AT)
    (again,) = compare("new", "new", Seen("new", is_healthy=False, message="timed out"), AT + QUIET)
    (other,) = compare("new", "new", Seen("old", "1.0.0"), AT)
    assert one.hash == again.hash != other.hash
    assert (one.actual, other.actual) == ("refused", "old (1.0.0)")


def test_where_nothing_differs_there_is_nothing_to_say() -> None:
    assert look(at_rest(), SEEN) is None
    assert seen_again(at_rest(), (), SEEN, AT) is None
    assert not is_news(at_rest(), (), SEEN, AT)


def test_a_finding_is_told_once_and_knows_since_when_it_is_there() -> None:
    first = look(at_rest(), replace(SEEN, revision="old"), on_drift=OnDrift.REPORT)
    assert first is not None
    assert [event.type for event in first.events] == ["GitOpsDriftDetected"]
    assert (first.entity.status, first.entity.live_revision) == (S.OUT_OF_SYNC, None)
    assert look(first.entity, replace(SEEN, revision="old"), on_drift=OnDrift.REPORT, minutes=3) is None
    ill = look(first.entity, replace(SEEN, is_healthy=False), on_drift=OnDrift.REPORT, minutes=6)
    assert ill is not None
    assert [each.kind for each in ill.entity.drift] == ["unhealthy"]
    later = seen_again(ill.entity, ill.entity.drift, SEEN, AT + OBSERVED_EVERY * 2)
    assert later is not None
    assert later.drift[0].first_seen < later.drift[0].last_seen == later.observed_at


def test_what_is_there_again_is_told_to_be_resolved() -> None:
    drifted = look(at_rest(), replace(SEEN, revision=None), on_drift=OnDrift.REPORT)
    assert drifted is not None
    back = look(drifted.entity, SEEN, on_drift=OnDrift.REPORT, minutes=3)
    assert back is not None
    assert (back.entity.status, back.entity.drift, back.entity.live_revision) == (S.SYNCED, (), "a" * 40)
    assert back.events[0].payload["driftResolved"] is True
    assert back.reason == f"Commit {'a' * 40} of the GitOps repository."


def test_healing_is_asked_for_at_once_and_then_ever_more_rarely() -> None:
    state, asked_at = at_rest(), []
    for minute in range(0, 240):
        change = look(state, replace(SEEN, revision=None), minutes=minute)
        if change is not None:
            assert change.events[-1].type == "ReconcileRequested"
            asked_at.append(minute)
            state = change.entity
    assert asked_at == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert [delay(number).total_seconds() / 60 for number in (1, 2, 7, 500)] == [1, 2, 60, 60]


def test_what_could_not_be_healed_stays_degraded_and_is_tried_again() -> None:
    broken = degrade(replace(syncing(), content_hash="sha256:new"), "no health", AT).entity
    change = look(broken, replace(SEEN, is_healthy=False))
    assert change is not None
    assert (change.entity.status, change.entity.last_error) == (S.DEGRADED, "no health")
    assert [event.type for event in change.events] == ["GitOpsDriftDetected", "ReconcileRequested"]


@pytest.mark.parametrize(("minutes", "awaited"), [(0, True), (9, True), (10, False)])
def test_a_reconciliation_that_was_asked_for_is_waited_for_a_while(minutes: int, *, awaited: bool) -> None:
    assert is_awaited(syncing(), AT + timedelta(minutes=minutes)) is awaited


def test_a_new_word_in_git_forgets_how_often_the_old_one_was_healed() -> None:
    tired = replace(at_rest(), healings=5, heal_after=AT + QUIET)
    fresh = desire(tired, "c" * 40, "sha256:newer", AT).entity
    assert (fresh.healings, fresh.heal_after) == (0, None)
    calm = seen_again(tired, (), SEEN, AT + QUIET * 2)
    assert calm is not None
    assert (calm.healings, calm.heal_after) == (0, None)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("dev/proj-x/module-y/release.yaml", ("dev", "proj-x", "module-y")),
        ("dev/proj-x/module-y/other.yaml", None),
        ("dev/module-y/release.yaml", None),
        ("README.md", None),
    ],
)
def test_a_path_says_whose_desired_state_it_holds(path: str, place: tuple[str, str, str] | None) -> None:
    assert placed_at(path) == place
