"""Open: the go/no-go gate, and the moment from which a candidate's time counts."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.domain.routes import Route
from orchestrator.errors import Busy, EnvironmentFailed, NotFound, NotProved, Refused
from orchestrator.services.absent import mark_absent
from orchestrator.services.close import close
from orchestrator.services.open_wave import open_wave
from orchestrator.services.prepare import prepare
from orchestrator.services.reset import reset_seat, seal_seat
from tests.services.conftest import Lab
from tests.services.fakes import Fuse, Killed, MemoryGateway


def opened(lab: Lab) -> dict[int, bool]:
    return {place.seat: place.opened_at is not None for place in lab.wave.places}


def test_a_seat_that_differs_keeps_the_wave_shut(lab: Lab) -> None:
    lab.plan()
    lab.world.defective.add(2)
    prepare(lab.centre(), lab.wave_id)
    with pytest.raises(NotProved) as raised:
        open_wave(lab.centre(), lab.wave_id)
    assert len(raised.value.details) == 1 and "02" in raised.value.details[0]
    assert "index.php" in raised.value.details[0]
    assert lab.state == "prepared" and set(lab.world.served().values()) == {"waiting"}
    assert not any(environment.touched for environment in lab.centre().active().values())


def test_left_out_seats_stay_shut_and_the_others_open(lab: Lab) -> None:
    lab.plan()
    lab.world.defective.add(2)
    prepare(lab.centre(), lab.wave_id)
    open_wave(lab.centre(), lab.wave_id, [2])
    assert lab.world.served() == {1: "open", 2: "waiting", 3: "open"}
    assert opened(lab) == {1: True, 2: False, 3: True}
    assert {seat: item.touched for seat, item in lab.centre().active().items()} == {1: True, 2: False, 3: True}
    lab.world.candidates_work("a page")
    lab.world.later(minutes=40)
    lab.at("sealed")
    assert [item.seat for item in lab.centre().store.evidence()] == [1, 3]
    lab.world.defective.clear()
    lab.at("reset").check()


def test_an_absent_candidates_seat_needs_no_proof_and_stays_shut(lab: Lab) -> None:
    lab.plan()
    lab.world.defective.add(2)
    prepare(lab.centre(), lab.wave_id)
    mark_absent(lab.centre(), lab.wave_id, 2)
    open_wave(lab.centre(), lab.wave_id)
    assert lab.world.served() == {1: "open", 2: "waiting", 3: "open"}


def test_who_came_after_all_is_prepared_first(lab: Lab) -> None:
    lab.plan()
    mark_absent(lab.centre(), lab.wave_id, 2)
    prepare(lab.centre(), lab.wave_id)
    mark_absent(lab.centre(), lab.wave_id, 2, present=True)
    with pytest.raises(NotProved):
        open_wave(lab.centre(), lab.wave_id)
    prepare(lab.centre(), lab.wave_id)
    open_wave(lab.centre(), lab.wave_id)
    assert set(lab.world.served().values()) == {"open"}


@pytest.mark.parametrize("deleted", [True, False])
def test_an_environment_that_stopped_since_the_proof(lab: Lab, deleted: bool) -> None:
    lab.at("prepared")
    if deleted:
        del lab.world.containers[lab.active(2).name]
    else:
        lab.world.containers[lab.active(2).name].running = False
    with pytest.raises(NotProved):
        open_wave(lab.centre(), lab.wave_id)
    prepare(lab.centre(), lab.wave_id)
    open_wave(lab.centre(), lab.wave_id)


def test_nobody_takes_part(lab: Lab) -> None:
    lab.at("prepared")
    with pytest.raises(NotProved):
        open_wave(lab.centre(), lab.wave_id, [1, 2, 3])
    assert (lab.state, lab.wave.intent) == ("prepared", None)


def test_a_seat_that_is_not_in_the_wave_cannot_be_left_out(lab: Lab) -> None:
    lab.at("prepared")
    with pytest.raises(NotFound):
        open_wave(lab.centre(), lab.wave_id, [9])


@pytest.mark.parametrize("state", ["planned", "open", "closed", "sealed", "reset"])
def test_refused_unless_prepared(lab: Lab, state: str) -> None:
    lab.at(state)
    before = lab.wave
    with pytest.raises(Refused) as raised:
        open_wave(lab.centre(), lab.wave_id)
    assert raised.value.hint and lab.wave == before


def test_opened_twice_gives_no_more_time(lab: Lab) -> None:
    lab.at("prepared")
    begun = lab.world.now
    open_wave(lab.centre(), lab.wave_id)
    lab.world.later(minutes=10)
    with pytest.raises(Refused):
        open_wave(lab.centre(), lab.wave_id)
    assert lab.wave.ends_at == begun + timedelta(minutes=40)


def test_a_gateway_that_fails_costs_the_candidates_no_time(lab: Lab) -> None:
    """Their time counts from the moment that their sites could be reached."""
    lab.at("prepared")
    lab.world.faults["ensure", "gateway"] = EnvironmentFailed("The gateway does not answer.")
    with pytest.raises(EnvironmentFailed):
        open_wave(lab.centre(), lab.wave_id)
    assert (lab.state, lab.wave.intent) == ("prepared", "open")
    lab.world.faults.clear()
    lab.world.later(minutes=15)
    open_wave(lab.centre(), lab.wave_id)
    assert lab.wave.ends_at == lab.world.now + timedelta(minutes=40)


def test_killed_after_the_sites_could_be_reached_gives_no_more_time(lab: Lab) -> None:
    lab.at("prepared")
    whole = Fuse()
    begun = lab.world.now
    with pytest.raises(Killed):
        open_wave(lab.centre(last_call(lab, "store.save", whole)), lab.wave_id)
    assert set(lab.world.served().values()) == {"open"} and lab.wave.intent == "open"
    lab.world.later(minutes=3)
    open_wave(lab.centre(), lab.wave_id)
    assert lab.wave.ends_at == begun + timedelta(minutes=40)


def last_call(lab: Lab, call: str, fuse: Fuse) -> Fuse:
    """A fuse that kills an opening at its last *call*."""
    twin = lab.copy(lab.settings.centre.state / "twin")
    open_wave(twin.centre(fuse), lab.wave_id)
    return Fuse(len(fuse.calls) - fuse.calls[::-1].index(call))


def test_while_the_opening_is_not_completed_nothing_else_is_done(lab: Lab) -> None:
    lab.at("prepared")
    lab.world.faults["ensure", "gateway"] = EnvironmentFailed("The gateway does not answer.")
    with pytest.raises(EnvironmentFailed):
        open_wave(lab.centre(), lab.wave_id)
    lab.world.faults.clear()
    for refused in (
        lambda: prepare(lab.centre(), lab.wave_id),
        lambda: reset_seat(lab.centre(), 2),
        lambda: seal_seat(lab.centre(), 2),
        lambda: mark_absent(lab.centre(), lab.wave_id, 2),
        lambda: close(lab.centre(), lab.wave_id),
    ):
        with pytest.raises(Refused):
            refused()
    open_wave(lab.centre(), lab.wave_id)


@pytest.mark.parametrize("state", ["open", "closed", "sealed", "reset"])
def test_absent_is_settled_by_the_opening(lab: Lab, state: str) -> None:
    lab.at(state)
    with pytest.raises(Refused):
        mark_absent(lab.centre(), lab.wave_id, 2)
    assert not lab.place(2).absent


def test_absent_of_another_wave(lab: Lab) -> None:
    lab.plan(candidates=[(1, "C001")])
    with pytest.raises(NotFound):
        mark_absent(lab.centre(), lab.wave_id, 2)


def test_a_second_command_is_told_who_is_at_work(lab: Lab) -> None:
    lab.at("prepared")
    lab.world.held["salle-1"] = "wave prepare"
    for command in (prepare, open_wave):
        with pytest.raises(Busy):
            command(lab.centre(), lab.wave_id)
    with pytest.raises(Busy):
        mark_absent(lab.centre(), lab.wave_id, 1)


def test_an_older_state_never_follows_a_newer_one_into_the_gateway(new_lab: Callable[..., Lab]) -> None:
    """Room 1 is opened; while its routes are on their way to the gateway, room 2's seat is opened as well."""
    lab = new_lab(rooms={"salle-1": [1], "salle-2": [11]}, limits={"parallel": 1})
    first = lab.at("prepared").wave
    second = lab.plan(room="salle-2", candidates=[(11, "D11")])
    prepare(lab.centre(), second.id)

    waiting, other_done = threading.Event(), threading.Event()

    class Slow(MemoryGateway):
        def ensure(self, routes: Sequence[Route]) -> bool:
            waiting.set()
            other_done.wait(0.5)
            return super().ensure(routes)

    slow = lab.centre()
    slow = replace(slow, gateway=Slow(lab.world, Fuse()))
    with ThreadPoolExecutor(2) as pool:
        begun = pool.submit(open_wave, slow, first.id)
        assert waiting.wait(5)
        pool.submit(open_wave, lab.centre(), second.id).add_done_callback(lambda _done: other_done.set())
        begun.result()
    assert lab.world.served() == {1: "open", 11: "open"}
