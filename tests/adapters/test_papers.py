"""The centre's papers as they are printed: read back from the PDF, and from the picture of its QR codes' squares."""

from collections.abc import Callable
from datetime import time, timedelta

import pypdfium2
import pytest

from orchestrator.adapters.documents import WeasyDocuments
from orchestrator.adapters.papers import SheetPapers
from orchestrator.domain.exam import Site
from orchestrator.errors import InputInvalid, JournalBroken, NotFound, Refused
from orchestrator.services.absent import mark_absent
from orchestrator.services.extend import extend
from orchestrator.services.print_papers import Hours, Paper, attendance, cards, groups_of, timetable
from orchestrator.services.print_record import record, verify_record
from tests.services.conftest import Lab, disk_without_waiting, empty_database, lab, new_lab  # noqa: F401 - fixtures

PAPERS = SheetPapers(WeasyDocuments())
HOURS = Hours(time(8, 15), time(13, 45), timedelta(minutes=20), timedelta(minutes=20))


def pages(paper: Paper) -> list[str]:
    """The text of each page."""
    document = pypdfium2.PdfDocument(PAPERS.pdf(paper.name, paper.values, paper.codes))
    return [page.get_textpage().get_text_bounded().replace("\r\n", "\n") for page in document]


pytestmark = pytest.mark.usefixtures("in_english")


@pytest.fixture
def room(new_lab: Callable[..., Lab]) -> Lab:  # noqa: F811
    """Twenty seats."""
    return new_lab(rooms={"salle-101": tuple(range(1, 21))})


def test_each_candidate_who_takes_part_has_a_card_with_what_they_log_in_with(room: Lab) -> None:
    room.plan(candidates=[(seat, f"0275{seat:04d}", "4/3" if seat == 3 else None) for seat in range(1, 12)])
    with pytest.raises(Refused, match="access"):
        cards(room.centre(), room.wave_id)
    room.at("prepared")
    mark_absent(room.centre(), room.wave_id, 7)
    paper = cards(room.centre(), room.wave_id)
    printed = pages(paper)
    text = "\n".join(printed)
    assert len(printed) == 2 and "02750007" not in text
    for seat in (1, 3, 11):
        assert f"Candidat 0275{seat:04d}" in text and f"http://127.0.0.1:{8000 + seat}" in text
    assert text.count("candidat · not for the jury") == 10 and text.count("+ 13 min 20 s (tiers temps)") == 1
    assert sorted(paper.codes.values()) == sorted(
        f"http://127.0.0.1:{8000 + seat}" for seat in range(1, 12) if seat != 7
    )


def test_a_qr_code_is_drawn_as_dark_squares_on_the_card(lab: Lab) -> None:  # noqa: F811
    lab.at("prepared")
    paper = cards(lab.centre(), lab.wave_id)
    picture = pypdfium2.PdfDocument(PAPERS.pdf(paper.name, paper.values, paper.codes))[0].render(scale=2).to_pil()
    # The first card's code: 24 mm at its top right, on a page of 210 mm.
    unit = picture.width / 210
    code = picture.convert("L").crop(tuple(int(unit * mm) for mm in (76, 54, 100, 78)))
    dark = sum(value < 100 for value in code.tobytes()) / (code.width * code.height)
    assert 0.2 < dark < 0.6


@pytest.mark.parametrize("count", range(1, 21))
def test_no_group_has_more_than_five_and_none_is_left_with_much_less(count: int) -> None:
    places = list(range(count))
    groups = list(groups_of(places))  # type: ignore[arg-type]
    assert [place for group in groups for place in group] == places
    sizes = [len(group) for group in groups]
    assert max(sizes) <= 5 and max(sizes) - min(sizes) <= 1


def test_the_attendance_list_has_a_box_for_each_of_two_examiners_in_every_group(room: Lab) -> None:
    room.plan(candidates=[(seat, f"0275{seat:04d}") for seat in range(1, 19)])
    text = "\n".join(pages(attendance(room.centre(), room.wave_id)))
    assert [f"Groupe {name}" in text for name in "ABCDE"] == [True] * 4 + [False]
    assert text.count("Premier examinateur") == text.count("Second examinateur") == 4
    assert all(f"0275{seat:04d}" in text for seat in range(1, 19))


def test_the_timetable_makes_room_for_more_time_and_for_the_reset(room: Lab) -> None:
    with pytest.raises(NotFound, match="No wave"):
        timetable(room.centre(), "2027-05-11", "salle-101", HOURS)
    room.plan(candidates=[(1, "C001"), (2, "C002", "4/3")])
    room.plan(number=2, candidates=[(1, "C011")])
    room.plan(number=1, half_day="2027-05-11-pm", site=Site.PRESTASHOP, candidates=[(1, "C021")])
    paper = timetable(room.centre(), "2027-05-11", "salle-101", HOURS)
    rows = [(row["called"], row["begin"], row["end"], row["last"], row["reset"]) for row in paper.values["rows"]]
    assert rows == [
        ("07:55", "08:15", "08:55", "09:08:20", "09:09 – 09:30"),
        ("09:10", "09:30", "10:10", "", "10:10 – 10:30"),
        ("13:25", "13:45", "14:25", "", "14:25 – 14:45"),
    ]
    (text,) = pages(paper)
    assert "poste 02, candidat C002 : + 13 min 20 s (tiers temps), fin à 09:08:20" in text


def test_the_record_says_what_happened_and_its_code_stands_in_the_journal(lab: Lab) -> None:  # noqa: F811
    lab.at("open")
    with pytest.raises(Refused, match="not ended"):
        record(lab.centre(), lab.wave_id)
    extend(lab.centre(), 2, timedelta(minutes=2), "poste instable")
    lab.world.later(minutes=50)
    lab.at("reset")
    paper, code = record(lab.centre(), lab.wave_id)
    text = "\n".join(pages(paper))
    assert "poste instable" in text and "temps donné" in text and code in text
    assert all(item.sha256 in text for item in lab.centre().store.evidence(lab.wave_id))
    found = verify_record(lab.centre().store, f" {code.upper()} ")
    assert found.line.wave == lab.wave_id and found.line.data["sha256"] in text.replace("\n", "")


def test_a_code_that_was_changed_or_is_another_centres_does_not_stand(lab: Lab) -> None:  # noqa: F811
    lab.at("reset")
    _paper, code = record(lab.centre(), lab.wave_id)
    number, _hyphen, digits = code.partition("-")
    for wrong in (f"{number}-{digits[::-1]}", f"{int(number) - 1}-{digits}", f"{int(number) + 1}-{digits}"):
        with pytest.raises(JournalBroken, match="no such record"):
            verify_record(lab.centre().store, wrong)
    for wrong in ("", "42", f"{code}0", code.replace("-", "")):
        with pytest.raises(InputInvalid):
            verify_record(lab.centre().store, wrong)
