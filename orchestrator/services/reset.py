"""Reset: a new environment behind each seat, proved before the gateway is switched, evidence before wiping."""

import time
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.domain.exam import PROVED, Environment, EnvironmentRole, Evidence, Place, Wave
from orchestrator.domain.fingerprint import Fingerprint
from orchestrator.domain.lifecycle import HOLDS_SEATS, Action, WaveState
from orchestrator.errors import EvidenceInvalid, NotFound, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.environments import (
    bring_up,
    check_image,
    chosen,
    new_environment,
    reference_fingerprint,
    remove,
)
from orchestrator.services.prepare import Report, SeatResult
from orchestrator.services.seal import has_evidence, seal_environment


def reset(centre: Centre, wave_id: str) -> Report:
    """Give every seat of a sealed wave a proved new environment and remove the old ones.

    The wave is reset when all seats are proved; otherwise it stays sealed, and the seats that could not be proved
    keep their old environment.
    Raises Refused unless the wave is sealed, EvidenceInvalid (naming the seats) while evidence is missing or does
    not hold: nothing is wiped then.
    """
    begun = time.monotonic()
    wave = centre.wave(wave_id)
    with centre.locks.room(wave.room, f"wave reset {wave.id}"):
        wave = centre.wave(wave_id)
        reached = centre.check_allowed(wave, Action.RESET)
        _check_evidence(centre, wave)
        environments = chosen(centre.active(), [place.seat for place in wave.places])
        wave = replace(wave, intent=Action.RESET)
        centre.store.save(Entry("wave.reset_begun", wave.id), waves=[wave])
        results = renew(centre, wave, environments)
        faults = [result for result in results if result.fault is not None]
        wave = replace(wave, state=wave.state if faults else reached, intent=None)
        centre.store.save(
            *(Entry("seat.reset_failed", wave.id, item.seat, {"how": item.fault}) for item in faults),
            *(() if faults else (Entry("wave.reset", wave.id, data={"proved": len(results)}),)),
            waves=[wave],
        )
        # The wave's seats are nobody's now: the page says "not open yet" instead of "time is up".
        centre.gateway.ensure(centre.routes())
    return Report(wave, tuple(results), time.monotonic() - begun)


def reset_preview(centre: Centre, wave_id: str) -> list[Environment]:
    """The environments that :func:`reset` would replace, after the same checks; nothing is done."""
    wave = centre.wave(wave_id)
    centre.check_allowed(wave, Action.RESET)
    _check_evidence(centre, wave)
    return [item for item in chosen(centre.active(), [place.seat for place in wave.places]) if item.touched]


def evidence_missing(centre: Centre, wave: Wave) -> list[int]:
    """The seats of *wave* whose environment holds a candidate's work without evidence that holds."""
    by_name = {item.name: item for item in centre.store.environments()}
    missing = []
    for place in wave.places:
        environment = by_name.get(place.environment or "")
        if environment is None or not environment.touched or place.waived is not None:
            continue
        if environment.role is not EnvironmentRole.GONE and not has_evidence(centre, environment):
            missing.append(place.seat)
    return missing


def _check_evidence(centre: Centre, wave: Wave) -> None:
    missing = evidence_missing(centre, wave)
    if missing:
        raise EvidenceInvalid(
            _("Wave {wave} is not reset: the evidence of some seats is missing or does not hold.").format(wave=wave.id),
            hint=_("Seal again with `e5b seat seal SEAT`: the environments are untouched."),
            details=[_("seat {seat:02d}").format(seat=seat) for seat in missing],
        )


def renew(
    centre: Centre, wave: Wave, environments: Sequence[Environment], *, touched: bool = False
) -> list[SeatResult]:
    """Put a proved new environment in the place of each of *environments*, then remove the old ones.

    An environment that nobody touched and that is still equal to the reference stays. *touched* says that a
    candidate goes on working in the new one at once. The caller holds the room's lock and has seen to the evidence.
    """
    site, image = wave.site, wave.image
    check_image(centre, site, image)
    reference = reference_fingerprint(centre, site, image)
    centre.engine.ensure_network()
    kept = _still_proved(centre, [item for item in environments if not item.touched and item.image == image], reference)
    old = {item.seat: item for item in environments if item.name not in kept}

    # What an interrupted run left behind the seats is used when it is of the right image.
    existing = centre.store.environments()
    standbys: dict[int, Environment] = {}
    retired: list[Environment] = []
    for item in existing:
        if item.seat in old and item.role is EnvironmentRole.STANDBY:
            if item.image == image and item.url == centre.settings.seat_url(item.seat) and item.seat not in standbys:
                standbys[item.seat] = item
            else:
                retired.append(replace(item, role=EnvironmentRole.RETIRED))
    for seat in old:
        if seat not in standbys:
            standbys[seat] = new_environment(centre, seat, site, image, EnvironmentRole.STANDBY, existing)
            existing = [*existing, standbys[seat]]
    retired += [item for item in existing if item.seat in old and item.role is EnvironmentRole.RETIRED]
    centre.store.save(environments=[*standbys.values(), *retired])

    results = bring_up(centre, chosen(standbys, standbys), reference, _("Making the new environments"))
    now = centre.clock.now()
    switched = [
        replace(item, role=EnvironmentRole.ACTIVE, proved_at=now, touched=touched, wave=wave.id if touched else None)
        for item in standbys.values()
        if results[item.name] == PROVED
    ]
    failed = [replace(item, role=EnvironmentRole.RETIRED) for item in standbys.values() if results[item.name] != PROVED]
    leaving = [replace(old[item.seat], role=EnvironmentRole.RETIRED) for item in switched]
    centre.store.save(
        *(Entry("seat.reset", wave.id, item.seat, {"environment": item.name, "proved": True}) for item in switched),
        environments=[*switched, *failed, *leaving],
    )
    centre.gateway.ensure(centre.routes())
    remove(centre, [*leaving, *failed, *retired], _("Removing the old environments"))
    return sorted(
        [SeatResult(seat, standbys[seat].name, _fault(results[standbys[seat].name])) for seat in old]
        + [SeatResult(item.seat, item.name, None) for item in environments if item.name in kept],
        key=lambda result: result.seat,
    )


def _still_proved(centre: Centre, environments: Sequence[Environment], reference: Fingerprint) -> set[str]:
    observed = centre.engine.observe()
    there = [item for item in environments if item.name in observed]
    results = bring_up(centre, there, reference, _("Checking the untouched environments")) if there else {}
    return {name for name, result in results.items() if result == PROVED}


def _fault(result: str) -> str | None:
    return None if result == PROVED else result


def reset_seat_preview(centre: Centre, seat: int) -> tuple[Environment, bool]:
    """The environment that :func:`reset_seat` would replace, and whether it would be sealed first."""
    environment = _active(centre, seat)
    _wave, place = holder(centre, seat)
    return environment, environment.touched and place.waived is None and not has_evidence(centre, environment)


def _active(centre: Centre, seat: int) -> Environment:
    environment = centre.active().get(seat)
    if environment is None:
        raise NotFound(
            _("Seat {seat} has no environment.").format(seat=seat), hint=_("`e5b seat status` shows the seats.")
        )
    return environment


def reset_seat(centre: Centre, seat: int) -> tuple[SeatResult, Evidence | None]:
    """Reset one seat, whatever its wave is doing, and say how it went.

    While the wave is open or closed the seat's present state is sealed first, and the candidate goes on in the new
    environment. Raises NotFound, Refused when there is nothing to reset, EvidenceInvalid when a sealed wave's evidence
    does not hold.
    """
    _active(centre, seat)
    with centre.locks.room(holder(centre, seat)[0].room, f"seat reset {seat}"):
        wave, place = holder(centre, seat)
        environment = _active(centre, seat)
        evidence = None
        if environment.touched and place.waived is None and not has_evidence(centre, environment):
            if wave.state not in {WaveState.OPEN, WaveState.CLOSED}:
                raise EvidenceInvalid(
                    _("Seat {seat:02d} is not reset: its evidence is missing or does not hold.").format(seat=seat),
                    hint=_("Seal again with `e5b seat seal SEAT`: the environments are untouched."),
                )
            evidence = seal_environment(centre, wave, place, environment)
        works_on = wave.state is WaveState.OPEN and place.taking_part and place.closed_at is None
        result = renew(centre, wave, [environment], touched=works_on)[0]
        renewed = centre.active()[seat]
        proof = PROVED if result.fault is None else result.fault
        if wave.state is not WaveState.SEALED:
            wave = replace(
                wave,
                places=tuple(
                    replace(item, environment=renewed.name, proof=proof) if item.seat == seat else item
                    for item in wave.places
                ),
            )
            centre.store.save(waves=[wave])
    return result, evidence


def seal_seat(centre: Centre, seat: int) -> Evidence:
    """Seal one seat's environment again, for instance because its archive was damaged.

    Raises NotFound, Refused when no candidate has worked there.
    """
    _active(centre, seat)
    with centre.locks.room(holder(centre, seat)[0].room, f"seat seal {seat}"):
        wave, place = holder(centre, seat)
        environment = _active(centre, seat)
        if not environment.touched:
            raise Refused(_("Nobody has worked at seat {seat:02d}: there is nothing to seal.").format(seat=seat))
        if wave.state is WaveState.OPEN and place.closed_at is None:
            raise Refused(
                _("Seat {seat:02d} is still open.").format(seat=seat), hint=_("Close the wave first: `e5b wave close`.")
            )
        return seal_environment(centre, wave, place, environment)


def holder(centre: Centre, seat: int) -> tuple[Wave, Place]:
    """The wave that the seat's environment belongs to now, and the seat's place in it. Raises NotFound."""
    for wave in centre.store.waves():
        place = wave.place(seat)
        if place is not None and wave.state in HOLDS_SEATS:
            return wave, place
    raise NotFound(
        _("Seat {seat} belongs to no wave in progress.").format(seat=seat), hint=_("`e5b wave list` shows the waves.")
    )
