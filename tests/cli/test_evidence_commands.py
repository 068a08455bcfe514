"""`e5b evidence` over a machine in memory: text, JSON, exit codes, confirmations."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.services.fakes import World

WAVE = "2027-05-11-am-salle-1-v1"


@pytest.fixture
def kept(ready: Run, world: World) -> Run:
    """The evidence of three seats, in a wave that is over."""
    assert ready("wave", "prepare").code == 0
    assert ready("wave", "open").code == 0
    world.candidates_work("a page")
    world.later(minutes=40)
    for step in ("close", "seal"):
        assert ready("wave", step).code == 0
    assert ready("wave", "reset", WAVE).code == 0
    return ready


def test_listed_and_verified(kept: Run, world: World) -> None:
    listed = kept("evidence", "list", "--json").json
    assert [(item["evidence"]["candidate"], item["archive_there"]) for item in listed] == [
        ("C001", True),
        ("C002", True),
        ("C003", True),
    ]
    assert "poste-02-1.tar.gz" in kept("evidence", "list", WAVE).out
    assert kept("evidence", "verify").code == 0
    assert kept("evidence", "verify", "--json").json["holds"] is True
    for arguments in (
        ("list", "nothing"),
        ("verify", "nothing"),
        ("verify", "--seat", "9"),
        ("export", ".", "nothing"),
    ):
        assert kept("evidence", *arguments).code == 13


def test_damaged_named_and_repaired(kept: Run, world: World) -> None:
    world.archives[f"{WAVE}/poste-02-1.tar.gz"].damaged = True
    shown = kept("evidence", "verify")
    assert shown.code == 10 and f"{WAVE} 02:" in shown.err and "e5b evidence verify --repair" in shown.err
    answer = kept("evidence", "verify", "--json")
    assert answer.code == 10
    assert [item["holds"] for item in answer.json["archives"]] == [True, False, True]
    assert kept("evidence", "export", ".").code == 10
    repaired = kept("evidence", "verify", "--repair")
    assert repaired.code == 0 and "poste-02-2.tar.gz" in repaired.out
    for tag in [tag for tag in world.layers if tag.endswith("-03-1")]:
        del world.images[world.images[tag].id]
    warned = kept("evidence", "verify")
    assert warned.code == 0 and "poste-03-1.tar.gz" in warned.out
    world.archives[f"{WAVE}/poste-03-1.tar.gz"].damaged = True
    lost = kept("evidence", "verify", "--repair", "--json")
    assert lost.code == 10 and lost.json["archives"][2]["not_repaired"]


def test_exported(kept: Run, tmp_path: Path) -> None:
    assert kept("evidence", "export", str(tmp_path)).code == 0
    again = kept("evidence", "export", str(tmp_path), WAVE, "--json").json
    assert (len(again["copied"]), len(again["already_there"]), again["bytes"]) == (0, 3, 0)
    assert kept("evidence", "export").code == 2


def test_opened_and_closed(kept: Run, world: World) -> None:
    for arguments in ((), ("--wave", WAVE), ("some.tar.gz", "--wave", WAVE, "--seat", "1"), ("--seat", "1")):
        assert kept("evidence", "open", *arguments).code == 2
    shown = kept("evidence", "open", "--wave", WAVE, "--seat", "2")
    assert shown.code == 0 and "C002" in shown.out and "http://127.0.0.1:8099/" in shown.out
    assert kept("evidence", "open", "--wave", WAVE, "--seat", "1").code == 6
    again = kept("evidence", "open", "--wave", WAVE, "--seat", "1", "--host", "192.0.2.10", "--yes", "--json").json
    assert (again["sealed"]["candidate"], again["proved"], again["url"]) == ("C001", True, "http://192.0.2.10:8099")
    assert kept("evidence", "close", "--json").json == {"closed": True}
    assert kept("evidence", "close").code == 0
    assert kept("evidence", "open", "missing.tar.gz").code == 10


def test_purged(kept: Run, world: World) -> None:
    assert kept("evidence", "purge").code == 2
    assert kept("evidence", "purge", "--older-than", "soon").code == 2
    assert kept("evidence", "purge", "--older-than", "11m", "--yes").code == 6
    assert kept("evidence", "purge", "--older-than", "1y", "--yes").code == 0
    world.later(days=400)
    assert len(kept("evidence", "purge", "--older-than", "1y", "--dry-run", "--json").json["would_be_removed"]) == 3
    assert "poste-01-1.tar.gz" in kept("evidence", "purge", "--older-than", "1y", "--dry-run").out
    assert kept("evidence", "purge", "--older-than", "1y").code == 6
    assert len(world.archives) == 3
    purged = kept("evidence", "purge", "--older-than", "1y", "--yes")
    assert purged.code == 0 and "sha256" in purged.out
    assert world.archives == {}
    assert [bool(item["evidence"]["purged_at"]) for item in kept("evidence", "list", "--json").json] == [True] * 3
