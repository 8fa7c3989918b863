"""State machines as tables keyed by verb: verb -> (from states, to state). Checked when imported."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from shared.domain.kernel.errors import IllegalTransition


class Machine[S: StrEnum]:
    """The life of one noun.

    `moves` maps a verb to the states it may start from and the state it leads to. A state that no verb
    reaches
    and that is not initial is a mistake in the table, and so is an unknown state: both fail at import.
    """

    def __init__(
        self,
        noun: str,
        states: type[S],
        *,
        initial: Iterable[S],
        moves: Mapping[str, tuple[tuple[S, ...], S]],
    ) -> None:
        self.noun = noun
        self.states = states
        self.initial = frozenset(initial)
        self.moves = dict(moves)
        reached = self.initial | {to for _, to in self.moves.values()}
        if missing := [state for state in states if state not in reached]:
            raise TypeError(f"{noun}: no move reaches {', '.join(missing)}")
        if empty := [verb for verb, (sources, _) in self.moves.items() if not sources]:
            raise TypeError(f"{noun}: {', '.join(empty)} can start from no state")

    @property
    def terminal(self) -> frozenset[S]:
        """The states that no verb leaves."""
        left = {source for sources, _ in self.moves.values() for source in sources}
        return frozenset(state for state in self.states if state not in left)

    def allowed(self, state: S) -> tuple[str, ...]:
        """The verbs that may be used in this state, in the table's order."""
        return tuple(verb for verb, (sources, _) in self.moves.items() if state in sources)

    def can(self, state: S, verb: str) -> bool:
        return state in self.moves[verb][0]

    def next(self, state: S, verb: str) -> S:
        """The state that `verb` leads to, or IllegalTransition naming what is allowed instead."""
        sources, target = self.moves[verb]
        if state not in sources:
            allowed = self.allowed(state)
            hint = f"allowed now: {', '.join(allowed)}" if allowed else "nothing more can happen to it"
            raise IllegalTransition(
                f"The {self.noun} cannot {verb.replace('_', ' ')} while it is"
                f" {state.replace('_', ' ')}; {hint}.",
                status=str(state),
                allowed=list(allowed),
            )
        return target
