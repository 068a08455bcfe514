"""What the guard refused: counted per seat and minute, in the journal, and an alarm where a seat goes on trying."""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice

from orchestrator.domain.exam import AlarmKind, Wave
from orchestrator.domain.locks import Tried
from orchestrator.errors import Busy
from orchestrator.i18n import _
from orchestrator.ports import Attempt, Entry
from orchestrator.services.alarms import clear_alarm, raise_alarm
from orchestrator.services.centre import PROBE, Centre
from orchestrator.services.clock import Told

MINUTE = timedelta(minutes=1)

LATE = timedelta(seconds=5)
"""After a minute's end, before it is journaled: lines may still come."""

QUIET = timedelta(minutes=5)
"""Without reaching the number that raises it, before an alarm is over."""

BATCH = 5000
"""Lines that are read at a time."""

DIFFERENT = 20
"""Different things that a seat tried within a minute and that are counted one by one."""

REST = "…"
"""What the others are counted under: who scans all ports does not fill the journal."""

BY_THEMSELVES = "network"
"""The layer on which machines are refused by themselves, all the time: name and time services, QUIC before TCP. It is
counted and raises no alarm."""


@dataclass
class Reader:
    """One life of the reader; the one process that supervises has it. What was counted is in the store."""

    centre: Centre
    tell: Told
    recent: dict[int, deque[Attempt]] = field(default_factory=lambda: defaultdict(deque))
    """By seat, the attempts of the last minute."""
    over_since: dict[int, datetime] = field(default_factory=dict)
    """By seat, when it last reached the number that raises an alarm."""

    def read(self) -> None:
        """Count what was refused since the last time, journal the minutes that are over, raise and clear alarms."""
        self._count()
        self._record()
        self._forget()

    def _count(self) -> None:
        centre = self.centre
        if centre.guard is None:
            return
        batch = list(islice(centre.guard.attempts(centre.store.tried_mark()), BATCH))
        if not batch:
            return
        drift = centre.clock.drift()
        # Whoever probes knows what they have tried.
        read = [replace(item, at=item.at - drift) for item in batch if item.seat != PROBE]
        waves = centre.store.waves()
        first = min((_minute(item.at) for item in read), default=None)
        counted = {} if first is None else {_key(item): item for item in centre.store.tried(since=first)}
        different = Counter((item.minute, item.seat) for item in counted.values())
        changed: dict[tuple[object, ...], Tried] = {}
        for item in read:
            tries = Tried(
                _minute(item.at), item.seat, item.address, item.what, item.layer, _wave(waves, item), 0, item.line
            )
            if _key(tries) not in counted:
                if different[tries.minute, tries.seat] >= DIFFERENT:
                    tries = replace(tries, address="", what=REST, layer="")
                if _key(tries) not in counted:
                    different[tries.minute, tries.seat] += 1
                    counted[_key(tries)] = tries
            known = counted[_key(tries)]
            counted[_key(tries)] = changed[_key(tries)] = replace(known, count=known.count + 1)
        # In one transaction: nothing is lost, nothing is counted twice, whenever this process ends.
        centre.store.save(tried=list(changed.values()), tried_mark=batch[-1].mark)
        for item in read:
            self._watch(item, _wave(waves, item))

    def _watch(self, attempt: Attempt, wave: str | None) -> None:
        if attempt.seat is None or wave is None or attempt.layer == BY_THEMSELVES:
            return
        recent = self.recent[attempt.seat]
        recent.append(attempt)
        while attempt.at - recent[0].at > MINUTE:
            recent.popleft()
        if len(recent) < self.centre.settings.guard.alert_attempts:
            return
        self.over_since[attempt.seat] = attempt.at
        names = Counter(item.what for item in recent).most_common(3)
        message = _("{count} refused attempts within a minute: {names}").format(
            count=len(recent), names=", ".join(f"{name} ({count})" for name, count in names)
        )
        if raise_alarm(self.centre, AlarmKind.ATTEMPTS, attempt.seat, wave, message):
            about = _("seat {seat:02d}").format(seat=attempt.seat)
            self.tell(about, _("ALARM: {what}").format(what=message))

    def _record(self) -> None:
        """One line per seat, name and minute, when the minute is over."""
        centre = self.centre
        until = centre.clock.now() - MINUTE - LATE
        over = [item for item in centre.store.tried(unrecorded=True) if item.minute <= until]
        if over:
            centre.store.save(
                *(Entry("guard.refused", item.wave, item.seat, _on_record(item)) for item in over),
                tried=[replace(item, recorded=item.count) for item in over],
            )

    def _forget(self) -> None:
        now = self.centre.clock.now()
        for alarm in self.centre.store.alarms():
            if alarm.kind is not AlarmKind.ATTEMPTS or alarm.seat is None:
                continue
            if now - max(alarm.raised_at, self.over_since.get(alarm.seat, alarm.raised_at)) > QUIET:
                clear_alarm(self.centre, AlarmKind.ATTEMPTS, alarm.seat)


def _on_record(item: Tried) -> dict[str, object]:
    return {
        "minute": item.minute.isoformat(),
        "what": item.what,
        "layer": item.layer,
        "address": item.address,
        "count": item.count - item.recorded,
        "line": item.line,
    }


def _key(item: Tried) -> tuple[object, ...]:
    return item.minute, item.seat, item.address, item.what, item.layer


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _wave(waves: Iterable[Wave], attempt: Attempt) -> str | None:
    """The wave in which a candidate worked at that seat at that moment."""
    for wave in waves:
        place = None if attempt.seat is None else wave.place(attempt.seat)
        if place is None or place.opened_at is None or attempt.at < place.opened_at:
            continue
        if place.closed_at is None or attempt.at <= place.closed_at:
            return wave.id
    return None


def tried_in(centre: Centre, waves: Collection[str]) -> Counter[tuple[str, int]]:
    """How much was refused, by wave and seat."""
    counts: Counter[tuple[str, int]] = Counter()
    for wave in waves:
        for item in centre.store.tried(wave):
            if item.seat is not None:
                counts[wave, item.seat] += item.count
    return counts


def catch_up(centre: Centre) -> None:
    """Count what was refused since the last supervisor ended; where one runs, it does."""
    if not centre.locks.supervised():
        with suppress(Busy), centre.locks.supervisor():
            Reader(centre, lambda about, what: None).read()


def guard_log(
    centre: Centre, *, seat: int | None = None, wave: str | None = None, since: datetime | None = None
) -> list[Tried]:
    """What was refused, as far as it is counted, oldest first; of *seat*, in *wave*, *since* a moment."""
    return [
        item
        for item in centre.store.tried(wave, since=None if since is None else _minute(since))
        if seat is None or item.seat == seat
    ]
