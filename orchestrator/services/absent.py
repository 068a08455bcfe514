"""Record that a candidate is absent, or that they have come after all."""

from dataclasses import replace

from orchestrator.domain.exam import Wave
from orchestrator.domain.lifecycle import WaveState
from orchestrator.errors import NotFound, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre


def mark_absent(centre: Centre, wave_id: str, seat: int, *, present: bool = False) -> Wave:
    """Mark *seat*'s candidate absent (or *present* again): their seat is shut and takes no part.

    Raises NotFound for a seat that is not in the wave, Refused once the wave is open: an environment that could be
    reached is evidence.
    """
    wave = centre.wave(wave_id)
    with centre.locks.room(wave.room, f"seat absent {seat}"):
        wave = centre.wave(wave_id)
        if wave.place(seat) is None:
            raise NotFound(_("Seat {seat} is not in wave {wave}.").format(seat=seat, wave=wave.id))
        if wave.state not in {WaveState.PLANNED, WaveState.PREPARED} or wave.intent == "open":
            raise Refused(
                _("Wave {wave} has been opened: who took part is settled.").format(wave=wave.id),
                hint=_("A candidate who left is noted in the minutes; their site is sealed like the others."),
            )
        places = tuple(replace(place, absent=not present) if place.seat == seat else place for place in wave.places)
        wave = replace(wave, places=places)
        centre.store.save(Entry("seat.present" if present else "seat.absent", wave.id, seat), waves=[wave])
    return wave
