"""The rules of a bank: each that is broken is named, all at once."""

import json
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.bank import CRITERIA, Bank, BankFault, BankFinding, Document, Subject, findings_of
from orchestrator.domain.calendar import Calendar, CalendarFault, HalfDay, Hours, Pair, Zone
from orchestrator.domain.exam import Site

CASES = json.loads((Path(__file__).parents[1] / "cases/bank/faults.json").read_text(encoding="utf-8"))

DOCUMENTS = {
    Document.CANDIDATE: "Votre travail",
    Document.AID: "Attendu",
    Document.GRID: "| | Candidat 1 | Candidat 2 | Candidat 3 | Candidat 4 | **Candidat 5** |\n| --- |",
    Document.SHEET: "\n".join(f"| **{number}. {text}** |" for number, text in enumerate(CRITERIA, 1)),
}


def bank() -> Bank:
    subjects = tuple(
        Subject(f"{site.value}-{number}", site, "Titre", 40, ("Animer",), DOCUMENTS)
        for site in Site
        for number in (1, 2)
    )
    hours = Hours(time(8), time(9), time(12))
    half_days = (
        HalfDay("2027-05-11-am", Pair("wordpress-1", "wordpress-2")),
        HalfDay("2027-05-11-pm", Pair("prestashop-1", "prestashop-2")),
    )
    calendar = Calendar("2027", 1, (Zone.METROPOLE,), {"am": hours, "pm": hours}, timedelta(), half_days)
    return Bank(subjects, calendar)


def changed(case: dict[str, Any]) -> Bank:
    subject_id, whole = case.get("of", "wordpress-1"), bank()
    subject = whole.subject(subject_id)
    assert subject is not None
    if case.get("remove"):
        return replace(whole, subjects=tuple(item for item in whole.subjects if item.id != subject_id))
    subject = replace(
        subject, **{key: tuple(v) if isinstance(v, list) else v for key, v in case.get("set", {}).items()}
    )
    if "document" in case:
        name, text = case["document"]
        documents = {key: value for key, value in subject.documents.items() if key.value != name}
        subject = replace(subject, documents=documents if text is None else {**documents, Document(name): text})
    if "fixture" in case:
        subject = replace(subject, fixtures={case["fixture"]: b""})
    return replace(whole, subjects=tuple(subject if item.id == subject_id else item for item in whole.subjects))


def test_a_bank_that_keeps_every_rule() -> None:
    assert findings_of(bank()) == []


@pytest.mark.parametrize("case", CASES, ids=[case["change"] for case in CASES])
def test_a_broken_rule_is_named(case: dict[str, Any]) -> None:
    assert [finding.fault.value for finding in findings_of(changed(case))] == case["faults"]


def test_all_broken_rules_are_named_at_once() -> None:
    whole = bank()
    for case in (CASES[1], CASES[2]):
        whole = replace(whole, subjects=(*whole.subjects[:1], *changed(case).subjects[:1], *whole.subjects[1:]))
    assert whole.calendar is not None
    found = {
        finding.fault for finding in findings_of(replace(whole, findings=(BankFinding(BankFault.UNREADABLE, "x"),)))
    }
    assert {BankFault.UNREADABLE, BankFault.NOT_BALANCED, BankFault.DURATION, BankFault.NO_COMPETENCE} <= found


def test_the_spare_is_of_the_subjects_site_and_of_the_bank() -> None:
    whole = bank()
    assert whole.calendar is not None
    first, second = whole.calendar.half_days
    crossed = (
        replace(first, pair=Pair("wordpress-1", "prestashop-2")),
        replace(second, pair=Pair("prestashop-1", "x")),
    )
    found = findings_of(replace(whole, calendar=replace(whole.calendar, half_days=crossed)))
    assert {(finding.fault, finding.where) for finding in found} == {
        (BankFault.SPARE_SITE, first.id),
        (BankFault.UNKNOWN_SUBJECT, second.id),
    }


def test_a_subject_used_twice_and_a_half_day_listed_twice() -> None:
    whole = bank()
    assert whole.calendar is not None
    again = replace(whole.calendar, half_days=(*whole.calendar.half_days, whole.calendar.half_days[0]))
    found = [(finding.fault, finding.where) for finding in findings_of(replace(whole, calendar=again))]
    assert found == [
        (CalendarFault.LISTED_TWICE, "2027-05-11-am"),
        (CalendarFault.USED_TWICE, "wordpress-1"),
        (CalendarFault.USED_TWICE, "wordpress-2"),
    ]


def test_a_subject_does_not_show_by_itself() -> None:
    shown = repr(replace(bank().subjects[0], title="MARQUE", documents={Document.CANDIDATE: "MARQUE"}))
    assert "MARQUE" not in shown and "wordpress-1" in shown
