"""Restore a seat to one of its restore points or to the reference, undo that, or move a candidate to another seat."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.domain.exam import PROVED, Environment, EnvironmentRole, Place, PointKind, RestorePoint, Wave
from orchestrator.domain.lifecycle import HOLDS_SEATS
from orchestrator.domain.locks import Override
from orchestrator.domain.time import Credit, CreditKind
from orchestrator.errors import EnvironmentFailed, InputInvalid, NotFound, NotProved, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.environments import (
    Start,
    bring_up,
    check_image,
    fits,
    is_as_proved,
    new_environment,
    reference_fingerprint,
    start_of,
)
from orchestrator.services.extend import open_place
from orchestrator.services.guard import opening
from orchestrator.services.points import points_of, take_point
from orchestrator.services.reset import dispose

REFERENCE, LAST, UNDO = "reference", "last", "undo"


@dataclass(frozen=True)
class Restored:
    """*point* is what the seat was restored to, None for the reference; *kept* the point in which its former state can
    be had back, None when the former environment was gone. *standby* says that one was ready behind the seat."""

    place: Place
    point: RestorePoint | None
    kept: RestorePoint | None
    standby: bool


def restore(centre: Centre, seat: int, to: str, *, technical: bool = False) -> Restored:
    """Restore *seat* to ``reference``, ``last`` (its newest point), ``undo`` (what the last restore put aside) or a
    point's number. Its state of now is kept as a restore point first. The interruption is given back; when the reason
    is *technical*, not the candidate's doing, so is all the time since the point.

    Raises InputInvalid, NotFound, Refused unless a candidate's time runs there, NotProved or EnvironmentFailed when the
    new environment is not as it must be: the seat stays as it is then.
    """
    with centre.locks.room(open_place(centre, seat)[0].room, f"seat restore {seat}"):
        wave, place = open_place(centre, seat)
        if place.closed_at is not None:
            raise Refused(
                _("The time at seat {seat:02d} is over.").format(seat=seat),
                hint=_("To give it more: `e5b seat extend`; then restore."),
            )
        point = wanted_point(centre, wave, place, to)
        lost_since = (place.opened_at if point is None else point.taken_at) if technical else None
        credit = Credit(CreditKind.RESTORE, centre.clock.now())
        return _replace(centre, wave, place, place, point, credit, lost_since=lost_since)


def move(centre: Centre, seat: int, to: int) -> Restored:
    """Move the candidate of *seat*, with their site as it is now, to the spare seat *to* of the same room.

    Raises NotFound, Refused unless a candidate's time runs there and *to* is free, EnvironmentFailed when the guard
    cannot lock the new seat.
    """
    with centre.locks.room(open_place(centre, seat)[0].room, f"seat move {seat}"):
        wave, place = open_place(centre, seat)
        check_spare(centre, wave, to)
        credit = Credit(CreditKind.MOVE, centre.clock.now())
        return _replace(centre, wave, place, replace(place, seat=to), None, credit, moved=True)


def check_spare(centre: Centre, wave: Wave, to: int) -> None:
    """Raises NotFound, Refused unless *to* is a spare seat of the wave's room."""
    room = centre.settings.room(wave.room)
    if room is None or to not in {item.number for item in room.seats}:
        raise NotFound(_("Seat {seat} is not one of room {room}.").format(seat=to, room=wave.room))
    taken = wave.place(to)
    if taken is not None and taken.taking_part:
        raise Refused(
            _("Seat {seat:02d} is not free: candidate {candidate} works there.").format(
                seat=to, candidate=taken.candidate
            )
        )
    for other in centre.store.waves():
        if other.id != wave.id and other.place(to) is not None and other.state in HOLDS_SEATS:
            raise Refused(_("Seat {seat:02d} belongs to wave {wave}.").format(seat=to, wave=other.id))
    if taken is not None and taken.environment is not None and taken.opened_at is not None:
        raise Refused(_("Seat {seat:02d} was used in this wave already.").format(seat=to))


def wanted_point(centre: Centre, wave: Wave, place: Place, to: str) -> RestorePoint | None:
    """The point that *to* names; None for the reference. Raises InputInvalid, NotFound."""
    if to == REFERENCE:
        return None
    points = [item for item in points_of(centre, wave, place) if item.pruned_at is None]
    hint = _("`e5b seat points {seat}` shows its restore points; `--to reference` gives a new site.").format(
        seat=place.seat
    )
    if to == UNDO:
        found = [item for item in points if item.kind is PointKind.UNDO]
        if not found:
            raise NotFound(
                _("Nothing was restored at seat {seat:02d}: there is nothing to undo.").format(seat=place.seat)
            )
        return found[-1]
    if to == LAST:
        found = [item for item in points if item.kind is not PointKind.UNDO]
        if not found:
            raise NotFound(_("Seat {seat:02d} has no restore point yet.").format(seat=place.seat), hint=hint)
        return found[-1]
    if not to.isdecimal():
        raise InputInvalid(_("{text} is no restore point.").format(text=to), hint=hint)
    found = [item for item in points if item.number == int(to)]
    if not found:
        raise NotFound(
            _("Seat {seat:02d} has no restore point {number}.").format(seat=place.seat, number=to), hint=hint
        )
    return found[0]


def _replace(
    centre: Centre,
    wave: Wave,
    place: Place,
    target: Place,
    point: RestorePoint | None,
    credit: Credit,
    *,
    moved: bool = False,
    lost_since: datetime | None = None,
) -> Restored:
    """Put an environment with *point*'s content, with the reference's, or (*moved*) with the present one's, behind
    *target*'s seat, and lead the candidate there. *credit* is the interruption; what was done since *lost_since* is
    lost with the switch, and given back as time."""
    check_image(centre, wave.site, wave.image)
    if moved or point is not None:
        reference = reference_fingerprint(centre, wave.site, wave.image)
        start = Start(reference, reference)
    else:
        start = start_of(centre, wave)
    centre.engine.ensure_network()
    place = place.credited(credit)
    wave = wave.with_places(place)
    centre.store.save(Entry("seat.restore", wave.id, place.seat, _record(point, target)), waves=[wave])
    old = next((item for item in centre.store.environments() if item.name == place.environment), None)
    kept: RestorePoint | None = None
    try:
        if moved:
            # The candidate has left their workstation: what is put aside is what they go on with.
            kept = _put_aside(centre, wave, place, old)
            if kept is None:
                raise EnvironmentFailed(
                    _("the environment {name} is not there any more").format(name=place.environment)
                )
        layer = kept.layer if kept else point.layer if point else None
        new, ready = _new(centre, wave, target.seat, layer, start.subject)
        # The candidate waits for both: what they leave is put aside while what they get is made.
        with ThreadPoolExecutor(1) as pool:
            aside = None if moved else pool.submit(_put_aside, centre, wave, place, old)
            result = PROVED if ready else bring_up(centre, [new], start, _("Making the new environment"))[new.name]
        if result != PROVED:
            raise NotProved(
                _("Seat {seat:02d} stays as it is: {how}.").format(seat=place.seat, how=result),
                hint=_("Run the command again, or choose another restore point."),
            )
        if aside is not None:
            kept = aside.result()
    except BaseException:
        _give_back(centre, wave.id, place.seat, target.seat, old, credit.kind)
        raise
    now = centre.clock.now()
    switched = replace(
        new,
        role=EnvironmentRole.ACTIVE,
        touched=True,
        wave=wave.id,
        proved_at=new.proved_at or (now if not new.layer else None),
    )
    # A standby or an untouched environment at the seat that is moved to; of one whose container is gone, nothing is
    # left to be sealed or removed.
    gone = old.name if old is not None and kept is None else None
    leaving = [
        replace(item, role=EnvironmentRole.GONE if item.name == gone else EnvironmentRole.RETIRED)
        for item in centre.store.environments()
        if item.name != new.name
        and (
            (old is not None and item.name == old.name)
            or (item.seat == target.seat and item.role is EnvironmentRole.ACTIVE)
        )
    ]
    after = replace(place, seat=target.seat, environment=new.name, proof=PROVED)
    if lost_since is not None:
        after = after.credited(Credit(credit.kind, lost_since, now))
    if kept is not None:
        # Only from here on is that point all that there is of the old environment: nobody works in it any more.
        kept = replace(kept, kind=PointKind.UNDO)
    places = tuple(
        after
        if item.seat == place.seat
        # Who is absent from the seat that is moved to is on record at the one that is left.
        else replace(item, seat=place.seat, environment=None, proof=None)
        if item.seat == target.seat
        else item
        for item in wave.places
    )
    wave = replace(wave, places=tuple(sorted(places, key=lambda item: item.seat)))
    excepted = _exception(centre, wave, place.seat, after.seat) if moved else {}
    try:
        with opening(centre, wave, [after.seat] if moved and not excepted else []):
            centre.store.save(
                Entry(
                    "seat.moved" if moved else "seat.restored",
                    wave.id,
                    after.seat,
                    {"environment": new.name, **_record(point, target)},
                ),
                waves=[wave],
                environments=[switched, *leaving],
                points=[kept] if kept is not None else (),
                overrides=excepted,
            )
    except EnvironmentFailed:
        _give_back(centre, wave.id, place.seat, target.seat, old, credit.kind)
        raise
    if moved:
        centre.serve()
    else:
        # The old environment stands still: a page that is under way there would never come.
        centre.switch(cut=[old.address] if old is not None else [])
    after = after.settled(centre.clock.now(), credit.kind)
    centre.store.save(waves=[wave.with_places(after)])
    # What an interrupted restore left behind these seats goes with them.
    seats = {place.seat, after.seat}
    left = [item for item in centre.store.environments() if item.seat in seats]
    dispose(centre, [item for item in left if item.role is EnvironmentRole.RETIRED], [new.name])
    return Restored(after, point, kept, ready)


def _new(centre: Centre, wave: Wave, seat: int, layer: str | None, subject: str | None) -> tuple[Environment, bool]:
    """The environment that comes next behind *seat*, stored, and whether it is a standby that is ready."""
    with centre.locks.centre():
        existing = centre.store.environments()
        behind = [item for item in existing if item.seat == seat]
        if layer is None:
            for item in behind:
                if (
                    item.role is EnvironmentRole.STANDBY
                    and fits(centre, item, wave.image, subject)
                    and is_as_proved(centre, item)
                ):
                    return item, True
        made = replace(
            new_environment(centre, seat, wave.site, wave.image, EnvironmentRole.NEXT, existing, subject), layer=layer
        )
        # What an interrupted restore left behind the seat.
        left = [replace(item, role=EnvironmentRole.RETIRED) for item in behind if item.role is EnvironmentRole.NEXT]
        centre.store.save(environments=[made, *left])
    return made, False


def _put_aside(centre: Centre, wave: Wave, place: Place, old: Environment | None) -> RestorePoint | None:
    """The old environment's state as a restore point; it is left frozen, so that nothing is done in it any more. None
    when it is gone."""
    if old is None or centre.engine.life(old.name) is None:
        return None
    return take_point(centre, wave, place, old.name, PointKind.SCHEDULED, leave_frozen=True)


def _exception(centre: Centre, wave: Wave, seat: int, target: int) -> dict[int, Override | None]:
    """An exception from the guard goes with the candidate: what is to be stored of it, if there is one."""
    for item in centre.store.overrides():
        if item.seat == seat and not item.locked and item.wave == wave.id:
            return {seat: None, target: replace(item, seat=target)}
    return {}


def _give_back(centre: Centre, wave_id: str, seat: int, target: int, old: Environment | None, kind: CreditKind) -> None:
    """The seat goes on with what it had."""
    if old is not None and centre.engine.life(old.name) is not None:
        centre.engine.start(old.name)
    wave = centre.wave(wave_id)
    place = wave.place(seat)
    if place is not None:
        settled = place.settled(centre.clock.now(), kind)
        failed = [
            replace(item, role=EnvironmentRole.RETIRED)
            for item in centre.store.environments()
            if item.role is EnvironmentRole.NEXT and item.seat == target
        ]
        centre.store.save(waves=[wave.with_places(settled)], environments=failed)
        dispose(centre, failed)


def _record(point: RestorePoint | None, target: Place) -> dict[str, object]:
    return {"point": point.number if point else None, "seat": target.seat}
