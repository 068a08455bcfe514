"""Close a wave, or one seat whose time is over: the gateway shuts; nothing else changes."""

from dataclasses import replace

from orchestrator.domain.exam import Wave
from orchestrator.domain.lifecycle import Action
from orchestrator.domain.time import OF_COMMANDS
from orchestrator.errors import Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre


def close(centre: Centre, wave_id: str, *, early: str | None = None) -> Wave:
    """Shut every seat of the wave. *early* is the reason, when candidates still have time.

    Raises Refused unless the wave is open, or when a candidate still has time and no reason is given.
    """
    wave = centre.wave(wave_id)
    with centre.locks.room(wave.room, f"wave close {wave.id}"):
        wave = centre.wave(wave_id)
        reached = centre.check_allowed(wave, Action.CLOSE)
        now = centre.clock.now()
        left = [place for place in wave.places if place.working and not place.is_over(now)]
        if left and early is None and wave.intent != Action.CLOSE:
            raise Refused(
                _("Candidates of wave {wave} still have time.").format(wave=wave.id),
                hint=_("The wave closes by itself. To close it now, give the reason: --early REASON."),
                details=[
                    _("seat {seat:02d}: until {time}").format(
                        seat=place.seat,
                        time=place.ends_at.astimezone().strftime("%H:%M:%S")
                        if place.ends_at
                        else _("its incident ends"),
                    )
                    for place in left
                ],
            )
        places = tuple(
            replace(place.settled(now), closed_at=place.closed_at or now) if place.opened_at else place
            for place in wave.places
        )
        wave = replace(wave, intent=Action.CLOSE, places=places)
        centre.store.save(Entry("wave.close", wave.id, data={"early": early} if early else None), waves=[wave])
        centre.serve()
        wave = replace(wave, state=reached, intent=None)
        centre.store.save(Entry("wave.closed", wave.id), waves=[wave])
    return wave


def close_over(centre: Centre, wave_id: str) -> list[int]:
    """Shut the seats of an open wave whose own time is over, and see that the gateway serves what is stored; the seats
    that were shut."""
    wave = centre.wave(wave_id)
    with centre.locks.room(wave.room, f"seat close {wave.id}", patient=False):
        wave = centre.wave(wave_id)
        now = centre.clock.now()
        # Whoever holds the lock knows that no command gives time back now: what one that was killed left is ended.
        wave = wave.with_places(*(place.settled(now, *OF_COMMANDS) for place in wave.places if place.working))
        over = [place for place in wave.places if place.working and place.is_over(now)]
        wave = wave.with_places(*(replace(place, closed_at=now) for place in over))
        if wave != centre.wave(wave_id):
            centre.store.save(*(Entry("seat.over", wave.id, place.seat) for place in over), waves=[wave])
        centre.serve()
    return [place.seat for place in over]
