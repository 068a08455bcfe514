"""Standbys: proved environments behind the seats, made when nobody needs the machine for anything else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.exam import Environment, EnvironmentRole, Site
from orchestrator.services.absent import mark_absent
from orchestrator.services.environments import is_as_proved
from orchestrator.services.open_wave import open_wave
from orchestrator.services.prepare import DISK_PER_SEAT, DISK_RESERVE, prepare
from orchestrator.services.reset import reset, reset_seat
from orchestrator.services.seal import seal
from orchestrator.services.standbys import (
    MEMORY_PER_STANDBY,
    give_up_standbys,
    make_standby,
    standbys_status,
    wanted,
)
from tests.services import fakes
from tests.services.conftest import Lab


def standbys(lab: Lab) -> dict[int, Environment]:
    return {item.seat: item for item in lab.centre().store.environments() if item.role is EnvironmentRole.STANDBY}


def make_all(lab: Lab) -> list[int]:
    """What the supervisor makes while nothing holds it back; the seats in their order."""
    seats = []
    while (made := make_standby(lab.centre())) is not None:
        seats.append(made.seat)
    return seats


def making(calls: list[str]) -> list[str]:
    """What a switch is not made of."""
    return [call for call in calls if call.startswith(("engine.create", "engine.fingerprint", "engine.reference"))]


@pytest.fixture
def behind(lab: Lab) -> Lab:
    """An open wave with a standby behind each seat, and a supervisor."""
    lab.at("open").world.supervised = True
    assert make_all(lab) == [1, 2, 3]
    lab.world.later(seconds=1)
    return lab


def test_one_behind_each_seat_proved_and_gentle(behind: Lab) -> None:
    for seat, item in standbys(behind).items():
        container = behind.world.containers[item.name]
        assert container.running and container.gentle and container.work == ()
        assert (item.image, item.layer, item.touched, item.wave) == (fakes.IMAGE_ID, None, False, None)
        assert item.proved_at is not None and item.address != behind.active(seat).address
    # Nobody can reach one before the gateway is switched to it.
    assert {container.name for container in behind.world.reachable()} == {
        behind.active(seat).name for seat in (1, 2, 3)
    }
    assert [(line.seat, line.ready) for line in standbys_status(behind.centre())] == [(1, True), (2, True), (3, True)]
    assert make_standby(behind.centre()) is None
    behind.check()


def test_none_behind_an_absent_candidate(lab: Lab) -> None:
    lab.at("prepared")
    mark_absent(lab.centre(), lab.wave_id, 2)
    assert make_all(lab) == [1, 3]


def test_before_a_wave_is_prepared_nothing_that_is_of_use_is_doubled(lab: Lab) -> None:
    """The next wave's site where it is not there yet; behind a seat that is ready already, nothing."""
    lab.plan()
    assert {wave.id for wave in wanted(lab.centre()).values()} == {lab.wave_id} and make_all(lab) == [1, 2, 3]
    lab.at("reset")
    lab.plan(number=2, half_day="2027-05-11-pm")
    assert wanted(lab.centre()) == {}
    lab.plan(number=2, half_day="2027-05-11-pm", site=Site.PRESTASHOP)
    assert set(wanted(lab.centre())) == {1, 2, 3}


def test_the_wave_that_holds_the_seat_comes_before_the_next_one(behind: Lab) -> None:
    behind.plan(number=2, half_day="2027-05-11-pm", site=Site.PRESTASHOP)
    assert {wave.site for wave in wanted(behind.centre()).values()} == {Site.WORDPRESS}


def test_where_candidates_work_first(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(rooms={"salle-1": [1, 2], "salle-2": [11, 12]})
    lab.plan(room="salle-1", candidates=[(1, "C001"), (2, "C002")])
    lab.at("prepared")
    lab.plan(room="salle-2", candidates=[(11, "D11"), (12, "D12")])
    lab.at("open")
    assert make_all(lab) == [11, 12, 1, 2]


# What the machine allows


def limits(**standbys: Any) -> dict[str, Any]:
    return {"standbys": {"most": 20, "memory_reserve_mb": 1024, "busy_percent": 75, **standbys}}


@pytest.mark.parametrize(
    ("lacking", "enough"),
    [
        ({"memory": 1024 * 2**20 + MEMORY_PER_STANDBY - 1}, {"memory": 1024 * 2**20 + MEMORY_PER_STANDBY}),
        ({"load": 75.1}, {"load": 75.0}),
        ({"disk_free": DISK_PER_SEAT + DISK_RESERVE - 1}, {"disk_free": DISK_PER_SEAT + DISK_RESERVE}),
    ],
)
def test_none_while_the_machine_is_needed(
    new_lab: Callable[..., Lab], lacking: dict[str, Any], enough: dict[str, Any]
) -> None:
    lab = new_lab(**limits()).at("open")
    for name, value in lacking.items():
        setattr(lab.world, name, value)
    fuse = fakes.Fuse()
    assert make_standby(lab.centre(fuse)) is None and making(fuse.calls) == [] and standbys(lab) == {}
    for name, value in enough.items():
        setattr(lab.world, name, value)
    assert make_standby(lab.centre()) is not None


@pytest.mark.parametrize("most", [0, 2])
def test_no_more_than_the_settings_say(new_lab: Callable[..., Lab], most: int) -> None:
    lab = new_lab(**limits(most=most)).at("open")
    assert make_all(lab) == [1, 2, 3][:most]


def test_one_that_cannot_be_proved_is_given_up(lab: Lab) -> None:
    lab.at("open").world.defective.add(1)
    assert make_standby(lab.centre()) is None
    assert standbys(lab) == {} and "seat.standby_failed" in lab.actions()
    # The others have their turn before it is tried again.
    assert [made.seat for made in (make_standby(lab.centre()), make_standby(lab.centre())) if made] == [2, 3]
    lab.world.defective.clear()
    assert make_all(lab) == [1]
    assert not [line for line in standbys_status(lab.centre()) if not line.ready]


def test_one_that_was_being_made_when_its_supervisor_was_killed_is_taken_up(lab: Lab, tmp_path: Path) -> None:
    lab.at("open")
    with pytest.raises(fakes.Killed):
        make_standby(lab.centre(KilledAfter("engine.ready")))
    assert [item.proved_at for item in standbys(lab).values()] == [None]
    assert not standbys_status(lab.centre())[0].ready
    made = make_standby(lab.centre())
    assert made is not None and made.generation == 2
    assert len([item for item in lab.world.containers.values() if item.seat == 1]) == 2


class KilledAfter(fakes.Fuse):
    """Kills at the first call after one that begins with *what*."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def __call__(self, what: str) -> None:
        if self.calls and self.calls[-1].startswith(self._what):
            self.at = len(self.calls) + 1
        super().__call__(what)


# What they are for


def test_a_reset_of_the_room_is_a_switch(behind: Lab) -> None:
    """Not one environment is made or measured, nothing is removed in the command's time: the supervisor does it."""
    behind.world.later(minutes=40)
    behind.at("sealed")
    meant = {seat: item.name for seat, item in standbys(behind).items()}
    fuse = fakes.Fuse()
    report = reset(behind.centre(fuse), behind.wave_id)
    assert [(seat.fault, seat.standby) for seat in report.seats] == [(None, True)] * 3
    assert making(fuse.calls) == [] and not [call for call in fuse.calls if call.startswith("engine.remove")]
    assert {seat: behind.active(seat).name for seat in (1, 2, 3)} == meant
    assert behind.state == "reset" and behind.world.wiped == []
    retired = [item for item in behind.centre().store.environments() if item.role is EnvironmentRole.RETIRED]
    assert len(retired) == 3 and all(item.name in behind.world.containers for item in retired)
    behind.check()


def test_a_reset_of_one_seat_is_a_switch_and_the_candidate_goes_on_at_once(behind: Lab) -> None:
    old, fuse = behind.active(2).name, fakes.Fuse()
    result, evidence = reset_seat(behind.centre(fuse), 2)
    assert "gateway.ensure" not in fuse.calls
    switch = fuse.calls.index("gateway.switch")
    assert result.standby and making(fuse.calls[:switch]) == []
    # The old one is sealed when the candidate works already.
    assert fuse.calls.index(f"engine.export {old}") > switch and evidence is not None
    assert old in behind.world.containers
    assert standbys(behind).keys() == {1, 3} and make_all(behind) == [2]


def test_a_gateway_that_is_gone_is_started_with_the_reset(behind: Lab) -> None:
    served = behind.world.served()
    behind.world.gateway = None
    reset_seat(behind.centre(), 2)
    assert behind.world.served() == served


def test_without_a_supervisor_the_command_does_it_all(behind: Lab) -> None:
    behind.world.supervised = False
    behind.world.later(minutes=40)
    behind.at("reset")
    assert len(behind.world.containers) == 3 and len(behind.world.wiped) == 3
    assert not [item for item in behind.world.containers.values() if item.gentle]
    behind.check()


def test_some_seats_have_one_and_some_have_not(behind: Lab) -> None:
    lost = standbys(behind)[2]
    behind.centre().store.save(environments=[replace(lost, role=EnvironmentRole.RETIRED)])
    behind.world.later(minutes=40)
    behind.at("sealed")
    report = reset(behind.centre(), behind.wave_id)
    assert [(seat.seat, seat.standby, seat.fault) for seat in report.seats] == [
        (1, True, None),
        (2, False, None),
        (3, True, None),
    ]


def test_between_two_waves_they_become_the_next_waves_environments(lab: Lab) -> None:
    lab.plan(site=Site.PRESTASHOP)
    lab.at("sealed").world.supervised = True
    lab.plan(number=2, half_day="2027-05-11-pm")
    # Whoever holds the seats has the standbys; the last wave of a site leaves them to the next.
    first = "2027-05-11-am-salle-1-v1"
    assert {wave.id for wave in wanted(lab.centre()).values()} == {first}
    reset(lab.centre(), first)
    assert make_all(lab) == [1, 2, 3]
    made, fuse = {item.name for item in standbys(lab).values()}, fakes.Fuse()
    report = prepare(lab.centre(fuse), lab.wave_id)
    assert report.faults == [] and {lab.active(seat).name for seat in (1, 2, 3)} == made
    assert not [call for call in fuse.calls if call.startswith("engine.create")]
    # They are proved once more, and have their full share of the processors from now on.
    assert not any(lab.world.containers[name].gentle for name in made)
    assert open_wave(lab.centre(), lab.wave_id).state.value == "open"


def test_a_standby_of_another_image_is_of_no_use(behind: Lab) -> None:
    newer = fakes.image("e5b/wordpress:current", Site.WORDPRESS, id=fakes.NEWER_IMAGE_ID)
    behind.world.images |= {newer.reference: newer, newer.id: newer}
    behind.world.later(minutes=40)
    behind.at("reset")
    behind.world.supervised = False
    behind.plan(number=2, half_day="2027-05-11-pm")
    assert prepare(behind.centre(), behind.wave_id).faults == []
    assert {item.image for item in behind.centre().active().values()} == {fakes.NEWER_IMAGE_ID}
    behind.check()


@pytest.mark.parametrize("how", ["restarted", "stopped", "deleted", "paused"])
def test_one_that_is_not_the_process_that_was_proved_is_not_used(behind: Lab, how: str) -> None:
    standby = standbys(behind)[2]
    container = behind.world.containers[standby.name]
    assert is_as_proved(behind.centre(), standby)
    if how == "restarted":
        behind.centre().engine.restart(standby.name)
    elif how == "stopped":
        container.running = False
    elif how == "paused":
        behind.centre().engine.pause(standby.name)
    else:
        del behind.world.containers[standby.name]
    assert not is_as_proved(behind.centre(), standby)
    assert [line.seat for line in standbys_status(behind.centre()) if not line.ready] == [2]
    result, _evidence = reset_seat(behind.centre(), 2)
    assert result.fault is None and not result.standby and behind.active(2).name != standby.name
    # The supervisor puts another one in its place.
    assert [item.name for item in give_up_standbys(behind.centre())] == [standby.name]
    assert make_all(behind) == [2]


def test_a_system_clock_that_was_set_since_the_proof_changes_nothing(behind: Lab) -> None:
    for drift in (timedelta(hours=3), timedelta(hours=-3)):
        behind.world.drift = drift
        assert all(is_as_proved(behind.centre(), item) for item in standbys(behind).values())


# Given up


def test_useless_ones_are_given_up(behind: Lab) -> None:
    assert give_up_standbys(behind.centre()) == []
    behind.world.later(minutes=40)
    behind.at("closed")
    assert seal(behind.centre(), behind.wave_id).faults == {}
    reset(behind.centre(), behind.wave_id)
    make_all(behind)
    assert standbys(behind) == {}
    behind.plan(number=2, half_day="2027-05-11-pm", site=Site.PRESTASHOP)
    assert make_all(behind) == [1, 2, 3] and give_up_standbys(behind.centre()) == []
    behind.plan(number=2, half_day="2027-05-11-pm", candidates=[(1, "D001")], site=Site.PRESTASHOP)
    assert [item.seat for item in give_up_standbys(behind.centre())] == [2, 3]


def test_one_after_the_other_while_memory_is_short(behind: Lab) -> None:
    assert [item.seat for item in give_up_standbys(behind.centre(), pressed=True)] == [3]
    assert [item.seat for item in give_up_standbys(behind.centre(), pressed=True)] == [2]
    assert standbys(behind).keys() == {1}
    # The candidates' own environments are none of them.
    assert len(behind.centre().active()) == 3
    give_up_standbys(behind.centre(), pressed=True)
    assert give_up_standbys(behind.centre(), pressed=True) == []


def test_given_up_while_it_was_being_made(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.at("open").world.supervised = True
    ready = fakes.MemoryEngine.ready

    def meanwhile(engine: fakes.MemoryEngine, name: str, timeout: float) -> None:
        lab.centre().store.save(environments=[replace(standbys(lab)[1], role=EnvironmentRole.RETIRED)])
        ready(engine, name, timeout)

    monkeypatch.setattr(fakes.MemoryEngine, "ready", meanwhile)
    assert make_standby(lab.centre()) is None
    assert standbys(lab) == {} and "e5b-essai-poste-01-g2" not in lab.world.containers
