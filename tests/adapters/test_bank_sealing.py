"""The sealed bank: what opens it, and everything that does not."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.adapters import bank_sealing
from orchestrator.adapters.bank_sealing import FolderSealedBanks
from orchestrator.adapters.signatures import MinisignSignatures
from orchestrator.domain.bank import Document, Role, SealedBank, Subject
from orchestrator.domain.calendar import Window, Zone
from orchestrator.domain.exam import Site
from orchestrator.domain.unlock_code import UnlockCode
from orchestrator.errors import E5BError, InputInvalid, Refused, SignatureInvalid
from orchestrator.ports import ToSeal
from orchestrator.services.bank_read import read_bank

MARK = "MARQUE-DU-SUJET"
SEALED_AT = datetime(2027, 4, 6, 9, 0, tzinfo=UTC)
WINDOW = Window(*(datetime(2027, 5, 11, hour, tzinfo=UTC) for hour in (5, 6, 8, 10)))
BANKS, SIGNATURES = FolderSealedBanks(log_n=4), MinisignSignatures()


def to_seal(place: int, *, size: int = 100, fixtures: bytes | None = None) -> ToSeal:
    subject = Subject(f"sujet-{place}", Site.WORDPRESS, f"{MARK} {place}", 40, ("Animer",), {})
    return ToSeal(
        half_day=f"2027-05-1{place // 2}-am",
        zone=Zone.METROPOLE,
        role=(Role.SUBJECT, Role.SPARE)[place % 2],
        window=WINDOW,
        code=UnlockCode.draw(),
        subject=subject,
        documents={document: f"%PDF {MARK} {document.value} {place}".encode().ljust(size) for document in Document},
        fixtures=fixtures,
    )


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SealedBank, list[ToSeal]]:
    path = tmp_path_factory.mktemp("bank") / "banque.e5b"
    subjects = [to_seal(0, fixtures=b"tar"), to_seal(1), to_seal(2, size=5000), to_seal(3)]
    return path, BANKS.write(path, "2027", 3, SEALED_AT, subjects), subjects


Sealed = tuple[Path, SealedBank, list[ToSeal]]


def test_each_code_opens_its_own_subject_and_no_other(sealed: Sealed) -> None:
    path, bank, subjects = sealed
    for entry in bank.entries:
        for item in subjects:
            unlocked = BANKS.unlock(path, entry, item.code)
            if (item.half_day, item.role) != (entry.half_day, entry.role):
                assert unlocked is None
                continue
            assert unlocked is not None
            assert (unlocked.subject, unlocked.title, unlocked.minutes) == (item.subject.id, item.subject.title, 40)
            assert dict(unlocked.documents) == item.documents
            assert unlocked.candidate == item.documents[Document.CANDIDATE]
            assert set(unlocked.jury) == set(Document) - {Document.CANDIDATE}
            assert unlocked.fixtures == item.fixtures


def test_what_is_public_is_read_back_as_it_was_written(sealed: Sealed) -> None:
    path, bank, _subjects = sealed
    found = BANKS.read(path)
    assert (found.session, found.version, found.sealed_at) == ("2027", 3, SEALED_AT)
    assert set(found.entries) == set(bank.entries)
    assert found.entry("2027-05-11-am", Zone.METROPOLE, Role.SPARE) is not None
    assert found.entry("2027-05-11-am", Zone.REUNION) is None


def test_the_file_says_nothing_of_its_subjects(sealed: Sealed) -> None:
    """Neither their words, nor their sizes (age adds a few random bytes to each header), nor which have fixtures, nor
    their order, nor who sealed them."""
    path, bank, _subjects = sealed
    assert MARK.encode() not in path.read_bytes() and b"sujet-" not in path.read_bytes()
    with tarfile.open(path) as tar:
        first, *entries = tar.getmembers()
    assert first.name == "manifest.json"
    assert max(member.size for member in entries) - min(member.size for member in entries) < 1024
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in entries} == {(0, 0, "", "", 0)}
    assert [member.name for member in entries] == sorted(entry.file for entry in bank.entries)


def test_nothing_shows_by_itself(sealed: Sealed) -> None:
    """What a trace or a log would print of the objects."""
    path, bank, subjects = sealed
    entry = bank.entries[0]
    unlocked = BANKS.unlock(path, entry, subjects[0].code)
    shown = repr((unlocked, subjects[0], entry))
    assert MARK not in shown and "sujet-0" not in repr(unlocked)
    assert not any(word in shown for word in subjects[0].code.words)
    assert str(subjects[0].code.number) not in shown


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_byte_that_is_read_is_refused(sealed: Sealed, tmp_path: Path, data: st.DataObject) -> None:
    """The signature covers every byte; the entries' digests are looked at besides, and never open as another text."""
    path, bank, subjects = sealed
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        members = {member.name: member for member in tar.getmembers()}
    entry = data.draw(st.sampled_from(bank.entries))
    member = members[entry.file]
    place = member.offset_data + data.draw(st.integers(0, member.size - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    flipped = tmp_path / "flipped.e5b"
    flipped.write_bytes(content)
    with pytest.raises(SignatureInvalid):
        BANKS.read(flipped)
    code = next(item.code for item in subjects if (item.half_day, item.role) == (entry.half_day, entry.role))
    with pytest.raises(SignatureInvalid):
        BANKS.unlock(flipped, entry, code)


@pytest.fixture(scope="module")
def signed(sealed: Sealed, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A signed bank, and the public key."""
    made = SIGNATURES.new_keys(tmp_path_factory.mktemp("keys"), "")
    SIGNATURES.sign(sealed[0], made.secret, "", "bank")
    return sealed[0], made.text


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_signed_bank_with_any_byte_changed_or_any_part_missing_is_refused(
    signed: tuple[Path, str], tmp_path: Path, data: st.DataObject
) -> None:
    """Headers, manifest, padding and all: the whole file is signed."""
    path, key = signed
    changed = tmp_path / path.name
    shutil.copy(path, changed)
    shutil.copy(f"{path}.minisig", f"{changed}.minisig")
    with changed.open("r+b") as file:
        place = data.draw(st.integers(0, path.stat().st_size - 1) | st.integers(0, 8192))
        if data.draw(st.booleans()):
            file.truncate(place)
        else:
            file.seek(place)
            (byte,) = file.read(1)
            file.seek(place)
            file.write(bytes([byte ^ data.draw(st.integers(1, 255))]))
    with pytest.raises(SignatureInvalid):
        read_bank(BANKS, SIGNATURES, changed, key)
    assert read_bank(BANKS, SIGNATURES, path, key).bank.version == 3


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**44 - 1).map(UnlockCode), st.integers(0, 3))
def test_no_other_code_opens_anything(sealed: Sealed, code: UnlockCode, place: int) -> None:
    path, bank, subjects = sealed
    if code not in {item.code for item in subjects}:
        assert BANKS.unlock(path, bank.entries[place], code) is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_file_that_is_cut_short_is_refused(sealed: Sealed, tmp_path: Path, data: st.DataObject) -> None:
    path, _bank, _subjects = sealed
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    length = data.draw(st.integers(0, last.offset_data + last.size - 1))
    cut = tmp_path / "cut.e5b"
    shutil.copy(path, cut)
    with cut.open("r+b") as file:
        file.truncate(length)
    with pytest.raises(SignatureInvalid):
        BANKS.read(cut)


def rewritten(path: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """*target* with what *change* makes of the files of *path*: the work of somebody who could sign it again."""
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]
    change(files)
    with tarfile.open(target, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target


@pytest.mark.parametrize("name", ["half_day", "zone", "role"])
def test_a_subject_put_in_another_ones_place_opens_with_no_code(sealed: Sealed, tmp_path: Path, name: str) -> None:
    """Even by somebody who can sign: the half-day, the zone and the role are part of the key."""
    path, _bank, subjects = sealed

    def swap(files: dict[str, bytes]) -> None:
        manifest = json.loads(files["manifest.json"])
        entries = {(item["half_day"], item["role"]): item for item in manifest["entries"]}
        first = entries["2027-05-10-am", "subject"]
        other = entries["2027-05-10-am", "spare"] if name == "role" else entries["2027-05-11-am", "subject"]
        if name == "zone":
            first["zone"] = "reunion"
        else:
            first[name], other[name] = other[name], first[name]
        files["manifest.json"] = json.dumps(manifest).encode()

    swapped = rewritten(path, tmp_path / "swapped.e5b", swap)
    bank = BANKS.read(swapped)
    moved = [entry for entry in bank.entries if entry not in sealed[1].entries]
    assert moved
    for entry in moved:
        assert [BANKS.unlock(swapped, entry, item.code) for item in subjects] == [None] * 4


def _without_one(files: dict[str, bytes]) -> None:
    files.popitem()


def _with_one_more(files: dict[str, bytes]) -> None:
    files["0000.age"] = b"more"


def _swapped(files: dict[str, bytes]) -> None:
    first, second = list(files)[1:3]
    files[first], files[second] = files[second], files[first]


def _listed_twice(files: dict[str, bytes]) -> None:
    manifest = json.loads(files["manifest.json"])
    manifest["entries"].append(manifest["entries"][0])
    files["manifest.json"] = json.dumps(manifest).encode()


def _of_another_format(files: dict[str, bytes]) -> None:
    files["manifest.json"] = files["manifest.json"].replace(b'"format": 1', b'"format": 2')


def _too_much_work(files: dict[str, bytes]) -> None:
    files["manifest.json"] = files["manifest.json"].replace(b'"log_n": 4', b'"log_n": 40')


@pytest.mark.parametrize(
    "change", [_without_one, _with_one_more, _swapped, _listed_twice, _of_another_format, _too_much_work]
)
def test_a_bank_that_is_not_complete_is_refused(
    sealed: Sealed, tmp_path: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    with pytest.raises(SignatureInvalid):
        BANKS.read(rewritten(sealed[0], tmp_path / "changed.e5b", change))


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", bytes(20480)])
def test_what_is_no_bank_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "banque.e5b"
    path.write_bytes(content)
    with pytest.raises(SignatureInvalid):
        BANKS.read(path)
    with pytest.raises(InputInvalid):
        BANKS.read(tmp_path / "missing.e5b")


def test_a_sealed_bank_is_never_overwritten(sealed: Sealed) -> None:
    with pytest.raises(Refused):
        BANKS.write(sealed[0], "2027", 4, SEALED_AT, sealed[2])


def test_no_error_says_anything_of_a_subject(sealed: Sealed, tmp_path: Path) -> None:
    """Neither the sentence nor what it was raised from."""
    path, bank, subjects = sealed
    entry = bank.entries[0]
    cases = [(replace(entry, sha256="0" * 64), path), (replace(entry, file="x"), path), (entry, tmp_path / "none")]
    for wrong, where in cases:
        with pytest.raises(E5BError) as caught:
            BANKS.unlock(where, wrong, subjects[0].code)
        error: BaseException | None = caught.value
        while error is not None:
            assert MARK not in f"{error!r} {vars(error)}"
            assert not any(word in f"{error!r} {vars(error)}" for word in subjects[0].code.words)
            error = error.__context__


def test_entries_grow_together_to_the_next_size_class(tmp_path: Path) -> None:
    BANKS.write(tmp_path / "a", "2027", 1, SEALED_AT, [to_seal(0), to_seal(1, fixtures=bytes(1_100_000))])
    with tarfile.open(tmp_path / "a") as tar:
        sizes = {member.size for member in tar.getmembers()[1:]}
    assert min(sizes) >= 2 * 2**20 and max(sizes) - min(sizes) < 1024


def test_the_key_is_what_the_reference_says(sealed: Sealed, tmp_path: Path) -> None:
    """The page's own program, with nothing of the project, finds the key that age opens an entry with."""
    path, bank, subjects = sealed
    entry = bank.entries[0]
    page = (Path(__file__).parents[2] / "docs/reference/subject-bank.md").read_text(encoding="utf-8")
    program = page.split("```python\n")[1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(path), entry.half_day, entry.zone.value, entry.role.value],
        input=" ".join(subjects[0].code.words),
        capture_output=True,
        text=True,
        check=True,
    )
    with tarfile.open(path) as tar:
        member = tar.extractfile(entry.file)
        assert member is not None
        plain = pyrage.decrypt(member.read(), [pyrage.x25519.Identity.from_str(done.stdout.strip())])
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        assert tar.getnames()[0] == "subject.json"


def test_keys_are_written_as_age_writes_them() -> None:
    """pyrage reads the key back to the same public key, whatever the 32 bytes are."""
    for number in range(20):
        key = hashlib.sha256(bytes([number])).digest()
        text = bank_sealing._bech32("age-secret-key-", key).upper()
        assert str(pyrage.x25519.Identity.from_str(text)) == text
