"""Seal: what makes evidence, what is missing, and the one way round it."""

import pytest

from orchestrator.errors import EngineUnavailable, EnvironmentFailed, EvidenceInvalid, NoSpace, NotFound, Refused
from orchestrator.services.reset import evidence_missing, reset, reset_preview, seal_seat
from orchestrator.services.seal import seal
from tests.services.conftest import Lab
from tests.services.fakes import Container


def test_sealed_again_keeps_what_holds(lab: Lab) -> None:
    lab.at("closed")
    lab.world.unready.add(2)
    lab.world.containers[lab.active(2).name].running = False
    first = seal(lab.centre(), lab.wave_id)
    assert set(first.faults) == {2} and lab.state == "closed" and lab.wave.intent is None
    lab.world.unready.clear()
    second = seal(lab.centre(), lab.wave_id)
    assert second.faults == {} and [item.attempt for item in second.evidence] == [1, 1, 1]
    assert first.evidence[0] in second.evidence


@pytest.mark.parametrize("state", ["planned", "prepared", "open", "sealed", "reset"])
def test_refused_unless_closed(lab: Lab, state: str) -> None:
    lab.at(state)
    with pytest.raises(Refused):
        seal(lab.centre(), lab.wave_id)
    assert lab.state == state


def test_deleted_by_hand_with_work_in_it(lab: Lab) -> None:
    """It cannot be sealed, it is not made anew, and only a typed waiver lets the wave go on."""
    lab.at("closed")
    name = lab.active(2).name
    del lab.world.containers[name]
    for _time in range(2):
        report = seal(lab.centre(), lab.wave_id)
        assert set(report.faults) == {2} and name in report.faults[2]
    with pytest.raises(Refused):
        reset(lab.centre(), lab.wave_id)
    assert name not in lab.world.containers

    waived = seal(lab.centre(), lab.wave_id, waive=(2, "the disk failed"))
    assert waived.faults == {} and lab.state == "sealed"
    assert [item.seat for item in waived.evidence] == [1, 3]
    line = next(line for line in lab.centre().store.journal() if line.action == "seat.evidence_waived")
    assert (line.seat, line.data) == (2, {"reason": "the disk failed"})
    reset(lab.centre(), lab.wave_id)
    lab.check()


def test_deleted_by_hand_and_somebody_elses_container_has_its_name(lab: Lab) -> None:
    lab.at("closed")
    theirs = Container(lab.active(2).name, "sha256:theirs", ours=False, work=("thesis",))
    lab.world.containers[theirs.name] = theirs
    assert set(seal(lab.centre(), lab.wave_id).faults) == {2}
    seal(lab.centre(), lab.wave_id, waive=(2, "lost"))
    assert reset(lab.centre(), lab.wave_id).faults == []
    assert lab.world.containers[theirs.name] == theirs
    lab.check()


def test_a_seat_of_another_wave_cannot_be_waived(lab: Lab) -> None:
    lab.plan(candidates=[(1, "C001"), (2, "C002")])
    lab.at("closed")
    with pytest.raises(NotFound):
        seal(lab.centre(), lab.wave_id, waive=(3, "x"))


def test_a_stopped_environment_is_started_and_sealed(lab: Lab) -> None:
    lab.at("closed")
    lab.world.containers[lab.active(2).name].running = False
    assert seal(lab.centre(), lab.wave_id).faults == {}
    lab.at("reset").check()


def test_a_page_that_never_ends_does_not_keep_a_site_from_being_sealed(lab: Lab) -> None:
    lab.at("closed")
    name = lab.active(2).name
    centre = lab.centre()
    quiesce, failures = centre.engine.quiesce, iter([True])

    def once(which: str) -> None:
        if which == name and next(failures, False):
            raise EnvironmentFailed("a request still runs")
        quiesce(which)

    centre.engine.quiesce = once  # type: ignore[method-assign]
    assert seal(centre, lab.wave_id).faults == {}
    lab.at("reset").check()


@pytest.mark.parametrize("method", ["commit", "export", "fingerprint", "describe"])
def test_a_seal_that_fails_lets_the_site_go_on(lab: Lab, method: str) -> None:
    lab.at("closed")
    name = lab.active(2).name
    lab.world.faults[method, name] = EnvironmentFailed("broken")
    assert set(seal(lab.centre(), lab.wave_id).faults) == {2}
    assert not lab.world.containers[name].held
    lab.world.faults.clear()
    assert seal(lab.centre(), lab.wave_id).faults == {}


def test_a_site_that_cannot_be_thawed_is_sealed_all_the_same(lab: Lab) -> None:
    lab.at("closed")
    lab.world.faults["thaw", lab.active(2).name] = EnvironmentFailed("no answer")
    assert seal(lab.centre(), lab.wave_id).faults == {}


@pytest.mark.parametrize(
    ("fault", "key"),
    [
        (NoSpace("The disk is full."), ("write", "2027-05-11-am-salle-1-v1/poste-02-1.tar.gz")),
        (EngineUnavailable("No Docker engine answers."), ("commit", "e5b-essai-poste-02-g1")),
    ],
)
def test_a_full_disk_or_a_dead_engine_ends_it_and_it_can_be_run_again(
    lab: Lab, fault: NoSpace | EngineUnavailable, key: tuple[str, str]
) -> None:
    lab.at("closed")
    lab.world.faults[key] = fault
    with pytest.raises(type(fault)):
        seal(lab.centre(), lab.wave_id)
    assert lab.state == "closed"
    lab.world.faults.clear()
    assert seal(lab.centre(), lab.wave_id).faults == {}
    lab.at("reset").check()


def test_damaged_evidence_refuses_the_reset_and_wipes_nothing(lab: Lab) -> None:
    lab.at("sealed").damage_evidence(2)
    before = dict(lab.world.containers)
    for attempt in (reset, reset_preview):
        with pytest.raises(EvidenceInvalid) as raised:
            attempt(lab.centre(), lab.wave_id)
        assert len(raised.value.details) == 1 and "02" in raised.value.details[0]
    assert lab.world.containers == before and lab.world.wiped == [] and lab.state == "sealed"
    assert evidence_missing(lab.centre(), lab.wave) == [2]

    evidence = seal_seat(lab.centre(), 2)
    assert evidence.attempt == 2
    assert reset(lab.centre(), lab.wave_id).faults == []
    lab.check()


def test_a_missing_archive_refuses_the_reset(lab: Lab) -> None:
    lab.at("sealed")
    del lab.world.archives[f"{lab.wave_id}/poste-03-1.tar.gz"]
    with pytest.raises(EvidenceInvalid):
        reset(lab.centre(), lab.wave_id)
    assert lab.world.wiped == []


def test_an_altered_record_refuses_the_reset(lab: Lab) -> None:
    lab.at("sealed")
    lab.world.archives[f"{lab.wave_id}/poste-03-1.tar.gz"].content += b"one page more"
    with pytest.raises(EvidenceInvalid):
        reset(lab.centre(), lab.wave_id)
    assert lab.world.wiped == []


def test_a_seat_is_not_sealed_by_hand_while_somebody_works_there(lab: Lab) -> None:
    lab.at("open")
    with pytest.raises(Refused):
        seal_seat(lab.centre(), 2)


@pytest.mark.parametrize("state", ["planned", "prepared", "reset"])
def test_a_seat_where_nobody_worked_is_not_sealed(lab: Lab, state: str) -> None:
    lab.at(state)
    with pytest.raises((Refused, NotFound)):
        seal_seat(lab.centre(), 2)
    with pytest.raises(NotFound):
        seal_seat(lab.centre(), 77)
