"""Time: each seat is shut when its own time is over; the wave closes and seals by itself."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from orchestrator.errors import Busy, E5BError, EngineUnavailable, EnvironmentFailed, Refused
from orchestrator.services.clock import tick
from orchestrator.services.close import close, close_over
from orchestrator.services.open_wave import open_wave
from orchestrator.services.supervise import run
from orchestrator.services.watch import stop_overflow
from tests.services.conftest import Lab, unforeseen


@pytest.fixture
def told() -> list[str]:
    return []


def look(lab: Lab, told: list[str]) -> list[E5BError]:
    return tick(lab.centre(), lambda _wave, what: told.append(what))


def test_the_clock_shuts_each_seat_in_its_time_then_closes_and_seals(lab: Lab, told: list[str]) -> None:
    lab.at("prepared")
    lab.give_time(2, 53 + 20 / 60)
    lab.give_time(3, 30)
    open_wave(lab.centre(), lab.wave_id)
    lab.world.candidates_work("a page")

    lab.world.later(minutes=29, seconds=59)
    assert look(lab, told) == [] and told == []
    lab.world.later(seconds=1)
    assert look(lab, told) == [] and told == ["over 3"]
    assert lab.world.served() == {1: "open", 2: "open", 3: "over"}
    assert lab.place(3).closed_at == lab.world.now

    lab.world.later(minutes=10)
    assert look(lab, told) == [] and told == ["over 3", "over 1"]
    assert lab.world.served() == {1: "over", 2: "open", 3: "over"} and lab.state == "open"

    lab.world.later(minutes=13, seconds=20)
    assert look(lab, told) == [] and told == ["over 3", "over 1", "closed", "sealed"]
    assert lab.state == "sealed"
    assert look(lab, told) == [] and len(told) == 4
    lab.check()


def test_a_wave_that_nobody_opened_has_no_time(lab: Lab, told: list[str]) -> None:
    lab.at("prepared").world.later(hours=10)
    assert look(lab, told) == [] and told == []
    assert lab.state == "prepared"


def test_what_was_closed_by_hand_is_sealed(lab: Lab, told: list[str]) -> None:
    lab.at("open")
    close(lab.centre(), lab.wave_id, early="all have left")
    assert look(lab, told) == [] and told == ["sealed"]


def test_a_seat_that_cannot_be_sealed_is_said(lab: Lab, told: list[str]) -> None:
    lab.at("closed")
    del lab.world.containers[lab.active(2).name]
    faults = look(lab, told)
    assert len(faults) == 1 and "02" in faults[0].message
    assert lab.state == "closed" and len(lab.centre().store.evidence()) == 2


def test_a_command_by_hand_goes_first(lab: Lab, told: list[str]) -> None:
    lab.at("open").world.later(minutes=60)
    lab.world.held["salle-1"] = "wave close"
    assert look(lab, told) == [] and told == []
    lab.world.held.clear()
    look(lab, told)
    assert told == ["closed", "sealed"]


def test_a_gateway_that_failed_is_served_again(lab: Lab, told: list[str]) -> None:
    """A seat whose time is over is not left open because the gateway was down at that moment."""
    lab.at("prepared").give_time(3, 30)
    lab.at("open").world.later(minutes=30)
    lab.world.faults["ensure", "gateway"] = EnvironmentFailed("The gateway does not answer.")
    assert len(look(lab, told)) == 1
    assert lab.world.served()[3] == "open"
    lab.world.faults.clear()
    assert look(lab, told) == []
    assert lab.world.served() == {1: "open", 2: "open", 3: "over"}


def test_a_gateway_that_was_removed_is_put_back(lab: Lab, told: list[str]) -> None:
    lab.at("open").world.gateway = None
    assert look(lab, told) == [] and told == []
    assert lab.world.served() == {1: "open", 2: "open", 3: "open"}


def test_close_says_who_still_has_time(lab: Lab) -> None:
    lab.at("prepared").give_time(3, 30)
    lab.at("open").world.later(minutes=30)
    with pytest.raises(Refused) as raised:
        close(lab.centre(), lab.wave_id)
    assert len(raised.value.details) == 2 and raised.value.hint
    assert lab.state == "open" and lab.world.served()[1] == "open"
    wave = close(lab.centre(), lab.wave_id, early="power cut")
    assert wave.state.value == "closed"
    line = next(line for line in lab.centre().store.journal() if line.action == "wave.close")
    assert line.data == {"early": "power cut"}


@pytest.mark.parametrize("state", ["planned", "prepared", "closed", "sealed", "reset"])
def test_close_is_refused_unless_open(lab: Lab, state: str) -> None:
    lab.at(state)
    with pytest.raises(Refused):
        close(lab.centre(), lab.wave_id, early="x")
    assert lab.state == state


def test_closing_keeps_when_each_seat_was_shut(lab: Lab) -> None:
    lab.at("prepared").give_time(3, 30)
    lab.at("open").world.later(minutes=25)
    assert close_over(lab.centre(), lab.wave_id) == [3]
    shut = lab.world.now
    lab.world.later(minutes=15)
    close(lab.centre(), lab.wave_id)
    assert lab.place(3).closed_at == shut and lab.place(1).closed_at == lab.world.now


def test_running_until_it_is_stopped(lab: Lab, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lab.at("open").world.later(minutes=60)
    looks = iter([False] * 200)

    def stopped(seconds: float) -> bool:
        assert seconds <= 0.5
        threading.Event().wait(0.01)
        return "sealed" in told or next(looks, True)

    reported: list[E5BError] = []
    run(lab.centre(), lambda _about, what: told.append(what), reported.append, stopped, unforeseen)
    assert (told, reported) == (["closed", "sealed"], [])


def test_a_wave_that_cannot_be_sealed_does_not_make_another_late(
    new_lab: Callable[..., Lab], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is said once in a while; the other room's seats are shut in their time."""
    lab = new_lab(rooms={"salle-1": [1, 2], "salle-2": [11]})
    monkeypatch.setenv("E5B_LANG", "en")
    lab.at("closed")
    del lab.world.containers[lab.active(2).name]
    lab.plan(room="salle-2", candidates=[(11, "D11")])
    lab.at("open")
    reported: list[E5BError] = []
    turns = 0

    def stopped(seconds: float) -> bool:
        nonlocal turns
        turns += 1
        threading.Event().wait(0.01)
        if turns == 30:
            assert reported and [what.partition(":")[0] for what in told] == ["ALARM"]
            lab.world.later(minutes=60)
        return "closed" in told or turns > 60

    run(lab.centre(), lambda _about, what: told.append(what), reported.append, stopped, unforeseen)
    assert "closed" in told and len(reported) == 1


def test_an_engine_that_does_not_answer_is_said_once_in_a_while(lab: Lab, told: list[str]) -> None:
    lab.at("open").world.later(minutes=60)
    lab.world.faults["sizes", ""] = EngineUnavailable("No Docker engine answers.")
    lab.world.faults["ensure", "gateway"] = EngineUnavailable("No Docker engine answers.")
    reported: list[E5BError] = []
    turns = iter([False] * 20)
    run(
        lab.centre(),
        lambda _about, what: told.append(what),
        reported.append,
        lambda _seconds: next(turns, True),
        unforeseen,
    )
    assert (told, len(reported)) == ([], 1)


def test_what_writes_too_much_is_frozen_and_can_be_sealed(lab: Lab) -> None:
    lab.at("open")
    runaway = lab.world.containers[lab.active(2).name]
    runaway.size = lab.settings.limits.disk_mb * 2**20 + 1
    assert stop_overflow(lab.centre()) == [2] and runaway.paused
    assert stop_overflow(lab.centre()) == []
    assert [line.seat for line in lab.centre().store.journal() if line.action == "seat.disk_overflow"] == [2]
    lab.world.later(minutes=40)
    lab.at("reset").check()


def test_nothing_is_frozen_outside_an_open_wave(lab: Lab) -> None:
    lab.at("prepared").world.containers[lab.active(2).name].size = 10**12
    assert stop_overflow(lab.centre()) == []


def test_an_environment_that_disappears_while_it_is_measured(lab: Lab) -> None:
    lab.at("open")
    sizes = {lab.active(2).name: 10**12}
    del lab.world.containers[lab.active(2).name]
    centre = lab.centre()
    centre.engine.sizes = lambda: sizes  # type: ignore[method-assign]
    assert stop_overflow(centre) == []


def test_busy_is_not_a_fault(lab: Lab) -> None:
    lab.at("open").world.held["salle-1"] = "seat reset 2"
    with pytest.raises(Busy):
        close_over(lab.centre(), lab.wave_id)


def test_time_is_a_duration_from_the_opening(lab: Lab) -> None:
    lab.at("open")
    assert lab.place(1).ends_at == lab.place(1).opened_at + timedelta(minutes=40)  # type: ignore[operator]
