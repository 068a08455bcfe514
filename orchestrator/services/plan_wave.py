"""Plan a wave: who sits where, on which site. Nothing is started."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.domain.exam import (
    CANDIDATE_NUMBER,
    CANDIDATES_AT_ONCE,
    DURATION,
    Place,
    Site,
    Wave,
    parse_half_day,
    wave_id,
)
from orchestrator.domain.lifecycle import WaveState
from orchestrator.domain.time import adjusted
from orchestrator.errors import InputInvalid, NotFound, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.environments import check_image
from orchestrator.services.subjects import check_site


@dataclass(frozen=True)
class Seated:
    """A line of a wave's list: who sits where, with their *adjustment* (``4/3``, ``+10`` minutes) if any."""

    seat: int
    candidate: str
    adjustment: str | None = None


def parse_candidates(text: str) -> list[Seated]:
    """A list such as a spreadsheet saves: ``seat;candidate`` or ``seat;candidate;adjustment`` lines, with or without a
    heading; ``,`` and tabulations separate as well.

    Raises InputInvalid with every faulty line.
    """
    seated: list[Seated] = []
    faults: list[str] = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        cells = [cell.strip().strip('"') for cell in re.split(r"[;,\t]", line)]
        # Only a first line without any digit is a heading: no candidate is left out in silence.
        if not any(cells) or (number == 1 and not any(map(str.isdigit, line))):
            continue
        if len(cells) not in {2, 3} or not cells[0].isdecimal():
            faults.append(
                _("line {number}: a seat's number and a candidate's number are expected").format(number=number)
            )
        else:
            seated.append(Seated(int(cells[0]), cells[1], parse_adjustment("".join(cells[2:]))))
    if faults:
        raise InputInvalid(_("The list of candidates cannot be read."), details=faults)
    return seated


def parse_adjustment(text: str) -> str | None:
    """A candidate's adjustment as :func:`adjusted` reads it. A spreadsheet makes a date of 4/3: "tiers temps" means it
    too, as the exam's own papers write it."""
    return "4/3" if re.fullmatch(r"tiers([ -]temps)?", text.strip(), re.IGNORECASE) else text.strip() or None


def plan_wave(
    centre: Centre,
    *,
    half_day: str,
    room: str,
    number: int,
    site: Site,
    candidates: Sequence[Seated],
    duration: timedelta = DURATION,
) -> Wave:
    """Store a planned wave. A wave that is planned and not prepared yet may be planned again: it is replaced.

    Raises InputInvalid with every fault of the list, NotFound for an unknown room, Refused when the wave has begun or
    the half-day's subject is for another site, ImageUnusable when the site's image cannot be used.
    """
    known_room = centre.settings.room(room)
    if known_room is None:
        raise NotFound(
            _("There is no room {room} in centre.toml.").format(room=room),
            hint=_("Rooms: {rooms}.").format(rooms=", ".join(item.name for item in centre.settings.rooms)),
        )
    try:
        parse_half_day(half_day)
    except ValueError:
        raise InputInvalid(
            _("{text} is not a half-day.").format(text=half_day), hint=_("Write it as 2027-05-11-am or 2027-05-11-pm.")
        ) from None
    if not timedelta(0) < duration <= timedelta(hours=4):
        raise InputInvalid(_("A candidate's time lies between 1 and 240 minutes."))
    _check_candidates(candidates, {seat.number: room for seat in known_room.seats}, duration)
    wave = Wave(
        id=wave_id(half_day, room, number),
        half_day=half_day,
        room=room,
        number=number,
        site=site,
        image=check_image(centre, site, centre.settings.sites.image(site)),
        places=tuple(
            Place(item.seat, item.candidate, duration, item.adjustment)
            for item in sorted(candidates, key=lambda item: item.seat)
        ),
    )
    check_site(centre, wave)
    with centre.locks.room(room, f"wave plan {wave.id}"):
        known = centre.store.wave(wave.id)
        if known is not None and (known.state is not WaveState.PLANNED or known.intent is not None):
            raise Refused(
                _("Wave {wave} exists and has begun: it cannot be planned again.").format(wave=wave.id),
                hint=_("Give the new wave another number."),
            )
        _check_elsewhere(centre, wave)
        centre.store.save(Entry("wave.planned", wave.id, data=_record(wave)), waves=[wave])
    return wave


def _check_candidates(candidates: Sequence[Seated], seats: Mapping[int, str], duration: timedelta) -> None:
    faults: list[str] = []
    if not candidates:
        faults.append(_("the list is empty"))
    if len(candidates) > CANDIDATES_AT_ONCE:
        faults.append(
            _("{count} candidates: a wave has {limit} at most").format(count=len(candidates), limit=CANDIDATES_AT_ONCE)
        )
    seen_seats: set[int] = set()
    seen_candidates: set[str] = set()
    for item in candidates:
        seat, candidate = item.seat, item.candidate
        try:
            adjusted(duration, item.adjustment)
        except ValueError:
            faults.append(
                _(
                    "seat {seat}: {adjustment} is no adjustment of time (a factor such as 4/3, minutes such as +10)"
                ).format(seat=seat, adjustment=repr(item.adjustment))
            )
        if seat not in seats:
            faults.append(_("seat {seat} is not one of the room's").format(seat=seat))
        if seat in seen_seats:
            faults.append(_("seat {seat} is given twice").format(seat=seat))
        if not CANDIDATE_NUMBER.fullmatch(candidate):
            faults.append(
                _("{candidate} is not a candidate's number (digits and capital letters, never a name)").format(
                    candidate=repr(candidate)
                )
            )
        if candidate in seen_candidates:
            faults.append(_("candidate {candidate} is given twice").format(candidate=candidate))
        seen_seats.add(seat)
        seen_candidates.add(candidate)
    if faults:
        raise InputInvalid(
            _("The list of candidates cannot be used."), hint=_("Correct it; nothing was planned."), details=faults
        )


def _check_elsewhere(centre: Centre, wave: Wave) -> None:
    """A candidate sits the exam once in a half-day."""
    mine = {place.candidate for place in wave.places}
    faults = [
        _("candidate {candidate} is already in wave {wave}").format(candidate=place.candidate, wave=other.id)
        for other in centre.store.waves()
        if other.id != wave.id and other.half_day == wave.half_day and other.state is not WaveState.ABANDONED
        for place in other.places
        if place.candidate in mine
    ]
    if faults:
        raise InputInvalid(
            _("The list of candidates cannot be used."), hint=_("Correct it; nothing was planned."), details=faults
        )


def _record(wave: Wave) -> dict[str, object]:
    return {
        "site": wave.site.value,
        "image": wave.image,
        "places": {f"{place.seat:02d}": place.candidate for place in wave.places},
        "minutes": wave.places[0].duration.total_seconds() / 60,
        "adjustments": {f"{place.seat:02d}": place.adjustment for place in wave.places if place.adjustment},
    }
