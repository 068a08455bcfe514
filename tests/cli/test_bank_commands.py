"""``e5b bank`` as it is typed: answers, JSON, exit codes."""

import json
from pathlib import Path

import pytest

from orchestrator import wiring
from orchestrator.adapters.bank_sealing import FolderSealedBanks
from tests.cli.conftest import Run

SAMPLE = Path(__file__).parents[2] / "subjects"
BEGIN = ("bank", "new", "banque", "mon-sujet", "--site", "wordpress", "--title", "Mon sujet")


def test_a_bank_from_its_first_folder_to_its_letters(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "sealed_banks", lambda: FolderSealedBanks(log_n=4))
    assert run("context", "keys", "cles", "--no-password").code == 0
    assert run("bank", "check", str(SAMPLE), "--without-engine").code == 0
    seal = ("bank", "seal", str(SAMPLE), "--output", "b.e5b", "--codes", "codes.json", "--key", "cles/minisign.key")
    answer = run(*seal, "--without-engine", "--json")
    assert answer.code == 0, answer.err
    assert (answer.json["session"], answer.json["version"], answer.json["entries"]) == ("2027", 1, 12)
    again = run(*seal, "--without-engine")
    assert again.code == 6 and "b.e5b" in again.err
    answer = run("bank", "codes", "codes.json", "--output", "lettres", "--json")
    assert answer.code == 0 and len(answer.json["letters"]) == 12
    words = [kept["code"] for kept in json.loads((tmp_path / "codes.json").read_text(encoding="utf-8"))["codes"]]
    assert not any(code in answer.out + answer.err for code in words)
    assert all(Path(letter["path"]).read_bytes().startswith(b"%PDF") for letter in answer.json["letters"])


def test_a_new_bank_is_refused_with_all_that_is_to_be_written(run: Run) -> None:
    answer = run(*BEGIN, "--json")
    assert answer.code == 0 and len(answer.json["written"]) == 6
    answer = run("bank", "check", "banque", "--without-engine", "--json")
    assert answer.code == 5 and len(answer.json["details"]) == 6
    assert run("bank", "seal", "banque", "--output", "b", "--codes", "c", "--key", "k", "--without-engine").code == 2
    assert run(*BEGIN).code == 6


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("bank", "check", "nowhere", "--without-engine"), 2),
        (("bank", "render", str(SAMPLE), "nothing"), 13),
        (("bank", "codes", "nowhere.json", "--output", "x"), 2),
        (("bank", "new", "banque", "Mon Sujet", "--site", "wordpress", "--title", "t"), 2),
        (("bank", "new", "banque", "sujet", "--site", "joomla", "--title", "t"), 2),
    ],
)
def test_faults_of_use(run: Run, arguments: tuple[str, ...], code: int) -> None:
    answer = run(*arguments)
    assert answer.code == code and "Traceback" not in answer.err


def test_a_subject_is_rendered(run: Run, tmp_path: Path) -> None:
    answer = run("bank", "render", str(SAMPLE), "fete-de-la-cueillette", "--output", "pdf", "--json")
    assert answer.code == 0
    assert all((tmp_path / path).read_bytes().startswith(b"%PDF") for path in answer.json["written"])
