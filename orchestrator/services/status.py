"""What a wave and its seats are like now: stored state and what the engine and the gateway show."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.exam import Alarm, Evidence, Wave
from orchestrator.domain.lifecycle import HOLDS_SEATS
from orchestrator.domain.routes import RouteState
from orchestrator.errors import E5BError, EnvironmentFailed
from orchestrator.services.centre import Centre
from orchestrator.services.guard_log import tried_in
from orchestrator.services.subjects import next_step_here


@dataclass(frozen=True)
class SeatStatus:
    """*environment* is ``running``, ``stopped``, ``missing`` or None when the seat has none; *route* is what the
    running gateway serves at the seat's address, None when it does not run; *locked* is what the running guard does,
    None without one. *refused* counts what it refused in the seat's wave."""

    seat: int
    candidate: str | None
    url: str
    environment: str | None
    proof: str | None
    route: RouteState | None
    absent: bool
    left_out: bool
    ends_at: datetime | None
    suspended: bool
    """Time is being given back: nobody knows the end yet."""
    evidence: Evidence | None
    locked: bool | None
    refused: int


@dataclass(frozen=True)
class WaveStatus:
    """*account* is what the image describes: the candidate's ``login``, ``password`` and the ``admin`` path; None while
    no environment runs."""

    wave: Wave
    seats: tuple[SeatStatus, ...]
    next_step: str
    account: Mapping[str, str] | None
    alarms: tuple[Alarm, ...]


def wave_status(centre: Centre, wave_id: str) -> WaveStatus:
    """Raises NotFound."""
    wave = centre.wave(wave_id)
    by_seat = {status.seat: status for status in seats_status(centre)}
    sealed = {item.seat: item for item in centre.store.evidence(wave.id)}
    refused = tried_in(centre, [wave.id])
    seats = tuple(
        SeatStatus(
            seat=place.seat,
            candidate=place.candidate,
            url=centre.settings.seat_url(place.seat),
            environment=by_seat[place.seat].environment if place.seat in by_seat else None,
            proof=place.proof,
            route=by_seat[place.seat].route if place.seat in by_seat else None,
            absent=place.absent,
            left_out=place.left_out,
            ends_at=place.ends_at,
            suspended=place.suspended,
            evidence=sealed.get(place.seat),
            locked=by_seat[place.seat].locked if place.seat in by_seat else None,
            refused=refused[wave.id, place.seat],
        )
        for place in wave.places
    )
    return WaveStatus(wave, seats, next_step_here(centre, wave), _account(centre, wave), tuple(centre.store.alarms()))


def _account(centre: Centre, wave: Wave) -> dict[str, str] | None:
    observed = centre.engine.observe()
    for place in wave.places:
        seen = observed.get(place.environment or "")
        if seen is not None and seen.ours and seen.running:
            # A site that cannot say it now is no reason to hide the state of the others.
            with contextlib.suppress(EnvironmentFailed):
                described = centre.engine.describe(seen.name)
                return {key: str(described[key]) for key in ("admin", "login", "password")}
    return None


def seats_status(centre: Centre) -> list[SeatStatus]:
    """Every seat of the centre, with the wave in progress that it belongs to, if any."""
    observed = centre.engine.observe()
    active = centre.active()
    serving = {route.seat: route.state for route in centre.gateway.serving() or ()}
    places = {
        place.seat: (wave, place) for wave in centre.store.waves() if wave.state in HOLDS_SEATS for place in wave.places
    }
    sealed = centre.store.evidence()
    locked = _locked(centre)
    refused = tried_in(centre, {wave.id for wave, _place in places.values()})
    statuses = []
    for seat in sorted(centre.settings.seats):
        environment = active.get(seat)
        seen = observed.get(environment.name) if environment else None
        wave, place = places.get(seat, (None, None))
        evidence = [item for item in sealed if wave is not None and (item.wave, item.seat) == (wave.id, seat)]
        statuses.append(
            SeatStatus(
                seat=seat,
                candidate=place.candidate if place else None,
                url=centre.settings.seat_url(seat),
                environment=None
                if environment is None
                else "missing"
                if seen is None
                else "running"
                if seen.running
                else "stopped",
                proof=place.proof if place else None,
                route=serving.get(seat),
                absent=place.absent if place else False,
                left_out=place.left_out if place else False,
                ends_at=place.ends_at if place else None,
                suspended=place is not None and place.suspended,
                evidence=max(evidence, key=lambda item: item.attempt, default=None),
                locked=None if locked is None else seat in locked,
                refused=0 if wave is None else refused[wave.id, seat],
            )
        )
    return statuses


def _locked(centre: Centre) -> frozenset[int] | None:
    # A guard that cannot say it now is no reason to hide the state of the seats.
    with contextlib.suppress(E5BError):
        state = None if centre.guard is None else centre.guard.state()
        return None if state is None else state.locked
    return None
