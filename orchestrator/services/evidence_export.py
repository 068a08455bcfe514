"""Export evidence to a folder outside, such as a USB stick, where anybody can check it with sha256sum."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.domain.exam import Evidence
from orchestrator.errors import Conflict, NoSpace
from orchestrator.i18n import _
from orchestrator.ports import Entry, JournalLine
from orchestrator.services.centre import Centre
from orchestrator.services.evidence_list import holding
from orchestrator.services.evidence_verify import check

TEXTS_RESERVE = 16 * 2**20
"""Bytes for the manifest, the journal's lines and the sums."""

MANIFEST, JOURNAL, README, SUMS = "manifest.json", "journal.jsonl", "LISEZ-MOI.txt", "SHA256SUMS"


@dataclass(frozen=True)
class Exported:
    """*copied* and *already_there* are archives of this run; *faults* maps those that do not hold to why: nothing of
    their seats was exported. *bytes* were copied."""

    folder: Path
    copied: tuple[Evidence, ...]
    already_there: tuple[Evidence, ...]
    faults: dict[str, str]
    bytes: int


def export_evidence(centre: Centre, folder: Path, wave_ids: Sequence[str] = ()) -> Exported:
    """Copy the archives of the waves (of all) to *folder*, with a manifest, the journal's lines and their sums.

    May be run again: it goes on, skips what is right there, and adds to what other waves' exports left. Raises
    NotFound, InputInvalid when the folder cannot be used, Conflict when a file of ours would replace another, NoSpace.
    """
    chosen: Sequence[str | None] = sorted(set(wave_ids)) or [None]
    evidence = [item for wave_id in chosen for item in holding(centre, wave_id)]
    former = centre.copies.manifest(folder)
    if former is not None and former.get("centre") != centre.settings.centre.id:
        raise Conflict(
            _("{path} holds the evidence of another centre, {centre}.").format(path=folder, centre=former["centre"]),
            hint=_("Export to a folder of its own."),
        )
    checked = check(centre, evidence)
    faults = {item.evidence.archive: item.fault for item in checked if item.fault is not None}
    # Another attempt of the same seat alone would pass for what the candidate left.
    refused = {(item.evidence.wave, item.evidence.seat) for item in checked if item.fault is not None}
    good = [item for item in evidence if (item.wave, item.seat) not in refused]
    there = {item.archive for item in good if centre.copies.holds(folder, item.archive, item.sha256)}
    missing = [item for item in good if item.archive not in there]
    _check_room(centre, folder, missing)
    centre.progress.begin(_("Copying the archives"), len(missing))
    try:
        for item in missing:
            centre.copies.copy(folder, item.archive, item.sha256)
            centre.progress.step(_("seat {seat:02d}").format(seat=item.seat))
    finally:
        centre.progress.end()

    archives = _listed(former, good)
    waves = sorted({str(item["wave"]) for item in archives} | {item.wave for item in evidence})
    lines = [line for line in centre.store.journal() if line.wave in waves]
    texts = {
        MANIFEST: _json(
            {
                "format": 1,
                "centre": centre.settings.centre.id,
                "centre_name": centre.settings.centre.name,
                "exported_at": centre.clock.now().isoformat(),
                "archives": archives,
                "refused": [{"archive": name, "why": why} for name, why in sorted(faults.items())],
                "journal_lines": len(lines),
            }
        ),
        JOURNAL: b"".join(_line(line) for line in lines),
        README: _readme(centre, len(archives), faults).encode(),
    }
    sums = {str(item["archive"]): str(item["sha256"]) for item in archives}
    sums |= {name: hashlib.sha256(content).hexdigest() for name, content in texts.items()}
    texts[SUMS] = "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()
    centre.copies.write(folder, texts)
    centre.store.save(
        *(
            Entry(
                "evidence.exported",
                wave,
                data={
                    "folder": str(folder),
                    "archives": [item.archive for item in good if item.wave == wave],
                    "manifest": sums[MANIFEST],
                },
            )
            for wave in sorted({item.wave for item in good})
        )
    )
    return Exported(
        folder,
        tuple(missing),
        tuple(item for item in good if item.archive in there),
        faults,
        sum(item.size for item in missing),
    )


def _check_room(centre: Centre, folder: Path, missing: Iterable[Evidence]) -> None:
    needed = sum(item.size for item in missing) + TEXTS_RESERVE
    free = centre.host.disk_free(folder)
    if free < needed:
        raise NoSpace(
            _("{path} has {free} MB free, and {needed} MB are needed.").format(
                path=folder, free=free // 10**6, needed=-(-needed // 10**6)
            ),
            hint=_("Free some room there, or take another stick, then run the command again: it goes on."),
        )


def _listed(former: Mapping[str, Any] | None, good: Iterable[Evidence]) -> list[dict[str, object]]:
    """The manifest's archives: those that an earlier export left, and *good*."""
    listed = {str(item["archive"]): dict(item) for item in (former or {}).get("archives", ())}
    for item in good:
        listed[item.archive] = {
            "archive": item.archive,
            "wave": item.wave,
            "seat": item.seat,
            "candidate": item.candidate,
            "attempt": item.attempt,
            "sha256": item.sha256,
            "size": item.size,
            "sealed_at": item.sealed_at.isoformat(),
        }
    return [listed[name] for name in sorted(listed)]


def _line(line: JournalLine) -> bytes:
    """A line of the journal with all that its hash covers, see docs/reference/evidence.md."""
    content = line.content() | {"hash": line.hash}
    return (json.dumps(content, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _readme(centre: Centre, archives: int, faults: Mapping[str, str]) -> str:
    """In French whatever the language: whoever is handed the stick reads it."""
    text = f"""Scellés de l’épreuve E5B (BTS NDRC)
Centre : {centre.settings.centre.name} ({centre.settings.centre.id})
Archives : {archives}

Ce dossier contient, pour chaque vague, l’état final du site de chaque candidat.
Les candidats n’y figurent que par leur numéro.

Vérifier que rien n’a changé depuis l’export, dans ce dossier :

    sha256sum -c SHA256SUMS

Chaque ligne doit se terminer par « OK » (ou « Réussi »).

  <vague>/poste-NN-T.tar.gz  le scellé du poste NN, tentative T
  manifest.json              la liste des scellés, leurs empreintes SHA-256 et leurs dates
  journal.jsonl              les lignes de la main courante de ces vagues, avec leurs empreintes
  SHA256SUMS                 l’empreinte SHA-256 de chaque fichier

Chaque archive se vérifie aussi seule :

    tar xzf poste-NN-T.tar.gz
    sha256sum -c SHA256SUMS

Pour revoir le site d’un candidat, en lecture seule, sur une machine où « e5b setup » a été fait :

    e5b evidence open <vague>/poste-NN-T.tar.gz

À conserver un an.
"""
    if faults:
        text += "\nNon exportés, car leur archive est endommagée sur la machine du centre :\n\n"
        text += "".join(f"  {name}\n" for name in sorted(faults))
    return text
