"""Prepare: each seat started, ready, proved; what differs is said; what is in the way is not touched."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from orchestrator.domain.exam import EnvironmentRole, Site
from orchestrator.errors import Conflict, EngineUnavailable, ImageUnusable, NoSpace, NotFound, Refused
from orchestrator.services.abandon import abandon
from orchestrator.services.absent import mark_absent
from orchestrator.services.plan_wave import Seated, plan_wave
from orchestrator.services.prepare import DISK_PER_SEAT, DISK_RESERVE, prepare
from orchestrator.services.reset import reset_seat, seal_seat
from tests.services import fakes
from tests.services.conftest import Lab
from tests.services.fakes import Container


def test_prepared_twice_proves_again(lab: Lab) -> None:
    lab.at("prepared")
    before = set(lab.world.containers)
    lab.world.containers[lab.active(2).name].altered = "/var/www/site/evil.php"
    report = prepare(lab.centre(), lab.wave_id)
    assert [seat.seat for seat in report.faults] == [2] and "/var/www/site/evil.php" in (report.faults[0].fault or "")
    assert lab.place(2).proof == report.faults[0].fault
    lab.world.containers[lab.active(2).name].altered = None
    assert prepare(lab.centre(), lab.wave_id).faults == []
    assert set(lab.world.containers) == before and lab.world.references_taken == 1


def test_a_seat_that_differs_is_named_with_what_differs(lab: Lab) -> None:
    lab.plan()
    lab.world.defective.add(2)
    report = prepare(lab.centre(), lab.wave_id)
    assert [(seat.seat, seat.fault is None) for seat in report.seats] == [(1, True), (2, False), (3, True)]
    assert "/var/www/site/index.php" in (report.faults[0].fault or "")
    assert lab.state == "prepared"
    assert [(line.seat, line.action) for line in lab.centre().store.journal() if line.seat] == [(2, "seat.differs")]


def test_a_site_that_does_not_serve_does_not_stop_the_others(lab: Lab) -> None:
    lab.plan()
    lab.world.unready.add(2)
    report = prepare(lab.centre(), lab.wave_id)
    assert [seat.seat for seat in report.faults] == [2]
    lab.world.unready.clear()
    assert prepare(lab.centre(), lab.wave_id).faults == []


def test_an_engine_that_stops_answering_ends_it(lab: Lab) -> None:
    lab.plan()
    name = "e5b-essai-poste-02-g1"
    lab.world.faults["create", name] = EngineUnavailable("No Docker engine answers.")
    with pytest.raises(EngineUnavailable):
        prepare(lab.centre(), lab.wave_id)
    lab.world.faults.clear()
    assert prepare(lab.centre(), lab.wave_id).faults == []
    lab.check()


def test_deleted_by_hand_before_anybody_worked_in_it(lab: Lab) -> None:
    lab.at("prepared")
    name = lab.active(2).name
    del lab.world.containers[name]
    assert prepare(lab.centre(), lab.wave_id).faults == []
    assert lab.world.containers[name].running
    lab.check()


def test_stopped_by_hand(lab: Lab) -> None:
    lab.at("prepared")
    lab.world.containers[lab.active(2).name].running = False
    assert prepare(lab.centre(), lab.wave_id).faults == []


@pytest.mark.parametrize("running", [True, False])
def test_a_container_of_somebody_else_is_not_touched(lab: Lab, running: bool) -> None:
    lab.plan()
    theirs = Container("e5b-essai-poste-02-g1", "sha256:theirs", ours=False, running=running, work=("thesis",))
    lab.world.containers[theirs.name] = theirs
    report = prepare(lab.centre(), lab.wave_id)
    assert [seat.seat for seat in report.faults] == [2] and theirs.name in (report.faults[0].fault or "")
    assert lab.world.containers[theirs.name] == theirs and theirs.running is running
    # A new generation has another name.
    result, _evidence = reset_seat(lab.centre(), 2)
    assert result.fault is None and lab.active(2).name == "e5b-essai-poste-02-g2"
    assert prepare(lab.centre(), lab.wave_id).faults == []
    assert lab.world.containers[theirs.name] == theirs
    lab.check()


def test_a_leftover_of_another_image_under_the_name_is_replaced(lab: Lab) -> None:
    lab.plan()
    name = "e5b-essai-poste-02-g1"
    lab.world.containers[name] = Container(name, "sha256:older", seat=2, address="10.213.0.99")
    assert prepare(lab.centre(), lab.wave_id).faults == []
    assert lab.world.containers[name].image == fakes.IMAGE_ID


def test_a_disk_nearly_full_says_how_much_is_missing(lab: Lab) -> None:
    lab.plan()
    needed = 3 * DISK_PER_SEAT + DISK_RESERVE
    lab.world.disk_free = needed - 123_000_000
    with pytest.raises(NoSpace) as raised:
        prepare(lab.centre(), lab.wave_id)
    assert "123" in raised.value.message and raised.value.hint
    assert (lab.state, lab.world.containers) == ("planned", {})
    lab.world.disk_free = needed
    prepare(lab.centre(), lab.wave_id)


def test_another_rooms_environments_do_not_make_room_on_the_disk(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(rooms={"salle-1": [1, 2, 3], "salle-2": [11, 12, 13]})
    lab.at("prepared")
    lab.plan(room="salle-2", candidates=[(11, "D1"), (12, "D2"), (13, "D3")])
    lab.world.disk_free = 3 * DISK_PER_SEAT + DISK_RESERVE - 1
    with pytest.raises(NoSpace):
        prepare(lab.centre(), lab.wave_id)


@pytest.mark.parametrize(
    "found",
    [
        None,
        fakes.image(fakes.IMAGE_ID, Site.WORDPRESS, contract=None),
        fakes.image(fakes.IMAGE_ID, Site.WORDPRESS, contract="2"),
        fakes.image(fakes.IMAGE_ID, Site.PRESTASHOP),
    ],
    ids=["gone", "no contract", "unknown version", "another site"],
)
def test_the_planned_image_cannot_be_used_any_more(lab: Lab, found: fakes.ImageFacts | None) -> None:
    lab.plan()
    del lab.world.images[fakes.IMAGE_ID]
    if found is not None:
        lab.world.images[fakes.IMAGE_ID] = found
    with pytest.raises(ImageUnusable):
        prepare(lab.centre(), lab.wave_id)
    assert (lab.wave.intent, lab.world.containers) == (None, {})


@pytest.mark.parametrize("state", ["open", "closed", "sealed", "reset"])
def test_not_after_the_opening(lab: Lab, state: str) -> None:
    lab.at(state)
    with pytest.raises(Refused) as raised:
        prepare(lab.centre(), lab.wave_id)
    assert raised.value.hint and lab.state == state


def test_an_unknown_wave(lab: Lab) -> None:
    with pytest.raises(NotFound):
        prepare(lab.centre(), "2027-05-11-am-salle-1-v9")


@pytest.mark.parametrize("state", ["prepared", "open", "closed", "sealed"])
def test_seats_of_another_wave_are_refused(lab: Lab, state: str) -> None:
    first = lab.at(state).wave_id
    lab.plan(number=2, candidates=[(3, "C099")])
    with pytest.raises(Refused) as raised:
        prepare(lab.centre(), lab.wave_id)
    assert "03" in raised.value.message and first in raised.value.message


def test_twenty_candidates_at_once_for_the_whole_machine(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(rooms={"salle-1": range(1, 13), "salle-2": range(21, 33)})
    lab.at("prepared")
    lab.plan(room="salle-2", candidates=[(seat, f"D{seat}") for seat in range(21, 30)])
    with pytest.raises(Refused) as raised:
        prepare(lab.centre(), lab.wave_id)
    assert "21" in raised.value.message
    # An absent candidate needs no place.
    mark_absent(lab.centre(), lab.wave_id, 21)
    assert len(prepare(lab.centre(), lab.wave_id).seats) == 8


def test_a_preparation_in_another_room_counts_before_it_is_completed(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(rooms={"salle-1": range(1, 13), "salle-2": range(21, 33)})
    first = lab.plan()
    lab.world.faults["ensure_network", ""] = EngineUnavailable("No Docker engine answers.")
    with pytest.raises(EngineUnavailable):
        prepare(lab.centre(), first.id)
    lab.world.faults.clear()
    lab.plan(room="salle-2", candidates=[(seat, f"D{seat}") for seat in range(21, 30)])
    with pytest.raises(Refused):
        prepare(lab.centre(), lab.wave_id)


def test_an_absent_candidate_gets_no_environment_until_they_come(lab: Lab) -> None:
    lab.plan()
    mark_absent(lab.centre(), lab.wave_id, 2)
    assert [seat.seat for seat in prepare(lab.centre(), lab.wave_id).seats] == [1, 3]
    assert lab.place(2).environment is None
    mark_absent(lab.centre(), lab.wave_id, 2, present=True)
    assert [seat.seat for seat in prepare(lab.centre(), lab.wave_id).seats] == [1, 2, 3]
    assert lab.place(2).proved


def test_work_without_evidence_is_not_replaced(lab: Lab) -> None:
    """The archives of an abandoned wave were damaged: its environments stay until they are sealed anew."""
    lab.at("open")
    abandon(lab.centre(), lab.wave_id, "fire alarm")
    lab.damage_evidence(2)
    lab.plan(number=2)
    with pytest.raises(Refused) as raised:
        prepare(lab.centre(), lab.wave_id)
    assert "02" in raised.value.message and lab.world.wiped == []
    seal_seat(lab.centre(), 2)
    assert prepare(lab.centre(), lab.wave_id).faults == []
    lab.check()


def test_another_site_replaces_the_environments(lab: Lab) -> None:
    lab.at("reset")
    lab.plan(half_day="2027-05-11-pm", site=Site.PRESTASHOP)
    assert prepare(lab.centre(), lab.wave_id).faults == []
    assert {item.image for item in lab.world.containers.values()} == {"sha256:" + "c" * 64}
    assert len(lab.world.containers) == 3
    lab.check()


def test_another_address_of_the_seats_replaces_the_environments(lab: Lab) -> None:
    lab.at("reset")
    gateway = lab.settings.gateway.model_copy(update={"host": "192.0.2.200"})
    lab.settings = lab.settings.model_copy(update={"gateway": gateway})
    lab.plan(half_day="2027-05-11-pm")
    prepare(lab.centre(), lab.wave_id)
    assert {item.url for item in lab.centre().active().values()} == {
        f"http://192.0.2.200:{port}" for port in (8001, 8002, 8003)
    }
    lab.check()


def test_a_gateway_that_fails_is_met_again(lab: Lab) -> None:
    lab.plan()
    lab.world.faults["ensure", "gateway"] = Conflict("port 8001 is used by nginx")
    with pytest.raises(Conflict):
        prepare(lab.centre(), lab.wave_id)
    assert (lab.state, lab.wave.intent) == ("planned", "prepare")
    lab.world.faults.clear()
    assert prepare(lab.centre(), lab.wave_id).faults == []


class Together(fakes.Fuse):
    """Before it stores anything, each of two commands waits for the other to have come as far."""

    def __init__(self) -> None:
        super().__init__()
        self._both = threading.Barrier(2)

    def __call__(self, what: str) -> None:
        super().__call__(what)
        if what == "store.save":
            with suppress(threading.BrokenBarrierError):
                self._both.wait(0.3)


def test_addresses_are_never_given_twice_by_two_rooms(new_lab: Callable[..., Lab]) -> None:
    """While one room's command stands between its look at the addresses and its record, another's waits."""
    lab = new_lab(rooms={"salle-1": [1, 2, 3], "salle-2": [11, 12, 13]}, limits={"parallel": 2})
    first = lab.plan()
    second = plan_wave(
        lab.centre(),
        half_day="2027-05-11-am",
        room="salle-2",
        number=1,
        site=Site.WORDPRESS,
        candidates=[Seated(11, "D1"), Seated(12, "D2"), Seated(13, "D3")],
    )
    together = Together()
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(prepare, lab.centre(together), wave.id) for wave in (first, second)]:
            done.result()
    living = [item for item in lab.centre().store.environments() if item.role is not EnvironmentRole.GONE]
    assert len({item.address for item in living}) == len(living) == 6
    lab.check()
