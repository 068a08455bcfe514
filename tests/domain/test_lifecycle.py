"""Every pair of a state and an action is settled in tests/cases/lifecycle.json: null is a refusal."""

import json
from pathlib import Path

import pytest

from orchestrator.domain.lifecycle import FINISHED, HOLDS_SEATS, Action, WaveState, allowed, target

TABLE = json.loads((Path(__file__).parents[1] / "cases/lifecycle.json").read_text(encoding="utf-8"))

PAIRS = [(state, action) for state in WaveState for action in Action]


def test_the_table_is_complete() -> None:
    assert set(TABLE) == {state.value for state in WaveState}
    assert all(set(row) == {action.value for action in Action} for row in TABLE.values())


@pytest.mark.parametrize(("state", "action"), PAIRS, ids=lambda value: value.value)
def test_transition(state: WaveState, action: Action) -> None:
    reached = target(state, action)
    assert (reached.value if reached else None) == TABLE[state.value][action.value]


@pytest.mark.parametrize("state", WaveState)
def test_what_can_be_done_next(state: WaveState) -> None:
    assert [action.value for action in allowed(state)] == [
        action for action, reached in TABLE[state.value].items() if reached
    ]


def test_a_finished_wave_stays_finished_and_holds_no_seat() -> None:
    assert {state for state in WaveState if not allowed(state)} == FINISHED
    assert not FINISHED & HOLDS_SEATS


def test_work_can_only_leave_through_a_seal() -> None:
    """Only a sealed wave is reset; the other way to a finished state, abandon, seals by itself."""
    assert target(WaveState.OPEN, Action.RESET) is None
    assert target(WaveState.CLOSED, Action.RESET) is None
    assert [state for state in WaveState if target(state, Action.RESET)] == [WaveState.SEALED]
