"""What the gateway answers at each seat's address."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.exam import Environment, EnvironmentRole, Wave
from orchestrator.domain.lifecycle import WaveState


class RouteState(StrEnum):
    WAITING = "waiting"
    """Nothing is open yet at this seat: the page that says so."""
    OPEN = "open"
    """The site itself."""
    OVER = "over"
    """The candidate's time is over: the page that says so."""


@dataclass(frozen=True)
class Route:
    """*address* is the environment's IPv4 address; None where no environment stands behind the seat. *subject* is the
    key of the subject that is shown there; None for none."""

    seat: int
    state: RouteState
    address: str | None = None
    subject: str | None = None


def routes(seats: Iterable[int], waves: Iterable[Wave], environments: Iterable[Environment]) -> list[Route]:
    """The route of every seat of the centre, from the stored desired state alone.

    *waves* are those that hold seats. A seat is open while its wave is open (or being opened), it takes part,
    and its own time was not closed. Its subject is shown there just as long.
    """
    active = {item.seat: item.address for item in environments if item.role is EnvironmentRole.ACTIVE}
    states: dict[int, RouteState] = {}
    subjects: dict[int, str | None] = {}
    for wave in waves:
        for place in wave.places:
            states[place.seat] = _state(
                wave, place.taking_part, place.opened_at is not None, place.closed_at is not None
            )
            subjects[place.seat] = wave.subject if states[place.seat] is RouteState.OPEN else None
    return [
        Route(seat, states.get(seat, RouteState.WAITING), active.get(seat), subjects.get(seat))
        for seat in sorted(seats)
    ]


def _state(wave: Wave, taking_part: bool, opened: bool, closed: bool) -> RouteState:
    if not taking_part or not opened:
        return RouteState.WAITING
    if closed or wave.state in {WaveState.CLOSED, WaveState.SEALED}:
        return RouteState.OVER
    return RouteState.OPEN
