"""Sync states, exhaustively, and manifests as text."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.manifests import YamlManifests
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
from shared.domain.gitops.model import DesiredState, SyncState, SyncStatus
from shared.domain.kernel.errors import IllegalTransition
from shared.domain.releases.model import Strategy
from tests.support.app import START
from tests.support.promotions import a_release, an_environment

S = SyncStatus

MOVES = (
    {(state, "desire"): S.OUT_OF_SYNC for state in S}
    | {(state, "sync"): S.SYNCING for state in S}
    | {(S.SYNCING, "settle"): S.SYNCED, (S.SYNCING, "degrade"): S.DEGRADED}
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
