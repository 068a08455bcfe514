"""Alarms: what a person must know until it is over, on record."""

from dataclasses import replace

from orchestrator.domain.exam import Alarm, AlarmKind
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre


def raise_alarm(centre: Centre, kind: AlarmKind, seat: int | None, wave: str | None, message: str) -> Alarm | None:
    """The new alarm; None when the same one is on already."""
    if _on(centre, kind, seat) is not None:
        return None
    alarm = Alarm(kind, seat, wave, message, centre.clock.now())
    centre.store.save(Entry("alarm.raised", wave, seat, {"kind": kind.value, "message": message}), alarms=[alarm])
    return alarm


def clear_alarm(centre: Centre, kind: AlarmKind, seat: int | None) -> Alarm | None:
    """The alarm that is over; None when there was none."""
    alarm = _on(centre, kind, seat)
    if alarm is None:
        return None
    cleared = replace(alarm, cleared_at=centre.clock.now())
    centre.store.save(Entry("alarm.cleared", alarm.wave, seat, {"kind": kind.value}), alarms=[cleared])
    return cleared


def _on(centre: Centre, kind: AlarmKind, seat: int | None) -> Alarm | None:
    return next((item for item in centre.store.alarms() if item.kind is kind and item.seat == seat), None)
