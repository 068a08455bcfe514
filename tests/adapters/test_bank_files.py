"""The bank's folder: what is read, what is wrong with it, what is scaffolded, what fixtures become."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest

from orchestrator.adapters.bank_files import FolderBankFiles
from orchestrator.domain.bank import BankFault, Document, Finding, findings_of
from orchestrator.domain.exam import Site
from orchestrator.errors import InputInvalid, Refused

SAMPLE = Path(__file__).parents[2] / "subjects"
FILES = FolderBankFiles()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLE, tmp_path / "subjects"))


def found(folder: Path) -> list[tuple[str, str]]:
    def pair(finding: Finding) -> tuple[str, str]:
        return finding.fault.value, finding.where

    return [pair(finding) for finding in findings_of(FILES.read(folder))]


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_sample_bank_keeps_every_rule_and_is_large_enough() -> None:
    bank = FILES.read(SAMPLE)
    assert findings_of(bank) == []
    assert sorted(subject.site for subject in bank.subjects) == [Site.PRESTASHOP] * 2 + [Site.WORDPRESS] * 2
    assert all(subject.fixtures and subject.competences and subject.title for subject in bank.subjects)
    assert bank.calendar is not None and len(bank.calendar.half_days) == 2


def test_the_sample_bank_keeps_to_french_typography() -> None:
    """No ordinary space before what French keeps together."""
    for path in SAMPLE.glob("*/*.md"):
        text = path.read_text(encoding="utf-8")
        assert not [mark for mark in (" ;", " !", " ?", "« ", " »", " :\n", " : ") if mark in text], path
        assert "'" not in text, path


def test_everything_that_cannot_be_read_is_named_at_once(folder: Path) -> None:
    first, second, third, fourth = sorted(path for path in folder.iterdir() if path.is_dir())
    (first / "subject.toml").write_text("id = ", encoding="utf-8")
    (second / "subject.toml").unlink()
    replaced(third / "subject.toml", f'id = "{third.name}"', 'id = "another"')
    (fourth / "candidate.md").write_bytes(b"\xff\xfe")
    (folder / "Mon sujet").mkdir()
    replaced(folder / "calendar.toml", "version = 1", "version = 0")
    unreadable = [where for fault, where in found(folder) if fault == BankFault.UNREADABLE.value]
    assert sorted(unreadable) == sorted(
        [
            "calendar.toml",
            "Mon sujet/subject.toml",
            "Mon sujet",
            f"{first.name}/subject.toml",
            f"{second.name}/subject.toml",
            f"{third.name}/subject.toml",
            f"{fourth.name}/candidate.md",
        ]
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('half_day = "2027-05-11-am"', 'half_day = "2027-05-32-am"'),
        ('half_day = "2027-05-11-am"', 'half_day = "2027-05-11"'),
        ('subject = "fete-de-la-cueillette"', 'subject = ["fete-de-la-cueillette", "coffret-de-printemps"]'),
        ('subject = "fete-de-la-cueillette"', ""),
        ('spare = "article-qui-promet-trop"', ""),
        ('"reunion"', '"guadeloupe"'),
        ('"07:30"', '"7 h 30"'),
        ('"07:30"', '"25:00"'),
        ("pm = {", "evening = {"),
        ('session = "2027"', "session = 2027"),
        ("version = 1", "versoin = 1"),
        ("[hours]", "[heures]"),
    ],
)
def test_a_calendar_that_is_none(folder: Path, old: str, new: str) -> None:
    replaced(folder / "calendar.toml", old, new)
    faults = found(folder)
    assert faults and {where for _fault, where in faults} == {"calendar.toml"}


def test_a_bank_without_a_calendar_and_a_folder_that_is_none(folder: Path, tmp_path: Path) -> None:
    (folder / "calendar.toml").unlink()
    assert found(folder) == [("unreadable", "calendar.toml")]
    with pytest.raises(InputInvalid):
        FILES.read(tmp_path / "none")


def test_a_zone_may_have_a_subject_of_its_own(folder: Path) -> None:
    with (folder / "calendar.toml").open("a", encoding="utf-8") as file:
        file.write('\n[half_days.own.reunion]\nsubject = "one"\nspare = "two"\n')
    assert found(folder) == [("unknown subject", "2027-05-11-pm")] * 2


def test_a_scaffold_says_what_is_to_be_written_and_nothing_else(tmp_path: Path) -> None:
    written = FILES.scaffold(tmp_path / "bank", "mon-sujet", Site.WORDPRESS, 'Un "titre"')
    assert [path.name for path in written] == [
        "calendar.toml",
        "subject.toml",
        "candidate.md",
        "jury-aid.md",
        "jury-grid.md",
        "jury-sheet.md",
    ]
    second = FILES.scaffold(tmp_path / "bank", "un-autre", Site.PRESTASHOP, "Un autre")
    assert "calendar.toml" not in [path.name for path in second]
    bank = FILES.read(tmp_path / "bank")
    assert [subject.title for subject in bank.subjects] == ['Un "titre"', "Un autre"]
    assert {finding.fault.value for finding in findings_of(bank)} == {"to be written", "no half-day"}


def test_a_scaffold_changes_nothing_that_is_there(tmp_path: Path) -> None:
    FILES.scaffold(tmp_path, "mon-sujet", Site.WORDPRESS, "Titre")
    (tmp_path / "mon-sujet/candidate.md").write_text("écrit", encoding="utf-8")
    with pytest.raises(Refused):
        FILES.scaffold(tmp_path, "mon-sujet", Site.WORDPRESS, "Titre")
    assert (tmp_path / "mon-sujet/candidate.md").read_text(encoding="utf-8") == "écrit"
    for wrong in ("Mon sujet", "../ailleurs", ""):
        with pytest.raises(InputInvalid):
            FILES.scaffold(tmp_path, wrong, Site.WORDPRESS, "Titre")


def test_fixtures_become_the_same_tar_each_time(folder: Path) -> None:
    """Files of the site belong to the web server; no folder is in it, so none of the image's changes."""
    place = folder / "fete-de-la-cueillette/fixtures"
    upload = place / "files/var/www/site/wp-content/uploads/été.jpg"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(b"jpg")
    (place / "files/etc").mkdir()
    (place / "files/etc/motd").write_text("x", encoding="utf-8")
    subject = FILES.read(folder).subject("fete-de-la-cueillette")
    assert subject is not None
    content = FILES.fixtures(subject)
    assert content is not None and content == FILES.fixtures(subject)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = {member.name: (member.uid, member.gid, member.isreg(), member.mtime) for member in tar.getmembers()}
    assert members == {
        "files/etc/motd": (0, 0, True, 0),
        "files/var/www/site/wp-content/uploads/été.jpg": (33, 33, True, 0),
        "php/1-brouillon.php": (0, 0, True, 0),
        "php/2-commentaires.php": (0, 0, True, 0),
    }


def test_a_subject_without_fixtures_has_none(folder: Path) -> None:
    shutil.rmtree(folder / "fete-de-la-cueillette/fixtures")
    subject = FILES.read(folder).subject("fete-de-la-cueillette")
    assert subject is not None and FILES.fixtures(subject) is None
    assert Document.CANDIDATE in subject.documents
