"""The letters that the academy hands over: one for each half-day and zone, and one for its spare.

They are in French whatever the language. With a second lock, a centre's letters are two: neither says anything alone.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from babel.dates import format_date

from orchestrator.domain import naming
from orchestrator.domain.bank import Role
from orchestrator.domain.calendar import Zone
from orchestrator.domain.exam import Site
from orchestrator.domain.unlock_code import UnlockCode
from orchestrator.errors import InputInvalid
from orchestrator.i18n import _
from orchestrator.ports import Documents, Progress
from orchestrator.services.bank_seal import Codes, KeptCode

_ZONES = {Zone.METROPOLE: "France métropolitaine", Zone.REUNION: "La Réunion", Zone.MAYOTTE: "Mayotte"}
_SITES = {Site.WORDPRESS: "site WordPress", Site.PRESTASHOP: "boutique PrestaShop"}
_PARTS = {"am": "matin", "pm": "après-midi"}


@dataclass(frozen=True)
class Letter:
    """*centre* is None for a letter that fits every centre of the zone; *holder* is ``centre`` or ``academy`` for one
    of a second lock's two letters, None for a whole code."""

    path: Path
    half_day: str
    zone: Zone
    role: Role
    centre: str | None
    holder: str | None


def letters(
    codes: Codes, documents: Documents, output: Path, progress: Progress, second_lock: Sequence[str] = ()
) -> list[Letter]:
    """Write the letters to the folder *output*, readable by their owner alone: one for each code, or two for each code
    and each centre of *second_lock*. May be run again: the same letters. Raises InputInvalid, Refused when this machine
    cannot make PDF."""
    for centre in second_lock:
        if naming.SLUG.fullmatch(centre) is None:
            raise InputInvalid(
                _("{text} cannot be a centre's id.").format(text=centre),
                hint=_("Use the id that the centre has in its centre.toml: lower-case letters, digits, hyphens."),
            )
    written = []
    progress.begin(_("Writing the letters"), len(codes.codes))
    try:
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        for item in codes.codes:
            for whose, holder, code in _parts(codes, item, second_lock):
                names = [item.half_day, item.zone.value, "secours" if item.role is Role.SPARE else ""]
                names += [whose or "", {None: "", "centre": "centre", "academy": "academie"}[holder]]
                path = output / ("-".join(filter(None, names)) + ".pdf")
                _write(path, documents.pdf("document-letter", _values(codes, item, code, whose, holder)))
                written.append(Letter(path, item.half_day, item.zone, item.role, whose, holder))
            progress.step(item.half_day)
    except OSError as error:
        raise InputInvalid(_("{path} cannot be written: {error}.").format(path=output, error=error.strerror)) from error
    finally:
        progress.end()
    return written


def _parts(codes: Codes, item: KeptCode, second_lock: Sequence[str]) -> list[tuple[str | None, str | None, UnlockCode]]:
    if not second_lock:
        return [(None, None, item.code)]
    found: list[tuple[str | None, str | None, UnlockCode]] = []
    for centre in second_lock:
        name = f"{item.half_day}/{item.zone.value}/{item.role.value}/{centre}"
        first, second = item.code.share(codes.second_lock, name)
        found += [(centre, "centre", first), (centre, "academy", second)]
    return found


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    partial.replace(path)


def _values(
    codes: Codes, item: KeptCode, code: UnlockCode, centre: str | None, holder: str | None
) -> dict[str, object]:
    spare = item.role is Role.SPARE
    day = date.fromisoformat(item.half_day[:10])
    when = f"{format_date(day, 'EEEE d MMMM y', locale='fr')}, {_PARTS[item.half_day[11:]]}"
    opening = f"Ces cinq mots ouvrent le sujet {'de secours ' if spare else ''}de la demi-journée du {when}"
    opening += f" ({_SITES[item.site]}), dans les centres de la zone {_ZONES[item.zone]}."
    command = "e5b subject spare" if spare else "e5b subject unlock"
    steps = [
        f"Sur la machine du centre, le jour même à partir de l’heure ci-dessous, lancer « {command} ».",
        "Taper les cinq mots dans l’ordre, séparés par des espaces. Les quatre premières lettres de chacun suffisent ; "
        "les accents et les majuscules ne comptent pas.",
        "Une faute de frappe est signalée comme telle et ne compte pas pour un essai. Après plusieurs codes faux, "
        "il faut attendre.",
        "Les documents du jury sont alors lisibles par les examinateurs. Le sujet n’apparaît aux candidats "
        "qu’à l’ouverture de la vague.",
    ]
    if spare:
        steps.insert(0, "N’employer ce code qu’après un incident, sur décision de l’académie, et en donner le motif.")
    cautions = [
        "Ce code n’ouvre que cette demi-journée, dans cette zone. Les autres sujets restent scellés.",
        "Aucun candidat ne quitte la salle avant l’heure indiquée : dans une autre zone, d’autres candidats "
        "n’ont pas encore vu le sujet.",
        "Qui lit ces mots avant l’heure peut lire le sujet : garder cette lettre sous clé, ne pas la photographier, "
        "ne pas la transmettre par courriel.",
    ]
    if holder is not None:
        steps.insert(
            2 if spare else 1,
            "La commande demande deux codes : celui du chef de centre, puis celui de l’académie. "
            "Chacun tape le sien, sans le montrer à l’autre.",
        )
        other = "l’académie" if holder == "centre" else "le chef de centre"
        mine = "chef de centre" if holder == "centre" else "académie"
        opening = (
            f"Deuxième serrure, part du {mine}. " if holder == "centre" else f"Deuxième serrure, part de l’{mine}. "
        )
        opening += f"Avec les cinq mots que détient {other}, ces cinq mots ouvrent le sujet "
        opening += f"{'de secours ' if spare else ''}de la demi-journée du {when} ({_SITES[item.site]}), "
        opening += f"au centre {centre}. Seuls, ils n’ouvrent rien."
    return {
        "session": codes.session,
        "kind": "Code de déverrouillage" + (" – sujet de secours" if spare else ""),
        "title": when[0].upper() + when[1:],
        "facts": [_ZONES[item.zone], _SITES[item.site], *([f"centre {centre}"] if centre else [])],
        "foot": f"Confidentiel · session {codes.session}, scellement n° {codes.version}",
        "reserved": False,
        "shape": "",
        "opening": opening,
        "words": code.words,
        "times": [
            ("Déverrouillage permis à partir de", _clock(item.window.unlock_from, item.zone)),
            ("Tous les candidats sont entrés à", _clock(item.window.enter, item.zone)),
            ("Aucun candidat ne sort avant", _clock(item.window.leave, item.zone)),
            ("La demi-journée est close à", _clock(item.window.ends_at, item.zone)),
        ],
        "steps": steps,
        "cautions": cautions,
    }


def _clock(moment: datetime, zone: Zone) -> str:
    return moment.astimezone(zone.timezone).strftime("%H h %M") + " (heure locale)"
