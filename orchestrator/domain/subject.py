"""A half-day's subject once it is unlocked in a centre: which one, and for which environments."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.bank import Role, SealedEntry
from orchestrator.domain.exam import Site, Wave
from orchestrator.domain.lifecycle import Action, WaveState


@dataclass(frozen=True)
class SubjectRecord:
    """A subject that was unlocked, without anything of its content.

    *key* is :func:`key_of` its sealed entry. *fixtures* says whether it has any; *reason* why it took another's place
    (a spare alone); *removed_at* when its clear text was removed for good. Times are aware UTC datetimes.
    """

    key: str
    half_day: str
    role: Role
    site: Site
    fixtures: bool
    ends_at: datetime
    unlocked_at: datetime
    reason: str | None = None
    removed_at: datetime | None = None

    @property
    def begins_with(self) -> str | None:
        """What a new environment of its waves has besides the reference: None for nothing."""
        return self.key if self.fixtures else None


def key_of(entry: SealedEntry) -> str:
    """The beginning of what is public already, the digest of the sealed subject: it says nothing of its content."""
    return entry.sha256[:16]


def current(records: Iterable[SubjectRecord], half_day: str) -> SubjectRecord | None:
    """The subject of *half_day*: the spare once there was reason to switch to it."""
    found = {
        item.role: item
        for item in sorted(records, key=lambda item: item.unlocked_at)
        if item.half_day == half_day and item.removed_at is None
    }
    return found.get(Role.SPARE) or found.get(Role.SUBJECT)


def subject_of(wave: Wave, records: Iterable[SubjectRecord]) -> SubjectRecord | None:
    """The subject that an environment of *wave* is made for: what its candidates were given while they work on it; what
    the half-day's next candidates will be given otherwise."""
    known = list(records)
    if wave.state is WaveState.OPEN or wave.intent == Action.OPEN:
        return next((item for item in known if item.key == wave.subject), None)
    return current(known, wave.half_day)
