"""The national calendar: half-days, their subjects, and the hours of each time zone.

A half-day is the same *local* half-day everywhere, so a subject is read in Réunion hours before it is read in Paris.
What holds it back is that nobody who has seen it may leave before everybody who will see it has entered: in each zone
candidates are held until the last zone's are in. A calendar in which that is too long, or longer than the half-day,
is faulty: such a zone needs a subject of its own.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Zone(StrEnum):
    METROPOLE = "metropole"
    REUNION = "reunion"
    MAYOTTE = "mayotte"

    @property
    def timezone(self) -> ZoneInfo:
        return ZoneInfo(_TIMEZONES[self])


_TIMEZONES = {
    Zone.METROPOLE: "Europe/Paris",
    Zone.REUNION: "Indian/Reunion",
    Zone.MAYOTTE: "Indian/Mayotte",
}


@dataclass(frozen=True)
class Hours:
    """Of a morning or an afternoon, by the clock on the wall: the subject may be unlocked from *unlock* on, all
    candidates of the half-day have entered at *enter*, and at *end* it is over."""

    unlock: time
    enter: time
    end: time


@dataclass(frozen=True)
class Pair:
    """The ids of a subject and of the spare that takes its place after an incident."""

    subject: str
    spare: str

    def __iter__(self) -> Iterator[str]:
        yield self.subject
        yield self.spare


@dataclass(frozen=True)
class HalfDay:
    """*id* such as ``2027-05-11-am``. *own* are the zones that have a subject of their own."""

    id: str
    pair: Pair
    own: Mapping[Zone, Pair] = field(default_factory=dict)

    def pair_of(self, zone: Zone) -> Pair:
        return self.own.get(zone, self.pair)

    @property
    def pairs(self) -> list[Pair]:
        return [self.pair, *self.own.values()]

    @property
    def day(self) -> date:
        return date.fromisoformat(self.id[:10])

    @property
    def part(self) -> str:
        """``am`` or ``pm``."""
        return self.id[11:]


@dataclass(frozen=True)
class Window:
    """A half-day in one zone, as aware UTC datetimes. No candidate may leave before *leave*."""

    unlock_from: datetime
    enter: datetime
    leave: datetime
    ends_at: datetime

    @property
    def hold(self) -> timedelta:
        return self.leave - self.enter

    def permits(self, now: datetime) -> bool:
        """Whether an unlock is in the permitted hours."""
        return self.unlock_from <= now < self.ends_at

    def over(self, now: datetime) -> bool:
        return now >= self.ends_at


@dataclass(frozen=True)
class Calendar:
    """*version* counts the sealings of a *session*: a centre refuses an older one. *hours* by part of the day.
    Candidates are held for *longest_hold* at most."""

    session: str
    version: int
    zones: tuple[Zone, ...]
    hours: Mapping[str, Hours]
    longest_hold: timedelta
    half_days: tuple[HalfDay, ...]

    def windows(self, half_day: HalfDay) -> dict[Zone, Window]:
        hours = self.hours[half_day.part]

        def at(zone: Zone, clock: time) -> datetime:
            return datetime.combine(half_day.day, clock, zone.timezone).astimezone(UTC)

        found = {}
        for zone in self.zones:
            sharing = [other for other in self.zones if set(half_day.pair_of(other)) & set(half_day.pair_of(zone))]
            found[zone] = Window(
                unlock_from=at(zone, hours.unlock),
                enter=at(zone, hours.enter),
                leave=max(at(other, hours.enter) for other in sharing),
                ends_at=at(zone, hours.end),
            )
        return found


class CalendarFault(StrEnum):
    NO_HALF_DAY = "no half-day"
    LISTED_TWICE = "listed twice"
    HOURS = "hours"
    USED_TWICE = "used twice"
    HELD_TOO_LONG = "held too long"
    OVER_BEFORE_LEAVING = "over before leaving"
    ZONE_UNUSED = "zone unused"


@dataclass(frozen=True)
class CalendarFinding:
    """*where* is a half-day, a part of the day or a subject; *zone* and *minutes* where they matter."""

    fault: CalendarFault
    where: str
    zone: Zone | None = None
    minutes: int = 0


def faults_of(calendar: Calendar) -> list[CalendarFinding]:
    """What is wrong with the calendar by itself; whether its subjects exist is the bank's to say."""
    found = []
    if not calendar.half_days:
        found.append(CalendarFinding(CalendarFault.NO_HALF_DAY, ""))
    for half_day, times in Counter(item.id for item in calendar.half_days).items():
        if times > 1:
            found.append(CalendarFinding(CalendarFault.LISTED_TWICE, half_day))
    for part, hours in calendar.hours.items():
        if not hours.unlock < hours.enter < hours.end:
            found.append(CalendarFinding(CalendarFault.HOURS, part))
    uses = Counter(subject for item in calendar.half_days for pair in item.pairs for subject in pair)
    found += [CalendarFinding(CalendarFault.USED_TWICE, subject) for subject, times in uses.items() if times > 1]
    for item in calendar.half_days:
        found += [
            CalendarFinding(CalendarFault.ZONE_UNUSED, item.id, zone) for zone in item.own if zone not in calendar.zones
        ]
        for zone, window in calendar.windows(item).items():
            held = int(window.hold / timedelta(minutes=1))
            if window.leave > window.ends_at:
                found.append(CalendarFinding(CalendarFault.OVER_BEFORE_LEAVING, item.id, zone, held))
            elif window.hold > calendar.longest_hold:
                found.append(CalendarFinding(CalendarFault.HELD_TOO_LONG, item.id, zone, held))
    return found
