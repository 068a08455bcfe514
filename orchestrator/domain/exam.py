"""What the exam is made of: sites, half-days, waves, places, environments, evidence."""

import re
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from orchestrator.domain.lifecycle import WaveState
from orchestrator.domain.time import Credit, CreditKind, adjusted, end_of

CANDIDATES_AT_ONCE = 20
"""A centre's machine serves at most twenty candidates at once (the exam's rule)."""

DURATION = timedelta(minutes=40)
"""What a candidate has without adjustment (the exam's rule)."""

CANDIDATE_NUMBER = re.compile(r"(?=.*[0-9])[0-9A-Z]{2,20}")
"""Digits and capital letters with at least one digit: a number, never a name."""

HALF_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})-(am|pm)")


class Site(StrEnum):
    WORDPRESS = "wordpress"
    PRESTASHOP = "prestashop"


def parse_half_day(text: str) -> str:
    """*text* when it is a half-day such as ``2027-05-11-am``.

    Raises ValueError when it is not, or when there is no such day.
    """
    match = HALF_DAY.fullmatch(text)
    if match is None:
        raise ValueError(text)
    date.fromisoformat(match[1])
    return text


def wave_id(half_day: str, room: str, number: int) -> str:
    """``2027-05-11-am-salle-101-v2``: unique, sortable, fit for a file name and an image tag."""
    return f"{half_day}-{room}-v{number}"


@dataclass(frozen=True)
class Place:
    """One seat in one wave, with the candidate who works there.

    *duration* is the wave's; *adjustment* is this candidate's own (``4/3``, ``+10``) and *credits* what was given back
    to them. *proof* is None until prepare has looked, then ``proved`` or a sentence that says how the environment
    differs. *waived* is the journaled reason why this seat needs no evidence. Times are aware UTC datetimes.
    """

    seat: int
    candidate: str
    duration: timedelta = DURATION
    adjustment: str | None = None
    absent: bool = False
    left_out: bool = False
    environment: str | None = None
    proof: str | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    waived: str | None = None
    credits: tuple[Credit, ...] = ()

    @property
    def taking_part(self) -> bool:
        """Whether a candidate works (or worked) at this seat in this wave."""
        return not (self.absent or self.left_out)

    @property
    def proved(self) -> bool:
        return self.proof == PROVED

    @property
    def working(self) -> bool:
        """Whether a candidate can work here now, in a wave that is open."""
        return self.taking_part and self.opened_at is not None and self.closed_at is None

    @property
    def allotted(self) -> timedelta:
        """The candidate's time, their adjustment included."""
        return adjusted(self.duration, self.adjustment)

    @property
    def ends_at(self) -> datetime | None:
        """None before the opening, and while time is being given back: nobody knows the end then."""
        return None if self.opened_at is None else end_of(self.opened_at, self.allotted, self.credits)

    @property
    def suspended(self) -> bool:
        """Whether time is being given back now, so that nobody knows the end."""
        return self.working and self.ends_at is None

    def credited(self, credit: Credit) -> "Place":
        """With one more credit, unless the same kind goes on already."""
        if credit.going_on and self.has_going_on(credit.kind):
            return self
        return replace(self, credits=(*self.credits, credit))

    def has_going_on(self, *kinds: CreditKind) -> bool:
        return any(item.going_on and item.kind in kinds for item in self.credits)

    def settled(self, now: datetime, *kinds: CreditKind) -> "Place":
        """With the credits of *kinds* (of all when none is named) that went on until *now* ended."""
        return replace(
            self,
            credits=tuple(
                replace(item, ended_at=now) if item.going_on and (not kinds or item.kind in kinds) else item
                for item in self.credits
            ),
        )

    def reopened(self, now: datetime) -> "Place":
        """Open again after its time was over or it was shut: the time since then is given back."""
        if self.closed_at is None and not self.is_over(now):
            return self
        since = min(moment for moment in (self.closed_at, self.ends_at) if moment is not None)
        return replace(self, closed_at=None).credited(Credit(CreditKind.SHUT, since, now))

    def is_over(self, now: datetime) -> bool:
        return self.ends_at is not None and self.ends_at <= now


PROVED = "proved"


@dataclass(frozen=True)
class Wave:
    """Up to twenty candidates of one room in one half-day.

    *intent* is the action that was begun and not yet completed: it is stored before anything is done, so that
    the next run of the same command finishes it. *subject* is the key of the subject that its candidates were given
    when it was opened.
    """

    id: str
    half_day: str
    room: str
    number: int
    site: Site
    image: str
    state: WaveState = WaveState.PLANNED
    intent: str | None = None
    reason: str | None = None
    subject: str | None = None
    places: tuple[Place, ...] = field(default=())

    def place(self, seat: int) -> Place | None:
        return next((place for place in self.places if place.seat == seat), None)

    def with_places(self, *changed: Place) -> "Wave":
        """With each of *changed* in the place of the one at the same seat."""
        by_seat = {place.seat: place for place in changed}
        return replace(self, places=tuple(by_seat.get(place.seat, place) for place in self.places))

    @property
    def ends_at(self) -> datetime | None:
        """When the last candidate's time is over; None before the opening, and while time is being given back."""
        opened = [place for place in self.places if place.taking_part and place.opened_at is not None]
        # A seat that was shut has its end behind it.
        ends = [place.closed_at or place.ends_at for place in opened]
        return max((end for end in ends if end is not None), default=None) if all(ends) else None


class EnvironmentRole(StrEnum):
    ACTIVE = "active"
    """The environment that the seat's address leads to."""
    STANDBY = "standby"
    """Made behind the seat by the supervisor, and proved there; not reachable before the gateway is switched to it."""
    NEXT = "next"
    """Being made by a command that will switch the seat to it at once."""
    RETIRED = "retired"
    """To be removed: it is not reachable any more."""
    GONE = "gone"
    """Removed; the row stays as a record."""


@dataclass(frozen=True)
class Environment:
    """The container that one candidate works in, as it is desired.

    *touched* is true from the moment a candidate could have worked in it: from then on it may not be removed
    without evidence. *layer* is the restore point's layer that it begins with; None for the reference itself.
    *subject* is the key of the subject whose fixtures are put into it; None for none.
    """

    name: str
    seat: int
    generation: int
    site: Site
    image: str
    address: str
    url: str
    role: EnvironmentRole = EnvironmentRole.ACTIVE
    touched: bool = False
    wave: str | None = None
    proved_at: datetime | None = None
    layer: str | None = None
    subject: str | None = None


class PointKind(StrEnum):
    SCHEDULED = "scheduled"
    ASKED = "asked"
    UNDO = "undo"
    """What a restore, a move put aside."""


@dataclass(frozen=True)
class RestorePoint:
    """A snapshot of an environment taken during a wave: one image layer over the reference.

    *number* counts one candidate's points in one wave; *seat* is where it was taken. *pruned_at* says that its layer
    is gone; the row stays as a record.
    """

    wave: str
    candidate: str
    number: int
    seat: int
    kind: PointKind
    environment: str
    layer: str
    tag: str
    size: int
    taken_at: datetime
    pruned_at: datetime | None = None


class AlarmKind(StrEnum):
    DEAD = "dead"
    SLOW = "slow"
    GATEWAY = "gateway"
    DISK = "disk"
    MEMORY = "memory"
    CLOCK = "clock"
    OVERFLOW = "overflow"
    POINTS = "points"
    EVIDENCE = "evidence"
    SUBJECT = "subject"
    GUARD = "guard"
    """It does not run as it should: what is locked stays so, the rest is not sure."""
    ATTEMPTS = "attempts"
    """A seat tries again and again what the guard refuses."""


@dataclass(frozen=True)
class Alarm:
    """Something that a person must know, until it is over. *seat* is None for what concerns the machine."""

    kind: AlarmKind
    seat: int | None
    wave: str | None
    message: str
    raised_at: datetime
    cleared_at: datetime | None = None


@dataclass(frozen=True)
class Evidence:
    """The sealed end state of an environment: one image layer and one portable archive.

    *archive* is relative to the centre's evidence folder; *sha256* is the archive file's digest.
    """

    wave: str
    seat: int
    candidate: str
    environment: str
    attempt: int
    layer: str
    archive: str
    sha256: str
    size: int
    sealed_at: datetime
    verified_at: datetime | None = None
    purged_at: datetime | None = None
