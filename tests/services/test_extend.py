"""More time: each candidate's own, what a person gives, and the ledger that explains the end."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from orchestrator.domain.time import CreditKind
from orchestrator.errors import Busy, InputInvalid, NotFound, Refused
from orchestrator.services.clock import tick
from orchestrator.services.close import close
from orchestrator.services.extend import extend, time_of
from orchestrator.services.open_wave import open_wave
from tests.services.conftest import Lab

FIVE = timedelta(minutes=5)


def told(lab: Lab) -> list[str]:
    said: list[str] = []
    assert tick(lab.centre(), lambda _about, what: said.append(what)) == []
    return said


@pytest.fixture
def adjusted(new_lab: Callable[..., Lab]) -> Lab:
    """An ordinary candidate, one with a third more time, one with ten minutes more."""
    lab = new_lab()
    lab.plan(candidates=[(1, "C001"), (2, "C002", "4/3"), (3, "C003", "+10")])
    return lab.at("open")


def test_each_candidate_ends_at_their_own_time(adjusted: Lab) -> None:
    adjusted.world.later(minutes=34, seconds=59)
    assert told(adjusted) == []
    adjusted.world.later(seconds=1)
    assert told(adjusted) == ["over 1"]
    adjusted.world.later(minutes=10)
    assert told(adjusted) == ["over 3"]
    adjusted.world.later(minutes=3, seconds=19)
    assert told(adjusted) == []
    adjusted.world.later(seconds=1)
    assert told(adjusted) == ["closed", "sealed"]
    adjusted.at("reset").check()


def test_minutes_are_given_to_one_candidate(lab: Lab) -> None:
    lab.at("open")
    place = extend(lab.centre(), 2, FIVE, "the candidate felt unwell")
    assert place == lab.place(2) and place.opened_at is not None
    assert place.ends_at == place.opened_at + timedelta(minutes=45)
    extend(lab.centre(), 2, timedelta(minutes=1.5), "noise")
    place, lines = time_of(lab.centre(), 2)
    assert [line.adds for line in lines] == [FIVE, timedelta(seconds=90)]
    assert place.ends_at == lab.world.now + timedelta(minutes=41.5)
    assert lab.place(1).credits == ()
    journaled = [line for line in lab.centre().store.journal() if line.action == "seat.extended"]
    assert [(line.seat, line.data) for line in journaled] == [
        (2, {"seconds": 300.0, "reason": "the candidate felt unwell"}),
        (2, {"seconds": 90.0, "reason": "noise"}),
    ]


def test_a_seat_that_is_shut_opens_again_and_what_it_was_shut_is_given_back(adjusted: Lab) -> None:
    adjusted.world.later(minutes=35)
    assert told(adjusted) == ["over 1"] and adjusted.world.served()[1] == "over"
    adjusted.world.later(minutes=2)
    place = extend(adjusted.centre(), 1, FIVE, "the screen went black")
    assert adjusted.world.served()[1] == "open"
    assert place.closed_at is None and place.ends_at == adjusted.world.now + FIVE
    assert [(credit.kind, credit.going_on) for credit in place.credits] == [
        (CreditKind.SHUT, False),
        (CreditKind.EXTENSION, False),
    ]
    adjusted.world.candidates_work("in the extension")
    adjusted.world.later(minutes=4, seconds=59)
    assert told(adjusted) == []
    adjusted.world.later(seconds=1)
    assert told(adjusted) == ["over 1"]
    adjusted.world.later(minutes=60)
    told(adjusted)
    (evidence,) = [item for item in adjusted.centre().store.evidence() if item.seat == 1]
    assert adjusted.world.archives[evidence.archive].content == b"first page\nin the extension\n"
    adjusted.at("reset").check()


def test_where_nobody_shut_the_seat_in_its_time_an_extension_counts_from_now(lab: Lab) -> None:
    """The supervisor did not run: the candidate's time was over ten minutes ago."""
    lab.at("open").world.later(minutes=45)
    assert extend(lab.centre(), 2, FIVE, "noise").ends_at == lab.world.now + FIVE
    assert told(lab) == ["over 1", "over 3"]


@pytest.mark.parametrize("state", ["planned", "prepared", "closed", "sealed", "reset"])
def test_refused_unless_the_wave_is_open(lab: Lab, state: str) -> None:
    lab.at(state)
    wave = lab.wave
    with pytest.raises((Refused, NotFound)) as raised:
        extend(lab.centre(), 2, FIVE, "noise")
    assert raised.value.hint and lab.wave == wave


def test_a_candidate_who_is_absent_has_no_time(lab: Lab) -> None:
    lab.at("prepared")
    open_wave(lab.centre(), lab.wave_id, [2])
    with pytest.raises(Refused):
        extend(lab.centre(), 2, FIVE, "noise")
    with pytest.raises(Refused):
        time_of(lab.centre(), 2)


@pytest.mark.parametrize("given", [timedelta(0), timedelta(minutes=-1), timedelta(hours=4, seconds=1)])
def test_what_is_no_extension(lab: Lab, given: timedelta) -> None:
    lab.at("open")
    with pytest.raises(InputInvalid):
        extend(lab.centre(), 2, given, "noise")
    with pytest.raises(InputInvalid):
        extend(lab.centre(), 2, FIVE, "  ")
    assert lab.place(2).credits == ()


def test_not_while_a_command_works_on_the_room(lab: Lab) -> None:
    lab.at("open").world.held["salle-1"] = "seat reset 2"
    with pytest.raises(Busy):
        extend(lab.centre(), 2, FIVE, "noise")


def test_the_time_of_a_seat_is_explained(adjusted: Lab) -> None:
    place, lines = time_of(adjusted.centre(), 2)
    assert place.allotted == timedelta(minutes=53, seconds=20) and lines == []
    adjusted.world.later(minutes=60)
    close(adjusted.centre(), adjusted.wave_id)
    assert time_of(adjusted.centre(), 2)[0].closed_at == adjusted.world.now
    with pytest.raises(NotFound):
        time_of(adjusted.centre(), 77)


def test_before_the_opening_there_is_no_time(lab: Lab) -> None:
    lab.at("prepared")
    with pytest.raises(Refused) as raised:
        time_of(lab.centre(), 2)
    assert raised.value.hint
