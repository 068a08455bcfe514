"""The supervisor: it sees what stands still, gives lost time back, repairs, and works in the background."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.domain.exam import AlarmKind, EnvironmentRole, PointKind
from orchestrator.domain.time import CreditKind
from orchestrator.errors import E5BError, EngineUnavailable, EnvironmentFailed
from orchestrator.ports import Noted
from orchestrator.services import supervise
from orchestrator.services.clock import tick
from orchestrator.services.close import close
from orchestrator.services.open_wave import open_wave
from orchestrator.services.points import take_points
from orchestrator.services.reset import reset, reset_seat
from orchestrator.services.restore import move, restore
from orchestrator.services.supervise import Supervisor
from orchestrator.services.watch import stop_overflow
from tests.services import fakes
from tests.services.conftest import Lab, unforeseen


class Watch:
    """A supervisor's life over a lab: each look and each piece of work when a test says so."""

    def __init__(self, lab: Lab, pool: ThreadPoolExecutor) -> None:
        self.lab, self.pool, self.told = lab, pool, list[str]()
        self.start()

    def start(self) -> None:
        """It is killed and started again."""
        self.lab.world.supervised = True
        self.supervisor = Supervisor(self.lab.centre(), lambda about, what: self.told.append(f"{about}: {what}"))
        self.supervisor.resume()

    def look(self, times: int = 1, seconds: float = 2) -> list[E5BError]:
        """Look *times* times, *seconds* apart; what could not be done."""
        faults: list[E5BError] = []
        for _time in range(times):
            self.lab.world.later(seconds=seconds)
            faults += self.supervisor.look(self.pool)
            self.supervisor.centre.clock.note()
        return faults

    def work(self, times: int = 1) -> list[E5BError]:
        return [fault for _time in range(times) for fault in self.supervisor.work()]

    def lost(self, seat: int) -> timedelta | None:
        """What was given back; None while nobody knows."""
        place = self.lab.place(seat)
        return None if place.ends_at is None else place.ends_at - place.opened_at - place.allotted  # type: ignore[operator]

    def alarms(self) -> list[tuple[str, int | None]]:
        return sorted((alarm.kind.value, alarm.seat) for alarm in self.lab.centre().store.alarms())

    def container(self, seat: int) -> fakes.Container:
        return self.lab.world.containers[self.lab.active(seat).name]

    def dies(self, seat: int) -> fakes.Container:
        container = self.container(seat)
        container.running, container.ended_at = False, self.lab.world.now
        return container


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def watch(lab: Lab, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """An open wave of three that has been well for a while."""
    monkeypatch.setenv("E5B_LANG", "en")
    watch = Watch(lab.at("open"), pool)
    assert watch.look(3) == [] and watch.alarms() == [] and watch.told == []
    return watch


def all_well(watch: Watch) -> None:
    """Everything is as if nothing had happened, but for the time; the wave comes to its end with all that was saved."""
    lab = watch.lab
    assert watch.look(2) == [] and watch.alarms() == []
    assert not any(place.suspended for place in lab.wave.places)
    lab.world.candidates_work("last page")
    assert all(watch.container(seat).work[-1] == "last page" for seat in (1, 2, 3))
    assert watch.work(6) == []
    lab.world.later(minutes=60)
    tick(lab.centre(), lambda _about, _what: None)
    assert lab.state == "sealed"
    assert reset(lab.centre(), lab.wave_id).faults == []
    watch.look()
    watch.work(12)
    assert not [item for item in lab.centre().store.environments() if item.role is EnvironmentRole.RETIRED]
    assert not [tag for tag in lab.world.layers if tag.startswith("e5b-point/")]
    lab.check()


# A site that does not answer


def test_one_that_stands_still_is_started_and_its_time_is_given_back(watch: Watch) -> None:
    container = watch.dies(2)
    assert watch.look() == [] and container.running
    assert watch.lost(2) is None and watch.lost(1) == timedelta()
    assert watch.alarms() == [("dead", 2)] and "seat 02: ALARM" in watch.told[0]
    watch.look()
    assert watch.lost(2) == timedelta(seconds=4) and watch.alarms() == []
    assert "answers again" in watch.told[-1] and container.work == ("first page",)
    all_well(watch)


def test_one_that_is_paused_is_let_go_on(watch: Watch) -> None:
    watch.lab.centre().engine.pause(watch.container(2).name)
    watch.look(2)
    assert watch.container(2).running and watch.lost(2) == timedelta(seconds=4)
    all_well(watch)


def test_once_without_an_answer_is_no_alarm_and_what_it_lasted_is_given_back(watch: Watch) -> None:
    """A container that died and came back between two looks is a short outage all the same."""
    watch.container(2).silent = True
    assert watch.look() == []
    watch.container(2).silent = False
    watch.look(2)
    assert (watch.lost(2), watch.alarms(), watch.told) == (timedelta(seconds=4), [], [])


def test_one_that_is_slow_has_its_time_given_back_from_its_last_answer(watch: Watch) -> None:
    watch.container(2).silent = True
    watch.look(2)
    assert watch.lost(2) is None and watch.alarms() == [("slow", 2)]
    watch.look(3)
    assert len(watch.lab.place(2).credits) == 1
    watch.container(2).silent = False
    watch.look()
    assert watch.lost(2) == timedelta(seconds=12) and len(watch.told) == 2
    assert [line.action for line in watch.lab.centre().store.journal() if line.seat == 2] == [
        "seat.credit",
        "alarm.raised",
        "seat.credited",
        "alarm.cleared",
    ]
    all_well(watch)


def test_one_that_hangs_is_started_again_after_a_while_and_then_left_to_come_round(watch: Watch) -> None:
    container = watch.container(2)
    restarts: list[str] = []

    def restart(engine: fakes.MemoryEngine, name: str) -> None:
        restarts.append(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fakes.MemoryEngine, "restart", restart)
        container.silent = True
        watch.look(14)
        assert restarts == []
        watch.look(30)
        assert restarts == [container.name]
    watch.supervisor.restarted.clear()
    watch.look(2)
    assert not container.silent and watch.lost(2) == timedelta(seconds=2 * 46)
    all_well(watch)


def test_one_that_is_gone_is_restored_to_its_last_point(watch: Watch) -> None:
    lab = watch.lab
    take_points(lab.centre(), [2])
    lab.world.later(minutes=2)
    lab.world.candidates_work("lost page")
    watch.look()
    old = lab.active(2).name
    del lab.world.containers[old]
    watch.look()
    assert lab.active(2).name != old and watch.container(2).work == ("first page",)
    watch.look()
    # The two minutes since the point, what came before the look, and the outage.
    assert watch.lost(2) == timedelta(minutes=2, seconds=6)
    assert "restored to point 1" in " ".join(watch.told) and watch.alarms() == []
    all_well(watch)


def test_one_that_is_gone_before_its_first_point_gets_a_new_site(watch: Watch) -> None:
    del watch.lab.world.containers[watch.lab.active(2).name]
    assert watch.look(2) == [] and watch.container(2).work == ()
    assert watch.lost(2) == timedelta(minutes=5, seconds=10)
    assert "a new site" in " ".join(watch.told)
    all_well(watch)


def test_one_seat_that_cannot_be_repaired_keeps_no_other_waiting(watch: Watch) -> None:
    lab = watch.lab
    lab.world.unready.add(1)
    del lab.world.containers[lab.active(1).name]
    container = watch.dies(2)
    faults = watch.look(3)
    assert len(faults) == 1 and container.running and watch.lost(2) == timedelta(seconds=4)
    # It is not tried at each look: each try takes long.
    assert watch.lost(1) is None and len(lab.place(1).credits) == 2
    lab.world.unready.clear()
    watch.supervisor.put_off.clear()
    watch.look(2)
    all_well(watch)


def test_a_site_that_was_never_asked_is_not_counted_from_its_opening(watch: Watch) -> None:
    """A new supervisor, or an environment that a restore has just made."""
    lab = watch.lab
    lab.world.later(minutes=10)
    watch.look()
    watch.start()
    watch.container(2).silent = True
    watch.look(2)
    watch.container(2).silent = False
    watch.look()
    assert watch.lost(2) == timedelta(seconds=6)
    take_points(lab.centre(), [3])
    restore(lab.centre(), 3, "last")
    watch.container(3).silent = True
    watch.look(2)
    watch.container(3).silent = False
    watch.look()
    assert watch.lost(3) == timedelta(seconds=6)


def test_while_a_command_works_on_the_room_nothing_is_repaired_and_no_time_is_lost(watch: Watch) -> None:
    lab = watch.lab
    container = watch.container(2)
    container.silent = True
    lab.world.held["salle-1"] = "seat reset 3"
    assert watch.look(3) == [] and lab.place(2).credits == ()
    container.silent = False
    watch.look()
    lab.world.held.clear()
    watch.look()
    assert watch.lost(2) == timedelta(seconds=8)
    all_well(watch)


def test_while_the_engine_does_not_answer_time_is_given_back_all_the_same(watch: Watch) -> None:
    lab = watch.lab
    for seat in (1, 2, 3):
        watch.dies(seat)
        lab.world.faults["life", lab.active(seat).name] = EngineUnavailable("No Docker engine answers.")
    lab.world.gateway, gateway = None, lab.world.gateway
    lab.world.faults["ensure", "gateway"] = EngineUnavailable("No Docker engine answers.")
    faults = watch.look(4)
    assert faults and all(isinstance(fault, EngineUnavailable) for fault in faults)
    assert [watch.lost(seat) for seat in (1, 2, 3)] == [None] * 3
    # Nobody is shut meanwhile.
    lab.world.later(minutes=60)
    tick(lab.centre(), lambda _about, _what: None)
    assert all(place.working for place in lab.wave.places)
    lab.world.faults.clear()
    lab.world.gateway = gateway
    watch.look(2)
    assert [watch.lost(seat) for seat in (1, 2, 3)] == [timedelta(minutes=60, seconds=12)] * 3
    all_well(watch)


def test_an_alarm_does_not_outlive_the_seats_work(watch: Watch) -> None:
    watch.container(2).silent = True
    watch.look(2)
    assert watch.alarms() == [("slow", 2)]
    close(watch.lab.centre(), watch.lab.wave_id, early="noise")
    watch.look()
    assert watch.alarms() == []


def test_an_alarm_does_not_follow_a_candidate_who_moved(new_lab: Callable[..., Lab], pool: ThreadPoolExecutor) -> None:
    lab = new_lab()
    lab.plan(candidates=[(1, "C001"), (2, "C002")])
    watch = Watch(lab.at("open"), pool)
    watch.look()
    watch.container(2).silent = True
    watch.look(2)
    move(lab.centre(), 2, 3)
    watch.look(2)
    assert watch.alarms() == [] and watch.lost(3) == timedelta(seconds=6)


# What a command that was killed left


def test_a_credit_that_a_killed_command_left_ends_with_the_sites_next_answer(watch: Watch) -> None:
    with pytest.raises(fakes.Killed):
        reset_seat(watch.lab.centre(fakes.KilledAt("engine.create")), 2)
    assert watch.lost(2) is None
    watch.look()
    assert watch.lost(2) == timedelta(seconds=2)
    assert watch.work() == []
    assert not [item for item in watch.lab.centre().store.environments() if item.role is EnvironmentRole.NEXT]
    all_well(watch)


def test_a_site_that_a_killed_restore_left_frozen_goes_on(watch: Watch) -> None:
    take_points(watch.lab.centre(), [2])
    old = watch.container(2)
    with pytest.raises(fakes.Killed):
        restore(watch.lab.centre(fakes.KilledAt(f"engine.snapshot {old.name}: frozen")), 2, "last")
    assert old.paused and watch.lost(2) is None
    watch.look(2)
    assert old.running and watch.lost(2) == timedelta(seconds=4)
    all_well(watch)


# The gateway


def test_a_gateway_that_stops_is_started_and_the_time_is_given_back_to_all(watch: Watch) -> None:
    lab = watch.lab
    lab.world.gateway = None
    watch.look()
    assert [watch.lost(seat) for seat in (1, 2, 3)] == [None] * 3 and watch.alarms() == [("gateway", None)]
    assert lab.world.gateway is None
    watch.look()
    assert lab.world.served() == {1: "open", 2: "open", 3: "open"}
    watch.look()
    assert [watch.lost(seat) for seat in (1, 2, 3)] == [timedelta(seconds=6)] * 3 and watch.alarms() == []
    assert len([line for line in lab.centre().store.journal() if line.action == "seat.credit"]) == 3
    all_well(watch)


def test_a_gateway_that_the_clock_was_starting_again_meanwhile(watch: Watch) -> None:
    """The room was held by whoever put it back: the time is given back afterwards."""
    lab = watch.lab
    lab.world.faults["serving", "gateway"] = EnvironmentFailed("no answer")
    lab.world.held["salle-1"] = "seat close"
    watch.look()
    lab.world.held.clear()
    lab.world.faults.clear()
    watch.look(2)
    assert [watch.lost(seat) for seat in (1, 2, 3)] == [timedelta(seconds=4)] * 3
    all_well(watch)


def test_a_gateway_that_cannot_be_started_keeps_no_site_from_being_looked_after(watch: Watch) -> None:
    lab = watch.lab
    lab.world.gateway = None
    lab.world.faults["ensure", "gateway"] = EnvironmentFailed("The port is taken.")
    container = watch.dies(2)
    faults = watch.look(3)
    assert {fault.message for fault in faults} == {"The port is taken."} and container.running


def test_outside_a_wave_nobody_waits_for_the_gateway(lab: Lab, pool: ThreadPoolExecutor) -> None:
    watch = Watch(lab.at("prepared"), pool)
    lab.world.gateway = None
    assert watch.look(3) == [] and watch.alarms() == []


# The machine


def test_what_is_short_is_said_once_until_it_is_over(watch: Watch) -> None:
    world = watch.lab.world
    for name, value, kind in (
        ("disk_free", 10**9, "disk"),
        ("memory", 10**8, "memory"),
        ("drift", timedelta(hours=1), "clock"),
    ):
        before = getattr(world, name)
        setattr(world, name, value)
        watch.told.clear()
        for _time in range(3):
            watch.supervisor.look_at_machine()
        assert watch.alarms() == [(kind, None)] and len(watch.told) == 1 and "ALARM" in watch.told[0]
        setattr(world, name, before)
        watch.supervisor.look_at_machine()
        watch.supervisor.look_at_machine()
        assert watch.alarms() == [] and len(watch.told) == 2


def test_a_clock_that_is_set_matters_only_while_candidates_work(lab: Lab, pool: ThreadPoolExecutor) -> None:
    watch = Watch(lab.at("prepared"), pool)
    lab.world.drift = timedelta(hours=-1)
    watch.supervisor.look_at_machine()
    assert watch.alarms() == []


def test_under_pressure_the_standbys_go_first(watch: Watch) -> None:
    watch.work(6)
    standbys = [item for item in watch.lab.centre().store.environments() if item.role is EnvironmentRole.STANDBY]
    assert len(standbys) == 3
    watch.lab.world.memory = 10**8
    for _time in range(4):
        watch.supervisor.look_at_machine()
    watch.work(5)
    assert not {item.name for item in standbys} & set(watch.lab.world.containers)
    assert len(watch.lab.world.containers) == 3


def test_what_writes_too_much_stays_frozen_with_its_time_until_a_teacher_acts(watch: Watch) -> None:
    lab = watch.lab
    runaway = watch.container(2)
    runaway.size = lab.settings.limits.disk_mb * 2**20 + 1
    watch.supervisor.look_at_machine()
    watch.look(3)
    assert runaway.paused and watch.lost(2) is None and ("overflow", 2) in watch.alarms()
    assert reset_seat(lab.centre(), 2)[0].fault is None
    watch.look(2)
    assert watch.alarms() == [] and watch.lost(2) is not None
    assert stop_overflow(lab.centre()) == []
    all_well(watch)


# It is started again


def test_after_a_reboot_the_time_since_the_last_note_is_given_back(watch: Watch) -> None:
    lab = watch.lab
    for seat in (1, 2, 3):
        watch.dies(seat)
    lab.world.noted = replace(lab.world.noted, rebooted=True)  # type: ignore[type-var]
    lab.world.later(minutes=3)
    watch.start()
    assert [watch.lost(seat) for seat in (1, 2, 3)] == [None] * 3
    assert {credit.kind for place in lab.wave.places for credit in place.credits} == {CreditKind.MACHINE}
    assert lab.world.noted == Noted(lab.world.now, rebooted=False)
    watch.look(2)
    assert [watch.lost(seat) for seat in (1, 2, 3)] == [timedelta(minutes=3, seconds=4)] * 3
    all_well(watch)


def test_nobody_is_shut_after_a_reboot_before_the_time_is_given_back(watch: Watch) -> None:
    lab = watch.lab
    lab.world.noted = replace(lab.world.noted, rebooted=True)  # type: ignore[type-var]
    lab.world.later(minutes=60)
    watch.start()
    assert tick(lab.centre(), lambda _about, _what: None) == [] and all(place.working for place in lab.wave.places)


def test_killed_while_it_takes_up_it_takes_up_the_next_time(watch: Watch) -> None:
    lab = watch.lab
    lab.world.noted = replace(lab.world.noted, rebooted=True)  # type: ignore[type-var]
    lab.world.later(minutes=3)
    fuse = fakes.KilledAt("store.save")
    with pytest.raises(fakes.Killed):
        Supervisor(lab.centre(fuse), lambda _about, _what: None).resume()
    assert lab.place(1).credits == ()
    watch.start()
    watch.look()
    assert [watch.lost(seat) for seat in (1, 2, 3)] == [timedelta(minutes=3, seconds=2)] * 3


def test_where_a_command_works_on_the_room_at_that_moment_it_is_given_back_afterwards(watch: Watch) -> None:
    lab = watch.lab
    lab.world.noted = replace(lab.world.noted, rebooted=True)  # type: ignore[type-var]
    lab.world.later(minutes=3)
    lab.world.held["salle-1"] = "wave status"
    watch.start()
    assert lab.place(1).credits == ()
    lab.world.held.clear()
    watch.look(2)
    assert [watch.lost(seat) for seat in (1, 2, 3)] == [timedelta(minutes=3, seconds=2)] * 3


def test_what_the_engine_started_again_while_nobody_looked(watch: Watch) -> None:
    lab = watch.lab
    lab.world.later(seconds=10)
    container = watch.dies(2)
    lab.world.later(seconds=30)
    lab.centre().engine.start(container.name)
    watch.start()
    watch.look()
    assert watch.lost(2) == timedelta(seconds=32) and watch.lost(1) == timedelta()
    all_well(watch)


def test_a_supervisor_that_was_away_costs_and_gives_nothing(watch: Watch) -> None:
    watch.lab.world.later(minutes=10)
    watch.start()
    watch.look(3)
    assert [watch.lost(seat) for seat in (1, 2, 3)] == [timedelta()] * 3 and watch.alarms() == []


def test_an_engine_that_is_away_when_it_starts(watch: Watch) -> None:
    lab = watch.lab
    for seat in (1, 2, 3):
        watch.dies(seat)
        lab.world.faults["life", lab.active(seat).name] = EngineUnavailable("No Docker engine answers.")
    lab.world.later(minutes=1)
    watch.start()
    watch.look(3)
    lab.world.faults.clear()
    watch.look(2)
    assert [watch.lost(seat) for seat in (1, 2, 3)] == [timedelta(minutes=1, seconds=10)] * 3
    all_well(watch)


# In the background


def test_what_waits_is_done_one_after_the_other(watch: Watch) -> None:
    """Removals first, then points, then standbys."""
    lab = watch.lab
    old = lab.active(2)
    reset_seat(lab.centre(), 2)
    assert old.name in lab.world.containers
    watch.work()
    assert old.name not in lab.world.containers and lab.centre().store.points() == []
    watch.work(3)
    assert [item.kind for item in lab.centre().store.points()] == [PointKind.SCHEDULED] * 3
    assert len(lab.world.containers) == 3
    watch.work(4)
    assert len(lab.world.containers) == 6
    assert watch.work() == []
    all_well(watch)


def test_what_is_put_aside_is_sealed_before_it_is_removed(watch: Watch) -> None:
    lab = watch.lab
    old = lab.active(2)
    lab.world.faults["export", old.name] = EnvironmentFailed("the dump failed")
    with pytest.raises(E5BError):
        reset_seat(lab.centre(), 2)
    faults = watch.work(8)
    # It is not tried again at once, and keeps nobody's point and no standby waiting.
    assert [fault.message for fault in faults] == ["the dump failed"] and old.name in lab.world.containers
    assert len(lab.centre().store.points()) == 3 and len(lab.world.containers) == 7
    lab.world.faults.clear()
    watch.supervisor.put_off.clear()
    watch.work()
    assert old.name not in lab.world.containers
    (evidence,) = lab.centre().store.evidence()
    assert lab.world.archives[evidence.archive].content == b"first page\n"
    all_well(watch)


def test_what_cannot_be_removed_keeps_nobody_waiting(watch: Watch) -> None:
    lab = watch.lab
    old = lab.active(2).name
    reset_seat(lab.centre(), 2)
    lab.world.faults["remove", old] = EnvironmentFailed("device or resource busy")
    watch.work(8)
    assert old in lab.world.containers and len(lab.centre().store.points()) == 3
    lab.world.faults.clear()
    watch.supervisor.put_off.clear()
    all_well(watch)


def test_what_a_killed_command_had_begun_to_make_is_taken_away(watch: Watch) -> None:
    lab = watch.lab
    for seat, begun in ((2, "engine.create e5b-essai-poste-02-g2"), (3, "engine.ready")):
        with pytest.raises(fakes.Killed):
            restore(lab.centre(fakes.KilledAt(begun)), seat, "reference")
    assert sum(item.role is EnvironmentRole.NEXT for item in lab.centre().store.environments()) == 2
    watch.work(2)
    assert not [item for item in lab.centre().store.environments() if item.role is EnvironmentRole.NEXT]
    assert len(lab.world.containers) == 3
    all_well(watch)


def test_what_a_command_is_making_now_is_left_to_it(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = fakes.MemoryEngine.ready

    def meanwhile(engine: fakes.MemoryEngine, name: str, timeout: float) -> None:
        assert watch.supervisor._take_away() is False and name in watch.lab.world.containers
        ready(engine, name, timeout)

    monkeypatch.setattr(fakes.MemoryEngine, "ready", meanwhile)
    assert restore(watch.lab.centre(), 2, "reference").point is None


def test_a_full_disk_stops_new_points_with_an_alarm_and_never_the_wave(watch: Watch) -> None:
    lab = watch.lab
    lab.world.disk_free = lab.settings.restore_points.reserve_mb * 10**6 - 1
    assert watch.work(3) == [] and watch.alarms() == [("points", None)]
    assert lab.centre().store.points() == [] and len([line for line in watch.told if "ALARM" in line]) == 1
    assert watch.look() == [] and lab.world.served() == {1: "open", 2: "open", 3: "open"}
    lab.world.disk_free = 500 * 10**9
    watch.supervisor.put_off.clear()
    watch.work()
    assert watch.alarms() == [] and len(lab.centre().store.points()) == 1


def test_the_alarm_about_points_ends_with_the_wave(watch: Watch) -> None:
    lab = watch.lab
    lab.world.disk_free = 3 * 10**9
    watch.work()
    close(lab.centre(), lab.wave_id, early="noise")
    watch.look()
    assert watch.alarms() == []


def test_a_site_of_which_no_point_can_be_taken_keeps_no_other_waiting(watch: Watch) -> None:
    lab = watch.lab
    lab.world.faults["snapshot", lab.active(1).name] = EnvironmentFailed("layer is locked")
    faults = watch.work(4)
    assert [fault.message for fault in faults] == ["layer is locked"]
    assert [item.seat for item in lab.centre().store.points()] == [2, 3]


def test_a_room_where_a_command_works_keeps_no_other_waiting(
    new_lab: Callable[..., Lab], pool: ThreadPoolExecutor
) -> None:
    lab = new_lab(rooms={"salle-1": [1, 2], "salle-2": [11]})
    lab.at("open")
    lab.plan(room="salle-2", candidates=[(11, "D11")])
    lab.at("open")
    watch = Watch(lab, pool)
    lab.world.held["salle-1"] = "wave close"
    lab.world.later(minutes=5)
    watch.work(2)
    assert [item.seat for item in lab.centre().store.points()] == [11]


def test_points_are_pruned(new_lab: Callable[..., Lab], pool: ThreadPoolExecutor) -> None:
    lab = new_lab(restore_points={"keep": 1}, standbys={"most": 0}).at("open")
    watch = Watch(lab, pool)
    for _turn in range(3):
        lab.world.later(minutes=6)
        watch.work(4)
    assert len(lab.world.layers) == 3 and len(lab.centre().store.points()) == 9


def test_a_standby_that_cannot_be_made_is_not_tried_at_each_turn(watch: Watch) -> None:
    lab = watch.lab
    watch.work(3)
    lab.world.faults["create", "e5b-essai-poste-01-g2"] = EngineUnavailable("No Docker engine answers.")
    assert [fault.message for fault in watch.work(5)] == ["No Docker engine answers."]


def test_each_fault_of_the_loop_is_said_and_it_goes_on(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that cannot be read for a moment does not end the supervision."""
    lab.at("open")
    reported: list[E5BError] = []
    turns = iter([False] * 6)

    def broken(_centre: object, _tell: object) -> list[E5BError]:
        raise E5BError("The state cannot be used: disk I/O error.")

    monkeypatch.setattr(supervise, "shut_due", broken)
    monkeypatch.setattr(supervise, "seal_closed", broken)
    supervise.run(
        lab.centre(), lambda _about, _what: None, reported.append, lambda _seconds: next(turns, True), unforeseen
    )
    assert {fault.message for fault in reported} == {"The state cannot be used: disk I/O error."}


def test_a_fault_of_the_programs_own_in_one_job_does_not_end_the_supervision(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once in a while; the clock shuts the seats in their time all the same."""
    lab.at("open")
    reported: list[E5BError] = []
    foreseen: list[Exception] = []
    turns = iter([False] * 40)

    def said(error: Exception) -> E5BError:
        foreseen.append(error)
        return E5BError("The program has met a fault of its own.")

    def broken(_centre: object, _tell: object) -> list[E5BError]:
        raise ValueError("Expecting value")

    def stopped(_seconds: float) -> bool:
        lab.world.later(minutes=2)
        time.sleep(0.01)
        return next(turns, True)

    monkeypatch.setattr(supervise, "seal_closed", broken)
    supervise.run(lab.centre(), lambda _about, _what: None, reported.append, stopped, said)
    assert [type(error) for error in foreseen] == [ValueError]
    assert [fault.message for fault in reported] == ["The program has met a fault of its own."]
    assert lab.state == "closed"


def test_a_seat_that_is_opened_late_is_counted_from_its_opening(lab: Lab, pool: ThreadPoolExecutor) -> None:
    watch = Watch(lab.at("prepared"), pool)
    watch.look()
    lab.world.later(minutes=10)
    open_wave(lab.centre(), lab.wave_id)
    watch.container(2).silent = True
    watch.look(2)
    watch.container(2).silent = False
    watch.look()
    assert watch.lost(2) == timedelta(seconds=6)
    assert [alarm for alarm in lab.centre().store.alarms() if alarm.kind is not AlarmKind.SLOW] == []
