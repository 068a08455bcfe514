"""Which seats the guard locks, and the count of what it refused them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.exam import Wave
from orchestrator.domain.lifecycle import WaveState


@dataclass(frozen=True)
class Override:
    """What a person has said of a seat's network. *locked*: until they take it back, whatever the waves are; *wave* is
    None. Not *locked*: while a candidate works there in *wave*, in spite of it, for *reason*."""

    seat: int
    locked: bool
    since: datetime
    reason: str = ""
    wave: str | None = None


def locked(waves: Iterable[Wave], overrides: Iterable[Override]) -> frozenset[int]:
    """The seats to be locked, from the stored state alone: where a candidate works in a wave that is open or being
    opened, unless somebody has excepted the seat, and those that somebody has locked."""
    said = list(overrides)
    by_hand = {item.seat for item in said if item.locked}
    excepted = {(item.seat, item.wave) for item in said if not item.locked}
    # A wave that is being opened has its opening stored before its state.
    working = {
        place.seat
        for wave in waves
        if wave.state in {WaveState.PREPARED, WaveState.OPEN}
        for place in wave.places
        if place.working and (place.seat, wave.id) not in excepted
    }
    return frozenset(working | by_hand)


@dataclass(frozen=True)
class Tried:
    """What the guard refused within one *minute* (its beginning): *count* times *what* on *layer* (ports.Attempt).

    *seat* is None for a machine that is none, *wave* where no candidate worked then. *line* is the first as the engine
    wrote it; *recorded* says how many of them the journal knows.
    """

    minute: datetime
    seat: int | None
    address: str
    what: str
    layer: str
    wave: str | None
    count: int
    line: str
    recorded: int = 0
