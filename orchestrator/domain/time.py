"""A candidate's time: what they are given, what is given back, and when it is over."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from fractions import Fraction

LONGEST = timedelta(hours=4)
"""No candidate's time is longer, whatever the adjustment."""

_NEVER = datetime.max.replace(tzinfo=UTC)
_FACTOR = re.compile(r"(\d{1,2})/(\d{1,2})")
_MINUTES = re.compile(r"\+(\d{1,3})")


class CreditKind(StrEnum):
    """Why minutes are given back."""

    EXTENSION = "extension"
    """A person gave them."""
    INCIDENT = "incident"
    """A person declared an incident; it counts from its opening to its closing."""
    RESTORE = "restore"
    RESET = "reset"
    MOVE = "move"
    OUTAGE = "outage"
    """The environment did not answer."""
    GATEWAY = "gateway"
    """The gateway did not answer."""
    MACHINE = "machine"
    """The machine was down."""
    SHUT = "shut"
    """The seat was shut before more time was given to it."""


OF_COMMANDS = (CreditKind.RESTORE, CreditKind.RESET, CreditKind.MOVE)
"""They go on while a command works on the room: otherwise they were left by a command that was killed."""


@dataclass(frozen=True)
class Credit:
    """Time given back to one candidate: from *began_at* to *ended_at* (None while it goes on), or *given* at once."""

    kind: CreditKind
    began_at: datetime
    ended_at: datetime | None = None
    given: timedelta | None = None
    reason: str = ""

    @property
    def going_on(self) -> bool:
        return self.ended_at is None and self.given is None


@dataclass(frozen=True)
class LedgerLine:
    """One step from a candidate's opening to their end. *adds* is None while it still counts; an interval that
    overlaps an earlier one, or began after the end, adds less than it lasted."""

    credit: Credit
    adds: timedelta | None


def adjusted(duration: timedelta, adjustment: str | None) -> timedelta:
    """*duration* with a candidate's adjustment: a factor such as ``4/3`` or more minutes such as ``+10``.

    Raises ValueError when it is neither, or shortens the time, or is longer than LONGEST.
    """
    if adjustment is None:
        return duration
    if found := _FACTOR.fullmatch(adjustment):
        if int(found[2]) == 0:
            raise ValueError(adjustment)
        factor = Fraction(int(found[1]), int(found[2]))
        # To the second, in the candidate's favour.
        given = timedelta(seconds=math.ceil(Fraction(duration / timedelta(seconds=1)) * factor))
    elif found := _MINUTES.fullmatch(adjustment):
        given = duration + timedelta(minutes=int(found[1]))
    else:
        raise ValueError(adjustment)
    if not duration <= given <= LONGEST:
        raise ValueError(adjustment)
    return given


def ledger(opened_at: datetime, allotted: timedelta, credits: Sequence[Credit]) -> list[LedgerLine]:
    """What each credit adds, in the order in which they began.

    Minutes are given back once: where two intervals overlap, the later one adds only what is new. One that began
    when the time was over adds nothing. Each line adds whole seconds, rounded up.
    """
    lines: list[LedgerLine] = []
    end = opened_at + allotted + sum((item.given or timedelta() for item in credits), timedelta())
    covered = opened_at
    # Of two that began together the longer one covers the other, in whatever order they were stored.
    longest_first = sorted(credits, key=lambda item: item.ended_at or _NEVER, reverse=True)
    for credit in sorted(longest_first, key=lambda item: item.began_at):
        if credit.given is not None:
            lines.append(LedgerLine(credit, credit.given))
            continue
        begun = max(credit.began_at, covered)
        if begun >= end:
            lines.append(LedgerLine(credit, timedelta()))
        elif credit.ended_at is None:
            lines.append(LedgerLine(credit, None))
        else:
            adds = timedelta(seconds=math.ceil(max(timedelta(), credit.ended_at - begun).total_seconds()))
            covered = max(covered, credit.ended_at)
            end += adds
            lines.append(LedgerLine(credit, adds))
    return lines


def end_of(opened_at: datetime, allotted: timedelta, credits: Sequence[Credit]) -> datetime | None:
    """When the time is over; None while a credit goes on, since nobody knows then."""
    end = opened_at + allotted
    for line in ledger(opened_at, allotted, credits):
        if line.adds is None:
            return None
        end += line.adds
    return end
