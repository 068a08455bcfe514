"""Move: a candidate goes on at a spare seat with their site as it is, their time, their points."""

from collections.abc import Callable

import pytest

from orchestrator.domain.exam import EnvironmentRole, PointKind
from orchestrator.domain.time import CreditKind
from orchestrator.errors import E5BError, EnvironmentFailed, NotFound, NotProved, Refused
from orchestrator.services.absent import mark_absent
from orchestrator.services.clock import tick
from orchestrator.services.extend import extend
from orchestrator.services.incident import close_incident, open_incident
from orchestrator.services.open_wave import open_wave
from orchestrator.services.points import take_points
from orchestrator.services.prepare import prepare
from orchestrator.services.reset import reset, reset_seat
from orchestrator.services.restore import move, restore
from tests.services import fakes
from tests.services.conftest import Lab


@pytest.fixture
def spare(new_lab: Callable[..., Lab]) -> Lab:
    """Two candidates work at three seats; seat 3 is free."""
    lab = new_lab()
    lab.plan(candidates=[(1, "C001"), (2, "C002", "4/3")])
    return lab.at("open")


def test_the_candidate_goes_on_at_the_other_seat(spare: Lab) -> None:
    take_points(spare.centre(), [2])
    extend(spare.centre(), 2, spare.place(2).duration / 10, "noise")
    before, old = spare.place(2), spare.active(2)
    spare.world.candidates_work("second page")
    moved = move(spare.centre(), 2, 3)
    place = spare.place(3)
    assert moved.place == place and [item.seat for item in spare.wave.places] == [1, 3]
    assert (place.candidate, place.adjustment, place.opened_at) == ("C002", "4/3", before.opened_at)
    assert place.credits[:1] == before.credits and place.ends_at == before.ends_at
    assert spare.world.container(3).work == ("first page", "second page")
    assert spare.world.served() == {1: "open", 2: "waiting", 3: "open"}
    assert old.name not in spare.world.containers
    # Their points are theirs at the other seat as well.
    assert [item.kind for item in spare.centre().store.points()] == [PointKind.ASKED, PointKind.UNDO]
    spare.world.candidates_work("third page")
    assert restore(spare.centre(), 3, "1").point is not None
    assert spare.world.container(3).work == ("first page",)
    restore(spare.centre(), 3, "undo")
    assert spare.world.container(3).work == ("first page", "second page", "third page")

    spare.world.later(minutes=100)
    spare.at("sealed")
    found = {item.seat: item for item in spare.centre().store.evidence()}
    assert set(found) == {1, 3} and found[3].candidate == "C002"
    assert spare.world.archives[found[3].archive].content == b"first page\nsecond page\nthird page\n"
    assert spare.world.archives[found[3].archive].manifest["seat"] == 3
    spare.at("reset").check()


def test_what_the_seat_waits_for_is_not_lost(spare: Lab) -> None:
    """Time that is being given back goes on being given back at the other seat."""
    open_incident(spare.centre(), spare.wave_id, [2], "the screen is broken")
    spare.world.later(minutes=3)
    place = move(spare.centre(), 2, 3).place
    assert place.has_going_on(CreditKind.INCIDENT) and place.ends_at is None
    (closed,) = close_incident(spare.centre(), spare.wave_id, [3])
    assert closed.ends_at is not None


def test_back_again(spare: Lab) -> None:
    move(spare.centre(), 2, 3)
    spare.world.candidates_work("at seat 3")
    move(spare.centre(), 3, 2)
    assert spare.world.container(2).work == ("first page", "at seat 3")
    assert spare.world.served() == {1: "open", 2: "open", 3: "waiting"}
    spare.world.later(minutes=100)
    spare.at("reset").check()


@pytest.mark.parametrize(
    ("seat", "to", "error"), [(2, 1, Refused), (2, 2, Refused), (2, 77, NotFound), (3, 2, NotFound), (77, 3, NotFound)]
)
def test_a_seat_that_is_not_spare(spare: Lab, seat: int, to: int, error: type[E5BError]) -> None:
    before, wave = dict(spare.world.containers), spare.wave
    with pytest.raises(error):
        move(spare.centre(), seat, to)
    assert spare.world.containers == before and spare.wave == wave


def test_a_seat_of_another_wave_or_another_room(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(rooms={"salle-1": [1, 2, 3], "salle-2": [11]})
    lab.plan(candidates=[(1, "C001"), (2, "C002")])
    lab.at("open")
    first = lab.wave_id
    lab.plan(number=2, candidates=[(3, "D003")])
    lab.at("prepared")
    for to, error in ((3, Refused), (11, NotFound)):
        with pytest.raises(error):
            move(lab.centre(), 2, to)
    assert [item.seat for item in lab.centre().wave(first).places] == [1, 2]


@pytest.mark.parametrize("state", ["prepared", "closed", "sealed"])
def test_refused_unless_time_runs(new_lab: Callable[..., Lab], state: str) -> None:
    lab = new_lab()
    lab.plan(candidates=[(1, "C001")])
    lab.at(state)
    with pytest.raises(Refused):
        move(lab.centre(), 1, 3)


@pytest.mark.parametrize("how", ["absent", "left out"])
def test_the_seat_of_who_is_absent_is_spare_and_they_stay_on_record(lab: Lab, how: str) -> None:
    lab.at("prepared")
    if how == "absent":
        mark_absent(lab.centre(), lab.wave_id, 3)
    open_wave(lab.centre(), lab.wave_id, [] if how == "absent" else [3])
    lab.world.later(minutes=5)
    lab.world.candidates_work("first page")
    move(lab.centre(), 2, 3)
    assert [(item.seat, item.candidate, item.taking_part) for item in lab.wave.places] == [
        (1, "C001", True),
        (2, "C003", False),
        (3, "C002", True),
    ]
    assert lab.world.container(3).work == ("first page",) and lab.world.served()[2] != "open"
    lab.world.later(minutes=40)
    lab.at("sealed")
    assert {(item.seat, item.candidate) for item in lab.centre().store.evidence()} == {(1, "C001"), (3, "C002")}
    lab.at("reset").check()


def test_after_a_reset_of_the_seat_that_is_left(spare: Lab) -> None:
    reset_seat(spare.centre(), 2)
    spare.world.candidates_work("anew")
    move(spare.centre(), 2, 3)
    assert spare.world.container(3).work == ("anew",)
    spare.world.later(minutes=100)
    spare.at("reset").check()


def test_a_spare_seat_whose_site_never_serves(spare: Lab) -> None:
    old = spare.active(2).name
    spare.world.unready.add(3)
    with pytest.raises(NotProved):
        move(spare.centre(), 2, 3)
    assert spare.active(2).name == old and spare.world.container(2).running
    assert not spare.place(2).suspended and len(spare.world.containers) == 2
    spare.world.candidates_work("went on")
    spare.world.unready.clear()
    move(spare.centre(), 2, 3)
    assert spare.world.container(3).work == ("first page", "went on")
    spare.world.later(minutes=100)
    spare.at("reset").check()


def test_an_environment_that_is_gone_cannot_be_moved_but_restored(spare: Lab) -> None:
    take_points(spare.centre(), [2])
    del spare.world.containers[spare.active(2).name]
    with pytest.raises(EnvironmentFailed):
        move(spare.centre(), 2, 3)
    assert not spare.place(2).suspended
    restore(spare.centre(), 2, "last")
    move(spare.centre(), 2, 3)
    assert spare.world.container(3).work == ("first page",)


def test_under_a_supervisor_the_old_environment_is_left_to_it(spare: Lab) -> None:
    spare.world.supervised = True
    old = spare.active(2).name
    move(spare.centre(), 2, 3)
    (left,) = [item for item in spare.centre().store.environments() if item.name == old]
    assert left.role is EnvironmentRole.RETIRED and not spare.world.containers[old].running


def test_the_next_wave_finds_all_seats(spare: Lab) -> None:
    move(spare.centre(), 2, 3)
    spare.world.later(minutes=100)
    tick(spare.centre(), lambda _about, _what: None)
    assert reset(spare.centre(), spare.wave_id).faults == []
    spare.plan(number=2, half_day="2027-05-11-pm")
    assert prepare(spare.centre(), spare.wave_id).faults == []
    assert {item.work for item in spare.world.containers.values()} == {()}
    assert fakes.violations(spare.centre(), spare.world) == []
