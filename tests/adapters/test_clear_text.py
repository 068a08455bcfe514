"""What is unlocked is kept in memory, where the gateway sees its part of it, and the rest of the machine nothing."""

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters import clear_text
from orchestrator.adapters.clear_text import GATEWAY_GROUP, MemoryClearText, filesystem
from orchestrator.domain.bank import Document, Unlocked
from orchestrator.domain.exam import Site
from orchestrator.domain.fingerprint import Fingerprint, content_digest
from orchestrator.errors import NoSpace, Refused
from orchestrator.settings import Settings

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"
SUBJECT = Unlocked(
    "sujet", Site.WORDPRESS, "Un titre & <lui>", 40, (), {item: item.value.encode() for item in Document}, b"tar"
)


def settings(memory: Path) -> Settings:
    return Settings.model_validate(
        {
            "centre": {"id": "essai", "name": "Essai", "state": "/nowhere", "memory": memory},
            "rooms": [{"name": "salle", "seats": [{"number": 1, "address": "192.0.2.1"}]}],
        }
    )


pytestmark = pytest.mark.usefixtures("in_english")


@pytest.fixture
def memory() -> Iterator[Path]:
    folder = Path("/dev/shm") / f"e5b-test-{secrets.token_hex(4)}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_a_subject_is_here_with_all_that_belongs_to_it_and_gone_when_it_is_removed(memory: Path) -> None:
    kept = MemoryClearText(settings(memory))
    assert kept.here() == []
    kept.put(KEY, "2027-05-11-am", SUBJECT)
    kept.put(KEY, "2027-05-11-am", SUBJECT)
    kept.put(OTHER, "2027-05-11-am", SUBJECT)
    assert kept.here() == [KEY, OTHER] and kept.fixtures(KEY) == b"tar"
    shown = memory / "essai" / "shown"
    assert (shown / KEY / "sujet.pdf").read_bytes() == b"candidate"
    assert {item.name for item in (shown / "jury" / KEY).iterdir()} == {f"{item.value}.pdf" for item in Document}
    index = (shown / "jury" / "index.html").read_text(encoding="utf-8")
    assert "Un titre &amp; &lt;lui&gt;" in index and f"/jury/{KEY}/jury-aid.pdf" in index
    kept.keep_only([OTHER, "0" * 16])
    assert (
        kept.here() == [OTHER] and kept.fixtures(KEY) is None and KEY not in (shown / "jury" / "index.html").read_text()
    )
    kept.keep_only([])
    kept.keep_only([])
    assert kept.is_empty()
    assert [item.name for item in (memory / "essai").rglob("*") if item.is_file()] == ["index.html"]


def test_what_is_shown_belongs_to_the_gateway_alone_and_the_rest_to_nobody(memory: Path) -> None:
    MemoryClearText(settings(memory)).put(KEY, "2027-05-11-am", SUBJECT)
    for item in (memory / "essai").rglob("*"):
        facts = item.stat()
        assert not stat.S_IMODE(facts.st_mode) & 0o007, f"{item} can be read by anybody"
        if stat.S_IMODE(facts.st_mode) & 0o070:
            assert facts.st_gid == GATEWAY_GROUP, item
        if "kept" in item.parts:
            assert not stat.S_IMODE(facts.st_mode) & 0o077, item


def test_what_the_fixtures_make_of_an_image_is_kept_with_the_subject(memory: Path) -> None:
    kept = MemoryClearText(settings(memory))
    kept.put(KEY, "2027-05-11-am", SUBJECT)
    found = Fingerprint("m", {"/a": "f"}, {"t": "1:2"}, content_digest("m", {"/a": "f"}, {"t": "1:2"}))
    assert kept.reference(KEY, "sha256:1") is None
    kept.keep_reference(KEY, "sha256:1", found)
    assert kept.reference(KEY, "sha256:1") == found and kept.reference(KEY, "sha256:2") is None
    assert kept.reference(OTHER, "sha256:1") is None


def test_a_folder_on_a_disk_is_refused_and_nothing_is_written_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if filesystem(tmp_path) in clear_text.IN_MEMORY:
        monkeypatch.setattr(clear_text, "IN_MEMORY", {"ramfs"})
    kept = MemoryClearText(settings(tmp_path))
    for act in (kept.check, lambda: kept.put(KEY, "2027-05-11-am", SUBJECT)):
        with pytest.raises(Refused, match="disk"):
            act()
    assert [item for item in tmp_path.rglob("*") if item.is_file()] == []


def test_a_folder_of_somebody_else_is_refused(memory: Path) -> None:
    (memory / "essai").mkdir(parents=True)
    os.chown(memory / "essai", 1234, -1)
    with pytest.raises(Refused, match="somebody else"):
        MemoryClearText(settings(memory)).put(KEY, "2027-05-11-am", SUBJECT)
    elsewhere = memory / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(memory / "essai")
    (memory / "essai").symlink_to(elsewhere)
    with pytest.raises(Refused):
        MemoryClearText(settings(memory)).put(KEY, "2027-05-11-am", SUBJECT)


def test_one_that_was_put_by_half_is_not_here_and_is_put_again(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = MemoryClearText(settings(memory))

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(clear_text, "_write", full)
        with pytest.raises(NoSpace):
            kept.put(KEY, "2027-05-11-am", SUBJECT)
    assert kept.here() == []
    kept.put(KEY, "2027-05-11-am", SUBJECT)
    assert kept.here() == [KEY] and not list(memory.rglob(".*.new"))


def test_what_was_left_of_one_that_was_put_by_half_is_removed(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = MemoryClearText(settings(memory))
    kept.put(OTHER, "2027-05-11-am", SUBJECT)
    put = clear_text._put

    def killed(folder: Path, *arguments: Any) -> None:
        if folder.parent.name == "kept":
            raise KeyboardInterrupt
        put(folder, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(clear_text, "_put", killed)
        with pytest.raises(KeyboardInterrupt):
            kept.put(KEY, "2027-05-11-am", SUBJECT)
    assert kept.here() == [OTHER] and (memory / "essai/shown" / KEY / "sujet.pdf").exists()
    kept.keep_only([OTHER])
    assert not [item for item in memory.rglob("*") if KEY in item.name]


def test_where_nothing_is_nothing_is_removed_and_nothing_is_refused(tmp_path: Path) -> None:
    kept = MemoryClearText(settings(tmp_path / "none"))
    kept.keep_only([])
    assert kept.is_empty() and not (tmp_path / "none").exists()
