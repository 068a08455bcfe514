"""Standbys: behind each seat a proved environment, made while nobody needs the machine for anything else."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestrator.domain.exam import PROVED, Environment, EnvironmentRole, Site, Wave
from orchestrator.domain.lifecycle import HOLDS_SEATS, WaveState
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.environments import (
    bring_up,
    fits,
    is_as_proved,
    new_environment,
    start_of,
)
from orchestrator.services.prepare import disk_needed
from orchestrator.services.subjects import begins_with

MEMORY_PER_STANDBY = 160 * 2**20
"""Bytes. An idle environment takes less; it must also start."""


@dataclass(frozen=True)
class StandbyStatus:
    """What stands behind a seat. *ready*: proved, and the same process since. *image* is what it should be of."""

    seat: int
    wave: str
    site: Site
    image: str
    environment: str | None
    ready: bool


def standbys_status(centre: Centre) -> list[StandbyStatus]:
    """A line for each seat that should have a standby."""
    behind = _behind(centre)
    lines = []
    for seat, wave in sorted(wanted(centre).items()):
        standby = behind.get(seat)
        right = standby is not None and fits(centre, standby, wave.image, begins_with(centre, wave))
        lines.append(
            StandbyStatus(
                seat=seat,
                wave=wave.id,
                site=wave.site,
                image=wave.image,
                environment=standby.name if standby is not None and right else None,
                ready=standby is not None and right and is_as_proved(centre, standby),
            )
        )
    return lines


def wanted(centre: Centre) -> dict[int, Wave]:
    """The wave that each seat's standby is for: the one that holds the seat, or the next one planned there."""
    waves = centre.store.waves()
    found: dict[int, Wave] = {}
    for wave in sorted(waves, key=lambda item: item.state not in HOLDS_SEATS):
        if wave.state not in HOLDS_SEATS and wave.state is not WaveState.PLANNED:
            continue
        for place in wave.places:
            if not place.absent and place.seat in centre.settings.seats:
                found.setdefault(place.seat, wave)
    active = centre.active()
    return {
        seat: wave
        for seat, wave in found.items()
        # Before a wave is prepared: only where what stands at the seat is of no use to it.
        if wave.state is not WaveState.PLANNED or not _serves(centre, active.get(seat), wave)
    }


def _serves(centre: Centre, active: Environment | None, wave: Wave) -> bool:
    if active is None or active.touched:
        return False
    return fits(centre, active, wave.image, begins_with(centre, wave))


def make_standby(centre: Centre) -> Environment | None:
    """Make and prove one standby that is missing, while memory, disk and processors allow; None when nothing was done.

    Only the supervisor calls this: nobody else touches a standby that is not proved yet.
    """
    limits, behind = centre.settings.standbys, _behind(centre)
    missing: Mapping[int, Wave] = {
        seat: wave
        for seat, wave in wanted(centre).items()
        if seat not in behind
        or (behind[seat].proved_at is None and fits(centre, behind[seat], wave.image, begins_with(centre, wave)))
    }
    if not missing or sum(item.proved_at is not None for item in behind.values()) >= limits.most:
        return None
    if not _machine_allows(centre):
        return None
    # Where candidates work first; one that cannot be made is tried again after the others have had their turn.
    tried = {item.seat: item.generation for item in centre.store.environments()}
    seat = min(missing, key=lambda number: (missing[number].state is not WaveState.OPEN, tried.get(number, 0), number))
    wave = missing[seat]
    start = start_of(centre, wave)
    centre.engine.ensure_network()
    with centre.locks.centre():
        existing = centre.store.environments()
        standby = next((item for item in existing if item.role is EnvironmentRole.STANDBY and item.seat == seat), None)
        if standby is None:
            standby = new_environment(
                centre, seat, wave.site, wave.image, EnvironmentRole.STANDBY, existing, start.subject
            )
            centre.store.save(environments=[standby])
    result = bring_up(centre, [standby], start, _("Making a standby"), gently=True)[standby.name]
    with centre.locks.centre():
        now = next(item for item in centre.store.environments() if item.name == standby.name)
        if now.role is not EnvironmentRole.STANDBY:
            # It was given up meanwhile, perhaps before its container was there.
            centre.engine.remove(standby.name)
            return None
        if result == PROVED:
            done = replace(standby, proved_at=centre.clock.now())
            centre.store.save(Entry("seat.standby", wave.id, seat, {"environment": standby.name}), environments=[done])
            return done
        centre.store.save(
            Entry("seat.standby_failed", wave.id, seat, {"environment": standby.name, "how": result}),
            environments=[replace(standby, role=EnvironmentRole.RETIRED)],
        )
    return None


def give_up_standbys(centre: Centre, *, pressed: bool = False) -> list[Environment]:
    """Retire the standbys that are of no use any more, and one besides when memory is *pressed*; the retired ones."""
    meant = wanted(centre)
    # Asking the engine about each takes its time: before the lock that a reset waits for.
    stale = {
        item.name for item in _behind(centre).values() if item.proved_at is not None and not is_as_proved(centre, item)
    }
    with centre.locks.centre():
        behind = _behind(centre)
        useless = [
            item
            for seat, item in behind.items()
            if seat not in meant
            or not fits(centre, item, meant[seat].image, begins_with(centre, meant[seat]))
            or item.name in stale
        ]
        if pressed and not useless:
            useless = list(behind.values())[-1:]
        retired = [replace(item, role=EnvironmentRole.RETIRED) for item in useless]
        if retired:
            centre.store.save(environments=retired)
    return retired


def _machine_allows(centre: Centre) -> bool:
    limits, host = centre.settings.standbys, centre.host
    return (
        host.memory_available() >= limits.memory_reserve_mb * 2**20 + MEMORY_PER_STANDBY
        and host.processor_load() <= limits.busy_percent
        and host.disk_free(centre.engine.facts().root) >= disk_needed(1)
    )


def _behind(centre: Centre) -> dict[int, Environment]:
    return {item.seat: item for item in centre.store.environments() if item.role is EnvironmentRole.STANDBY}
