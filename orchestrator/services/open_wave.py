"""Open a wave: the gateway leads each candidate to their site, and their time begins."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from orchestrator.domain.exam import Environment, Wave
from orchestrator.domain.lifecycle import Action
from orchestrator.domain.locks import Override
from orchestrator.domain.routes import RouteState
from orchestrator.domain.subject import SubjectRecord
from orchestrator.errors import EnvironmentFailed, NotFound, NotProved
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.environments import chosen
from orchestrator.services.guard import exceptions, opening, was_green_today
from orchestrator.services.subjects import check_here, subject_to_give


def open_wave(
    centre: Centre, wave_id: str, leave_out: Collection[int] = (), *, without_guard: str | None = None
) -> Wave:
    """Open every seat that takes part. Seats in *leave_out* stay closed for the whole wave. *without_guard* is the
    reason why the guard locks no seat of this wave.

    Raises Refused unless the wave is prepared and, where a bank is loaded, its subject is unlocked, NotProved when a
    seat that is not left out is not proved (with the subject's fixtures) or has stopped since, NotFound for an unknown
    seat, EnvironmentFailed when the guard cannot lock the seats.
    """
    wave = centre.wave(wave_id)
    with centre.locks.room(wave.room, f"wave open {wave.id}"):
        wave = centre.wave(wave_id)
        centre.follow_clock()
        reached = centre.check_allowed(wave, Action.OPEN)
        if wave.intent != Action.OPEN:
            wave = _begin(centre, wave, leave_out, without_guard)
        elif not _reached(centre, wave):
            wave = _begin_again(centre, wave, without_guard)
        centre.serve()
        if centre.guard is not None and not _reached(centre, wave):
            raise EnvironmentFailed(
                _("The guard has stopped answering: nothing was opened."),
                hint=_("Run the same command again: the candidates' time begins then."),
            )
        wave = replace(wave, state=reached, intent=None)
        centre.store.save(
            Entry("wave.opened", wave.id, data={"seats": sum(place.taking_part for place in wave.places)}), waves=[wave]
        )
    return wave


def _has(environment: Environment | None, subject: SubjectRecord) -> bool:
    """Whether the environment begins with what the subject makes of the site."""
    return environment is not None and environment.subject == subject.begins_with


def _reached(centre: Centre, wave: Wave) -> bool:
    """Whether an opening that was interrupted had come as far as the gateway."""
    served = {route.seat for route in centre.gateway.serving() or () if route.state is RouteState.OPEN}
    return any(place.seat in served for place in wave.places)


def _begin_again(centre: Centre, wave: Wave, without_guard: str | None) -> Wave:
    """No candidate has seen their site: their time begins now."""
    check_here(centre, wave)
    now = centre.clock.now()
    wave = replace(
        wave, places=tuple(replace(place, opened_at=now) if place.opened_at else place for place in wave.places)
    )
    _save(centre, wave, {"opened_at": now.isoformat()}, [], without_guard)
    return wave


def _save(
    centre: Centre,
    wave: Wave,
    data: dict[str, object],
    environments: Sequence[Environment],
    without_guard: str | None,
) -> None:
    """Store the opening, its seats being locked."""
    overrides: dict[int, Override | None] = {}
    if centre.guard is not None:
        data = {**data, "probed": was_green_today(centre)}
    if centre.guard is not None and without_guard is not None:
        data = {**data, "without_guard": without_guard}
        overrides = exceptions(centre, wave, without_guard)
    with opening(centre, wave, [] if overrides else [place.seat for place in wave.places]):
        centre.store.save(
            Entry("wave.open", wave.id, data=data), waves=[wave], environments=environments, overrides=overrides
        )


def _begin(centre: Centre, wave: Wave, leave_out: Collection[int], without_guard: str | None) -> Wave:
    """Check the gate, then store the opening before anything is opened."""
    subject = subject_to_give(centre, wave)
    for seat in leave_out:
        if wave.place(seat) is None:
            raise NotFound(_("Seat {seat} is not in wave {wave}.").format(seat=seat, wave=wave.id))
    places = tuple(replace(place, left_out=place.seat in leave_out) for place in wave.places)
    taking_part = [place for place in places if place.taking_part]
    observed, active = centre.engine.observe(), centre.active()
    faults: list[str] = []
    for place in taking_part:
        seen = observed.get(place.environment or "")
        if not place.proved:
            faults.append(_("seat {seat:02d}: {how}").format(seat=place.seat, how=place.proof or _("not prepared")))
        elif seen is None or not seen.running:
            faults.append(_("seat {seat:02d}: its environment has stopped").format(seat=place.seat))
        elif subject is not None and not _has(active.get(place.seat), subject):
            faults.append(_("seat {seat:02d}: it is not proved with the subject's fixtures").format(seat=place.seat))
    if faults:
        raise NotProved(
            _("Wave {wave} is not wholly proved: it was not opened.").format(wave=wave.id),
            hint=_("Prepare again (`e5b wave prepare`), or open without these seats (--leave-out)."),
            details=faults,
        )
    if not taking_part:
        raise NotProved(
            _("No candidate takes part in wave {wave}.").format(wave=wave.id),
            hint=_("Abandon it: `e5b wave abandon {wave} --reason …`.").format(wave=wave.id),
        )
    now = centre.clock.now()
    wave = replace(
        wave,
        intent=Action.OPEN,
        subject=None if subject is None else subject.key,
        places=tuple(replace(place, opened_at=now if place.taking_part else None) for place in places),
    )
    environments = chosen(active, [place.seat for place in taking_part])
    _save(
        centre,
        wave,
        {
            "left_out": sorted(leave_out),
            "opened_at": now.isoformat(),
            **({} if subject is None else {"subject": subject.key, "role": subject.role.value}),
        },
        [replace(item, touched=True, wave=wave.id) for item in environments],
        without_guard,
    )
    return wave
