"""Restore points: taken at their time or when asked for, never where nobody works, never on the wave's last disk."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from orchestrator.domain.exam import PointKind, RestorePoint
from orchestrator.errors import Busy, NoSpace, NotFound, Refused
from orchestrator.services.close import close, close_over
from orchestrator.services.open_wave import open_wave
from orchestrator.services.points import due_points, prune_points, take_now, take_points
from orchestrator.services.reset import reset
from orchestrator.services.restore import restore
from tests.services.conftest import Lab


def scheduled(lab: Lab) -> list[int]:
    """Take every point that is due, as the supervisor does; their seats."""
    due = due_points(lab.centre())
    for wave, seat in due:
        take_now(lab.centre(), wave.id, seat, PointKind.SCHEDULED)
    return [seat for _wave, seat in due]


def there(lab: Lab, seat: int) -> list[RestorePoint]:
    candidate = lab.place(seat).candidate
    return [item for item in lab.centre().store.points() if item.candidate == candidate and item.pruned_at is None]


@pytest.fixture
def opened(lab: Lab) -> Lab:
    """A wave that was opened this instant, without a page yet."""
    lab.at("prepared")

    open_wave(lab.centre(), lab.wave_id)
    return lab


def test_the_first_ones_are_spread_over_the_interval_and_then_each_has_its_rhythm(opened: Lab) -> None:
    taken: list[tuple[int, int]] = []
    for second in range(0, 16 * 60, 5):
        taken += [(second, seat) for seat in scheduled(opened)]
        opened.world.later(seconds=5)
    assert [seat for _at, seat in taken] == [1, 2, 3] * 3
    for first, second in zip(taken, taken[3:], strict=False):
        assert 300 <= second[0] - first[0] <= 305
    assert [at for at, _seat in taken[:3]] == [100, 200, 300]


def test_the_longest_due_comes_first(opened: Lab) -> None:
    opened.world.later(minutes=4)
    take_now(opened.centre(), opened.wave_id, 1, PointKind.SCHEDULED)
    opened.world.later(minutes=30)
    assert [seat for _wave, seat in due_points(opened.centre())] == [2, 3, 1]


def test_what_a_person_asked_for_counts_as_the_seats_point(opened: Lab) -> None:
    opened.world.later(minutes=4)
    take_points(opened.centre(), [2])
    opened.world.later(minutes=2)
    assert [seat for _wave, seat in due_points(opened.centre())] == [1, 3]


def test_none_without_an_interval(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(restore_points={"interval_minutes": 0}).at("open")
    lab.world.later(minutes=30)
    assert due_points(lab.centre()) == []


def test_none_where_nobody_works(lab: Lab) -> None:
    for state in ("planned", "prepared"):
        lab.at(state).world.later(minutes=30)
        assert due_points(lab.centre()) == []
    lab.give_time(3, 6)
    lab.at("open").world.later(minutes=2)
    assert close_over(lab.centre(), lab.wave_id) == [3]
    assert [seat for _wave, seat in due_points(lab.centre())] == [1, 2]
    assert take_now(lab.centre(), lab.wave_id, 3, PointKind.SCHEDULED) is None
    close(lab.centre(), lab.wave_id, early="noise")
    assert due_points(lab.centre()) == [] and take_now(lab.centre(), lab.wave_id, 1, PointKind.SCHEDULED) is None
    assert lab.centre().store.points() == []


def test_asked_for_by_a_person(lab: Lab) -> None:
    lab.at("open")
    points = take_points(lab.centre())
    assert [(item.seat, item.candidate, item.number, item.kind) for item in points] == [
        (seat, f"C00{seat}", 1, PointKind.ASKED) for seat in (1, 2, 3)
    ]
    assert {lab.world.layers[item.tag] for item in points} == {("first page",)}
    assert all(item.taken_at == lab.world.now and item.environment == lab.active(item.seat).name for item in points)
    assert [item.number for item in take_points(lab.centre(), [2])] == [2]
    lines = [line for line in lab.centre().store.journal() if line.action == "seat.restore_point"]
    assert [(line.seat, line.data["kind"]) for line in lines] == [
        (1, "asked"),
        (2, "asked"),
        (3, "asked"),
        (2, "asked"),
    ]
    # The candidate goes on as if nothing had been.
    assert all(item.running and not item.paused for item in lab.world.containers.values())
    lab.world.candidates_work("second page")
    assert lab.world.layers[points[0].tag] == ("first page",)


@pytest.mark.parametrize("seats", [[77], [1, 77], [3]])
def test_where_nobody_works_nothing_is_taken_of_anybody(lab: Lab, seats: list[int]) -> None:
    lab.at("prepared").give_time(3, 1)
    lab.at("open")
    close_over(lab.centre(), lab.wave_id)
    with pytest.raises(NotFound) as raised:
        take_points(lab.centre(), seats)
    assert raised.value.hint and lab.centre().store.points() == []


@pytest.mark.parametrize("state", ["planned", "prepared", "closed"])
def test_refused_while_no_wave_is_open(lab: Lab, state: str) -> None:
    lab.at(state)
    with pytest.raises(Refused):
        take_points(lab.centre())


def test_not_while_a_command_works_on_the_room(lab: Lab) -> None:
    lab.at("open").world.held["salle-1"] = "seat reset 2"
    with pytest.raises(Busy):
        take_points(lab.centre())
    assert lab.centre().store.points() == []


def test_the_disks_reserve_belongs_to_the_wave(lab: Lab) -> None:
    lab.at("open").world.disk_free = lab.settings.restore_points.reserve_mb * 10**6 - 1
    for attempt in (
        lambda: take_points(lab.centre(), [1]),
        lambda: take_now(lab.centre(), lab.wave_id, 1, PointKind.SCHEDULED),
    ):
        with pytest.raises(NoSpace) as raised:
            attempt()
        assert raised.value.hint
    assert lab.centre().store.points() == [] and lab.world.layers == {}
    lab.world.disk_free += 1
    assert len(take_points(lab.centre())) == 3


# What is kept


def test_of_the_scheduled_ones_the_newest_stay_and_all_that_a_person_asked_for(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(restore_points={"keep": 2}).at("open")
    take_points(lab.centre(), [1])
    for turn in range(5):
        lab.world.candidates_work(f"page {turn}")
        lab.world.later(minutes=5)
        scheduled(lab)
    restore(lab.centre(), 1, "last")
    pruned = prune_points(lab.centre())
    assert Counter(item.seat for item in pruned) == {1: 3, 2: 3, 3: 3}
    assert [(item.number, item.kind.value) for item in there(lab, 1)] == [
        (1, "asked"),
        (5, "scheduled"),
        (6, "scheduled"),
        (7, "undo"),
    ]
    assert set(lab.world.layers) == {item.tag for seat in (1, 2, 3) for item in there(lab, seat)}
    # The rows stay as a record, and numbers are not given again.
    assert len(lab.centre().store.points()) == 17
    assert [item.number for item in take_points(lab.centre(), [2])] == [6]
    assert prune_points(lab.centre()) == []
    lab.world.later(minutes=40)
    lab.at("reset").check()


def test_when_the_wave_is_over_only_what_was_put_aside_is_kept(lab: Lab) -> None:
    lab.at("open")
    take_points(lab.centre())
    restore(lab.centre(), 2, "last")
    lab.world.later(minutes=40)
    lab.at("sealed")
    assert prune_points(lab.centre()) == [] and len(lab.world.layers) >= 4
    lab.at("reset")
    assert len(prune_points(lab.centre())) == 3
    # What the restore put aside is a candidate's work that is in no archive: it is kept as long as these are.
    kept = [tag for tag in lab.world.layers if tag.startswith("e5b-point/")]
    assert [point.tag for point in lab.centre().store.points() if point.kind is PointKind.UNDO] == kept
    lab.check()


def test_what_a_restore_put_aside_stays_while_its_environment_is_there(lab: Lab) -> None:
    """As long as the point is the reason why the environment may be removed."""
    lab.at("open").world.supervised = True
    take_points(lab.centre(), [2])
    old = lab.active(2).name
    restored = restore(lab.centre(), 2, "last")
    assert old in lab.world.containers and restored.kept is not None
    lab.world.supervised = False
    lab.world.later(minutes=40)
    lab.at("sealed")

    lab.world.supervised = True  # nothing is removed by the command itself
    reset(lab.centre(), lab.wave_id)
    assert [item.kind for item in prune_points(lab.centre())] == [PointKind.ASKED]
    assert restored.kept.tag in lab.world.layers


def test_nothing_is_pruned_under_a_command_that_works_on_the_room(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(restore_points={"keep": 1}).at("open")
    for _turn in range(2):
        lab.world.later(minutes=6)
        scheduled(lab)
    lab.world.held["salle-1"] = "seat restore 2"
    assert prune_points(lab.centre()) == []
    lab.world.held.clear()
    assert len(prune_points(lab.centre())) == 3


def test_points_follow_the_candidate(lab: Lab) -> None:
    """Each candidate's points are counted for them, whatever their seat."""
    lab.at("open")
    first = take_points(lab.centre())
    lab.world.later(minutes=1)
    second = take_points(lab.centre(), [1])
    assert second[0].number == 2 and second[0].taken_at - first[0].taken_at == timedelta(minutes=1)
    assert len({item.tag for item in [*first, *second]}) == 4
