"""The record of a wave at its end, and the code by which anybody can verify it against the centre's journal."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.bank import Role
from orchestrator.domain.exam import Place, Wave
from orchestrator.domain.lifecycle import WaveState
from orchestrator.domain.time import CreditKind, ledger
from orchestrator.errors import InputInvalid, JournalBroken, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry, JournalLine, Store
from orchestrator.services.centre import Centre, next_step
from orchestrator.services.print_papers import SITES, Paper, clock, extra_time, room_name, sheet

ENDED = frozenset({WaveState.SEALED, WaveState.RESET, WaveState.ABANDONED})

_SHOWN = 20
"""Hexadecimal digits of a code: eighty bits."""

_CODE = re.compile(rf"(\d+)-([0-9a-f]{{{_SHOWN}}})")

STATES = {WaveState.SEALED: "scellée", WaveState.RESET: "scellée et remise à zéro", WaveState.ABANDONED: "abandonnée"}

CREDITS = {
    CreditKind.EXTENSION: "temps donné",
    CreditKind.INCIDENT: "incident",
    CreditKind.RESTORE: "restauration",
    CreditKind.RESET: "remise à zéro du poste",
    CreditKind.MOVE: "changement de poste",
    CreditKind.OUTAGE: "site sans réponse",
    CreditKind.GATEWAY: "passerelle sans réponse",
    CreditKind.MACHINE: "arrêt de la machine",
    CreditKind.SHUT: "poste fermé avant prolongation",
}

EVENTS = {
    "wave.opened": "vague ouverte",
    "wave.closed": "vague fermée",
    "wave.sealed": "travaux scellés",
    "wave.reset": "salle remise à zéro, prouvée",
    "wave.abandoned": "vague abandonnée",
    "seat.absent": "candidat absent",
    "seat.present": "candidat présent",
    "seat.over": "temps écoulé",
    "seat.extended": "temps donné",
    "seat.restored": "poste restauré",
    "seat.moved": "candidat changé de poste",
    "seat.reset": "poste remis à zéro",
    "seat.lost": "environnement perdu",
    "seat.started": "environnement relancé",
    "seat.restarted": "site relancé",
    "seat.evidence_waived": "scellé abandonné, avec motif",
    "incident.opened": "incident déclaré",
    "incident.closed": "incident terminé",
    "alarm.raised": "alarme",
    "guard.excepted": "filtrage levé, avec motif",
}
"""The lines of the journal that the record shows; the others are in the journal."""


@dataclass(frozen=True)
class Verified:
    """*line* is the journal's, in a chain that holds from its first line to its last."""

    line: JournalLine
    lines: int


def record(centre: Centre, wave_id: str) -> tuple[Paper, str]:
    """The wave's record and its code. The record's digest goes into the journal; the code is the hash of that line,
    which covers all lines before it.

    Raises NotFound, Refused before the wave's evidence is sealed, JournalBroken when the journal's chain does not hold.
    """
    wave = centre.wave(wave_id)
    if wave.state not in ENDED:
        raise Refused(_("Wave {wave} has not ended yet: it has no record.").format(wave=wave.id), hint=next_step(wave))
    centre.store.verify_journal()
    content = _content(centre, wave)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    centre.store.save(Entry("record.printed", wave.id, data={"sha256": digest}))
    line = centre.store.last("record.printed")
    if line is None or line.data.get("sha256") != digest:
        raise JournalBroken(_("The journal does not hold what was just written."))
    code = f"{line.number}-{line.hash[:_SHOWN]}"
    printed = {
        "code": code,
        "line": line.number,
        "hash": line.hash,
        "digest": digest,
        "printed_at": clock(centre, line.at),
    }
    facts = [room_name(wave.room), f"vague {wave.number}", SITES[wave.site], STATES[wave.state]]
    values = sheet(centre, "Procès-verbal de vague", wave.half_day, facts, **content, **printed)
    return Paper("record", values, {"qr": f"e5b print record --verify {code}"}), code


def verify_record(store: Store, code: str) -> Verified:
    """The line of the journal that *code* stands for. Raises InputInvalid when it is no code, JournalBroken when the
    chain does not hold or has another line there."""
    found = _CODE.fullmatch("".join(code.lower().split()))
    if found is None:
        raise InputInvalid(
            _("{code} is no verification code.").format(code=code),
            hint=_("It is at the foot of the record: a number, a hyphen, twenty characters."),
        )
    last = store.verify_journal()
    line = next((item for item in store.journal() if item.number == int(found[1])), None)
    if last is None or line is None or not line.hash.startswith(found[2]) or line.action != "record.printed":
        raise JournalBroken(
            _("This journal has no such record: the paper is of another centre, or one of the two was changed."),
            hint=_("Compare the paper's centre and wave; then `e5b journal verify`."),
        )
    return Verified(line, last.number)


def _content(centre: Centre, wave: Wave) -> dict[str, Any]:
    """All that the record says."""
    lines = centre.store.journal(wave.id)
    evidence = {item.seat: item for item in centre.store.evidence(wave.id)}
    subject = next((item for item in centre.store.subjects() if item.key == wave.subject), None)
    refused: dict[tuple[int | None, str], int] = {}
    for item in centre.store.tried(wave.id):
        refused[item.seat, item.what] = refused.get((item.seat, item.what), 0) + item.count
    return {
        "wave": wave.id,
        "image": wave.image.removeprefix("sha256:")[:16],
        "reason": wave.reason,
        "subject": None
        if subject is None
        else {"key": subject.key, "spare": subject.role is Role.SPARE, "reason": subject.reason},
        "places": [_place(centre, place) for place in wave.places],
        "credits": [line for place in wave.places for line in _credits(centre, place)],
        "events": [
            {
                "at": clock(centre, line.at),
                "seat": _seat(line.seat),
                "what": EVENTS[line.action],
                "more": _more(line.data),
            }
            for line in lines
            if line.action in EVENTS
        ],
        "evidence": [
            {
                "seat": _seat(item.seat),
                "candidate": item.candidate,
                "archive": item.archive.rpartition("/")[2],
                "sha256": item.sha256,
                "verified": clock(centre, item.verified_at),
            }
            for item in sorted(evidence.values(), key=lambda item: item.seat)
        ],
        "refused": [
            {"seat": _seat(seat), "what": what, "count": count}
            for (seat, what), count in sorted(refused.items(), key=lambda item: (item[0][0] or 0, item[0][1]))
        ],
        "guarded": centre.settings.guard.mode != "off",
    }


def _place(centre: Centre, place: Place) -> dict[str, str]:
    state = "absent" if place.absent else "non ouvert" if place.left_out or place.opened_at is None else ""
    minutes, seconds = divmod(int(place.allotted.total_seconds()), 60)
    given = sum((line.adds.total_seconds() for line in _ledger(place) if line.adds is not None), 0.0)
    return {
        "seat": _seat(place.seat),
        "candidate": place.candidate,
        "state": state,
        "opened": clock(centre, place.opened_at),
        "allotted": f"{minutes} min" + (f" {seconds:02d} s" if seconds else ""),
        "extra": extra_time(place),
        "given": f"{int(given // 60)} min {int(given % 60):02d} s" if given else "–",
        "ended": clock(centre, place.closed_at or place.ends_at),
    }


def _ledger(place: Place) -> Sequence[Any]:
    return [] if place.opened_at is None else ledger(place.opened_at, place.allotted, place.credits)


def _credits(centre: Centre, place: Place) -> list[dict[str, str]]:
    return [
        {
            "seat": _seat(place.seat),
            "kind": CREDITS[line.credit.kind],
            "from": clock(centre, line.credit.began_at),
            "to": clock(centre, line.credit.ended_at),
            "adds": "–" if line.adds is None else f"{int(line.adds.total_seconds())} s",
            "reason": line.credit.reason,
        }
        for line in _ledger(place)
    ]


def _more(data: Mapping[str, Any]) -> str:
    named = {
        "reason": "motif",
        "message": "",
        "early": "avant l’heure",
        "point": "point",
        "without_guard": "sans filtrage",
    }
    return " ; ".join(
        f"{french} : {data[name]}" if french else str(data[name]) for name, french in named.items() if data.get(name)
    )


def _seat(seat: int | None) -> str:
    return "" if seat is None else f"{seat:02d}"
