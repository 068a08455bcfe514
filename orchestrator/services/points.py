"""Restore points: snapshots of a candidate's site while they work."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.domain import naming
from orchestrator.domain.exam import Place, PointKind, RestorePoint, Wave
from orchestrator.domain.lifecycle import FINISHED, WaveState
from orchestrator.errors import Busy, NoSpace, NotFound, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre


def take_points(centre: Centre, seats: Collection[int] = ()) -> list[RestorePoint]:
    """A restore point of each of *seats*, or of every seat where a candidate works now.

    Raises NotFound when nobody works there, NoSpace below the disk's reserve, Busy.
    """
    found = {place.seat: wave for wave, place in centre.working()}
    for seat in seats:
        if seat not in found:
            raise NotFound(
                _("Nobody works at seat {seat:02d} now.").format(seat=seat),
                hint=_("`e5b seat status` shows the seats."),
            )
    if not found:
        raise Refused(_("No wave is open: there is nothing to take a restore point of."))
    chosen = sorted(seats or found)
    taken: list[RestorePoint] = []
    centre.progress.begin(_("Taking restore points"), len(chosen))
    try:
        for seat in chosen:
            wave = found[seat]
            with centre.locks.room(wave.room, f"point take {seat}"):
                point = take_now(centre, wave.id, seat, PointKind.ASKED)
            if point is not None:
                taken.append(point)
            centre.progress.step(_("seat {seat:02d}").format(seat=seat))
    finally:
        centre.progress.end()
    return taken


def take_now(centre: Centre, wave_id: str, seat: int, kind: PointKind) -> RestorePoint | None:
    """A point of *seat*, or None when nobody works there any more. The caller holds the room's lock."""
    wave = centre.wave(wave_id)
    place = wave.place(seat)
    if wave.state is not WaveState.OPEN or place is None or not place.working or place.environment is None:
        return None
    check_disk(centre)
    return take_point(centre, wave, place, place.environment, kind)


def take_point(
    centre: Centre, wave: Wave, place: Place, environment: str, kind: PointKind, *, leave_frozen: bool = False
) -> RestorePoint:
    """Take and record it. The caller holds the room's lock. Raises NoSpace, EnvironmentFailed."""
    number = 1 + max((item.number for item in points_of(centre, wave, place)), default=0)
    layer = centre.engine.snapshot(
        environment,
        naming.point_tag(centre.settings.centre.id, wave.id, place.candidate, number),
        {naming.WAVE: wave.id, naming.SEAT: str(place.seat), naming.CANDIDATE: place.candidate},
        leave_frozen=leave_frozen,
    )
    point = RestorePoint(
        wave=wave.id,
        candidate=place.candidate,
        number=number,
        seat=place.seat,
        kind=kind,
        environment=environment,
        layer=layer.id,
        tag=layer.tag,
        size=layer.size,
        taken_at=centre.clock.now(),
    )
    centre.store.save(
        Entry("seat.restore_point", wave.id, place.seat, {"number": number, "kind": kind.value, "layer": layer.id}),
        points=[point],
    )
    return point


def points_of(centre: Centre, wave: Wave, place: Place) -> list[RestorePoint]:
    """The candidate's points of this wave, the oldest first, those that are gone as well."""
    return [item for item in centre.store.points(wave.id) if item.candidate == place.candidate]


def check_disk(centre: Centre) -> None:
    """Raises NoSpace when the disk has fallen below its reserve: what is left belongs to the wave itself."""
    free = centre.host.disk_free(centre.engine.facts().root)
    reserve = centre.settings.restore_points.reserve_mb * 10**6
    if free < reserve:
        raise NoSpace(
            _("No restore point is taken: {free} MB are free, and {reserve} MB are kept for the wave.").format(
                free=free // 10**6, reserve=reserve // 10**6
            ),
            hint=_("Free some room on the disk; the wave goes on, and the points with it once there is room."),
        )


def due_points(centre: Centre) -> list[tuple[Wave, int]]:
    """The seats whose scheduled point is due, the longest due first.

    The first points of a wave are spread over the interval, so that they are never taken in one burst.
    """
    interval = timedelta(minutes=centre.settings.restore_points.interval_minutes)
    if not interval:
        return []
    now = centre.clock.now()
    due: list[tuple[datetime, Wave, int]] = []
    for wave in centre.store.waves():
        if wave.state is not WaveState.OPEN:
            continue
        last = {
            item.candidate: item.taken_at for item in centre.store.points(wave.id) if item.kind is not PointKind.UNDO
        }
        working = [place for place in wave.places if place.working]
        for index, place in enumerate(working, start=1):
            previous = last.get(place.candidate)
            first = (place.opened_at or now) + interval * index / len(working)
            at = first if previous is None else previous + interval
            if at <= now:
                due.append((at, wave, place.seat))
    return [(wave, seat) for _at, wave, seat in sorted(due, key=lambda item: (item[0], item[2]))]


def prune_points(centre: Centre) -> list[RestorePoint]:
    """Remove the points that nobody needs any more; those that were removed.

    Of each candidate the newest scheduled ones stay (restore_points.keep), and all that a person asked for. When the
    wave is over and its evidence holds, none of these is needed. What a restore put aside is a candidate's work that is
    in no archive: it stays as long as the wave's evidence does, and goes with it (`e5b evidence purge`).
    """
    waves = {wave.id: wave for wave in centre.store.waves()}
    scheduled: dict[tuple[str, str], list[RestorePoint]] = {}
    superfluous: list[RestorePoint] = []
    for point in centre.store.points():
        if point.pruned_at is not None or point.kind is PointKind.UNDO:
            continue
        if waves[point.wave].state in FINISHED:
            superfluous.append(point)
        elif point.kind is PointKind.SCHEDULED:
            scheduled.setdefault((point.wave, point.candidate), []).append(point)
    for points in scheduled.values():
        superfluous += points[: -centre.settings.restore_points.keep]
    pruned: list[RestorePoint] = []
    for point in superfluous:
        # Not while a command restores a seat of the room, perhaps to this point.
        with suppress(Busy), centre.locks.room(waves[point.wave].room, f"point prune {point.seat}", patient=False):
            centre.engine.remove_layer(point.tag)
            pruned.append(replace(point, pruned_at=centre.clock.now()))
            centre.store.save(points=pruned[-1:])
    return pruned
