"""Which seats are locked: what the waves and a person say, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrator.domain.exam import Place, Site, Wave
from orchestrator.domain.lifecycle import WaveState
from orchestrator.domain.locks import Override, locked

NOW = datetime(2027, 5, 11, 8, 0, tzinfo=UTC)
WAVE = Wave(
    "w1",
    "2027-05-11-am",
    "salle-1",
    1,
    Site.WORDPRESS,
    "sha256:1",
    WaveState.OPEN,
    places=(
        Place(1, "C001", opened_at=NOW),
        Place(2, "C002", opened_at=NOW, closed_at=NOW),
        Place(3, "C003", absent=True),
        Place(4, "C004", left_out=True),
        Place(5, "C005", opened_at=NOW),
    ),
)


@pytest.mark.parametrize("state", WaveState)
def test_where_a_candidate_works_in_a_wave_that_is_open_or_being_opened(state: WaveState) -> None:
    works = state in {WaveState.OPEN, WaveState.PREPARED}
    assert locked([replace(WAVE, state=state)], []) == ({1, 5} if works else set())


def test_a_wave_that_is_only_prepared_locks_nothing() -> None:
    places = tuple(replace(place, opened_at=None, closed_at=None) for place in WAVE.places)
    assert locked([replace(WAVE, state=WaveState.PREPARED, places=places)], []) == set()


def test_what_is_locked_by_hand_is_locked_whatever_the_waves_are() -> None:
    assert locked([], [Override(7, True, NOW)]) == {7}
    assert locked([WAVE], [Override(2, True, NOW)]) == {1, 2, 5}


def test_an_exception_holds_for_its_seat_in_its_wave_alone() -> None:
    assert locked([WAVE], [Override(1, False, NOW, "wrong block", "w1")]) == {5}
    assert locked([WAVE], [Override(1, False, NOW, "wrong block", "w0")]) == {1, 5}


def test_several_rooms_together() -> None:
    other = replace(WAVE, id="w2", room="salle-2", places=(Place(11, "C011", opened_at=NOW),))
    assert locked([WAVE, other], [Override(20, True, NOW)]) == {1, 5, 11, 20}
