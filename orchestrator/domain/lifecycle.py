"""The life of a wave: its states and the only transitions there are."""

from enum import StrEnum


class WaveState(StrEnum):
    PLANNED = "planned"
    PREPARED = "prepared"
    OPEN = "open"
    CLOSED = "closed"
    SEALED = "sealed"
    RESET = "reset"
    ABANDONED = "abandoned"


class Action(StrEnum):
    PREPARE = "prepare"
    OPEN = "open"
    CLOSE = "close"
    SEAL = "seal"
    RESET = "reset"
    ABANDON = "abandon"


TRANSITIONS: dict[tuple[WaveState, Action], WaveState] = {
    (WaveState.PLANNED, Action.PREPARE): WaveState.PREPARED,
    # Preparing again proves again: the technician may do it as often as they like before opening.
    (WaveState.PREPARED, Action.PREPARE): WaveState.PREPARED,
    (WaveState.PREPARED, Action.OPEN): WaveState.OPEN,
    (WaveState.OPEN, Action.CLOSE): WaveState.CLOSED,
    (WaveState.CLOSED, Action.SEAL): WaveState.SEALED,
    (WaveState.SEALED, Action.RESET): WaveState.RESET,
    (WaveState.PLANNED, Action.ABANDON): WaveState.ABANDONED,
    (WaveState.PREPARED, Action.ABANDON): WaveState.ABANDONED,
    (WaveState.OPEN, Action.ABANDON): WaveState.ABANDONED,
    (WaveState.CLOSED, Action.ABANDON): WaveState.ABANDONED,
}

FINISHED = frozenset({WaveState.RESET, WaveState.ABANDONED})
"""States in which a wave holds no seat any more."""

HOLDS_SEATS = frozenset({WaveState.PREPARED, WaveState.OPEN, WaveState.CLOSED, WaveState.SEALED})
"""States in which the wave's seats may not be used by another wave."""


def target(state: WaveState, action: Action) -> WaveState | None:
    """The state that *action* leads to, or None when it is not allowed in *state*."""
    return TRANSITIONS.get((state, action))


def allowed(state: WaveState) -> list[Action]:
    """What can be done next in *state*, in the order of a wave's life."""
    return [action for action in Action if (state, action) in TRANSITIONS]
