"""What the guard refused is counted once, whatever is killed; it is journaled per minute, and raises an alarm."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from orchestrator.domain.exam import AlarmKind
from orchestrator.ports import Attempt
from orchestrator.services.centre import PROBE
from orchestrator.services.close import close
from orchestrator.services.guard import guard_status, switch_on
from orchestrator.services.guard_log import DIFFERENT, REST, Reader, guard_log
from tests.services.conftest import Lab
from tests.services.fakes import GUARD, Fuse, Killed

DRIVE = "drive.google.com"


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")


@pytest.fixture
def lab(new_lab: Callable[..., Lab]) -> Lab:
    """Three seats where candidates work, with a guard; five attempts in a minute are too many."""
    return new_lab(guard={**GUARD, "alert_attempts": 5}, standbys={"most": 0}).at("open")


def tries(lab: Lab, seat: int | None, what: str = DRIVE, times: int = 1, layer: str = "name") -> None:
    """Something is tried, now."""
    for _time in range(times):
        number = len(lab.world.refused) + 1
        at = lab.world.now + lab.world.drift
        address = f"192.0.2.{seat or 77}"
        lab.world.refused.append(Attempt(at, seat, address, what, layer, f"raw line {number}", str(number)))


def read(lab: Lab) -> None:
    Reader(lab.centre(), lambda about, what: None).read()


def counts(lab: Lab) -> dict[tuple[int | None, str], int]:
    found: dict[tuple[int | None, str], int] = {}
    for item in guard_log(lab.centre()):
        found[item.seat, item.what] = found.get((item.seat, item.what), 0) + item.count
    return found


def journaled(lab: Lab) -> list[tuple[int | None, str, int]]:
    return [
        (line.seat, line.data["what"], line.data["count"])
        for line in lab.centre().store.journal()
        if line.action == "guard.refused"
    ]


def alarms(lab: Lab) -> list[tuple[AlarmKind, int | None]]:
    return [(alarm.kind, alarm.seat) for alarm in lab.centre().store.alarms()]


def test_what_was_tried_is_counted_per_seat_with_the_first_raw_line(lab: Lab) -> None:
    tries(lab, 1, times=2)
    tries(lab, 2)
    tries(lab, 1, "padlet.com")
    read(lab)
    read(lab)
    assert counts(lab) == {(1, DRIVE): 2, (2, DRIVE): 1, (1, "padlet.com"): 1}
    (first,) = (item for item in guard_log(lab.centre(), seat=1) if item.what == DRIVE)
    assert (first.wave, first.line, first.layer) == (lab.wave_id, "raw line 1", "name")
    assert [seat.tried for seat in guard_status(lab.centre()).seats] == [3, 1, 0]


def test_a_wave_has_what_was_tried_while_its_candidate_worked(lab: Lab) -> None:
    tries(lab, 1)
    lab.world.later(minutes=40)
    close(lab.centre(), lab.wave_id)
    lab.world.later(seconds=1)
    switch_on(lab.centre(), [1])
    tries(lab, 1, "padlet.com")
    tries(lab, None)
    # The one who reads may be late.
    read(lab)
    assert {(item.what, item.seat): item.wave for item in guard_log(lab.centre())} == {
        (DRIVE, 1): lab.wave_id,
        ("padlet.com", 1): None,
        (DRIVE, None): None,
    }
    assert [item.what for item in guard_log(lab.centre(), wave=lab.wave_id)] == [DRIVE]
    assert [item.what for item in guard_log(lab.centre(), seat=1, since=lab.world.now)] == ["padlet.com"]


def test_times_are_the_exams(lab: Lab) -> None:
    lab.world.drift = timedelta(hours=3)
    tries(lab, 1)
    read(lab)
    (item,) = guard_log(lab.centre())
    assert item.minute == lab.world.now.replace(second=0, microsecond=0)


def test_the_journal_has_one_line_per_seat_name_and_minute_when_the_minute_is_over(lab: Lab) -> None:
    tries(lab, 1, times=3)
    read(lab)
    assert journaled(lab) == []
    lab.world.later(seconds=30)
    tries(lab, 1)
    lab.world.later(seconds=40)
    tries(lab, 2)
    read(lab)
    assert journaled(lab) == [(1, DRIVE, 4)]
    read(lab)
    lab.world.later(minutes=2)
    read(lab)
    assert journaled(lab) == [(1, DRIVE, 4), (2, DRIVE, 1)]


def test_lines_that_come_late_are_journaled_besides(lab: Lab) -> None:
    tries(lab, 1)
    late = lab.world.refused[0]
    lab.world.later(minutes=2)
    read(lab)
    lab.world.refused.append(Attempt(late.at, 1, late.address, DRIVE, "name", "late", "2"))
    read(lab)
    assert journaled(lab) == [(1, DRIVE, 1), (1, DRIVE, 1)] and counts(lab) == {(1, DRIVE): 2}


def test_killed_at_any_call_nothing_is_lost_and_nothing_is_counted_twice(lab: Lab) -> None:
    tries(lab, 1, times=6)
    tries(lab, 2, "padlet.com")
    lab.world.later(minutes=2)
    tries(lab, 1)
    fuse = Fuse()
    folder = lab.settings.centre.state.parent
    Reader(lab.copy(folder / "whole").centre(fuse), lambda about, what: None).read()
    for at in range(1, len(fuse.calls) + 1):
        life = lab.copy(folder / str(at))
        with pytest.raises(Killed):
            Reader(life.centre(Fuse(at)), lambda about, what: None).read()
        read(life)
        assert counts(life) == {(1, DRIVE): 7, (2, "padlet.com"): 1}, fuse.calls[at - 1]
        assert sorted(journaled(life)) == [(1, DRIVE, 6), (2, "padlet.com", 1)], fuse.calls[at - 1]


def test_who_scans_does_not_fill_the_journal(lab: Lab) -> None:
    for port in range(100):
        tries(lab, 1, f"192.0.2.9:{port}/tcp", layer="network")
    read(lab)
    found = counts(lab)
    assert len(found) == DIFFERENT + 1 and found[1, REST] == 100 - DIFFERENT
    tries(lab, 1, "192.0.2.9:5000/tcp", layer="network")
    tries(lab, 1, "192.0.2.9:3/tcp", layer="network")
    read(lab)
    assert counts(lab)[1, REST] == 101 - DIFFERENT and counts(lab)[1, "192.0.2.9:3/tcp"] == 2


def test_what_a_probe_tries_is_no_attempt(lab: Lab) -> None:
    tries(lab, PROBE, times=20)
    read(lab)
    tries(lab, 1)
    tries(lab, PROBE)
    read(lab)
    assert counts(lab) == {(1, DRIVE): 1} and lab.centre().store.tried_mark() == "22"


# The alarm


def test_a_seat_that_goes_on_trying_raises_an_alarm_once(lab: Lab) -> None:
    tries(lab, 1, times=4)
    tries(lab, 2, times=4)
    read(lab)
    assert alarms(lab) == []
    reader = Reader(lab.centre(), lambda about, what: None)
    tries(lab, 1, times=4)
    reader.read()
    lab.world.later(seconds=20)
    tries(lab, 1, "padlet.com")
    reader.read()
    tries(lab, 1, times=10)
    reader.read()
    assert alarms(lab) == [(AlarmKind.ATTEMPTS, 1)]
    (alarm,) = lab.centre().store.alarms()
    assert f"{DRIVE} (4)" in alarm.message and alarm.wave == lab.wave_id


def test_attempts_that_are_spread_out_raise_none(lab: Lab) -> None:
    reader = Reader(lab.centre(), lambda about, what: None)
    for _time in range(20):
        tries(lab, 1)
        lab.world.later(seconds=16)
        reader.read()
    assert alarms(lab) == []


def test_what_a_machine_tries_by_itself_or_a_stranger_or_when_nobody_works_raises_none(lab: Lab) -> None:
    tries(lab, 1, "142.250.1.1:443/udp", times=30, layer="network")
    tries(lab, None, times=30)
    close(lab.centre(), lab.wave_id, early="noise")
    lab.world.later(seconds=1)
    tries(lab, 2, times=30)
    read(lab)
    assert alarms(lab) == []


def test_the_alarm_is_over_when_the_seat_has_been_quiet(lab: Lab) -> None:
    reader = Reader(lab.centre(), lambda about, what: None)
    tries(lab, 1, times=5)
    reader.read()
    for _minute in range(2):
        lab.world.later(minutes=4)
        tries(lab, 1, times=5)
        reader.read()
        assert alarms(lab) == [(AlarmKind.ATTEMPTS, 1)]
    lab.world.later(minutes=6)
    reader.read()
    assert alarms(lab) == []
