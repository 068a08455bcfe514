"""Abandon a wave: it will not go on. What candidates did is sealed all the same."""

from dataclasses import replace

from orchestrator.domain.exam import Place, Wave
from orchestrator.domain.lifecycle import Action, WaveState
from orchestrator.errors import EvidenceInvalid
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.seal import seal_places


def abandon(centre: Centre, wave_id: str, reason: str) -> Wave:
    """Shut the wave's seats, seal what was touched, and give the seats back.

    Raises Refused when the wave is over, EvidenceInvalid when a seat could not be sealed: the wave is closed then and
    can be sealed, or abandoned again.
    """
    wave = centre.wave(wave_id)
    with centre.locks.room(wave.room, f"wave abandon {wave.id}"):
        wave = centre.wave(wave_id)
        reached = centre.check_allowed(wave, Action.ABANDON)
        now = centre.clock.now()
        was_open = any(place.opened_at for place in wave.places)
        wave = replace(
            wave,
            intent=Action.ABANDON,
            reason=reason,
            places=tuple(
                replace(place.settled(now), closed_at=place.closed_at or now) if place.opened_at else place
                for place in wave.places
            ),
        )
        centre.store.save(Entry("wave.abandon", wave.id, data={"reason": reason}), waves=[wave])
        if was_open:
            centre.serve()
            faults = seal_places(centre, wave)
            if faults:
                # It goes on as a closed wave: it can be sealed again, a seat waived, or abandoned again.
                centre.store.save(waves=[replace(wave, state=WaveState.CLOSED, intent=None)])
                raise EvidenceInvalid(
                    _("Wave {wave} is shut but not abandoned: some seats could not be sealed.").format(wave=wave.id),
                    hint=_("Run the command again, or waive the seat: `e5b wave seal --waive SEAT`."),
                    details=[f"{seat:02d}: {fault}" for seat, fault in sorted(faults.items())],
                )
        wave = replace(wave, state=reached, intent=None)
        if was_open:
            # Before the wave's last word: after it, this command cannot be run again.
            centre.serve(wave)
        centre.store.save(Entry("wave.abandoned", wave.id, data={"reason": reason}), waves=[wave])
    return wave


def abandon_preview(centre: Centre, wave_id: str) -> list[Place]:
    """The places that :func:`abandon` would shut and seal; nothing is done."""
    wave = centre.wave(wave_id)
    centre.check_allowed(wave, Action.ABANDON)
    return [place for place in wave.places if place.opened_at is not None]
