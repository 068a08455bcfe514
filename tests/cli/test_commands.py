"""The commands of a wave's day over a machine in memory: text, JSON, dry runs, confirmations."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.errors import EnvironmentFailed
from tests.cli.conftest import INIT, Run
from tests.services.fakes import World

WAVE = "2027-05-11-am-salle-1-v1"


def to_closed(run: Run, world: World) -> None:
    for step in ("prepare", "open"):
        assert run("wave", step).code == 0
    world.candidates_work("a page")
    world.later(minutes=40)
    assert run("wave", "close").code == 0


def test_a_whole_day_as_text(ready: Run, world: World) -> None:
    prepared = ready("wave", "prepare")
    assert prepared.code == 0 and "3/3" in prepared.out
    assert "e5b wave open" in prepared.out
    assert ready("wave", "open").code == 0
    world.later(minutes=40)
    assert ready("wave", "close").code == 0
    sealed = ready("wave", "seal")
    assert sealed.code == 0 and f"{WAVE}/poste-01-1.tar.gz" in sealed.out
    reset = ready("wave", "reset", WAVE)
    assert reset.code == 0 and "3/3" in reset.out
    assert WAVE in ready("wave", "list").out
    shown = ready("journal", "show")
    assert "wave.planned" in shown.out and "wave.reset" in shown.out
    assert ready("journal", "verify").code == 0


@pytest.mark.parametrize(("zone", "ends"), [("metropole", "12:40:00"), ("reunion", "14:40:00")])
def test_times_are_those_of_the_zone_wherever_the_machine_believes_it_is(
    ready: Run, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, ends: str
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    settings = tmp_path / "centre.toml"
    settings.write_text(settings.read_text().replace('"metropole"', f'"{zone}"'))
    world.now = datetime(2027, 5, 11, 10, tzinfo=UTC)
    assert ready("wave", "prepare").code == 0
    assert ends in ready("wave", "open").out


def test_a_whole_day_as_json(ready: Run, world: World) -> None:
    assert ready("preflight", "--json").json["ready"] is True
    assert [seat["fault"] for seat in ready("wave", "prepare", "--json").json["seats"]] == [None] * 3
    assert ready("wave", "open", "--json").json["state"] == "open"
    assert [seat["route"] for seat in ready("wave", "status", "--json").json["seats"]] == ["open"] * 3
    assert len(ready("seat", "status", "--json").json) == 3
    assert ready("seat", "status", "2", "--json").json[0]["candidate"] == "C002"
    reset = ready("seat", "reset", "2", "--yes", "--json").json
    assert reset["result"]["fault"] is None and reset["evidence"]["attempt"] == 1
    assert ready("wave", "close", "--early", "noise", "--json").json["state"] == "closed"
    assert len(ready("wave", "seal", "--json").json["evidence"]) == 4
    assert ready("seat", "seal", "2", "--json").json["attempt"] == 3
    assert ready("wave", "reset", "--json").json["wave"]["state"] == "reset"
    assert [wave["id"] for wave in ready("wave", "list", "--json").json] == [WAVE]
    lines = ready("journal", "show", "--json").json
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    assert len(ready("journal", "show", "--last", "2", "--json").json) == 2
    assert ready("journal", "verify", "--json").json == {"lines": len(lines), "hash": lines[-1]["hash"]}


def test_a_list_of_candidates_from_a_file(run: Run, world: World, tmp_path: Path) -> None:
    run(*INIT)
    (tmp_path / "candidats.csv").write_text("poste;candidat\n1;C001\n3;C003\n", encoding="utf-8")
    plan = ("wave", "plan", "--half-day", "2027-05-11-pm", "--room", "salle-1", "--site", "prestashop", "--json")
    planned = run(*plan, "--candidates", "candidats.csv", "--minutes", "53.5")
    assert [place["candidate"] for place in planned.json["places"]] == ["C001", "C003"]
    assert planned.json["places"][0]["duration"] == 53.5 * 60
    for name, content in (("none.csv", None), ("latin.csv", b"num\xe9ro")):
        if content:
            (tmp_path / name).write_bytes(content)
        assert run(*plan, "--candidates", name).code == 2


def test_seats_that_differ_are_exit_code_5(ready: Run, world: World) -> None:
    world.defective.add(2)
    answer = ready("wave", "prepare")
    assert answer.code == 5 and "2/3" in answer.out and "index.php" in answer.err
    answer = ready("wave", "prepare", "--json")
    assert answer.code == 5 and len(answer.json["details"]) == 1
    answer = ready("wave", "open")
    assert answer.code == 5 and "--leave-out" in answer.err
    assert ready("wave", "open", "--leave-out", "2").code == 0


def test_preflight_failures_are_exit_code_5(ready: Run, world: World) -> None:
    world.cpus = 1
    assert ready("preflight").code == 5
    answer = ready("preflight", "--json")
    assert answer.code == 5 and answer.json["ready"] is False


@pytest.mark.parametrize("as_json", [True, False])
def test_each_refusal_is_exit_code_6_with_what_comes_next(ready: Run, as_json: bool) -> None:
    for step in ("open", "seal", "reset"):
        answer = ready("wave", step, *(["--json"] if as_json else []))
        assert answer.code == 6
        assert "e5b wave prepare" in (answer.json["hint"] if as_json else answer.err)


def test_what_is_not_there_is_exit_code_13(ready: Run) -> None:
    for arguments in (
        ("wave", "prepare", "w9"),
        ("seat", "status", "77"),
        ("seat", "reset", "77"),
        ("wave", "status", "w9"),
    ):
        assert ready(*arguments).code == 13


def test_a_second_command_is_exit_code_7(ready: Run, world: World) -> None:
    world.held["salle-1"] = "wave prepare"
    answer = ready("wave", "prepare")
    assert answer.code == 7 and "wave prepare" in answer.err


def test_a_broken_journal_is_exit_code_12(ready: Run, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "state" / "e5b.sqlite") as connection:
        connection.execute("DROP TRIGGER journal_no_update")
        connection.execute("UPDATE journal SET actor = 'somebody'")
    answer = ready("journal", "verify")
    assert answer.code == 12 and "→" in answer.err
    assert ready("preflight", "--json").json["ready"] is False


# What destroys


def state(run: Run, world: World) -> str:
    return json.dumps([run("wave", "list", "--json").json, sorted(world.containers), sorted(world.archives)])


def test_dry_runs_do_nothing(ready: Run, world: World) -> None:
    ready("wave", "prepare")
    ready("wave", "open")
    for arguments in (("wave", "abandon", "--reason", "x"), ("seat", "reset", "2")):
        before = state(ready, world)
        for more in ((), ("--json",)):
            answer = ready(*arguments, "--dry-run", *more)
            assert answer.code == 0 and answer.out
            assert state(ready, world) == before
    assert ready("seat", "reset", "2", "--dry-run", "--json").json["seal_first"] is True
    world.later(minutes=40)
    ready("wave", "close")
    before = state(ready, world)
    answer = ready("wave", "seal", "--dry-run")
    assert answer.code == 0 and "C001" in answer.out and state(ready, world) == before
    ready("wave", "seal")
    before = state(ready, world)
    answer = ready("wave", "reset", "--dry-run")
    assert answer.code == 0 and answer.out.count("e5b-essai-poste-") == 3
    assert len(ready("wave", "reset", "--dry-run", "--json").json) == 3
    assert state(ready, world) == before


@pytest.mark.parametrize("command", ["seal", "reset"])
def test_a_dry_run_refuses_what_would_be_refused(ready: Run, command: str) -> None:
    assert ready("wave", command, "--dry-run").code == 6


def test_what_cannot_be_undone_is_not_done_unasked(ready: Run, world: World) -> None:
    ready("wave", "prepare")
    ready("wave", "open")
    before = state(ready, world)
    for arguments in (("wave", "abandon", "--reason", "x"), ("seat", "reset", "2")):
        for more in ((), ("--json",)):
            answer = ready(*arguments, *more)
            assert answer.code == 6 and state(ready, world) == before
    assert ready("seat", "reset", "2", "--yes").code == 0
    assert ready("wave", "abandon", "--reason", "x", "--yes").code == 0


def test_a_waiver_is_typed_out(ready: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    to_closed(ready, world)
    del world.containers["e5b-essai-poste-02-g1"]
    failed = ready("wave", "seal")
    assert failed.code == 10 and "--waive" in failed.err
    assert ready("wave", "seal", "--waive", "2").code == 2
    waive = ("wave", "seal", "--waive", "2", "--reason", "the disk failed")
    for confirmation in ((), ("--confirm", "yes"), ("--confirm", "seat 3 without evidence")):
        answer = ready(*waive, *confirmation)
        assert answer.code == 6 and "seat 2 without evidence" in answer.err
    assert ready(*waive, "--confirm", "seat 2 without evidence").code == 0
    assert any(line["action"] == "seat.evidence_waived" for line in ready("journal", "show", "--json").json)
    assert ready("wave", "reset").code == 0


def test_damaged_evidence_is_exit_code_10(ready: Run, world: World) -> None:
    to_closed(ready, world)
    ready("wave", "seal")
    next(iter(world.archives.values())).damaged = True
    for arguments in (("wave", "reset"), ("wave", "reset", "--dry-run")):
        assert ready(*arguments).code == 10
    assert world.wiped == []


def test_a_reset_that_cannot_be_proved_is_exit_code_5(ready: Run, world: World) -> None:
    to_closed(ready, world)
    ready("wave", "seal")
    world.defective.add(2)
    for more in ((), ("--json",)):
        assert ready("wave", "reset", *more).code == 5
        assert ready("seat", "reset", "2", *more).code == 5


def test_a_gateway_that_fails_is_exit_code_14(ready: Run, world: World) -> None:
    world.faults["ensure", "gateway"] = EnvironmentFailed("The gateway does not answer.")
    assert ready("wave", "prepare").code == 14


def test_absent_and_back(ready: Run, world: World) -> None:
    assert ready("seat", "absent", "2").code == 0
    assert len(ready("wave", "prepare", "--json").json["seats"]) == 2
    assert ready("seat", "absent", "2", "--undo").code == 0
    assert len(ready("wave", "prepare", "--json").json["seats"]) == 3
    assert ready("seat", "absent", "9").code == 13


def test_several_waves_in_progress_must_be_named(run: Run, world: World, tmp_path: Path) -> None:
    run(*INIT)
    text = (tmp_path / "centre.toml").read_text(encoding="utf-8")
    second = '[[rooms]]\nname = "salle-2"\nseats = [{ number = 11, address = "192.0.2.111" }]\n'
    (tmp_path / "centre.toml").write_text(text + second, encoding="utf-8")
    for room, seat in (("salle-1", 1), ("salle-2", 11)):
        plan = ("wave", "plan", "--half-day", "2027-05-11-am", "--site", "wordpress", "--json")
        wave = run(*plan, "--room", room, "--candidate", f"{seat}=C{seat:03d}").json["id"]
        assert run("wave", "prepare", wave).code == 0
    answer = run("wave", "open")
    assert answer.code == 13 and "salle-1" in answer.err and "salle-2" in answer.err
