"""Alarms: raised once, on record, until they are over."""

from orchestrator.domain.exam import AlarmKind
from orchestrator.services.alarms import clear_alarm, raise_alarm
from orchestrator.services.status import wave_status
from tests.services.conftest import Lab


def on(lab: Lab) -> list[tuple[str, int | None]]:
    return [(alarm.kind.value, alarm.seat) for alarm in lab.centre().store.alarms()]


def test_one_that_is_on_is_not_raised_again(lab: Lab) -> None:
    lab.at("open")
    first = raise_alarm(lab.centre(), AlarmKind.DEAD, 2, lab.wave_id, "it stands still")
    assert first is not None and first.raised_at == lab.world.now
    lab.world.later(seconds=2)
    assert raise_alarm(lab.centre(), AlarmKind.DEAD, 2, lab.wave_id, "it stands still (exited)") is None
    assert raise_alarm(lab.centre(), AlarmKind.SLOW, 2, lab.wave_id, "it is slow") is not None
    assert raise_alarm(lab.centre(), AlarmKind.DEAD, 3, lab.wave_id, "it stands still") is not None
    assert raise_alarm(lab.centre(), AlarmKind.DISK, None, None, "nearly full") is not None
    assert sorted(on(lab), key=str) == sorted([("dead", 2), ("dead", 3), ("disk", None), ("slow", 2)], key=str)
    assert set(wave_status(lab.centre(), lab.wave_id).alarms) == set(lab.centre().store.alarms())


def test_one_that_is_over_can_come_again(lab: Lab) -> None:
    lab.at("open")
    for _time in range(2):
        assert raise_alarm(lab.centre(), AlarmKind.DEAD, 2, lab.wave_id, "it stands still") is not None
        lab.world.later(seconds=1)
        cleared = clear_alarm(lab.centre(), AlarmKind.DEAD, 2)
        assert cleared is not None and cleared.cleared_at == lab.world.now
    assert on(lab) == []
    assert [(line.action, line.seat) for line in lab.centre().store.journal() if "alarm" in line.action] == [
        ("alarm.raised", 2),
        ("alarm.cleared", 2),
    ] * 2


def test_only_the_one_that_is_meant_is_cleared(lab: Lab) -> None:
    lab.at("open")
    raise_alarm(lab.centre(), AlarmKind.DEAD, 2, lab.wave_id, "it stands still")
    lines = len(lab.centre().store.journal())
    for kind, seat in ((AlarmKind.DEAD, 3), (AlarmKind.DEAD, None), (AlarmKind.SLOW, 2)):
        assert clear_alarm(lab.centre(), kind, seat) is None
    assert on(lab) == [("dead", 2)] and len(lab.centre().store.journal()) == lines
