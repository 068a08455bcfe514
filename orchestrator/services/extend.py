"""Give one candidate more time."""

from datetime import timedelta

from orchestrator.domain.exam import Place, Wave
from orchestrator.domain.lifecycle import Action, WaveState
from orchestrator.domain.time import LONGEST, Credit, CreditKind, LedgerLine, ledger
from orchestrator.errors import InputInvalid, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.guard import opening
from orchestrator.services.reset import holder


def extend(centre: Centre, seat: int, given: timedelta, reason: str) -> Place:
    """Give *given* to the candidate of *seat*; a seat that was shut opens again, and what it was shut is given back.

    Raises InputInvalid, NotFound, Refused unless the wave is open, EnvironmentFailed when the guard cannot lock a seat
    that would open again.
    """
    if not timedelta(0) < given <= LONGEST:
        raise InputInvalid(_("Between 1 and 240 minutes can be given."))
    if not reason.strip():
        raise InputInvalid(_("A reason is needed: it goes into the journal."))
    with centre.locks.room(holder(centre, seat)[0].room, f"seat extend {seat}"):
        wave, place = open_place(centre, seat)
        now = centre.clock.now()
        was_shut = not place.working
        place = place.reopened(now).credited(Credit(CreditKind.EXTENSION, now, given=given, reason=reason))
        wave = wave.with_places(place)
        with opening(centre, wave, [seat] if was_shut else []):
            centre.store.save(
                Entry("seat.extended", wave.id, seat, {"seconds": given.total_seconds(), "reason": reason}),
                waves=[wave],
            )
        centre.serve()
    return place


def open_place(centre: Centre, seat: int) -> tuple[Wave, Place]:
    """The open wave that the seat is in, and its place. Raises NotFound, Refused when no time runs there."""
    wave, place = holder(centre, seat)
    if wave.state is not WaveState.OPEN or wave.intent == Action.CLOSE or not place.taking_part:
        raise Refused(
            _("No candidate's time runs at seat {seat:02d}.").format(seat=seat),
            hint=_("`e5b wave status` shows where the wave stands."),
        )
    return wave, place


def time_of(centre: Centre, seat: int) -> tuple[Place, list[LedgerLine]]:
    """The place and what each credit adds to it. Raises NotFound, Refused before the opening."""
    wave, place = holder(centre, seat)
    if place.opened_at is None:
        raise Refused(
            _("The time at seat {seat:02d} has not begun.").format(seat=seat),
            hint=_("It begins when wave {wave} is opened.").format(wave=wave.id),
        )
    return place, ledger(place.opened_at, place.allotted, place.credits)
