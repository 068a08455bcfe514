"""The guard's commands over a machine in memory: text, JSON, dry runs, what has to be typed out."""

import re
from pathlib import Path

import pytest

from orchestrator import wiring
from orchestrator.errors import EnvironmentFailed
from orchestrator.ports import Attempt, PolicyFiles
from orchestrator.settings import Settings
from tests.cli.conftest import INIT, Run
from tests.services.fakes import World, WorldLists, rule

WAVE = "2027-05-11-am-salle-1-v1"


@pytest.fixture
def guarded(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A centre of three seats with a guard, and a wave that is prepared."""

    def policy_files(settings: Settings) -> PolicyFiles:
        return WorldLists(world)

    monkeypatch.setenv("E5B_LANG", "en")
    monkeypatch.setattr(wiring, "policy_files", policy_files)
    guard = ("--guard", "gateway", "--interface", "lan0", "--uplink", "wan0", "--resolver", "192.0.2.253")
    assert run(*INIT, *guard, *(f"--mac={seat}=02:00:00:00:00:0{seat}" for seat in (1, 2, 3))).code == 0
    plan = ("wave", "plan", "--half-day", "2027-05-11-am", "--room", "salle-1", "--site", "wordpress")
    assert run(*plan, *(f"--candidate={seat}=C{seat:03d}" for seat in (1, 2, 3))).code == 0
    assert run("wave", "prepare").code == 0
    return run


def test_a_waves_day_with_the_guard(guarded: Run, world: World) -> None:
    applied = guarded("guard", "apply")
    assert applied.code == 0 and "+ drive.google.com" in applied.out and "started" in applied.out
    opened = guarded("wave", "open")
    assert opened.code == 0 and "not probed today" in opened.err
    assert world.kernel == {1, 2, 3}
    for command in (("wave", "status"), ("seat", "status")):
        assert guarded(*command).out.count("locked") == 3
    assert [seat["locked"] for seat in guarded("seat", "status", "--json").json] == [True] * 3
    status = guarded("guard", "status")
    assert status.code == 0 and status.out.count("a candidate works there") == 3 and "router" in status.out
    assert guarded("guard", "status", "--json").json["state"]["engines"] == {"haproxy": True, "dnsmasq": True}
    world.later(minutes=40)
    assert guarded("wave", "close").code == 0 and world.kernel == frozenset()


def test_a_guard_that_cannot_lock_is_exit_code_14_and_the_way_round_is_typed_out(guarded: Run, world: World) -> None:
    world.faults["ensure", "guard"] = EnvironmentFailed("The guard does not start.")
    refused = guarded("wave", "open")
    assert refused.code == 14 and "does not start" in refused.err and "--without-guard" in refused.err
    without = ("wave", "open", "--without-guard", "the switch burnt")
    for confirmation in ((), ("--confirm", "yes"), ("--json",)):
        assert guarded(*without, *confirmation).code == 6
    assert guarded("wave", "open", "--without-guard", " ", "--confirm", f"wave {WAVE} without guard").code == 2
    assert set(world.served().values()) == {"waiting"}
    assert guarded(*without, "--confirm", f"wave {WAVE} without guard").code == 0
    assert set(world.served().values()) == {"open"}


def test_seats_by_hand(guarded: Run, world: World) -> None:
    assert "01, 02, 03" in guarded("guard", "on").out and world.kernel == {1, 2, 3}
    assert guarded("guard", "off", "2", "3").code == 0 and world.kernel == {1}
    assert guarded("guard", "on", "3", "--json").json["seats"] == [3]
    assert guarded("guard", "on", "77").code == 13


def test_a_seat_where_a_candidate_works_is_unlocked_by_a_sentence_typed_out(guarded: Run, world: World) -> None:
    guarded("wave", "open")
    assert guarded("guard", "off", "2").code == 6
    reason = ("guard", "off", "2", "--reason", "the subject's page is blocked")
    preview = guarded(*reason, "--dry-run")
    assert preview.code == 0 and "confirmation" in preview.out
    assert guarded(*reason, "--dry-run", "--json").json["excepted"] == [2]
    for confirmation in ((), ("--confirm", "seats 03 without guard")):
        answer = guarded(*reason, *confirmation)
        assert answer.code == 6 and "seats 02 without guard" in answer.err
    assert world.kernel == {1, 2, 3}
    assert guarded(*reason, "--confirm", "seats 02 without guard").code == 0
    assert world.kernel == {1, 3} and "the subject's page is blocked" in guarded("guard", "status").out


def test_apply_shows_what_changes_and_does_nothing_when_it_is_tried(guarded: Run, world: World) -> None:
    guarded("guard", "apply")
    before = world.guard
    world.lists = [rule(f"a{number:03d}.fr") for number in range(100)]
    for more in ((), ("--json",)):
        tried = guarded("guard", "apply", "--dry-run", *more)
        assert tried.code == 0 and "a000.fr" in tried.out and world.guard == before
    assert "and 60 more" in guarded("guard", "apply", "--dry-run").out
    assert guarded("guard", "apply").code == 0 and world.guard != before
    assert "say what is in place" in guarded("guard", "apply", "--dry-run").out


def test_lint(guarded: Run, world: World) -> None:
    assert guarded("guard", "lint").code == 0
    world.lists.append(rule("co.uk"))
    found = guarded("guard", "lint")
    assert found.code == 5 and "co.uk" in found.out
    found = guarded("guard", "lint", "--json")
    assert found.code == 5 and found.json["findings"][0]["severity"] == "error"


def test_explain_says_what_is_in_place_or_what_the_lists_say_now(guarded: Run, world: World) -> None:
    assert "blocked" in guarded("guard", "explain", "https://drive.google.com/x").out
    guarded("guard", "apply")
    world.lists = []
    assert guarded("guard", "explain", "drive.google.com", "--json").json["blocked"] is True
    assert guarded("guard", "explain", "drive.google.com", "--lists", "--json").json["blocked"] is False
    assert guarded("guard", "explain", "no name at all").code == 2


def test_the_log(guarded: Run, world: World) -> None:
    assert "Nothing was refused" in guarded("guard", "log").out
    guarded("wave", "open")
    for number, seat in enumerate((1, 1, 2), start=1):
        line = f"haproxy[7]: refused [{number}]"
        world.refused.append(Attempt(world.now, seat, f"192.0.2.{seat}", "padlet.com", "name", line, str(number)))
    shown = guarded("guard", "log")
    assert "2 × padlet.com" in shown.out and "refused [1]" in shown.out
    assert "seat 01" not in guarded("guard", "log", "--seat", "2").out
    world.later(minutes=10)
    assert [item["count"] for item in guarded("guard", "log", "--wave", WAVE, "--json").json] == [2, 1]
    assert guarded("guard", "log", "--minutes", "5", "--json").json == []
    assert "2 attempts refused" in guarded("wave", "status").out


def test_a_laptops_script_is_printed_whole(guarded: Run, tmp_path: Path) -> None:
    printed = guarded("guard", "probe", "--script", "2")
    assert printed.code == 0
    compile(printed.out, "probe.py", "exec")
    assert guarded("guard", "probe", "--script", "77").code == 13
    assert guarded("guard", "probe", "--judge", "2").code == 2


def test_without_a_guard_every_command_says_so(ready: Run) -> None:
    for command in (("on",), ("off",), ("status",), ("apply",), ("probe",)):
        answer = ready("guard", *command)
        assert answer.code == 6 and "guard.mode" in answer.err, command


def test_lists_are_looked_at_without_a_guard_and_without_an_engine(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    run(*INIT)
    assert run("guard", "lint").code == 0
    assert re.search(r"documents|document", run("guard", "explain", "drive.google.com").out)
