"""Copies on a stick: whole or not at all, read back, nothing of anybody else's replaced."""

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.adapters.evidence_copies import FolderCopies
from orchestrator.errors import Conflict, EvidenceInvalid, InputInvalid, NoSpace

NAME = "2027-05-11-am-salle-1-v1/poste-07-1.tar.gz"
CONTENT = os.urandom(200_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def copies(tmp_path: Path) -> FolderCopies:
    source = tmp_path / "evidence" / NAME
    source.parent.mkdir(parents=True)
    source.write_bytes(CONTENT)
    return FolderCopies(tmp_path / "evidence")


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    (tmp_path / "stick").mkdir()
    return tmp_path / "stick"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_copied_once(copies: FolderCopies, stick: Path) -> None:
    assert copies.manifest(stick) is None
    assert not copies.holds(stick, NAME, SHA256)
    copies.copy(stick, NAME, SHA256)
    assert (stick / NAME).read_bytes() == CONTENT
    assert copies.holds(stick, NAME, SHA256)
    copies.write(stick, {"manifest.json": b'{"format": 1, "archives": []}', "SHA256SUMS": b"x"})
    assert copies.manifest(stick) == {"format": 1, "archives": []}
    copies.write(stick, {"SHA256SUMS": b"y"})
    assert (stick / "SHA256SUMS").read_bytes() == b"y"
    assert files(stick) == [NAME, "SHA256SUMS", "manifest.json"]


def test_what_is_not_as_in_the_record_is_not_copied(copies: FolderCopies, stick: Path, tmp_path: Path) -> None:
    with pytest.raises(EvidenceInvalid):
        copies.copy(stick, NAME, "0" * 64)
    (tmp_path / "evidence" / NAME).unlink()
    with pytest.raises(EvidenceInvalid):
        copies.copy(stick, NAME, SHA256)
    assert files(stick) == []


def test_somebody_elses_files_are_refused(copies: FolderCopies, stick: Path) -> None:
    (stick / NAME).parent.mkdir()
    (stick / NAME).write_bytes(b"holiday")
    with pytest.raises(Conflict):
        copies.holds(stick, NAME, SHA256)
    for text in ("[]", "not json", '{"format": 7, "archives": []}', '{"name": "another program"}'):
        (stick / "manifest.json").write_text(text)
        with pytest.raises(Conflict):
            copies.manifest(stick)
    assert files(stick) == [NAME, "manifest.json"]


def test_a_folder_that_cannot_be_used(copies: FolderCopies, stick: Path) -> None:
    for folder in (stick / "missing", stick / "file"):
        (stick / "file").write_text("")
        with pytest.raises(InputInvalid):
            copies.manifest(folder)


@pytest.fixture
def small(mount_small: Callable[[str], Path]) -> Path:
    return mount_small("128k")


def test_a_full_stick_and_one_that_is_write_protected(copies: FolderCopies, small: Path) -> None:
    with pytest.raises(NoSpace):
        copies.copy(small, NAME, SHA256)
    with pytest.raises(NoSpace):
        copies.write(small, {"SHA256SUMS": CONTENT})
    assert files(small) == []
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    with pytest.raises(InputInvalid):
        copies.manifest(small)
    with pytest.raises(InputInvalid):
        copies.copy(small, NAME, SHA256)
