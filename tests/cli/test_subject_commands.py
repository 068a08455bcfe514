"""Loading the bank, unlocking, the spare and the papers from the command line: what is asked, said and refused."""

import io
import stat
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from orchestrator.adapters.signatures import MinisignSignatures
from orchestrator.domain.bank import Role
from orchestrator.domain.unlock_code import UnlockCode
from tests.cli.conftest import INIT, Answer, Run
from tests.services.fakes import World
from tests.services.test_unlock import AM, sealed


@dataclass
class Exam:
    run: Run
    world: World
    codes: dict[tuple[str, Role], UnlockCode]
    patch: pytest.MonkeyPatch

    def type(self, text: str, *arguments: str) -> Answer:
        """The command, with *text* on its standard input."""
        self.patch.setattr(sys, "stdin", io.StringIO(text))
        return self.run(*arguments)

    def words(self, role: Role = Role.SUBJECT, half_day: str = AM) -> str:
        return " ".join(self.codes[half_day, role].words)


@pytest.fixture
def exam(run: Run, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Exam:
    """A centre that trusts an academy, has loaded its bank, and has prepared a wave. It is ten in the morning."""
    monkeypatch.setenv("E5B_LANG", "en")
    signatures = MinisignSignatures()
    keys = signatures.new_keys(tmp_path / "academy", "")
    assert run(*INIT, "--public-key", keys.text).code == 0
    bank = tmp_path / "academy" / "banque.e5b"
    _bank, codes = sealed(bank)
    refused = run("bank", "load", str(bank))
    assert refused.code == 15, "without a signature"
    signatures.sign(bank, keys.secret, "", "bank")
    assert "would be loaded: 3 half-days" in run("bank", "load", str(bank), "--dry-run").out
    assert run("bank", "load", str(bank), "--json").json["changed"]
    assert "was loaded already" in run("bank", "load", str(bank)).out
    wave = ("wave", "plan", "--half-day", AM, "--room", "salle-1", "--site", "wordpress")
    assert run(*wave, *(f"--candidate={seat}=C{seat:03d}" for seat in (1, 2, 3))).code == 0
    assert run("wave", "prepare").code == 0
    return Exam(run, world, codes, monkeypatch)


def test_a_code_is_read_from_standard_input_and_shown_nowhere(exam: Exam) -> None:
    assert exam.run("wave", "open").code == 6
    mistyped = exam.type("un deux trois", "subject", "unlock", "--code-file", "-")
    assert mistyped.code == 2 and "five" in mistyped.err
    said = exam.type(exam.words(), "subject", "unlock", "--code-file", "-", "--json")
    assert said.code == 0 and said.json["half_day"] == AM and said.json["faults"] == []
    assert said.json["jury"] == "http://127.0.0.1:8001/jury/"
    journal = exam.run("journal", "show", "--json")
    for answer in (mistyped, said, journal):
        assert not [word for word in exam.words().split() if word in answer.out + answer.err]
    assert exam.run("wave", "open").code == 0


def test_two_peoples_codes_are_asked_for_and_open_it_together_alone(
    exam: Exam, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (" ".join(code.words) for code in exam.codes[AM, Role.SUBJECT].share(b"academy", "centre"))
    assert exam.type(first, "subject", "unlock", "--code-file", "-").code == 6
    asked: list[tuple[str, bool]] = []

    def prompt(question: str, *, hide_input: bool = False, **_options: Any) -> str:
        asked.append((question, hide_input))
        return [first, second][len(asked) - 1]

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert "is unlocked" in exam.run("subject", "unlock", "--second-code").out
    assert [hidden for _question, hidden in asked] == [True, True]


def test_nobody_is_asked_where_nobody_sits(exam: Exam) -> None:
    answer = exam.type("", "subject", "unlock")
    assert answer.code == 6 and "--code-file -" in answer.err
    assert exam.type("\n", "subject", "unlock", "--code-file", "-").code == 2


def test_outside_the_permitted_hours_a_sentence_is_to_be_typed(exam: Exam) -> None:
    exam.world.now = datetime(2027, 5, 11, 4, 0, tzinfo=UTC)
    refused = exam.type(exam.words(), "subject", "unlock", "--code-file", "-")
    assert refused.code == 6 and "It is 06:00" in refused.err and "from 07:30 to 13:00" in refused.err
    sentence = f"unlock {AM} outside its hours"
    wrong = exam.type(exam.words(), "subject", "unlock", "--code-file", "-", "--confirm", "yes")
    assert wrong.code == 6
    assert exam.type(exam.words(), "subject", "unlock", "--code-file", "-", "--confirm", sentence).code == 0
    (line,) = [item for item in exam.run("journal", "show", "--json").json if item["action"] == "subject.unlocked"]
    assert line["data"]["permitted_hours"] is False


def test_the_spare_needs_a_reason_and_can_be_tried_without_being_done(exam: Exam) -> None:
    assert exam.run("subject", "spare").code == 2
    spare = ("subject", "spare", "--reason", "vu dans le couloir")
    assert exam.run(*spare, "--dry-run", "--json").json == {"half_day": AM, "unlocked": False}
    assert exam.type("", *spare).code == 6, "nobody has confirmed it"
    assert "has its spare" in exam.type(exam.words(Role.SPARE), *spare, "--yes", "--code-file", "-").out
    (line, *_others) = exam.run("subject", "status", "--json").json
    assert (line["state"], line["spare"], line["reason"]) == ("unlocked", True, "vu dans le couloir")
    shown = exam.run("subject", "status").out
    assert "spare: vu dans le couloir" in shown and "07:30" in shown and "sealed" in shown


def test_the_next_command_after_the_end_of_the_half_day_leaves_nothing(exam: Exam) -> None:
    exam.type(exam.words(), "subject", "unlock", "--code-file", "-")
    exam.world.now = datetime(2027, 5, 11, 11, 0, tzinfo=UTC)
    assert exam.world.clear
    assert exam.run("seat", "status").code == 0
    assert not exam.world.clear
    assert exam.run("subject", "unlock", "--half-day", AM).code == 6


def test_papers_are_written_for_their_owner_alone_and_a_record_is_verified(exam: Exam) -> None:
    cards = exam.run("print", "cards", "--json").json
    path = Path(cards["path"])
    assert path.name == f"cards-{AM}-salle-1-v1.pdf" and path.read_bytes().startswith(b"%PDF")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert exam.run("print", "timetable", "--day", "2027-05-11", "--room", "salle-1", "--output", "j.pdf").code == 0
    assert exam.run("print", "timetable", "--day", "mardi", "--room", "salle-1").code == 2
    assert exam.run("print", "timetable", "--day", "2027-05-11", "--room", "salle-1", "--morning", "8h").code == 2
    assert exam.run("print", "record").code == 6
    exam.type(exam.words(), "subject", "unlock", "--code-file", "-")
    for step in (("open",), ("close", "--early", "essai"), ("seal",)):
        assert exam.run("wave", *step).code == 0
    record = exam.run("print", "record", "--output", "pv.pdf", "--json").json
    assert Path("pv.pdf").read_bytes().startswith(b"%PDF")
    assert "It stands" in exam.run("print", "record", "--verify", record["code"]).out
    assert exam.run("print", "record", "--verify", record["code"][:-1] + "x").code == 2
