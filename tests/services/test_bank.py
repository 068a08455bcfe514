"""The bank's services: check with an engine, seal, codes and letters, what a person types."""

import json
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from orchestrator.adapters.bank_files import FolderBankFiles
from orchestrator.adapters.bank_sealing import FolderSealedBanks
from orchestrator.adapters.signatures import MinisignSignatures
from orchestrator.cli.output import NoProgress
from orchestrator.domain.bank import Document, Role
from orchestrator.domain.calendar import Zone
from orchestrator.domain.exam import Site
from orchestrator.domain.fingerprint import Fingerprint
from orchestrator.domain.unlock_code import UnlockCode
from orchestrator.errors import EnvironmentFailed, InputInvalid, NotProved, Refused, SignatureInvalid
from orchestrator.ports import Aside
from orchestrator.services.bank_check import Checked, check
from orchestrator.services.bank_codes import letters
from orchestrator.services.bank_read import read_bank, typed_code
from orchestrator.services.bank_render import render
from orchestrator.services.bank_seal import Sealed, read_codes, seal

SAMPLE = Path(__file__).parents[2] / "subjects"
NOW = datetime(2027, 4, 6, 9, 0, tzinfo=UTC)
FILES, SIGNATURES = FolderBankFiles(), MinisignSignatures()
BANKS = FolderSealedBanks(log_n=4)
IMAGES = {site: f"e5b/{site.value}:current" for site in Site}


@dataclass
class TextDocuments:
    """Implements ports.Documents: what would be shown, as text. *made* are the values of each."""

    made: list[Mapping[str, Any]] = field(default_factory=list)

    def pdf(
        self, template: str, values: Mapping[str, Any], pictures: Mapping[str, bytes] = MappingProxyType({})
    ) -> bytes:
        self.made.append(values)
        return json.dumps([template, values], ensure_ascii=False).encode()


@dataclass
class AsideEngine:
    """The engine as a check uses it: *refused* is what an image says of fixtures, *restless* makes each environment
    come out different."""

    refused: str | None = None
    restless: bool = False
    missing: bool = False
    running: dict[str, list[bytes]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def image(self, reference: str) -> object | None:
        return None if self.missing else object()

    def create_aside(self, aside: Aside) -> None:
        assert aside.address is None  # on no network
        self.running[aside.name] = []
        self.done.append(f"create {aside.image}")

    def ready(self, name: str, timeout: float) -> None:
        assert name in self.running

    def load(self, name: str, parts: Iterator[bytes]) -> None:
        self.running[name] += parts
        if self.refused:
            raise EnvironmentFailed(self.refused)

    def fingerprint(self, name: str, *, full: bool = False) -> Fingerprint:
        number = len(self.done) if self.restless else 0
        return Fingerprint("sha256:m", {}, {"wp_posts": str(number)}, f"sha256:{number}")

    def remove(self, name: str) -> None:
        self.running.pop(name, None)


def checked(folder: Path = SAMPLE, engine: AsideEngine | None = None) -> Checked:
    return check(FILES, folder, NoProgress(), engine, IMAGES)  # type: ignore[arg-type]


# Check


def test_fixtures_are_applied_to_two_environments_that_are_taken_away() -> None:
    engine = AsideEngine()
    found = checked(engine=engine)
    assert found.faults == () and len(found.applied) == 4
    assert sorted(engine.done) == ["create e5b/prestashop:current"] * 4 + ["create e5b/wordpress:current"] * 4
    assert engine.running == {}


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (AsideEngine(refused="the member x is unknown"), "the member x is unknown"),
        (AsideEngine(restless=True), "wp_posts"),
        (AsideEngine(missing=True), "e5b/wordpress:current"),
    ],
)
def test_fixtures_that_do_not_apply_are_faults_of_each_subject(engine: AsideEngine, words: str) -> None:
    found = checked(engine=engine)
    assert len(found.faults) == 4 and engine.running == {}
    assert any(words in fault for fault in found.faults)


def test_every_fault_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    folder = tmp_path / "bank"
    FILES.scaffold(folder, "premier", Site.WORDPRESS, "Premier")
    found = checked(folder)
    assert "as many WordPress as PrestaShop subjects are needed (wordpress: 1, prestashop: 0)" in found.faults
    assert "premier: candidate.md still says “À RÉDIGER”" in found.faults
    assert "the calendar has no half-day" in found.faults
    assert not any("{" in fault for fault in found.faults)


def test_winter_time_is_refused_with_the_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    folder = Path(shutil.copytree(SAMPLE, tmp_path / "bank"))
    calendar = folder / "calendar.toml"
    calendar.write_text(calendar.read_text(encoding="utf-8").replace("2027-05-11", "2027-01-12"), encoding="utf-8")
    found = checked(folder).faults
    assert len(found) == 2 and all("Réunion" in fault and "180 minutes" in fault for fault in found)


# Seal


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    made = SIGNATURES.new_keys(tmp_path_factory.mktemp("keys"), "")
    return made.secret, made.text


def sealed_into(folder: Path, key: Path, found: Checked | None = None) -> Sealed:
    return seal(
        found or checked(),
        FILES,
        TextDocuments(),
        BANKS,
        SIGNATURES,
        NoProgress(),
        output=folder / "banque.e5b",
        codes=folder / "codes.json",
        key=key,
        password="",
        now=NOW,
    )


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, str]) -> Sealed:
    return sealed_into(tmp_path_factory.mktemp("sealed"), keys[0])


def test_a_sealed_bank_is_read_with_the_academys_key_and_opened_with_its_codes(
    sealed: Sealed, keys: tuple[Path, str]
) -> None:
    found = read_bank(BANKS, SIGNATURES, sealed.path, keys[1])
    assert found.bank.session == "2027" and "e5b bank 2027 version 1" in found.comment
    codes = read_codes(sealed.codes)
    assert len(found.bank.entries) == len(codes.codes) == 2 * 3 * 2
    bank = FILES.read(SAMPLE)
    assert bank.calendar is not None
    for kept in codes.codes:
        entry = found.bank.entry(kept.half_day, kept.zone, kept.role)
        assert entry is not None and (entry.site, entry.window) == (kept.site, kept.window)
        unlocked = BANKS.unlock(sealed.path, entry, kept.code)
        half_day = next(item for item in bank.calendar.half_days if item.id == kept.half_day)
        pair = half_day.pair_of(kept.zone)
        assert unlocked is not None
        assert unlocked.subject == (pair.subject if kept.role is Role.SUBJECT else pair.spare)
        subject = bank.subject(unlocked.subject)
        assert subject is not None and unlocked.fixtures == FILES.fixtures(subject)
        assert set(unlocked.documents) == set(Document)


def test_one_zones_code_does_not_open_another_ones_file(sealed: Sealed) -> None:
    """Nor a subject's code its spare: each is drawn on its own."""
    codes = read_codes(sealed.codes)
    assert len({kept.code for kept in codes.codes}) == len(codes.codes)
    first = codes.codes[0]
    entry = sealed.bank.entry(first.half_day, first.zone, first.role)
    assert entry is not None
    for kept in codes.codes[1:]:
        assert BANKS.unlock(sealed.path, entry, kept.code) is None


def test_the_codes_are_readable_by_their_owner_alone_and_nowhere_else(sealed: Sealed) -> None:
    assert stat.S_IMODE(sealed.codes.stat().st_mode) == 0o600
    codes = read_codes(sealed.codes)
    content = sealed.path.read_bytes() + sealed.signature.read_bytes()
    for kept in codes.codes:
        assert " ".join(kept.code.words).encode() not in content and kept.code.secret not in content
    assert not any(word in repr(codes) for kept in codes.codes for word in kept.code.words)


def test_a_changed_bank_is_refused_and_another_key(sealed: Sealed, keys: tuple[Path, str], tmp_path: Path) -> None:
    other = SIGNATURES.new_keys(tmp_path / "other", "").text
    with pytest.raises(SignatureInvalid):
        read_bank(BANKS, SIGNATURES, sealed.path, other)
    changed = tmp_path / "banque.e5b"
    content = bytearray(sealed.path.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    shutil.copy(sealed.signature, tmp_path / "banque.e5b.minisig")
    with pytest.raises(SignatureInvalid):
        read_bank(BANKS, SIGNATURES, changed, keys[1])


def test_nothing_is_sealed_of_a_bank_with_faults(tmp_path: Path, keys: tuple[Path, str]) -> None:
    folder = Path(shutil.copytree(SAMPLE, tmp_path / "bank"))
    (folder / "coffret-de-printemps/jury-aid.md").unlink()
    with pytest.raises(NotProved) as caught:
        sealed_into(tmp_path, keys[0], checked(folder))
    assert len(caught.value.details) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank"]


@pytest.mark.parametrize("there", ["banque.e5b", "codes.json"])
def test_what_is_there_is_not_overwritten(tmp_path: Path, keys: tuple[Path, str], there: str) -> None:
    (tmp_path / there).write_text("there", encoding="utf-8")
    with pytest.raises(Refused):
        sealed_into(tmp_path, keys[0])
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [(there, "there")]


def test_nothing_remains_of_a_sealing_that_fails(tmp_path: Path, keys: tuple[Path, str]) -> None:
    with pytest.raises(InputInvalid):
        sealed_into(tmp_path, tmp_path / "no.key")
    protected = SIGNATURES.new_keys(tmp_path / "keys", "password").secret
    with pytest.raises(InputInvalid):
        sealed_into(tmp_path, protected)  # with an empty password
    with pytest.raises(InputInvalid):
        sealed_into(tmp_path / "none", keys[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys"]


# Codes and letters


def test_a_letter_for_each_code_says_the_words_and_the_local_hours(sealed: Sealed, tmp_path: Path) -> None:
    documents, codes = TextDocuments(), read_codes(sealed.codes)
    written = letters(codes, documents, tmp_path / "lettres", NoProgress())
    assert len(written) == len(codes.codes) == len({letter.path for letter in written})
    assert {stat.S_IMODE(letter.path.stat().st_mode) for letter in written} == {0o600}
    assert stat.S_IMODE((tmp_path / "lettres").stat().st_mode) == 0o700
    for kept, values in zip(codes.codes, documents.made, strict=True):
        assert tuple(values["words"]) == kept.code.words
        assert dict(values["times"])["Déverrouillage permis à partir de"] in {
            "07 h 30 (heure locale)",
            "13 h 00 (heure locale)",
        }
        assert values["title"] in {"Mardi 11 mai 2027, matin", "Mardi 11 mai 2027, après-midi"}
        assert ("secours" in values["kind"]) == (kept.role is Role.SPARE)
    held = {
        kept.zone: dict(values["times"])["Aucun candidat ne sort avant"]
        for kept, values in zip(codes.codes, documents.made, strict=True)
        if kept.half_day.endswith("-am")
    }
    assert held == {
        Zone.METROPOLE: "08 h 15 (heure locale)",
        Zone.MAYOTTE: "09 h 15 (heure locale)",
        Zone.REUNION: "10 h 15 (heure locale)",
    }


def test_two_letters_of_a_second_lock_make_the_code_and_are_the_same_each_time(sealed: Sealed, tmp_path: Path) -> None:
    codes = read_codes(sealed.codes)
    runs = []
    for _time in range(2):
        documents = TextDocuments()
        written = letters(codes, documents, tmp_path / "lettres", NoProgress(), ["lycee-a", "lycee-b"])
        assert len(written) == 4 * len(codes.codes)
        runs.append([tuple(values["words"]) for values in documents.made])
    assert runs[0] == runs[1]
    words = iter(runs[0])
    for kept in codes.codes:
        for _centre in ("lycee-a", "lycee-b"):
            head, academy = next(words), next(words)
            assert typed_code(" ".join(head), " ".join(academy)) == kept.code
            assert kept.code not in {typed_code(" ".join(head)), typed_code(" ".join(academy))}
    with pytest.raises(InputInvalid):
        letters(codes, TextDocuments(), tmp_path / "lettres", NoProgress(), ["Lycée A/../b"])


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "codes": [{"code": "MARQUE"}]}'])
def test_what_is_no_file_of_codes(tmp_path: Path, content: str) -> None:
    path = tmp_path / "codes.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputInvalid) as caught:
        read_codes(path)
    assert "MARQUE" not in f"{caught.value} {caught.value.details}" and caught.value.__cause__ is None
    with pytest.raises(InputInvalid):
        read_codes(tmp_path / "none.json")


# What a person types


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("abandon abandon", "2 words"),
        ("abandon xylo abandon abandon abandon", "word 2 is"),
        ("xylo abandon xylo abandon abandon", "words 1, 3 are"),
        ("abandon abandon abandon abandon abandon", "not together"),
    ],
)
def test_a_typing_mistake_is_a_sentence_without_what_was_typed(
    monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    with pytest.raises(InputInvalid) as caught:
        typed_code(text)
    error = caught.value
    assert words in error.message
    assert error.__cause__ is None and error.__context__ is None
    assert "aban" not in f"{error.message}{error.hint}" and "xylo" not in f"{error.message}{error.hint}"


def test_a_mistake_in_the_second_code_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    with pytest.raises(InputInvalid, match="The second code"):
        typed_code(" ".join(UnlockCode(1).words), "nothing")


# Render


def test_a_subject_is_rendered_to_files_of_its_authors_own(tmp_path: Path) -> None:
    written = render(FILES, TextDocuments(), SAMPLE, "coffret-de-printemps", tmp_path / "pdf")
    assert [path.name for path in written] == [
        f"coffret-de-printemps-{name}.pdf" for name in ("candidate", "jury-aid", "jury-grid", "jury-sheet")
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
