"""The commands around a wave: points, restores, time, incidents, standbys, alarms. What they say, and refuse."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.exam import AlarmKind
from orchestrator.errors import E5BError
from orchestrator.services.alarms import raise_alarm
from orchestrator.services.reset import reset_seat
from orchestrator.services.standbys import make_standby
from orchestrator.settings import Settings, load
from tests.cli.conftest import INIT, Run
from tests.services import fakes
from tests.services.fakes import World


@pytest.fixture
def opened(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Candidates at seats 1 and 2, the second with a third more time; seat 3 is spare."""
    monkeypatch.setenv("E5B_LANG", "en")
    assert run(*INIT).code == 0
    plan = ("wave", "plan", "--half-day", "2027-05-11-am", "--room", "salle-1", "--site", "wordpress")
    planned = run(*plan, "--candidate=1=C001", "--candidate=2=C002", "--adjust=2=4/3")
    assert planned.code == 0, planned.err
    for step in ("prepare", "open"):
        assert run("wave", step).code == 0
    world.later(minutes=5)
    world.candidates_work("first page")
    return run


@pytest.fixture
def settings(opened: Run) -> Settings:
    return load(Path("centre.toml"))


def site(world: World, seat: int) -> tuple[str, ...]:
    return world.container(seat).work


def test_a_disaster_and_its_undoing_as_json(opened: Run, world: World) -> None:
    taken = opened("point", "take", "--json").json
    assert [(item["seat"], item["number"], item["kind"]) for item in taken] == [(1, 1, "asked"), (2, 1, "asked")]
    world.later(minutes=1)
    world.candidates_work("disaster")
    shown = opened("seat", "points", "2", "--json").json
    assert [item["number"] for item in shown] == [1] and shown[0]["pruned_at"] is None
    restored = opened("seat", "restore", "2", "--to", "last", "--yes", "--json").json
    assert (restored["point"]["number"], restored["kept"]["number"], restored["standby"]) == (1, 2, False)
    assert restored["place"]["seat"] == 2 and site(world, 2) == ("first page",)
    undone = opened("seat", "undo", "2", "--yes", "--json").json
    assert undone["point"]["number"] == 2 and site(world, 2) == ("first page", "disaster")
    technical = opened("seat", "restore", "2", "--to", "1", "--technical", "--yes", "--json").json
    assert site(world, 2) == ("first page",) and len(technical["place"]["credits"]) == 4
    moved = opened("seat", "move", "2", "--to", "3", "--yes", "--json").json
    assert moved["place"]["seat"] == 3 and site(world, 3) == ("first page",)
    assert [item["kind"] for item in opened("seat", "points", "3", "--json").json] == ["asked", *["undo"] * 4]


def test_a_disaster_and_its_undoing_as_text(opened: Run, world: World) -> None:
    assert "seat 02: restore point 1" in opened("point", "take", "2").out
    world.candidates_work("disaster")
    assert "asked for" in opened("seat", "points", "2").out
    assert "no restore point" in opened("seat", "points", "1").out
    answer = opened("seat", "restore", "2", "--to", "last", "--yes")
    assert answer.code == 0 and "e5b seat undo 2" in answer.out and "ends at" in answer.out
    assert "restore point 2" in opened("seat", "undo", "2", "--yes").out
    moved = opened("seat", "move", "2", "--to", "3", "--yes")
    assert moved.code == 0 and "seat 03" in moved.out and ":8003" in moved.out
    answer = opened("seat", "restore", "1", "--to", "reference", "--yes")
    assert answer.code == 0 and "the reference" in answer.out and site(world, 1) == ()


def test_time_to_the_second(opened: Run, world: World) -> None:
    assert "+0:13:20" in opened("seat", "time", "2").out
    extended = opened("seat", "extend", "2", "5", "--reason", "the candidate felt unwell", "--json")
    assert extended.code == 0 and extended.json["credits"][0]["given"] == 300
    opened("incident", "open", "2", "--reason", "noise")
    time = opened("seat", "time", "2", "--json").json
    assert (time["base"], time["adjustment"], time["allotted"], time["ends_at"]) == (2400, "4/3", 3200, None)
    assert [(item["kind"], item["seconds"]) for item in time["credits"]] == [("extension", 300), ("incident", None)]
    assert "goes on" in opened("seat", "time", "2").out
    world.later(seconds=61)
    assert opened("incident", "close", "--json").json[0]["seat"] == 2
    time = opened("seat", "time", "2", "--json").json
    assert [item["seconds"] for item in time["credits"]] == [300, 61]
    assert time["ends_at"] == (fakes.START + timedelta(seconds=3200 + 361)).isoformat()
    text = opened("seat", "time", "2").out
    assert "the candidate felt unwell" in text and "+0:01:01" in text


def test_incidents(opened: Run, world: World) -> None:
    told = opened("incident", "open", "--reason", "fire alarm")
    assert told.code == 0 and "01, 02" in told.out
    assert "incident" in opened("wave", "status").out
    assert [seat["suspended"] for seat in opened("wave", "status", "--json").json["seats"]] == [True, True]
    assert opened("incident", "open", "--reason", "fire alarm").code == 6
    world.later(minutes=2)
    closed = opened("incident", "close", "1")
    assert closed.code == 0 and "seat 01" in closed.out and "seat 02" not in closed.out
    assert len(opened("incident", "close", "--json").json) == 1
    assert opened("incident", "close").code == 6


def test_standbys(opened: Run, world: World, settings: Settings) -> None:
    assert make_standby(fakes.new_centre(world, settings)) is not None
    lines = opened("standby", "status", "--json").json
    assert [(line["seat"], line["ready"]) for line in lines] == [(1, True), (2, False)]
    shown = opened("standby", "status")
    assert shown.code == 0 and "ready" in shown.out and "e5b serve" in shown.out
    world.supervised = True
    assert "e5b serve" not in opened("standby", "status").out
    reset = opened("seat", "reset", "1", "--yes")
    assert reset.code == 0 and "from the standby" in reset.out
    assert "no standby was ready" in opened("seat", "reset", "2", "--yes").out


def test_no_seat_needs_a_standby(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    run(*INIT)
    assert "No seat" in run("standby", "status").out and run("standby", "status", "--json").json == []


def test_alarms(opened: Run, world: World, settings: Settings) -> None:
    assert opened("alarm", "list").out.strip() == "No alarm." and opened("alarm", "list", "--json").json == []
    raise_alarm(fakes.new_centre(world, settings), AlarmKind.DEAD, 2, None, "its environment stands still")
    assert "seat 02" in opened("alarm", "list").out
    (alarm,) = opened("alarm", "list", "--json").json
    assert (alarm["kind"], alarm["seat"], alarm["cleared_at"]) == ("dead", 2, None)
    assert "ALARM" in opened("wave", "status").out
    assert len(opened("wave", "status", "--json").json["alarms"]) == 1


# What is asked first, and what is only shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("seat", "restore", "2", "--to", "last"),
        ("seat", "restore", "2", "--to", "reference"),
        ("seat", "undo", "2"),
        ("seat", "move", "2", "--to", "3"),
    ],
)
def test_asked_first_and_tried_without_harm(opened: Run, world: World, arguments: tuple[str, ...]) -> None:
    opened("point", "take")
    opened("seat", "restore", "2", "--to", "last", "--yes")
    before = state(opened, world)
    for more in ((), ("--json",)):
        assert opened(*arguments, *more).code == 6
        shown = opened(*arguments, "--dry-run", *more)
        assert shown.code == 0 and shown.out
        assert state(opened, world) == before
    assert opened(*arguments, "--yes").code == 0
    assert state(opened, world) != before


def state(run: Run, world: World) -> tuple[Any, ...]:
    return run("wave", "list", "--json").out, sorted(world.containers), sorted(world.layers), world.gateway


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("seat", "restore", "2", "--to", "yesterday", "--yes"), 2),
        (("seat", "restore", "2", "--yes"), 2),
        (("seat", "restore", "x", "--to", "last", "--yes"), 2),
        (("seat", "restore", "2", "--to", "9", "--yes"), 13),
        (("seat", "restore", "2", "--to", "last", "--yes"), 13),
        (("seat", "restore", "2", "--to", "last", "--dry-run"), 13),
        (("seat", "restore", "77", "--to", "reference", "--yes"), 13),
        (("seat", "undo", "2", "--yes"), 13),
        (("seat", "move", "2", "--to", "1", "--yes"), 6),
        (("seat", "move", "2", "--to", "1", "--dry-run"), 6),
        (("seat", "move", "2", "--to", "77", "--yes"), 13),
        (("seat", "move", "3", "--to", "2", "--yes"), 13),
        (("seat", "extend", "2", "0", "--reason", "x"), 2),
        (("seat", "extend", "2", "--reason", "x", "--", "-5"), 2),
        (("seat", "extend", "2", "nan", "--reason", "x"), 2),
        (("seat", "extend", "2", "inf", "--reason", "x"), 2),
        (("seat", "extend", "2", "241", "--reason", "x"), 2),
        (("seat", "extend", "2", "five", "--reason", "x"), 2),
        (("seat", "extend", "2", "5"), 2),
        (("seat", "extend", "2", "5", "--reason", " "), 2),
        (("seat", "extend", "3", "5", "--reason", "x"), 13),
        (("seat", "time", "3"), 13),
        (("seat", "points", "3"), 13),
        (("point", "take", "3"), 13),
        (("point", "take", "1", "77"), 13),
        (("incident", "open"), 2),
        (("incident", "open", "--reason", ""), 2),
        (("incident", "open", "3", "--reason", "x"), 13),
        (("incident", "open", "--wave", "w9", "--reason", "x"), 13),
        (("incident", "close"), 6),
        (("incident", "close", "3"), 13),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    opened: Run, world: World, arguments: tuple[str, ...], code: int
) -> None:
    before = state(opened, world)
    answer = opened(*arguments)
    assert (answer.code, answer.out) == (code, "") and answer.err.startswith("Error: ")
    answer = opened(*arguments[:2], "--json", *arguments[2:])
    assert answer.code == code and answer.json["exit_code"] == code and answer.json["error"]
    assert state(opened, world) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("seat", "restore", "2", "--to", "reference", "--yes"),
        ("seat", "undo", "2", "--yes"),
        ("seat", "move", "2", "--to", "3", "--yes"),
        ("seat", "extend", "2", "5", "--reason", "x"),
        ("incident", "open", "--reason", "x"),
        ("incident", "close"),
        ("point", "take"),
    ],
)
def test_refused_when_the_wave_is_closed_and_busy_while_another_works(
    opened: Run, world: World, arguments: tuple[str, ...]
) -> None:
    if arguments[1] == "undo":
        opened("seat", "restore", "2", "--to", "reference", "--yes")
    world.held["salle-1"] = "wave close"
    answer = opened(*arguments, "--json")
    assert answer.code == 7 and "wave close" in answer.json["error"]
    world.held.clear()
    opened("wave", "close", "--early", "noise")
    assert opened(*arguments, "--json").code == 6


def test_a_full_disk_is_exit_code_11(opened: Run, world: World) -> None:
    world.disk_free = 10**9
    assert opened("point", "take").code == 11


def test_a_restore_that_cannot_be_proved_is_exit_code_5(opened: Run, world: World) -> None:
    world.defective.add(2)
    answer = opened("seat", "restore", "2", "--to", "reference", "--yes", "--json")
    assert answer.code == 5 and answer.json["hint"] and site(world, 2) == ("first page",)


@pytest.mark.parametrize("adjust", ["2=x", "2=3/4", "2=4/0", "2=99/1", "9=4/3", "2", "2=", "=4/3", "x=4/3"])
def test_an_adjustment_that_cannot_be_used(run: Run, world: World, adjust: str) -> None:
    run(*INIT)
    plan = ("wave", "plan", "--half-day", "2027-05-11-am", "--room", "salle-1", "--site", "wordpress")
    assert run(*plan, "--candidate=1=C001", "--candidate=2=C002", f"--adjust={adjust}").code == 2
    assert run("wave", "list", "--json").json == []


def test_adjustments_in_a_list(run: Run, world: World, tmp_path: Path) -> None:
    run(*INIT)
    lines = "poste;candidat;aménagement\n1;C001;\n2;C002;tiers temps\n3;C003;+10\n"
    (tmp_path / "candidats.csv").write_text(lines, encoding="utf-8")
    plan = ("wave", "plan", "--half-day", "2027-05-11-am", "--room", "salle-1", "--site", "wordpress", "--json")
    planned = run(*plan, "--candidates", "candidats.csv")
    assert [place["adjustment"] for place in planned.json["places"]] == [None, "4/3", "+10"]


# Two teachers


def test_two_teachers_who_reset_the_same_seat_at_once(
    opened: Run, world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second asked for what the first was doing: it is refused, and the new site is not thrown away."""
    meeting = threading.Barrier(2)
    room = fakes.MemoryLocks.room
    turn = threading.Lock()

    def in_turn(locks: fakes.MemoryLocks, room_name: str, command: str, *, patient: bool = True) -> Any:
        return Waiting(room(locks, room_name, command, patient=patient))

    class Waiting:
        """Both have looked at the seat before either has the room; then each waits for its turn."""

        def __init__(self, held: Any) -> None:
            self._held = held

        def __enter__(self) -> None:
            meeting.wait(10)
            turn.acquire()
            self._held.__enter__()

        def __exit__(self, *exception: Any) -> Any:
            try:
                return self._held.__exit__(*exception)
            finally:
                turn.release()

    monkeypatch.setattr(fakes.MemoryLocks, "room", in_turn)
    outcomes: list[object] = []

    def teacher() -> None:
        try:
            outcomes.append(reset_seat(fakes.new_centre(world, settings), 2)[0].fault)
        except E5BError as error:
            outcomes.append(type(error).__name__)

    teachers = [threading.Thread(target=teacher) for _teacher in range(2)]
    for thread in teachers:
        thread.start()
    for thread in teachers:
        thread.join(30)
    assert sorted(map(str, outcomes)) == ["None", "Refused"]
    monkeypatch.undo()
    centre = fakes.new_centre(world, settings)
    assert fakes.violations(centre, world) == [] and world.container(2).work == ()
    (evidence,) = centre.store.evidence()
    assert world.archives[evidence.archive].content == b"first page\n"


def test_one_after_the_other_both_are_done_and_nothing_is_lost(opened: Run, world: World, settings: Settings) -> None:
    assert opened("seat", "reset", "2", "--yes").code == 0
    world.candidates_work("after the first")
    assert opened("seat", "reset", "2", "--yes").code == 0
    centre = fakes.new_centre(world, settings)
    contents = [world.archives[item.archive].content for item in centre.store.evidence()]
    assert contents == [b"first page\n", b"after the first\n"]
    assert fakes.violations(centre, world) == []


def test_a_restore_while_another_teacher_resets(opened: Run, world: World) -> None:
    world.held["salle-1"] = "seat reset 2"
    assert opened("seat", "restore", "2", "--to", "reference", "--yes").code == 7
    assert site(world, 2) == ("first page",)
