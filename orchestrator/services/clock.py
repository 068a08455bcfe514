"""The clock: closes each seat when its time is over, then closes and seals the wave by itself."""

from collections.abc import Callable
from datetime import datetime

from orchestrator.domain.exam import Wave
from orchestrator.domain.lifecycle import Action, WaveState
from orchestrator.domain.time import OF_COMMANDS
from orchestrator.errors import Busy, E5BError, Refused
from orchestrator.i18n import _
from orchestrator.services.centre import Centre
from orchestrator.services.close import close, close_over
from orchestrator.services.seal import seal

Told = Callable[[str, str], None]


def tick(centre: Centre, tell: Told) -> list[E5BError]:
    """Look once at every wave and do what its time asks for; what could not be done is returned.

    *tell* is called with the wave's id and what was done (``over 7``, ``closed``, ``sealed``).
    """
    return shut_due(centre, tell) + seal_closed(centre, tell)


def shut_due(centre: Centre, tell: Told) -> list[E5BError]:
    """Close the waves and the seats whose time is over; what could not be done."""
    now = centre.clock.now()

    def shut(wave: Wave) -> None:
        if wave.ends_at is not None and wave.ends_at <= now:
            close(centre, wave.id)
            tell(wave.id, "closed")
        elif _is_due(centre, wave, now):
            for seat in close_over(centre, wave.id):
                tell(wave.id, f"over {seat}")

    return _each(centre, WaveState.OPEN, shut)


def seal_closed(centre: Centre, tell: Told) -> list[E5BError]:
    """Seal what is closed, by a person or by the clock: evidence is never left to be remembered."""

    def seal_one(wave: Wave) -> None:
        if wave.intent == Action.ABANDON:
            return
        report = seal(centre, wave.id)
        if report.faults:
            raise E5BError(
                "; ".join(_("seat {seat:02d}: {how}").format(seat=seat, how=why) for seat, why in report.faults.items())
            )
        tell(wave.id, "sealed")

    return _each(centre, WaveState.CLOSED, seal_one)


def _each(centre: Centre, state: WaveState, work: Callable[[Wave], None]) -> list[E5BError]:
    faults: list[E5BError] = []
    for wave in centre.store.waves():
        if wave.state is state:
            try:
                work(wave)
            except (Busy, Refused):
                # Somebody is doing it by hand, or has just done it: look again at the next tick.
                continue
            except E5BError as error:
                faults.append(error)
    return faults


def _is_due(centre: Centre, wave: Wave, now: datetime) -> bool:
    """Whether a seat of an open wave has to be shut, a command that was killed left its credit going on, or the gateway
    does not serve what is stored."""
    return centre.gateway.serving() != centre.routes() or any(
        place.working and (place.is_over(now) or place.has_going_on(*OF_COMMANDS)) for place in wave.places
    )
