"""Reset: a new environment behind each seat, proved before the gateway is switched, evidence before wiping."""

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from orchestrator.domain.exam import PROVED, Environment, EnvironmentRole, Evidence, Place, Wave
from orchestrator.domain.lifecycle import HOLDS_SEATS, Action, WaveState
from orchestrator.domain.time import Credit, CreditKind
from orchestrator.errors import E5BError, EvidenceInvalid, NotFound, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.environments import (
    Start,
    bring_up,
    check_image,
    chosen,
    fits,
    is_as_proved,
    new_environment,
    remove,
    start_of,
)
from orchestrator.services.evidence import has_evidence
from orchestrator.services.prepare import Report, SeatResult
from orchestrator.services.seal import seal_environment, seal_left_behind


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
        results, leaving = renew(centre, wave, environments)
        dispose(centre, leaving, [item.environment for item in results if item.environment and item.fault is None])
        faults = [result for result in results if result.fault is not None]
        wave = replace(wave, state=wave.state if faults else reached, intent=None)
        if not faults:
            # The wave's seats are nobody's now: the page says "not open yet" instead of "time is up". Before the
            # wave's last word: after it, this command cannot be run again.
            centre.switch(wave)
        centre.store.save(
            *(Entry("seat.reset_failed", wave.id, item.seat, {"how": item.fault}) for item in faults),
            *(() if faults else (Entry("wave.reset", wave.id, data={"proved": len(results)}),)),
            waves=[wave],
        )
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
    doubtful = [
        (place, environment)
        for place in wave.places
        if (environment := by_name.get(place.environment or "")) is not None
        and environment.touched
        and place.waived is None
        and environment.role is not EnvironmentRole.GONE
    ]
    # Reading and unpacking archives is most of a room's reset from standbys.
    with ThreadPoolExecutor(centre.parallel) as pool:
        held = list(pool.map(lambda item: has_evidence(centre, item[1], item[0].closed_at), doubtful))
    return [place.seat for (place, _environment), holds in zip(doubtful, held, strict=True) if not holds]


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
) -> tuple[list[SeatResult], list[Environment]]:
    """Put a proved new environment in the place of each of *environments*: the seats' results, and the environments
    that no address leads to any more, for :func:`dispose`.

    An environment that nobody touched and that is still equal to the reference stays. *touched* says that a
    candidate goes on working in the new one at once. Until the wave is sealed its places follow the new ones; after
    that, and where evidence was waived, they remain the record of where the candidates worked. The caller holds the
    room's lock, and has seen to the evidence or sees to it before it disposes of the old ones.
    """
    site, image = wave.site, wave.image
    check_image(centre, site, image)
    start = start_of(centre, wave)
    centre.engine.ensure_network()
    untouched = [item for item in environments if not item.touched]
    kept = _still_proved(
        centre, [item for item in untouched if (item.image, item.subject) == (image, start.subject)], start
    )
    old = {item.seat: item for item in environments if item.name not in kept}

    with centre.locks.centre():
        ready, cold, retired = _behind(centre, wave, start, {item.seat for item in environments}, set(old))
        centre.store.save(environments=[*cold.values(), *retired])

    results = dict.fromkeys((item.name for item in ready.values()), PROVED)
    if cold:
        results |= bring_up(centre, chosen(cold, cold), start, _("Making the new environments"))
    now = centre.clock.now()
    standbys = ready | cold
    switched = [
        replace(
            item,
            role=EnvironmentRole.ACTIVE,
            proved_at=item.proved_at or now,
            touched=touched,
            wave=wave.id if touched else None,
        )
        for item in standbys.values()
        if results[item.name] == PROVED
    ]
    failed = [replace(item, role=EnvironmentRole.RETIRED) for item in standbys.values() if results[item.name] != PROVED]
    # While its work is not sealed yet: of one whose container is gone nothing is left to be sealed or removed.
    there = None if wave.state is WaveState.SEALED else centre.engine.observe()
    left = [old[item.seat] for item in switched]
    gone = [replace(item, role=EnvironmentRole.GONE) for item in left if there is not None and item.name not in there]
    leaving = [replace(item, role=EnvironmentRole.RETIRED) for item in left if there is None or item.name in there]
    names = {} if wave.state is WaveState.SEALED else {item.seat: item.name for item in switched}
    places = tuple(
        replace(place, environment=names[place.seat], proof=PROVED)
        if place.seat in names and place.waived is None
        else place
        for place in wave.places
    )
    centre.store.save(
        *(
            Entry(
                "seat.reset",
                wave.id,
                item.seat,
                {
                    "environment": item.name,
                    "proved": item.proved_at.isoformat() if item.proved_at else None,
                    "standby": item.seat in ready,
                },
            )
            for item in switched
        ),
        waves=[replace(wave, places=places)],
        environments=[*switched, *failed, *leaving, *gone],
    )
    if cold:
        centre.serve()
    else:
        centre.switch()
    return sorted(
        [SeatResult(seat, item.name, _fault(results[item.name]), seat in ready) for seat, item in standbys.items()]
        + [SeatResult(item.seat, item.name, None) for item in environments if item.name in kept],
        key=lambda result: result.seat,
    ), [*leaving, *failed, *retired]


def dispose(centre: Centre, environments: Sequence[Environment], switched: Sequence[str] = ()) -> None:
    """Give the environments *switched* their full share; seal of the others what is not in safety yet, and remove
    them. Nobody waits for it where the centre is supervised: its supervisor does it."""
    if centre.locks.supervised():
        return
    for name in switched:
        centre.engine.prefer(name)
    for item in environments:
        # One that cannot be sealed now is not removed either.
        with contextlib.suppress(E5BError):
            seal_left_behind(centre, item)
    if environments:
        remove(centre, environments, _("Removing the old environments"))


def _behind(
    centre: Centre, wave: Wave, start: Start, seats: set[int], to_renew: set[int]
) -> tuple[dict[int, Environment], dict[int, Environment], list[Environment]]:
    """What takes its place behind each seat *to_renew*: the standbys that are ready, and the environments to be made
    where there is none. And what is to be removed from *seats*."""
    existing = centre.store.environments()
    supervised = centre.locks.supervised()
    behind = [
        item
        for item in existing
        if item.role is EnvironmentRole.STANDBY and item.seat in to_renew and item.proved_at is not None
    ]
    with ThreadPoolExecutor(centre.parallel) as pool:
        as_proved = dict(zip(behind, pool.map(lambda item: is_as_proved(centre, item), behind), strict=True))
    ready: dict[int, Environment] = {}
    cold: dict[int, Environment] = {}
    retired = []
    for item in (item for item in existing if item.seat in seats):
        useful = item.seat in to_renew and fits(centre, item, wave.image, start.subject)
        if item.role is EnvironmentRole.RETIRED:
            retired.append(item)
        elif item.role is EnvironmentRole.NEXT:
            # What an interrupted run has begun to make.
            if useful and item.seat not in cold:
                cold[item.seat] = item
            else:
                retired.append(replace(item, role=EnvironmentRole.RETIRED))
        elif item.role is EnvironmentRole.STANDBY:
            if useful and as_proved.get(item, False):
                ready[item.seat] = item
            elif not supervised:
                retired.append(replace(item, role=EnvironmentRole.RETIRED))
    retired += [replace(cold.pop(seat), role=EnvironmentRole.RETIRED) for seat in ready.keys() & cold.keys()]
    for seat in sorted(to_renew - ready.keys() - cold.keys()):
        made = new_environment(centre, seat, wave.site, wave.image, EnvironmentRole.NEXT, existing, start.subject)
        existing = [*existing, made]
        cold[seat] = made
    return ready, cold, retired


def _still_proved(centre: Centre, environments: Sequence[Environment], start: Start) -> set[str]:
    observed = centre.engine.observe()
    there = [item for item in environments if item.name in observed]
    results = bring_up(centre, there, start, _("Checking the untouched environments")) if there else {}
    return {name for name, result in results.items() if result == PROVED}


def _fault(result: str) -> str | None:
    return None if result == PROVED else result


def reset_seat_preview(centre: Centre, seat: int) -> tuple[Environment, bool]:
    """The environment that :func:`reset_seat` would replace, and whether it would be sealed first."""
    environment = _active(centre, seat)
    wave, place = holder(centre, seat)
    return environment, _must_seal(centre, wave, place, environment)


def _must_seal(centre: Centre, wave: Wave, place: Place, environment: Environment) -> bool:
    if not environment.touched or place.waived is not None:
        return False
    # While the candidate works, no earlier evidence is the end state.
    return _works(wave, place) or not has_evidence(centre, environment, place.closed_at)


def _works(wave: Wave, place: Place) -> bool:
    """Whether a candidate works at this seat now."""
    return wave.state is WaveState.OPEN and place.taking_part and place.closed_at is None


def _active(centre: Centre, seat: int) -> Environment:
    environment = centre.active().get(seat)
    if environment is None:
        raise NotFound(
            _("Seat {seat} has no environment.").format(seat=seat), hint=_("`e5b seat status` shows the seats.")
        )
    return environment


def reset_seat(centre: Centre, seat: int) -> tuple[SeatResult, Evidence | None]:
    """Reset one seat, whatever its wave is doing, and say how it went.

    While the wave is open or closed the seat leads to the new environment at once, where the candidate goes on; the old
    one stays whole until its state is sealed. Raises NotFound, Refused while the wave's opening is not completed or
    when somebody else has just reset the seat, EvidenceInvalid when a sealed wave's evidence does not hold.
    """
    meant = _active(centre, seat)
    with centre.locks.room(holder(centre, seat)[0].room, f"seat reset {seat}"):
        wave, place = holder(centre, seat)
        _check_opening(wave)
        environment = _active(centre, seat)
        if environment.name != meant.name:
            raise Refused(
                _("Seat {seat:02d} was reset by somebody else a moment ago.").format(seat=seat),
                hint=_("Look at the seat; run the command again if it is to be reset once more."),
            )
        must_seal = _must_seal(centre, wave, place, environment)
        works = _works(wave, place)
        if must_seal and wave.state is not WaveState.SEALED and centre.engine.life(environment.name) is None:
            if not works:
                raise EvidenceInvalid(
                    _("Seat {seat:02d} is not reset: its environment, with what was done in it, is gone.").format(
                        seat=seat
                    ),
                    hint=_("If nothing can bring it back, waive its evidence: `e5b wave seal --waive SEAT`."),
                )
            # The candidate goes on; what can be had back is in the restore points.
            centre.store.save(Entry("seat.lost", wave.id, seat, {"environment": environment.name}))
            must_seal = False
        if must_seal and wave.state not in {WaveState.OPEN, WaveState.CLOSED}:
            raise EvidenceInvalid(
                _("Seat {seat:02d} is not reset: its evidence is missing or does not hold.").format(seat=seat),
                hint=_("Seal again with `e5b seat seal SEAT`: the environments are untouched."),
            )
        if must_seal and place.closed_at is not None:
            # A closing that was killed may have left the seat open: its end state comes after that.
            centre.serve()
        if works:
            place = place.credited(Credit(CreditKind.RESET, centre.clock.now()))
            wave = wave.with_places(place)
            centre.store.save(waves=[wave])
        try:
            results, leaving = renew(centre, wave, [environment], touched=works)
        finally:
            wave = centre.wave(wave.id)
            if works:
                settled = (wave.place(seat) or place).settled(centre.clock.now(), CreditKind.RESET)
                wave = wave.with_places(settled)
                centre.store.save(waves=[wave])
        result = results[0]
        evidence = None
        if must_seal and result.fault is None:
            try:
                evidence = seal_environment(centre, wave, place, environment)
            except E5BError as error:
                raise EvidenceInvalid(
                    _("Seat {seat:02d} is reset, but what was done there is not sealed yet: {how}").format(
                        seat=seat, how=error.message
                    ),
                    hint=_("Nothing is lost: the old environment stays whole until it is sealed."),
                ) from error
        if not environment.touched and wave.state is not WaveState.SEALED:
            # It may have stayed, and be found right or wrong anew.
            places = tuple(
                replace(item, proof=result.fault or PROVED) if item.seat == seat else item for item in wave.places
            )
            centre.store.save(waves=[replace(wave, places=places)])
        dispose(centre, leaving, [result.environment] if result.environment and result.fault is None else [])
    return result, evidence


def _check_opening(wave: Wave) -> None:
    if wave.intent == Action.OPEN:
        raise Refused(
            _("The opening of wave {wave} has begun.").format(wave=wave.id),
            hint=_("Finish it with `e5b wave open {wave}`.").format(wave=wave.id),
        )


def seal_seat(centre: Centre, seat: int) -> Evidence:
    """Seal one seat's environment again, for instance because its archive was damaged. The wave may be over: one
    that was abandoned leaves its environments in place.

    Raises NotFound, Refused when no candidate has worked there, or when one works there now.
    """
    with centre.locks.room(_worked_in(centre, seat)[0].room, f"seat seal {seat}"):
        wave, place, environment = _worked_in(centre, seat)
        _check_opening(wave)
        if wave.state is WaveState.OPEN and place.closed_at is None:
            raise Refused(
                _("Seat {seat:02d} is still open.").format(seat=seat), hint=_("Close the wave first: `e5b wave close`.")
            )
        return seal_environment(centre, wave, place, environment)


def _worked_in(centre: Centre, seat: int) -> tuple[Wave, Place, Environment]:
    """The seat's environment, with the wave and the place whose candidate worked in it."""
    environment = _active(centre, seat)
    if environment.touched and environment.wave is not None:
        wave = centre.wave(environment.wave)
        place = wave.place(seat)
        if place is not None:
            return wave, place, environment
    raise Refused(_("Nobody has worked at seat {seat:02d}: there is nothing to seal.").format(seat=seat))


def holder(centre: Centre, seat: int) -> tuple[Wave, Place]:
    """The wave that the seat's environment belongs to now, and the seat's place in it. Raises NotFound."""
    for wave in centre.store.waves():
        place = wave.place(seat)
        if place is not None and wave.state in HOLDS_SEATS:
            return wave, place
    raise NotFound(
        _("Seat {seat} belongs to no wave in progress.").format(seat=seat), hint=_("`e5b wave list` shows the waves.")
    )
