"""The papers of a day: a card for each candidate, the attendance list, the room's timetable.

They are French forms of the exam, in French whatever the language of the messages.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from babel.dates import format_date

from orchestrator.domain.bank import GROUP
from orchestrator.domain.exam import Place, Site, Wave
from orchestrator.domain.lifecycle import WaveState
from orchestrator.errors import NotFound, Refused
from orchestrator.i18n import _
from orchestrator.services.centre import Centre
from orchestrator.services.status import wave_status

SITES = {Site.WORDPRESS: "site WordPress", Site.PRESTASHOP: "boutique PrestaShop"}
PARTS = {"am": "matin", "pm": "après-midi"}


@dataclass(frozen=True)
class Paper:
    """*values* for the template that *name* stands for, and the text of each QR code by the name that it has there."""

    name: str
    values: Mapping[str, Any]
    codes: Mapping[str, str]


@dataclass(frozen=True)
class Hours:
    """When the first wave of each half-day begins, by the clock on the wall; *waiting* is how long before their wave
    candidates are called, *reset* the time between two waves."""

    morning: time
    afternoon: time
    waiting: timedelta
    reset: timedelta


def sheet(centre: Centre, kind: str, half_day: str, facts: Sequence[str], **values: Any) -> dict[str, Any]:
    """What every paper of a half-day (or of a day) has."""
    bank = centre.store.bank()
    return {
        "session": half_day[:4] if bank is None else bank.session,
        "kind": kind,
        "title": day_title(half_day),
        "facts": [centre.settings.centre.name, *facts],
        "foot": f"{kind} · {centre.settings.centre.id}",
        "reserved": False,
        "shape": "",
        **values,
    }


def day_title(half_day: str) -> str:
    """``Mardi 11 mai 2027, matin``."""
    day = format_date(date.fromisoformat(half_day[:10]), "EEEE d MMMM y", locale="fr")
    part = PARTS.get(half_day[11:])
    return day[0].upper() + day[1:] + (f", {part}" if part else "")


def clock(centre: Centre, moment: datetime | None) -> str:
    """As the clock on the wall shows it."""
    return "" if moment is None else moment.astimezone(centre.settings.centre.zone.timezone).strftime("%H:%M:%S")


def extra_time(place: Place) -> str:
    """``+ 13 min 20 s (tiers temps)``; empty without an adjustment."""
    if place.adjustment is None:
        return ""
    minutes, seconds = divmod(int((place.allotted - place.duration).total_seconds()), 60)
    given = f"+ {minutes} min" + (f" {seconds:02d} s" if seconds else "")
    return f"{given} (tiers temps)" if place.adjustment == "4/3" else given


def cards(centre: Centre, wave_id: str) -> Paper:
    """One card for each candidate: seat, number, address, access, and a QR code of the address.

    Raises NotFound, Refused while no environment of the wave runs: the access is what the site itself says.
    """
    status = wave_status(centre, wave_id)
    account = status.account
    if account is None:
        raise Refused(
            _("No environment of wave {wave} runs: the candidates' access is not known yet.").format(wave=wave_id),
            hint=_("Prepare it first: `e5b wave prepare {wave}`.").format(wave=wave_id),
        )
    wave = status.wave
    subject = centre.store.bank() is not None
    found = [
        {
            "seat": f"{place.seat:02d}",
            "candidate": place.candidate,
            "url": centre.settings.seat_url(place.seat),
            "admin": centre.settings.seat_url(place.seat) + str(account["admin"]),
            "subject": centre.settings.seat_url(place.seat) + "/sujet" if subject else None,
            "login": account["login"],
            "password": account["password"],
            "extra": extra_time(place),
            "qr": f"qr-{place.seat:02d}",
        }
        for place in wave.places
        if not place.absent
    ]
    values = sheet(centre, "Cartes des candidats", wave.half_day, _facts(wave), cards=found, site=SITES[wave.site])
    return Paper("cards", values, {str(card["qr"]): str(card["url"]) for card in found})


def attendance(centre: Centre, wave_id: str) -> Paper:
    """The attendance list: groups of five candidates at most, each with two examiners. Raises NotFound."""
    wave = centre.wave(wave_id)
    groups = [
        {
            "name": chr(ord("A") + number),
            "places": [
                {
                    "seat": f"{place.seat:02d}",
                    "candidate": place.candidate,
                    "extra": extra_time(place),
                    "absent": place.absent,
                }
                for place in group
            ],
        }
        for number, group in enumerate(groups_of(wave.places))
    ]
    return Paper("attendance", sheet(centre, "Liste d’émargement", wave.half_day, _facts(wave), groups=groups), {})


def groups_of(places: Sequence[Place]) -> Iterator[Sequence[Place]]:
    """As few groups as there can be, none of more than five and none of one where it can be helped."""
    count = -(-len(places) // GROUP)
    for number in range(count):
        yield places[number * len(places) // count : (number + 1) * len(places) // count]


def timetable(centre: Centre, day: str, room: str, hours: Hours) -> Paper:
    """The room's day: its planned waves, when candidates are called, and when the room is reset.

    *day* as ``2027-05-11``. The first wave of a half-day begins when its candidates have entered by the national
    calendar, where one is loaded. Raises NotFound when nothing is planned in *room* on that day.
    """
    waves = sorted(
        (
            wave
            for wave in centre.store.waves()
            if wave.half_day[:10] == day and wave.room == room and wave.state is not WaveState.ABANDONED
        ),
        key=lambda item: (item.half_day, item.number),
    )
    if not waves:
        raise NotFound(
            _("No wave is planned in room {room} on {day}.").format(room=room, day=day),
            hint=_("`e5b wave list` shows the waves."),
        )
    rows = []
    begins: dict[str, datetime] = {}
    for wave in waves:
        begin = begins.get(wave.half_day) or _first(centre, wave.half_day, hours)
        taking_part = [place for place in wave.places if not place.absent]
        ordinary = begin + min(place.duration for place in wave.places)
        end = begin + max((place.allotted for place in taking_part), default=timedelta())
        begins[wave.half_day] = _rounded(_rounded(end) + hours.reset, minutes=5)
        rows.append(
            {
                "half_day": PARTS[wave.half_day[11:]],
                "number": wave.number,
                "site": SITES[wave.site],
                "called": f"{begin - hours.waiting:%H:%M}",
                "begin": f"{begin:%H:%M}",
                "end": f"{ordinary:%H:%M}",
                "last": f"{end:%H:%M:%S}" if end != ordinary else "",
                "reset": f"{_rounded(end):%H:%M} – {begins[wave.half_day]:%H:%M}",
                "count": len(taking_part),
                "groups": -(-len(taking_part) // GROUP),
                "adjusted": [
                    f"poste {place.seat:02d}, candidat {place.candidate} : {extra_time(place)}, "
                    f"fin à {begin + place.allotted:%H:%M:%S}"
                    for place in taking_part
                    if place.adjustment
                ],
            }
        )
    return Paper(
        "timetable",
        sheet(
            centre,
            "Emploi du temps de la salle",
            day,
            [room_name(room), f"{len(rows)} vague{'s' if len(rows) > 1 else ''}"],
            rows=rows,
            waiting=int(hours.waiting.total_seconds() // 60),
            shape="wide",
        ),
        {},
    )


def _first(centre: Centre, half_day: str, hours: Hours) -> datetime:
    """Local, without a zone."""
    bank, zone = centre.store.bank(), centre.settings.centre.zone
    entry = bank.entry(half_day, zone) if bank is not None else None
    if entry is not None:
        return entry.window.enter.astimezone(zone.timezone).replace(tzinfo=None)
    clock = hours.morning if half_day.endswith("am") else hours.afternoon
    return datetime.combine(date.fromisoformat(half_day[:10]), clock)


def _rounded(moment: datetime, minutes: int = 1) -> datetime:
    """Up to the next time that is a multiple of so many *minutes*."""
    over = timedelta(minutes=moment.minute % minutes, seconds=moment.second)
    return moment - over + timedelta(minutes=minutes) if over else moment


def room_name(room: str) -> str:
    return room if room.startswith("salle") else f"salle {room}"


def _facts(wave: Wave) -> list[str]:
    return [room_name(wave.room), f"vague {wave.number}", SITES[wave.site], f"{len(wave.places)} candidats"]
