"""Prepare a wave: one environment per seat, started, ready, and proved equal to the reference."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.domain.exam import CANDIDATES_AT_ONCE, PROVED, Environment, EnvironmentRole, Wave
from orchestrator.domain.lifecycle import HOLDS_SEATS, Action
from orchestrator.errors import NoSpace, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.environments import (
    bring_up,
    check_image,
    chosen,
    fits,
    new_environment,
    remove,
    start_of,
)
from orchestrator.services.evidence import is_safe

DISK_PER_SEAT = 192 * 2**20
"""Bytes. What one seat's environment, its evidence layer and its archive take together for ordinary work."""

DISK_RESERVE = 2 * 2**30
"""Bytes that must stay free besides."""


@dataclass(frozen=True)
class SeatResult:
    """*fault* is None when the seat is as it must be; *standby* says whether one was ready behind it, None where none
    was needed."""

    seat: int
    environment: str | None
    fault: str | None
    standby: bool | None = None


@dataclass(frozen=True)
class Report:
    """What a command did to the seats of *wave*, in *seconds*. It is good when no seat has a fault."""

    wave: Wave
    seats: tuple[SeatResult, ...]
    seconds: float

    @property
    def faults(self) -> list[SeatResult]:
        return [seat for seat in self.seats if seat.fault is not None]


def prepare(centre: Centre, wave_id: str) -> Report:
    """Bring the wave's environments up and prove them. May be run again at any time before the opening.

    Raises Refused when the wave is past it, when another wave holds the seats, or when a seat holds work without
    evidence; NoSpace with how much is missing; ImageUnusable.
    """
    begun = time.monotonic()
    wave = centre.wave(wave_id)
    with centre.locks.room(wave.room, f"wave prepare {wave.id}"):
        wave = centre.wave(wave_id)
        centre.follow_clock()
        reached = centre.check_allowed(wave, Action.PREPARE)
        if wave.intent == Action.OPEN:
            raise Refused(
                _("The opening of wave {wave} has begun.").format(wave=wave.id),
                hint=_("Finish it with `e5b wave open {wave}`.").format(wave=wave.id),
            )
        _check_room_for(centre, wave)
        check_image(centre, wave.site, wave.image)
        start = start_of(centre, wave)
        with centre.locks.centre():
            # Once more: another room's wave may have begun while the reference was measured.
            _check_room_for(centre, wave)
            desired, retired = _desired(centre, wave, start.subject)
            wave = replace(
                wave,
                intent=Action.PREPARE,
                places=tuple(
                    replace(place, environment=desired[place.seat].name if place.seat in desired else None, proof=None)
                    for place in wave.places
                ),
            )
            centre.store.save(Entry("wave.prepare", wave.id), waves=[wave], environments=[*desired.values(), *retired])
        centre.engine.ensure_network()
        if retired:
            remove(centre, retired, _("Removing what is no longer needed"))
        environments = chosen(desired, desired)
        results = bring_up(centre, environments, start, _("Preparing the seats"))
        for item in environments:
            if item.proved_at is not None and results[item.name] == PROVED:
                centre.engine.prefer(item.name)
        centre.serve()
        now = centre.clock.now()
        proved = [replace(item, proved_at=now) for item in environments if results[item.name] == PROVED]
        wave = replace(
            wave,
            state=reached,
            intent=None,
            places=tuple(
                replace(place, proof=results.get(place.environment or "", place.proof)) for place in wave.places
            ),
        )
        centre.store.save(
            Entry("wave.prepared", wave.id, data={"proved": len(proved), "seats": len(environments)}),
            *(
                Entry("seat.differs", wave.id, item.seat, {"how": results[item.name]})
                for item in environments
                if results[item.name] != PROVED
            ),
            waves=[wave],
            environments=proved,
        )
    seats = tuple(
        SeatResult(item.seat, item.name, None if results[item.name] == PROVED else results[item.name])
        for item in environments
    )
    return Report(wave, seats, time.monotonic() - begun)


def disk_needed(seats: int) -> int:
    """Bytes that must be free before *seats* environments are started."""
    return seats * DISK_PER_SEAT + DISK_RESERVE


def _check_room_for(centre: Centre, wave: Wave) -> None:
    """The seats are free, the machine's twenty candidates are not exceeded, the disk is large enough."""
    mine = {place.seat for place in wave.places if not place.absent}
    others = [
        item for item in centre.store.waves() if item.id != wave.id and (item.state in HOLDS_SEATS or item.intent)
    ]
    for other in (item for item in others if item.state in HOLDS_SEATS):
        shared = mine & {place.seat for place in other.places}
        if shared:
            raise Refused(
                _("Seat {seat:02d} still belongs to wave {wave} ({state}).").format(
                    seat=min(shared), wave=other.id, state=_(other.state.value)
                ),
                hint=_("Finish that wave first: `e5b wave status {wave}`.").format(wave=other.id),
            )
    at_once = len(mine) + sum(not place.absent for other in others for place in other.places)
    if at_once > CANDIDATES_AT_ONCE:
        raise Refused(
            _(
                "This machine serves {limit} candidates at once; with the waves in progress there would be {count}."
            ).format(limit=CANDIDATES_AT_ONCE, count=at_once),
            hint=_("Finish another wave first."),
        )
    living = {item.seat for item in centre.store.environments() if item.role is not EnvironmentRole.GONE}
    needed = disk_needed(len(mine - living))
    for folder in (centre.engine.facts().root, centre.settings.centre.state):
        missing = needed - centre.host.disk_free(folder)
        if missing > 0:
            raise NoSpace(
                _("The disk of {folder} is nearly full: {missing} MB are missing for {count} seats.").format(
                    folder=folder, missing=-(-missing // 10**6), count=len(mine)
                ),
                hint=_("Free some room, then prepare again; nothing was started."),
            )


def _desired(centre: Centre, wave: Wave, subject: str | None) -> tuple[dict[int, Environment], list[Environment]]:
    """The environment that each seat must have, with the fixtures of *subject*, and those that are no longer needed."""
    existing = centre.store.environments()
    mine = {place.seat for place in wave.places if not place.absent}
    active = centre.active()
    retired = [
        item for item in existing if item.seat in mine and item.role in {EnvironmentRole.NEXT, EnvironmentRole.RETIRED}
    ]
    standbys = {
        item.seat: item
        for item in existing
        if item.role is EnvironmentRole.STANDBY
        and fits(centre, item, wave.image, subject)
        and item.proved_at is not None
    }
    desired: dict[int, Environment] = {}
    for seat in sorted(mine):
        current = active.get(seat)
        if current is not None and _usable(centre, current, wave, subject):
            desired[seat] = replace(current, wave=wave.id, subject=subject)
            continue
        if current is not None:
            if not is_safe(centre, current, _left_at(centre, current)):
                raise Refused(
                    _("Seat {seat:02d} holds work of wave {wave} without evidence.").format(
                        seat=seat, wave=current.wave
                    ),
                    hint=_("Seal it first: `e5b seat seal {seat}`.").format(seat=seat),
                )
            retired.append(current)
        if seat in standbys:
            # Between two waves the standbys become the next wave's environments.
            desired[seat] = replace(standbys[seat], role=EnvironmentRole.ACTIVE, wave=wave.id)
            continue
        made = new_environment(centre, seat, wave.site, wave.image, EnvironmentRole.ACTIVE, existing, subject)
        existing = [*existing, made]
        desired[seat] = replace(made, wave=wave.id)
    for item in existing:
        behind = item.role is EnvironmentRole.STANDBY and item.seat in mine and item.name not in _names(desired)
        # What a supervisor is making for this wave goes on behind the seat.
        if behind and not (fits(centre, item, wave.image, subject) and centre.locks.supervised()):
            retired.append(item)
    return desired, [replace(item, role=EnvironmentRole.RETIRED) for item in _unique(retired)]


def _names(environments: Mapping[int, Environment]) -> set[str]:
    return {item.name for item in environments.values()}


def _left_at(centre: Centre, environment: Environment) -> datetime | None:
    """When its candidate could work in it no longer."""
    wave = centre.store.wave(environment.wave or "")
    place = wave.place(environment.seat) if wave is not None else None
    return place.closed_at if place is not None else None


def _usable(centre: Centre, environment: Environment, wave: Wave, subject: str | None) -> bool:
    """Whether a seat's environment can serve *wave*: nobody worked in it, and it is the right site, with no other
    subject in it."""
    return (
        not environment.touched
        and environment.image == wave.image
        and environment.subject in {None, subject}
        and environment.url == centre.settings.seat_url(environment.seat)
    )


def _unique(environments: Iterable[Environment]) -> list[Environment]:
    return list({item.name: item for item in environments}.values())
