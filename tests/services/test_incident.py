"""Incidents: from their opening to their closing, time is given back."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from orchestrator.domain.time import CreditKind
from orchestrator.errors import Busy, InputInvalid, NotFound, Refused
from orchestrator.services.abandon import abandon
from orchestrator.services.clock import tick
from orchestrator.services.close import close, close_over
from orchestrator.services.extend import extend
from orchestrator.services.incident import close_incident, has_incident, open_incident
from tests.services.conftest import Lab


def told(lab: Lab) -> list[str]:
    said: list[str] = []
    assert tick(lab.centre(), lambda _about, what: said.append(what)) == []
    return said


def minutes(lab: Lab, seat: int) -> float:
    place = lab.place(seat)
    assert place.ends_at is not None and place.opened_at is not None
    return (place.ends_at - place.opened_at) / timedelta(minutes=1)


def test_some_seats(lab: Lab) -> None:
    lab.at("open")
    assert [place.seat for place in open_incident(lab.centre(), lab.wave_id, [1, 3], "fire alarm")] == [1, 3]
    assert [place.ends_at is None for place in lab.wave.places] == [True, False, True]
    lab.world.later(minutes=7)
    assert [place.seat for place in close_incident(lab.centre(), lab.wave_id, [3])] == [3]
    lab.world.later(minutes=1)
    assert [place.seat for place in close_incident(lab.centre(), lab.wave_id, [])] == [1]
    assert [minutes(lab, seat) for seat in (1, 2, 3)] == [48, 40, 47]
    assert [(line.action, line.seat) for line in lab.centre().store.journal() if "incident" in line.action] == [
        ("incident.opened", 1),
        ("incident.opened", 3),
        ("incident.closed", 3),
        ("incident.closed", 1),
    ]
    assert lab.place(1).credits[0].reason == "fire alarm"


def test_the_whole_room_without_whose_time_is_over(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab()
    lab.at("prepared").give_time(3, 4)
    lab.at("open")
    assert close_over(lab.centre(), lab.wave_id) == [3]
    assert [place.seat for place in open_incident(lab.centre(), lab.wave_id, [], "power cut")] == [1, 2]
    assert lab.place(3).credits == ()


def test_while_it_goes_on_no_seat_is_shut(lab: Lab) -> None:
    lab.at("open")
    open_incident(lab.centre(), lab.wave_id, [2], "noise")
    lab.world.later(minutes=35)
    assert told(lab) == ["over 1", "over 3"]
    lab.world.later(hours=3)
    assert told(lab) == [] and lab.state == "open" and lab.world.served()[2] == "open"
    close_incident(lab.centre(), lab.wave_id, [])
    assert lab.place(2).ends_at == lab.world.now + timedelta(minutes=35)
    lab.world.later(minutes=35)
    assert told(lab) == ["closed", "sealed"]
    lab.at("reset").check()


def test_one_for_the_room_after_one_for_a_seat(lab: Lab) -> None:
    """The seat's own goes on: it is not begun twice, and its minutes are counted once."""
    lab.at("open")
    open_incident(lab.centre(), lab.wave_id, [2], "a screen")
    lab.world.later(minutes=2)
    assert [place.seat for place in open_incident(lab.centre(), lab.wave_id, [], "fire alarm")] == [1, 3]
    lab.world.later(minutes=3)
    close_incident(lab.centre(), lab.wave_id, [])
    assert [minutes(lab, seat) for seat in (1, 2, 3)] == [43, 45, 43]


def test_twice_one_after_the_other(lab: Lab) -> None:
    lab.at("open")
    for _time in range(2):
        open_incident(lab.centre(), lab.wave_id, [2], "noise")
        lab.world.later(minutes=1)
        close_incident(lab.centre(), lab.wave_id, [2])
        lab.world.later(minutes=1)
    assert minutes(lab, 2) == 42


def test_one_that_goes_on_is_not_opened_again(lab: Lab) -> None:
    lab.at("open")
    open_incident(lab.centre(), lab.wave_id, [], "noise")
    for seats in ([], [2]):
        with pytest.raises(Refused) as raised:
            open_incident(lab.centre(), lab.wave_id, seats, "noise")
        assert raised.value.hint
    assert [len(place.credits) for place in lab.wave.places] == [1, 1, 1]


def test_none_to_close(lab: Lab) -> None:
    lab.at("open")
    open_incident(lab.centre(), lab.wave_id, [1], "noise")
    with pytest.raises(Refused) as raised:
        close_incident(lab.centre(), lab.wave_id, [2])
    assert raised.value.hint and has_incident(lab.place(1))
    # What is given back for another reason is not the incident's to end.
    place = lab.place(2)
    assert place.credits == ()


def test_an_extension_meanwhile_counts_besides(lab: Lab) -> None:
    lab.at("open")
    open_incident(lab.centre(), lab.wave_id, [2], "noise")
    assert extend(lab.centre(), 2, timedelta(minutes=5), "late start").ends_at is None
    lab.world.later(minutes=2)
    close_incident(lab.centre(), lab.wave_id, [])
    assert minutes(lab, 2) == 47


def test_a_seat_that_is_shut_or_not_in_the_wave(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab()
    lab.at("prepared").give_time(3, 4)
    lab.at("open")
    close_over(lab.centre(), lab.wave_id)
    with pytest.raises(Refused) as raised:
        open_incident(lab.centre(), lab.wave_id, [1, 3], "noise")
    assert "03" in raised.value.message and "extend" in (raised.value.hint or "")
    for attempt in (
        lambda: open_incident(lab.centre(), lab.wave_id, [77], "noise"),
        lambda: close_incident(lab.centre(), lab.wave_id, [77]),
        lambda: open_incident(lab.centre(), "w9", [], "noise"),
        lambda: close_incident(lab.centre(), "w9", []),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert all(place.credits == () for place in lab.wave.places)


def test_a_reason_is_needed(lab: Lab) -> None:
    lab.at("open")
    with pytest.raises(InputInvalid):
        open_incident(lab.centre(), lab.wave_id, [], " ")


@pytest.mark.parametrize("state", ["planned", "prepared", "closed", "sealed", "reset"])
def test_refused_unless_the_wave_is_open(lab: Lab, state: str) -> None:
    lab.at(state)
    with pytest.raises(Refused):
        open_incident(lab.centre(), lab.wave_id, [], "noise")
    with pytest.raises(Refused):
        close_incident(lab.centre(), lab.wave_id, [])


def test_not_while_a_command_works_on_the_room(lab: Lab) -> None:
    lab.at("open").world.held["salle-1"] = "seat reset 2"
    with pytest.raises(Busy):
        open_incident(lab.centre(), lab.wave_id, [], "noise")


def test_a_wave_that_is_closed_early_ends_it(lab: Lab) -> None:
    lab.at("open")
    open_incident(lab.centre(), lab.wave_id, [2], "fire")
    lab.world.later(minutes=3)
    with pytest.raises(Refused) as raised:
        close(lab.centre(), lab.wave_id)
    assert len(raised.value.details) == 3
    close(lab.centre(), lab.wave_id, early="everybody has left")
    (credit,) = lab.place(2).credits
    assert (credit.kind, credit.ended_at) == (CreditKind.INCIDENT, lab.world.now)
    lab.at("reset").check()


def test_a_wave_that_is_abandoned_ends_it(lab: Lab) -> None:
    lab.at("open")
    open_incident(lab.centre(), lab.wave_id, [], "fire")
    abandon(lab.centre(), lab.wave_id, "fire")
    assert not any(has_incident(place) for place in lab.wave.places)
    lab.check()
