"""Restore: a seat is brought back to a point or to the reference; what it had is kept, what was lost is given back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.domain.exam import PROVED, EnvironmentRole, PointKind
from orchestrator.domain.time import CreditKind
from orchestrator.errors import (
    Busy,
    E5BError,
    EngineUnavailable,
    EnvironmentFailed,
    ImageUnusable,
    InputInvalid,
    NoSpace,
    NotFound,
    NotProved,
    Refused,
)
from orchestrator.services.clock import tick
from orchestrator.services.close import close_over
from orchestrator.services.points import take_points
from orchestrator.services.prepare import prepare
from orchestrator.services.reset import reset_seat
from orchestrator.services.restore import restore
from orchestrator.services.standbys import make_standby
from tests.services import fakes
from tests.services.conftest import Lab


def site(lab: Lab, seat: int = 2) -> fakes.Container:
    """Where the candidate works now."""
    container = lab.world.containers[lab.active(seat).name]
    assert lab.world.container(seat) == container and lab.place(seat).environment == container.name
    return container


def quiet(_about: str, _what: str) -> None: ...


@pytest.fixture
def worked(lab: Lab) -> Lab:
    """Seat 2 has two points, of one page and of two, and three pages now."""
    lab.at("open")
    for page in ("second page", "third page"):
        take_points(lab.centre(), [2])
        lab.world.later(minutes=1)
        lab.world.candidates_work(page)
    lab.world.later(minutes=1)
    return lab


@pytest.mark.parametrize(
    ("to", "work", "number"),
    [
        ("last", ("first page", "second page"), 2),
        ("2", ("first page", "second page"), 2),
        ("1", ("first page",), 1),
        ("reference", (), None),
    ],
)
def test_the_site_is_as_it_was_and_its_former_state_is_kept(
    worked: Lab, to: str, work: tuple[str, ...], number: int | None
) -> None:
    old = worked.active(2)
    restored = restore(worked.centre(), 2, to)
    assert site(worked).work == work and site(worked).running
    assert (restored.point.number if restored.point else None) == number and not restored.standby
    assert restored.kept is not None and restored.kept.kind is PointKind.UNDO and restored.kept.number == 3
    assert worked.world.layers[restored.kept.tag] == ("first page", "second page", "third page")
    new = worked.active(2)
    assert (new.touched, new.wave, new.generation) == (
        True,
        worked.wave_id,
        2,
    ) and old.name not in worked.world.containers
    assert worked.place(2) == restored.place and worked.place(2).proof == PROVED
    # Nobody else noticed.
    assert [site(worked, seat).work for seat in (1, 3)] == [("first page", "second page", "third page")] * 2
    assert worked.world.served() == {1: "open", 2: "open", 3: "open"}
    worked.world.candidates_work("fourth page")
    worked.world.later(minutes=60)
    worked.at("sealed")
    (evidence,) = [item for item in worked.centre().store.evidence() if item.seat == 2]
    assert worked.world.archives[evidence.archive].content.decode().split("\n")[:-1] == [*work, "fourth page"]
    worked.at("reset").check()


def test_undo_and_undo_of_the_undo(worked: Lab) -> None:
    restore(worked.centre(), 2, "1")
    worked.world.candidates_work("after the restore")
    undone = restore(worked.centre(), 2, "undo")
    assert undone.point is not None and undone.point.number == 3
    assert site(worked).work == ("first page", "second page", "third page")
    again = restore(worked.centre(), 2, "undo")
    assert again.point is not None and again.point.number == 4
    assert site(worked).work == ("first page", "after the restore")
    # A point that a restore put aside is none that "last" means.
    assert restore(worked.centre(), 2, "last").point == replace(again.point, number=2, **_of(worked, 2))
    worked.world.later(minutes=60)
    worked.at("reset").check()


def _of(lab: Lab, number: int) -> dict[str, Any]:
    point = next(item for item in lab.centre().store.points() if item.number == number)
    return {name: getattr(point, name) for name in ("kind", "environment", "layer", "tag", "taken_at")}


def test_however_often_it_is_restored_each_environment_is_one_layer_above_the_reference(worked: Lab) -> None:
    for turn in range(5):
        worked.world.candidates_work(f"turn {turn}")
        restore(worked.centre(), 2, "last")
        take_points(worked.centre(), [2])
        assert worked.active(2).image == fakes.IMAGE_ID
    assert site(worked).work == ("first page", "second page")
    assert len([item for item in worked.world.containers.values() if item.seat == 2]) == 1
    worked.check()


# Refused


@pytest.mark.parametrize("state", ["planned", "prepared", "closed", "sealed", "reset"])
def test_refused_unless_a_candidates_time_runs(lab: Lab, state: str) -> None:
    lab.at(state)
    before, journal = dict(lab.world.containers), lab.actions()
    with pytest.raises((Refused, NotFound)):
        restore(lab.centre(), 2, "reference")
    assert lab.world.containers == before and lab.actions() == journal


def test_refused_when_the_seats_time_is_over(lab: Lab) -> None:
    lab.at("prepared").give_time(2, 4)
    lab.at("open")
    assert close_over(lab.centre(), lab.wave_id) == [2]
    with pytest.raises(Refused) as raised:
        restore(lab.centre(), 2, "reference")
    assert "extend" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("seat", "to", "error"),
    [
        (77, "last", NotFound),
        (1, "last", NotFound),
        (1, "1", NotFound),
        (2, "9", NotFound),
        (2, "undo", NotFound),
        (2, "0", NotFound),
        (2, "yesterday", InputInvalid),
        (2, "-1", InputInvalid),
        (2, "", InputInvalid),
    ],
)
def test_a_point_that_is_not_there(worked: Lab, seat: int, to: str, error: type[E5BError]) -> None:
    before, places = dict(worked.world.containers), worked.wave.places
    with pytest.raises(error):
        restore(worked.centre(), seat, to)
    assert worked.world.containers == before and worked.wave.places == places


def test_a_point_that_was_pruned_is_not_there(worked: Lab) -> None:
    first = worked.centre().store.points()[0]
    worked.centre().store.save(points=[replace(first, pruned_at=worked.world.now)])
    with pytest.raises(NotFound):
        restore(worked.centre(), 2, "1")


def test_not_while_another_command_works_on_the_room(worked: Lab) -> None:
    worked.world.held["salle-1"] = "seat restore 2"
    with pytest.raises(Busy):
        restore(worked.centre(), 2, "last")


# What goes wrong leaves the seat as it was


def goes_on(lab: Lab, old: str) -> None:
    """The candidate works on in *old*, nothing else is left, and no time is being given back."""
    assert lab.active(2).name == old and site(lab).running and not site(lab).paused
    assert [item.name for item in lab.world.containers.values() if item.seat == 2] == [old]
    assert not lab.place(2).has_going_on(CreditKind.RESTORE)
    lab.world.candidates_work("went on")
    assert site(lab).work[-1] == "went on"
    assert fakes.violations(lab.centre(), lab.world) == []


@pytest.mark.parametrize("to", ["1", "reference"])
def test_a_new_environment_that_never_serves(worked: Lab, to: str) -> None:
    old = worked.active(2).name
    worked.world.unready.add(2)
    with pytest.raises(NotProved) as raised:
        restore(worked.centre(), 2, to)
    assert raised.value.hint
    goes_on(worked, old)


def test_a_new_environment_that_differs_from_the_reference(worked: Lab) -> None:
    old = worked.active(2).name
    worked.world.defective.add(2)
    with pytest.raises(NotProved) as raised:
        restore(worked.centre(), 2, "reference")
    assert "index.php" in raised.value.message
    goes_on(worked, old)


@pytest.mark.parametrize("error", [fakes.no_space(), EnvironmentFailed("busy")])
def test_a_former_state_that_cannot_be_kept(worked: Lab, error: Exception) -> None:
    old = worked.active(2).name
    worked.world.faults["snapshot", old] = error
    with pytest.raises(type(error)):
        restore(worked.centre(), 2, "1")
    worked.world.faults.clear()
    goes_on(worked, old)


def test_a_standby_that_was_not_needed_after_all_stays_behind_the_seat(worked: Lab) -> None:
    for _seat in (1, 2, 3):
        make_standby(worked.centre())
    old = worked.active(2).name
    worked.world.faults["snapshot", old] = fakes.no_space()
    with pytest.raises(NoSpace):
        restore(worked.centre(), 2, "reference")
    worked.world.faults.clear()
    assert worked.active(2).name == old and not worked.place(2).suspended
    assert restore(worked.centre(), 2, "reference").standby


def test_a_layer_that_somebody_removed(worked: Lab) -> None:
    old, tag = worked.active(2).name, worked.centre().store.points()[0].tag
    del worked.world.layers[tag]
    with pytest.raises(NotProved):
        restore(worked.centre(), 2, "1")
    goes_on(worked, old)


def test_an_image_that_is_gone_interrupts_nobody(worked: Lab) -> None:
    del worked.world.images[fakes.IMAGE_ID]
    with pytest.raises(ImageUnusable):
        restore(worked.centre(), 2, "1")
    assert worked.place(2).credits == () and site(worked).running


def test_an_engine_that_fails_in_the_middle_is_made_good_by_the_clock(worked: Lab) -> None:
    name = "e5b-essai-poste-02-g2"
    worked.world.faults["create", name] = EngineUnavailable("No Docker engine answers.")
    with pytest.raises(EngineUnavailable):
        restore(worked.centre(), 2, "1")
    worked.world.faults.clear()
    tick(worked.centre(), quiet)
    assert not worked.place(2).suspended and site(worked).running
    assert restore(worked.centre(), 2, "1").point is not None
    worked.world.later(minutes=60)
    worked.at("reset").check()


def test_work_after_a_restore_that_failed_is_never_wiped_for_what_was_put_aside_before(worked: Lab) -> None:
    """A point that a failed restore took is older than what the candidate did since."""
    old = worked.active(2).name
    fuse = fakes.Fuse()
    copied = worked.copy(worked.settings.centre.state / "copy")
    restore(copied.centre(fuse), 2, "1")
    frozen = next(at for at, call in enumerate(fuse.calls, 1) if call == f"engine.snapshot {old}: frozen")
    with pytest.raises(fakes.Killed):
        restore(worked.centre(fakes.Fuse(frozen + 2)), 2, "1")
    assert [item.number for item in worked.centre().store.points()] == [1, 2, 3]
    worked.centre().engine.start(old)
    tick(worked.centre(), quiet)
    worked.world.candidates_work("after the kill")
    worked.world.faults["export", old] = EnvironmentFailed("the dump failed")
    with pytest.raises(E5BError):
        reset_seat(worked.centre(), 2)
    assert old in worked.world.containers and worked.world.lost == []
    worked.world.faults.clear()
    worked.world.later(minutes=60)
    worked.at("reset").check()
    contents = [
        worked.world.archives[item.archive].content for item in worked.centre().store.evidence() if item.seat == 2
    ]
    assert any(b"after the kill" in content for content in contents)


# The environment is gone


@pytest.mark.parametrize("to", ["last", "reference"])
def test_an_environment_that_is_gone_is_restored_and_the_wave_is_sealed_all_the_same(worked: Lab, to: str) -> None:
    old = worked.active(2)
    del worked.world.containers[old.name]
    restored = restore(worked.centre(), 2, to)
    assert restored.kept is None and site(worked).work == (("first page", "second page") if to == "last" else ())
    assert (
        next(item for item in worked.centre().store.environments() if item.name == old.name).role
        is EnvironmentRole.GONE
    )
    worked.world.later(minutes=60)
    worked.at("reset").check()


def test_a_seat_whose_environment_is_gone_can_be_reset_and_the_wave_is_sealed_all_the_same(worked: Lab) -> None:
    del worked.world.containers[worked.active(2).name]
    result, evidence = reset_seat(worked.centre(), 2)
    assert result.fault is None and evidence is None and site(worked).work == ()
    assert "seat.lost" in worked.actions()
    worked.world.later(minutes=60)
    worked.at("reset").check()


# Standbys


def test_the_reference_comes_from_the_standby_when_there_is_one(worked: Lab) -> None:
    for _seat in (1, 2, 3):
        make_standby(worked.centre())
    standby = next(
        item for item in worked.centre().store.environments() if item.seat == 2 and item.role.value == "standby"
    )
    fuse = fakes.Fuse()
    restored = restore(worked.centre(fuse), 2, "reference")
    assert restored.standby and worked.active(2).name == standby.name
    assert not [call for call in fuse.calls if re_made(call)]
    assert not site(worked).gentle
    worked.world.candidates_work("on the standby")
    worked.world.later(minutes=60)
    worked.at("reset").check()


def re_made(call: str) -> bool:
    return call.startswith(("engine.create", "engine.fingerprint", "engine.ready"))


def test_a_point_never_comes_from_the_standby_which_stays(worked: Lab) -> None:
    for _seat in (1, 2, 3):
        make_standby(worked.centre())
    assert not restore(worked.centre(), 2, "last").standby
    assert [item.seat for item in worked.centre().store.environments() if item.role.value == "standby"] == [1, 2, 3]


def test_a_standby_that_was_started_anew_since_its_proof_is_not_used(worked: Lab) -> None:
    for _seat in (1, 2, 3):
        make_standby(worked.centre())
    standby = next(
        item for item in worked.centre().store.environments() if item.seat == 2 and item.role.value == "standby"
    )
    worked.world.later(seconds=5)
    worked.centre().engine.restart(standby.name)
    restored = restore(worked.centre(), 2, "reference")
    assert not restored.standby and worked.active(2).name != standby.name


# Time


def ends(lab: Lab) -> timedelta:
    place = lab.place(2)
    assert place.opened_at is not None and place.ends_at is not None
    return place.ends_at - place.opened_at


@pytest.fixture
def slow(worked: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A new environment takes twenty seconds to serve."""
    ready = fakes.MemoryEngine.ready

    def slowly(engine: fakes.MemoryEngine, name: str, timeout: float) -> None:
        worked.world.later(seconds=20)
        ready(engine, name, timeout)

    monkeypatch.setattr(fakes.MemoryEngine, "ready", slowly)
    return worked


def test_the_interruption_is_given_back(slow: Lab) -> None:
    restored = restore(slow.centre(), 2, "last")
    (credit,) = restored.place.credits
    assert (credit.kind, credit.going_on) == (CreditKind.RESTORE, False)
    assert ends(slow) == timedelta(minutes=40, seconds=20)
    assert slow.place(1).credits == ()


def test_when_it_was_not_the_candidates_doing_the_time_since_the_point_is_given_back_too(slow: Lab) -> None:
    """Point 1 was taken three minutes ago."""
    restore(slow.centre(), 2, "1", technical=True)
    assert ends(slow) == timedelta(minutes=43, seconds=20)
    assert not slow.place(2).suspended


def test_a_technical_restore_to_the_reference_gives_back_all_since_the_opening(slow: Lab) -> None:
    restore(slow.centre(), 2, "reference", technical=True)
    assert ends(slow) == timedelta(minutes=40 + 8, seconds=20)


def test_a_technical_restore_that_fails_gives_back_no_more_than_the_interruption(slow: Lab) -> None:
    slow.world.unready.add(2)
    with pytest.raises(NotProved):
        restore(slow.centre(), 2, "1", technical=True)
    assert ends(slow) == timedelta(minutes=40, seconds=20)


def test_in_the_last_second_of_the_time(slow: Lab) -> None:
    """The seat is not shut under the restore, and the candidate has their last second."""
    slow.world.later(minutes=31, seconds=59)
    assert slow.place(2).ends_at == slow.world.now + timedelta(seconds=1)
    place = restore(slow.centre(), 2, "last").place
    assert place.ends_at == slow.world.now + timedelta(seconds=1)
    tick(slow.centre(), quiet)
    assert slow.world.served() == {1: "over", 2: "open", 3: "over"}
    slow.world.later(seconds=1)
    tick(slow.centre(), quiet)
    assert slow.state == "sealed"
    slow.at("reset").check()


def test_the_wave_does_not_end_while_a_restore_goes_on(worked: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = fakes.MemoryEngine.ready

    def endless(engine: fakes.MemoryEngine, name: str, timeout: float) -> None:
        worked.world.later(minutes=60)
        # Another process looks at the time meanwhile; the room is held.
        assert tick(worked.centre(), quiet) == [] and worked.state == "open"
        assert worked.place(2).suspended
        ready(engine, name, timeout)

    monkeypatch.setattr(fakes.MemoryEngine, "ready", endless)
    restore(worked.centre(), 2, "last")
    assert ends(worked) == timedelta(minutes=100)


# After it


def test_restored_seats_are_prepared_for_the_next_wave_like_others(worked: Lab) -> None:
    restore(worked.centre(), 2, "1")
    worked.world.later(minutes=60)
    worked.at("reset")
    worked.plan(number=2, half_day="2027-05-11-pm")
    assert prepare(worked.centre(), worked.wave_id).faults == []
    assert all(item.work == () for item in worked.world.containers.values())


def test_two_rooms(new_lab: Callable[..., Lab]) -> None:
    """A seat of one room is restored while the other room's commands run."""
    lab = new_lab(rooms={"salle-1": [1, 2], "salle-2": [11]})
    lab.at("open")
    first = lab.wave_id
    lab.plan(room="salle-2", candidates=[(11, "D11")])
    lab.at("open")
    lab.world.held["salle-1"] = "wave seal"
    take_points(lab.centre(), [11])
    lab.world.candidates_work("more")
    restore(lab.centre(), 11, "last")
    assert lab.world.container(11).work == ("first page",)
    assert lab.centre().wave(first).place(2).credits == ()  # type: ignore[union-attr]
