"""What the exam is made of: sites, half-days, waves, places, environments, evidence."""

import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from orchestrator.domain.lifecycle import WaveState

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

    *proof* is None until prepare has looked, then ``proved`` or a sentence that says how the environment
    differs. *waived* is the journaled reason why this seat needs no evidence. Times are aware UTC datetimes.
    """

    seat: int
    candidate: str
    duration: timedelta = DURATION
    absent: bool = False
    left_out: bool = False
    environment: str | None = None
    proof: str | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    waived: str | None = None

    @property
    def taking_part(self) -> bool:
        """Whether a candidate works (or worked) at this seat in this wave."""
        return not (self.absent or self.left_out)

    @property
    def proved(self) -> bool:
        return self.proof == PROVED

    @property
    def ends_at(self) -> datetime | None:
        return None if self.opened_at is None else self.opened_at + self.duration


PROVED = "proved"


@dataclass(frozen=True)
class Wave:
    """Up to twenty candidates of one room in one half-day.

    *intent* is the action that was begun and not yet completed: it is stored before anything is done, so that
    the next run of the same command finishes it.
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
    places: tuple[Place, ...] = field(default=())

    def place(self, seat: int) -> Place | None:
        return next((place for place in self.places if place.seat == seat), None)

    @property
    def ends_at(self) -> datetime | None:
        """When the last candidate's time is over; None before the opening."""
        ends = [place.ends_at for place in self.places if place.taking_part and place.ends_at is not None]
        return max(ends, default=None)


class EnvironmentRole(StrEnum):
    ACTIVE = "active"
    """The environment that the seat's address leads to."""
    STANDBY = "standby"
    """Made behind the seat; not reachable before it is proved and the gateway is switched to it."""
    RETIRED = "retired"
    """To be removed: it is not reachable any more."""
    GONE = "gone"
    """Removed; the row stays as a record."""


@dataclass(frozen=True)
class Environment:
    """The container that one candidate works in, as it is desired.

    *touched* is true from the moment a candidate could have worked in it: from then on it may not be removed
    without evidence.
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
