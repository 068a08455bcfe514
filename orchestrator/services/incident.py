"""An incident: while it goes on, the time of the seats concerned is given back."""

from collections.abc import Collection

from orchestrator.domain.exam import Place, Wave
from orchestrator.domain.lifecycle import Action, WaveState
from orchestrator.domain.time import Credit, CreditKind
from orchestrator.errors import InputInvalid, NotFound, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre


def open_incident(centre: Centre, wave_id: str, seats: Collection[int], reason: str) -> list[Place]:
    """Declare an incident for *seats*, or for every seat where a candidate works; the places concerned.

    Raises InputInvalid, NotFound, Refused when no time runs there or an incident goes on already.
    """
    if not reason.strip():
        raise InputInvalid(_("A reason is needed: it goes into the journal."))
    with centre.locks.room(centre.wave(wave_id).room, f"incident open {wave_id}"):
        wave = _open(centre, wave_id, seats)
        places = [place for place in wave.places if place.working and (not seats or place.seat in seats)]
        shut = set(seats) - {place.seat for place in places}
        if shut or not places:
            raise Refused(
                _("No candidate's time runs at seat {seat:02d}.").format(seat=min(shut))
                if shut
                else _("No candidate works in wave {wave} now.").format(wave=wave.id),
                hint=_("To give more time to a seat that is shut: `e5b seat extend`."),
            )
        now = centre.clock.now()
        begun = [
            place.credited(Credit(CreditKind.INCIDENT, now, reason=reason))
            for place in places
            if not has_incident(place)
        ]
        if not begun:
            raise Refused(
                _("An incident goes on there already."), hint=_("Close it with `e5b incident close`, when it is over.")
            )
        centre.store.save(
            *(Entry("incident.opened", wave.id, place.seat, {"reason": reason}) for place in begun),
            waves=[wave.with_places(*begun)],
        )
    return begun


def close_incident(centre: Centre, wave_id: str, seats: Collection[int]) -> list[Place]:
    """End the incident of *seats*, or every one of the wave; the places concerned. Raises NotFound, Refused."""
    with centre.locks.room(centre.wave(wave_id).room, f"incident close {wave_id}"):
        wave = _open(centre, wave_id, seats)
        now = centre.clock.now()
        ended = [
            place.settled(now, CreditKind.INCIDENT)
            for place in wave.places
            if has_incident(place) and (not seats or place.seat in seats)
        ]
        if not ended:
            raise Refused(_("No incident goes on there."), hint=_("`e5b seat time SEAT` shows a seat's credits."))
        centre.store.save(
            *(Entry("incident.closed", wave.id, place.seat) for place in ended), waves=[wave.with_places(*ended)]
        )
    return ended


def has_incident(place: Place) -> bool:
    return place.has_going_on(CreditKind.INCIDENT)


def _open(centre: Centre, wave_id: str, seats: Collection[int]) -> Wave:
    wave = centre.wave(wave_id)
    for seat in seats:
        if wave.place(seat) is None:
            raise NotFound(_("Seat {seat} is not in wave {wave}.").format(seat=seat, wave=wave.id))
    if wave.state is not WaveState.OPEN or wave.intent == Action.CLOSE:
        raise Refused(
            _("Wave {wave} is not open: no time runs.").format(wave=wave.id),
            hint=_("Note what happened in the minutes of the exam."),
        )
    return wave
