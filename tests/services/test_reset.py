"""Reset: proved before the switch, evidence before wiping; a whole wave, or one seat whatever its wave is doing."""

import pytest

from orchestrator.domain.exam import EnvironmentRole
from orchestrator.domain.time import CreditKind
from orchestrator.errors import EnvironmentFailed, EvidenceInvalid, ImageUnusable, NotFound, Refused
from orchestrator.services.abandon import abandon
from orchestrator.services.absent import mark_absent
from orchestrator.services.open_wave import open_wave
from orchestrator.services.prepare import prepare
from orchestrator.services.reset import reset, reset_preview, reset_seat, reset_seat_preview
from orchestrator.services.seal import seal
from tests.services import fakes
from tests.services.conftest import Lab


def seat_of(lab: Lab, seat: int) -> fakes.Container:
    return lab.world.containers[lab.active(seat).name]


@pytest.mark.parametrize("state", ["planned", "prepared", "open", "closed", "reset"])
def test_refused_unless_sealed(lab: Lab, state: str) -> None:
    lab.at(state)
    before = dict(lab.world.containers)
    for attempt in (reset, reset_preview):
        with pytest.raises(Refused) as raised:
            attempt(lab.centre(), lab.wave_id)
        assert raised.value.hint
    assert lab.state == state and lab.world.containers == before


def test_a_preview_names_what_would_be_replaced_and_does_nothing(lab: Lab) -> None:
    lab.at("sealed")
    before, journal = dict(lab.world.containers), lab.actions()
    assert [item.name for item in reset_preview(lab.centre(), lab.wave_id)] == sorted(before)
    assert lab.world.containers == before and lab.actions() == journal


def test_a_new_environment_that_cannot_be_proved_does_not_take_the_seat(lab: Lab) -> None:
    lab.at("sealed")
    old = lab.active(2)
    lab.world.defective.add(2)
    report = reset(lab.centre(), lab.wave_id)
    assert [seat.seat for seat in report.faults] == [2] and "index.php" in (report.faults[0].fault or "")
    assert lab.state == "sealed" and lab.wave.intent is None
    assert lab.active(2) == old and old.name in lab.world.containers
    route = next(route for route in lab.world.gateway or () if route.seat == 2)
    assert route.address == old.address
    assert {lab.active(1).touched, lab.active(3).touched} == {False}
    lab.check()

    lab.world.defective.clear()
    kept = [lab.active(1).name, lab.active(3).name]
    assert reset(lab.centre(), lab.wave_id).faults == []
    assert [lab.active(1).name, lab.active(3).name] == kept and old.name not in lab.world.containers
    assert len(lab.world.containers) == 3
    lab.check()


def test_an_old_container_that_cannot_be_removed_is_removed_the_next_time(lab: Lab) -> None:
    lab.at("sealed")
    old = lab.active(2).name
    lab.world.faults["remove", old] = EnvironmentFailed("device or resource busy")
    assert reset(lab.centre(), lab.wave_id).faults == []
    assert old in lab.world.containers and lab.active(2).name != old
    lab.world.faults.clear()
    lab.plan(half_day="2027-05-11-pm")
    prepare(lab.centre(), lab.wave_id)
    assert old not in lab.world.containers
    lab.check()


def test_seats_where_nobody_worked_keep_their_proved_environment(lab: Lab) -> None:
    lab.at("prepared")
    mark_absent(lab.centre(), lab.wave_id, 2)
    kept = lab.active(2).name
    lab.at("sealed")
    report = reset(lab.centre(), lab.wave_id)
    assert [(seat.seat, seat.fault) for seat in report.seats] == [(1, None), (2, None), (3, None)]
    assert lab.active(2).name == kept and lab.active(1).generation == 2


def test_an_untouched_environment_that_differs_or_is_gone_is_replaced(lab: Lab) -> None:
    lab.at("prepared")
    open_wave(lab.centre(), lab.wave_id, [2, 3])
    lab.world.later(minutes=40)
    lab.at("sealed")
    seat_of(lab, 2).altered = "/var/www/site/evil.php"
    del lab.world.containers[lab.active(3).name]
    assert reset(lab.centre(), lab.wave_id).faults == []
    assert {lab.active(seat).generation for seat in (1, 2, 3)} == {2}
    lab.check()


def test_an_image_that_is_gone_resets_nothing(lab: Lab) -> None:
    lab.at("sealed")
    del lab.world.images[fakes.IMAGE_ID]
    before = dict(lab.world.containers)
    with pytest.raises(ImageUnusable):
        reset(lab.centre(), lab.wave_id)
    assert lab.world.containers == before and lab.state == "sealed"


def test_a_reset_needs_addresses_for_the_new_beside_the_old(new_lab: fakes.Any) -> None:
    lab: Lab = new_lab(rooms={"salle-1": range(1, 7)}, network={"subnet": "10.213.0.0/27"})
    for number in range(1, 5):
        lab.wave_id = ""
        lab.plan(number=number, candidates=[(seat, f"W{number}{seat}") for seat in range(1, 7)])
        lab.at("reset").check()


# One seat


def test_while_candidates_work_the_candidate_goes_on_at_once_and_what_was_done_is_sealed(lab: Lab) -> None:
    lab.at("open")
    old = lab.active(2)
    assert reset_seat_preview(lab.centre(), 2) == (old, True)
    result, evidence = reset_seat(lab.centre(), 2)
    assert result.fault is None and evidence is not None
    assert lab.world.archives[evidence.archive].content == b"first page\n"
    assert old.name not in lab.world.containers
    new = lab.active(2)
    assert new.touched and new.wave == lab.wave_id and lab.place(2).environment == new.name
    assert lab.world.served() == {1: "open", 2: "open", 3: "open"}

    lab.world.candidates_work("second page")
    lab.world.later(minutes=40)
    lab.at("sealed")
    found = {(item.seat, item.attempt): item for item in lab.centre().store.evidence()}
    assert set(found) == {(1, 1), (2, 1), (2, 2), (3, 1)}
    assert lab.world.archives[found[2, 2].archive].content == b"second page\n"
    lab.at("reset").check()


def test_the_old_environment_is_wiped_after_its_evidence_and_the_interruption_is_given_back(lab: Lab) -> None:
    lab.at("open")
    reset_seat(lab.centre(), 2)
    actions = [line.action for line in lab.centre().store.journal() if line.seat == 2]
    assert actions == ["seat.reset", "seat.sealed", "environment.removed"]
    assert [(credit.kind, credit.going_on) for credit in lab.place(2).credits] == [(CreditKind.RESET, False)]


def test_work_after_a_reset_that_failed_is_in_the_evidence(lab: Lab) -> None:
    """The new environment is not as it must be: the candidate goes on in the old one, and that is sealed at the end."""
    lab.at("open")
    lab.world.defective.add(2)
    old = lab.active(2)
    result, _evidence = reset_seat(lab.centre(), 2)
    assert result.fault is not None
    assert lab.active(2) == old and lab.place(2).proved and seat_of(lab, 2).held is False
    lab.world.defective.clear()
    lab.world.candidates_work("second page")
    lab.world.later(minutes=40)
    lab.at("reset").check()


def test_what_cannot_be_sealed_stays_whole_behind_the_new_environment(lab: Lab) -> None:
    lab.at("open")
    old = lab.active(2)
    lab.world.faults["export", old.name] = EnvironmentFailed("the dump failed")
    with pytest.raises(EvidenceInvalid):
        reset_seat(lab.centre(), 2)
    assert lab.active(2) != old and lab.world.wiped == []
    lab.world.candidates_work("second page")
    lab.world.later(minutes=40)
    lab.at("closed")
    assert seal(lab.centre(), lab.wave_id).faults.keys() == {2}
    lab.world.faults.clear()
    lab.at("reset").check()
    contents = {lab.world.archives[item.archive].content for item in lab.centre().store.evidence() if item.seat == 2}
    assert contents == {b"first page\n", b"second page\n"}


def test_a_seat_reset_again_and_again(lab: Lab) -> None:
    lab.at("open")
    for turn in range(3):
        lab.world.candidates_work(f"page {turn}")
        lab.world.later(minutes=1)
        assert reset_seat(lab.centre(), 2)[0].fault is None
    lab.world.later(minutes=40)
    lab.at("reset").check()
    assert [item.attempt for item in lab.centre().store.evidence() if item.seat == 2] == [1, 2, 3, 4]


def test_when_the_seats_time_is_over_the_new_environment_is_for_nobody(lab: Lab) -> None:
    lab.at("closed")
    result, evidence = reset_seat(lab.centre(), 2)
    assert result.fault is None and evidence is not None
    assert not lab.active(2).touched and lab.world.served()[2] == "over"
    lab.at("reset").check()


def test_before_the_opening_a_seat_that_differs_gets_another_environment(lab: Lab) -> None:
    lab.world.defective.add(2)
    lab.at("prepared")
    assert not lab.place(2).proved
    lab.world.defective.clear()
    result, evidence = reset_seat(lab.centre(), 2)
    assert result.fault is None and evidence is None
    assert lab.place(2).proved and lab.place(2).environment == lab.active(2).name
    open_wave(lab.centre(), lab.wave_id)


def test_before_the_opening_a_seat_that_is_right_again_is_found_proved(lab: Lab) -> None:
    lab.at("prepared")
    name = lab.active(2).name
    seat_of(lab, 2).altered = "/var/www/site/evil.php"
    prepare(lab.centre(), lab.wave_id)
    seat_of(lab, 2).altered = None
    reset_seat(lab.centre(), 2)
    assert lab.active(2).name == name and lab.place(2).proved


def test_before_the_opening_a_seat_that_cannot_be_proved_is_recorded_as_such(lab: Lab) -> None:
    lab.at("prepared")
    seat_of(lab, 2).altered = "/var/www/site/evil.php"
    lab.world.defective.add(2)
    result, _evidence = reset_seat(lab.centre(), 2)
    assert result.fault is not None and lab.place(2).proof == result.fault


def test_a_sealed_seat_with_damaged_evidence_is_not_reset(lab: Lab) -> None:
    lab.at("sealed").damage_evidence(2)
    with pytest.raises(EvidenceInvalid):
        reset_seat(lab.centre(), 2)
    assert lab.world.wiped == []


def test_a_waived_seat_can_be_reset(lab: Lab) -> None:
    lab.at("closed")
    del lab.world.containers[lab.active(2).name]
    seal(lab.centre(), lab.wave_id, waive=(2, "lost"))
    assert reset_seat_preview(lab.centre(), 2)[1] is False
    assert reset_seat(lab.centre(), 2)[0].fault is None
    lab.check()


@pytest.mark.parametrize("seat", [2, 77])
def test_a_seat_without_a_wave_or_an_environment(lab: Lab, seat: int) -> None:
    lab.plan(candidates=[(1, "C001")])
    lab.at("prepared")
    for attempt in (reset_seat, reset_seat_preview):
        with pytest.raises(NotFound):
            attempt(lab.centre(), seat)


def test_a_seat_whose_wave_is_over(lab: Lab) -> None:
    lab.at("open")
    abandon(lab.centre(), lab.wave_id, "fire alarm")
    with pytest.raises(NotFound):
        reset_seat(lab.centre(), 2)
    roles = {item.role for item in lab.centre().store.environments()}
    assert roles == {EnvironmentRole.ACTIVE}
