"""Who sits where: every fault of a list is said, and nothing is planned then."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.domain.exam import Site
from orchestrator.errors import E5BError, ImageUnusable, InputInvalid, NotFound, Refused
from orchestrator.services.plan_wave import Seated, parse_candidates
from orchestrator.services.prepare import prepare
from tests.services import fakes
from tests.services.conftest import Lab
from tests.services.fakes import Killed, KilledAt


@pytest.mark.parametrize(
    ("candidates", "faults"),
    [
        ([], ["empty"]),
        ([(1, "C001"), (1, "C002")], ["seat 1 is given twice"]),
        ([(1, "C001"), (2, "C001")], ["candidate C001 is given twice"]),
        ([(9, "C001")], ["seat 9 is not one of the room's"]),
        ([(1, "DUPONT")], ["'DUPONT' is not a candidate's number"]),
        ([(1, "Dupont Marie")], ["'Dupont Marie' is not a candidate's number"]),
        ([(1, "c001")], ["'c001' is not a candidate's number"]),
        ([(1, "7")], ["'7' is not a candidate's number"]),
        ([(1, "C-001")], ["'C-001' is not a candidate's number"]),
        ([(1, "../../etc1")], ["'../../etc1' is not a candidate's number"]),
        ([(1, "C001"), (1, "C001"), (8, "X")], ["seat 1", "candidate C001", "seat 8", "'X'"]),
    ],
)
def test_faults_of_the_list(
    lab: Lab, candidates: list[tuple[int, str]], faults: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    with pytest.raises(InputInvalid) as raised:
        lab.plan(candidates=candidates)
    assert len(raised.value.details) == len(faults)
    assert all(fault in said for fault, said in zip(faults, raised.value.details, strict=True))
    assert lab.centre().store.waves() == [] and lab.centre().store.journal() == []


def test_a_twenty_first_candidate(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(rooms={"salle-1": range(1, 22)})
    with pytest.raises(InputInvalid) as raised:
        lab.plan()
    assert len(raised.value.details) == 1 and "21" in raised.value.details[0]
    lab.plan(candidates=[(seat, f"C{seat:03d}") for seat in range(1, 21)])


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"room": "salle-9"}, NotFound),
        ({"half_day": "2027-02-30-am"}, InputInvalid),
        ({"half_day": "2027-05-11"}, InputInvalid),
        ({"half_day": "11/05/2027 am"}, InputInvalid),
        ({"duration": timedelta(0)}, InputInvalid),
        ({"duration": timedelta(hours=5)}, InputInvalid),
    ],
)
def test_other_faults(lab: Lab, given: dict[str, Any], error: type[E5BError]) -> None:
    with pytest.raises(error) as raised:
        lab.plan(**given)
    assert raised.value.message
    assert lab.centre().store.waves() == []


@pytest.mark.parametrize(
    "found",
    [
        None,
        fakes.image("e5b/wordpress:current", Site.WORDPRESS, contract=None),
        fakes.image("e5b/wordpress:current", Site.WORDPRESS, contract="2"),
        fakes.image("e5b/wordpress:current", Site.PRESTASHOP),
        fakes.image("e5b/wordpress:current", None),
    ],
    ids=["no image", "no contract", "unknown version of the contract", "another site", "no site"],
)
def test_an_image_that_cannot_be_used(lab: Lab, found: Any) -> None:
    del lab.world.images["e5b/wordpress:current"]
    if found is not None:
        lab.world.images[found.reference] = found
    with pytest.raises(ImageUnusable) as raised:
        lab.plan()
    assert "e5b/wordpress:current" in raised.value.message and raised.value.hint
    assert lab.centre().store.waves() == []


def test_the_image_is_settled_by_its_content(lab: Lab) -> None:
    """A tag that moves after the plan changes nothing for the wave."""
    lab.plan()
    newer = fakes.image("e5b/wordpress:current", Site.WORDPRESS, id=fakes.NEWER_IMAGE_ID)
    lab.world.images[newer.reference] = newer
    prepare(lab.centre(), lab.wave_id)
    assert {item.image for item in lab.world.containers.values()} == {fakes.IMAGE_ID}


def test_planned_again_before_it_is_prepared(lab: Lab) -> None:
    """The new list replaces the old one: other seats, and candidates who changed places."""
    lab.plan()
    wave = lab.plan(candidates=[(1, "C002"), (2, "C001")], site=Site.PRESTASHOP)
    assert [(place.seat, place.candidate) for place in lab.wave.places] == [(1, "C002"), (2, "C001")]
    assert lab.wave == wave and wave.site is Site.PRESTASHOP


@pytest.mark.parametrize("state", ["prepared", "open", "reset"])
def test_not_planned_again_once_it_has_begun(lab: Lab, state: str) -> None:
    before = lab.at(state).wave
    with pytest.raises(Refused):
        lab.plan(candidates=[(1, "C009")])
    assert lab.wave == before


def test_not_planned_again_while_its_preparation_is_not_completed(lab: Lab) -> None:
    lab.plan()
    with pytest.raises(Killed):
        prepare(lab.centre(KilledAt("engine.ensure_network")), lab.wave_id)
    assert lab.wave.intent == "prepare"
    with pytest.raises(Refused):
        lab.plan(candidates=[(1, "C009")])


def test_a_candidate_sits_once_in_a_half_day(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(rooms={"salle-1": [1, 2], "salle-2": [11, 12]})
    lab.plan()
    with pytest.raises(InputInvalid) as raised:
        lab.plan(room="salle-2", candidates=[(11, "C002"), (12, "C003")])
    assert len(raised.value.details) == 1 and "C002" in raised.value.details[0]
    lab.plan(room="salle-2", candidates=[(11, "C002")], half_day="2027-05-11-pm")


def test_lists_as_spreadsheets_save_them() -> None:
    expected = [Seated(1, "C001"), Seated(12, "0123")]
    for text in (
        "1;C001\n12;0123\n",
        "\ufeffposte;candidat\r\n1;C001\r\n12;0123\r\n",
        '"Poste","Candidat"\n"1","C001"\n\n"12","0123"',
        " 1\tC001 \n12\t0123",
    ):
        assert parse_candidates(text) == expected


def test_adjustments_of_time_are_a_third_column() -> None:
    listed = parse_candidates("poste;candidat;temps\n1;C001;4/3\n2;C002;+10\n3;C003;\n4;C004;Tiers temps\n")
    assert [item.adjustment for item in listed] == ["4/3", "+10", None, "4/3"]


@pytest.mark.parametrize("adjustment", ["more", "3/4", "4/0", "-10", "+300", "0/1", "99/1", "04/03/2027"])
def test_what_is_no_adjustment_is_named_with_its_seat(
    lab: Lab, adjustment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    with pytest.raises(InputInvalid) as raised:
        lab.plan(candidates=[(1, "C001"), (2, "C002", adjustment)])
    assert len(raised.value.details) == 1 and raised.value.details[0].startswith("seat 2:")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("1;C001;4/3;more", [1]),
        ("1;C001\nDupont;C002", [2]),
        ("Dupont;C001\n2;C002", [1]),
        ("1;C001\n2", [2]),
        ("²;C001", [1]),
        ("1;C001\n-2;C002\n3 C003", [2, 3]),
    ],
)
def test_lines_that_cannot_be_read_are_all_named(text: str, lines: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    with pytest.raises(InputInvalid) as raised:
        parse_candidates(text)
    assert [int(said.split()[1].rstrip(":")) for said in raised.value.details] == lines
