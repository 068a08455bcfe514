"""The whole life of a wave, and its end when it is given up."""

import json

import pytest

from orchestrator.domain.exam import EnvironmentRole
from orchestrator.errors import EvidenceInvalid, Refused
from orchestrator.services.abandon import abandon, abandon_preview
from orchestrator.services.close import close
from orchestrator.services.open_wave import open_wave
from orchestrator.services.prepare import prepare
from orchestrator.services.reset import reset
from orchestrator.services.seal import seal
from orchestrator.services.status import wave_status
from tests.services.conftest import Lab


def test_a_wave_from_its_plan_to_its_reset(lab: Lab) -> None:
    world = lab.world
    wave = lab.plan()
    assert (wave.id, wave.state.value, world.containers) == ("2027-05-11-am-salle-1-v1", "planned", {})

    report = prepare(lab.centre(), wave.id)
    assert [(seat.seat, seat.fault) for seat in report.seats] == [(1, None), (2, None), (3, None)]
    assert [place.proof for place in report.wave.places] == ["proved"] * 3
    assert world.served() == {1: "waiting", 2: "waiting", 3: "waiting"}
    assert {item.address for item in world.containers.values()} == {"10.213.0.2", "10.213.0.3", "10.213.0.4"}

    opened = open_wave(lab.centre(), wave.id)
    assert world.served() == {1: "open", 2: "open", 3: "open"}
    assert all(place.opened_at == world.now for place in opened.places)
    assert all(environment.touched for environment in lab.centre().active().values())
    world.candidates_work("a page")

    world.later(minutes=40)
    close(lab.centre(), wave.id)
    assert world.served() == {1: "over", 2: "over", 3: "over"}

    sealed = seal(lab.centre(), wave.id)
    assert sealed.faults == {}
    assert [item.archive for item in sealed.evidence] == [f"{wave.id}/poste-{seat:02d}-1.tar.gz" for seat in (1, 2, 3)]
    assert all(item.held is False for item in world.containers.values())
    manifest = world.archives[sealed.evidence[0].archive].manifest
    assert manifest["seat"] == 1 and manifest["candidate"] == "C001" and manifest["layer"] == sealed.evidence[0].layer
    assert "password" not in json.dumps(manifest)

    old = set(world.containers)
    done = reset(lab.centre(), wave.id)
    assert [(seat.seat, seat.fault) for seat in done.seats] == [(1, None), (2, None), (3, None)]
    assert lab.state == "reset" and not old & set(world.containers) and len(world.containers) == 3
    assert all(not item.work for item in world.containers.values())
    assert world.served() == {1: "waiting", 2: "waiting", 3: "waiting"}
    lab.check()
    assert lab.actions() == [
        "wave.planned",
        "wave.prepare",
        "wave.prepared",
        "wave.open",
        "wave.opened",
        "wave.close",
        "wave.closed",
        "wave.seal",
        *["seat.sealed"] * 3,
        "wave.sealed",
        "wave.reset_begun",
        *["seat.reset"] * 3,
        "wave.reset",
    ]


def test_the_next_wave_uses_the_proved_environments(lab: Lab) -> None:
    lab.at("reset")
    before = set(lab.world.containers)
    lab.plan(number=2, half_day="2027-05-11-pm")
    prepare(lab.centre(), lab.wave_id)
    assert set(lab.world.containers) == before
    lab.at("reset").check()
    assert lab.world.references_taken == 1


def test_twenty_seats_in_parallel(new_lab: object) -> None:
    lab: Lab = new_lab(rooms={"salle-1": range(1, 21)}, limits={"parallel": 8})  # type: ignore[operator]
    lab.at("reset").check()
    assert len(lab.world.containers) == 20
    assert len(lab.centre().store.evidence()) == 20


@pytest.mark.parametrize("state", ["planned", "prepared", "open", "closed"])
def test_abandoned(lab: Lab, state: str) -> None:
    """What candidates did is sealed; the seats are given back; another wave can be prepared on them."""
    lab.at(state)
    worked = state in {"open", "closed"}
    assert len(abandon_preview(lab.centre(), lab.wave_id)) == (3 if worked else 0)
    wave = abandon(lab.centre(), lab.wave_id, "fire alarm")
    assert (wave.state.value, wave.reason) == ("abandoned", "fire alarm")
    assert len(lab.centre().store.evidence()) == (3 if worked else 0)
    lab.plan(number=2)
    prepare(lab.centre(), lab.wave_id)
    lab.check()
    assert bool(lab.world.wiped) == worked


def test_abandoned_while_a_seat_cannot_be_sealed(lab: Lab) -> None:
    """It stays closed: the others are sealed, and the lost one can be waived."""
    lab.at("open")
    del lab.world.containers[lab.active(2).name]
    with pytest.raises(EvidenceInvalid) as raised:
        abandon(lab.centre(), lab.wave_id, "fire alarm")
    assert len(raised.value.details) == 1 and "02" in raised.value.details[0]
    assert (lab.state, lab.wave.intent) == ("closed", None)
    assert lab.world.served() == {1: "over", 2: "over", 3: "over"}
    assert seal(lab.centre(), lab.wave_id, waive=(2, "disk failure")).faults == {}
    reset(lab.centre(), lab.wave_id)
    lab.check()


def test_what_was_waived_does_not_hold_the_seat_of_an_abandoned_wave(lab: Lab) -> None:
    lab.at("closed")
    del lab.world.containers[lab.active(2).name]
    lab.world.unready.add(1)
    lab.world.containers[lab.active(1).name].running = False
    assert set(seal(lab.centre(), lab.wave_id, waive=(2, "disk failure")).faults) == {1}
    lab.world.unready.clear()
    abandon(lab.centre(), lab.wave_id, "fire alarm")
    lab.plan(number=2)
    prepare(lab.centre(), lab.wave_id)
    lab.check()


@pytest.mark.parametrize("state", ["sealed", "reset"])
def test_not_abandoned_any_more(lab: Lab, state: str) -> None:
    lab.at(state)
    with pytest.raises(Refused):
        abandon(lab.centre(), lab.wave_id, "too late")
    with pytest.raises(Refused):
        abandon_preview(lab.centre(), lab.wave_id)
    assert lab.state == state


def test_a_preview_changes_nothing(lab: Lab) -> None:
    lab.at("open")
    before = (lab.wave, lab.world.served(), lab.actions())
    abandon_preview(lab.centre(), lab.wave_id)
    assert (lab.wave, lab.world.served(), lab.actions()) == before


def test_the_status_shows_what_is_there(lab: Lab) -> None:
    lab.at("open")
    containers = lab.world.containers
    del containers[lab.active(1).name]
    containers[lab.active(2).name].running = False
    status = wave_status(lab.centre(), lab.wave_id)
    assert [seat.environment for seat in status.seats] == ["missing", "stopped", "running"]
    assert [seat.route.value for seat in status.seats if seat.route] == ["open"] * 3
    lab.world.gateway = None
    assert [seat.route for seat in wave_status(lab.centre(), lab.wave_id).seats] == [None] * 3


def test_records_of_removed_environments_stay(lab: Lab) -> None:
    lab.at("reset")
    gone = [item for item in lab.centre().store.environments() if item.role is EnvironmentRole.GONE]
    assert [item.seat for item in gone] == [1, 2, 3] and all(item.touched for item in gone)
