"""Verify evidence: read every archive whole; seal a damaged one again from its layer."""

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from orchestrator.domain import naming
from orchestrator.domain.exam import Evidence
from orchestrator.errors import E5BError, EngineUnavailable, EvidenceInvalid, NoSpace
from orchestrator.i18n import _
from orchestrator.ports import Aside, Entry
from orchestrator.services.centre import Centre
from orchestrator.services.environments import READY_TIMEOUT
from orchestrator.services.evidence_list import holding
from orchestrator.services.seal import next_attempt, on_record, write_archive


@dataclass(frozen=True)
class Checked:
    """*fault* says why the archive does not hold; None when it does. *repaired* is what it was replaced by;
    *not_repaired* why that could not be done."""

    evidence: Evidence
    fault: str | None
    layer_there: bool
    repaired: Evidence | None = None
    not_repaired: str | None = None

    @property
    def holds(self) -> bool:
        return self.fault is None or self.repaired is not None


def verify_evidence(
    centre: Centre, wave_id: str | None = None, seat: int | None = None, *, repair: bool = False
) -> list[Checked]:
    """Read each archive of a wave (of all) whole, against the record and its own manifest.

    With *repair* one that does not hold is sealed again from its layer, as a new attempt; the damaged file is put
    aside, never deleted. Raises NotFound, NoSpace, EngineUnavailable, Busy.
    """
    checked = check(centre, holding(centre, wave_id, seat))
    now = centre.clock.now()
    by_wave: dict[str, list[Checked]] = {}
    for item in checked:
        by_wave.setdefault(item.evidence.wave, []).append(item)
    centre.store.save(
        *(
            Entry(
                "evidence.verified",
                wave,
                data={
                    "archives": len(items),
                    "faults": [{"archive": item.evidence.archive, "why": item.fault} for item in items if item.fault],
                },
            )
            for wave, items in by_wave.items()
        ),
        evidence=[replace(item.evidence, verified_at=now) for item in checked if item.fault is None],
    )
    damaged = [item for item in checked if item.fault is not None]
    if not repair or not damaged:
        return checked
    repaired: dict[str, Checked] = {}
    centre.progress.begin(_("Sealing again from the layers"), len(damaged))
    try:
        for item in damaged:
            repaired[item.evidence.archive] = _repair(centre, item)
            centre.progress.step(_("seat {seat:02d}").format(seat=item.evidence.seat))
    finally:
        centre.progress.end()
    return [repaired.get(item.evidence.archive, item) for item in checked]


def check(centre: Centre, evidence: Sequence[Evidence]) -> list[Checked]:
    """Each archive read whole, several at a time."""

    def check_one(item: Evidence) -> Checked:
        fault = None
        try:
            centre.sealing.verify(item.archive, item.sha256)
        except EvidenceInvalid as error:
            fault = error.message
        finally:
            centre.progress.step(_("seat {seat:02d}").format(seat=item.seat))
        return Checked(item, fault, centre.engine.image(item.layer) is not None)

    centre.progress.begin(_("Reading the archives"), len(evidence))
    try:
        with ThreadPoolExecutor(centre.parallel) as pool:
            return list(pool.map(check_one, evidence))
    finally:
        centre.progress.end()


def _repair(centre: Centre, item: Checked) -> Checked:
    damaged = item.evidence
    if not item.layer_there:
        return replace(
            item,
            not_repaired=_("its archive and its layer are both gone or damaged: nothing is left to seal it again from"),
        )
    try:
        with centre.locks.room(centre.wave(damaged.wave).room, "evidence verify --repair"):
            return replace(item, repaired=seal_again(centre, damaged))
    except (EngineUnavailable, NoSpace):
        raise
    except E5BError as error:
        return replace(item, not_repaired=error.message.rstrip("."))


def seal_again(centre: Centre, damaged: Evidence) -> Evidence:
    """A new archive of the state that *damaged* was of, from its layer. The caller holds the room's lock.

    Raises EvidenceInvalid when what is in the layer is not what was sealed, EnvironmentFailed.
    """
    wave = centre.wave(damaged.wave)
    environment = next(found for found in centre.store.environments() if found.name == damaged.environment)
    # The candidate may have been moved to another seat since.
    place = replace(
        next(found for found in wave.places if found.candidate == damaged.candidate),
        seat=damaged.seat,
    )
    name = naming.repair_name(centre.settings.centre.id, wave.id, damaged.seat)
    centre.store.save(Entry("evidence.repair", wave.id, damaged.seat, {"archive": damaged.archive}))
    try:
        # Off the network, and at the address that the site knows: nothing in it has to change.
        centre.engine.create_aside(
            Aside(name, naming.ROLE_REPAIR, environment.image, environment.url, layer=damaged.layer)
        )
        centre.engine.ready(name, READY_TIMEOUT)
        centre.engine.quiesce(name)
        fingerprint = centre.engine.fingerprint(name).digest
        sealed, where = _sealed_fingerprint(centre, damaged)
        if sealed is not None and fingerprint != sealed:
            raise EvidenceInvalid(
                _("The layer of seat {seat:02d} does not hold what was sealed: its fingerprint is another one.").format(
                    seat=damaged.seat
                )
            )
        evidence = write_archive(
            centre,
            name,
            wave,
            place,
            environment,
            attempt=next_attempt(centre, wave, place),
            layer=damaged.layer,
            sealed_at=damaged.sealed_at,
            fingerprint=fingerprint,
            repaired_at=centre.clock.now().isoformat(),
            repaired_from={
                "attempt": damaged.attempt,
                "archive": damaged.archive,
                "sha256": damaged.sha256,
                "fingerprint_compared_with": where,
            },
        )
    finally:
        with contextlib.suppress(E5BError):
            centre.engine.remove(name)
    aside = replace(damaged, archive=centre.sealing.set_aside(damaged.archive))
    centre.store.save(
        Entry(
            "evidence.repaired",
            wave.id,
            damaged.seat,
            {
                **on_record(evidence),
                "fingerprint": fingerprint,
                "from": damaged.archive,
                "put_aside": aside.archive,
                "fingerprint_compared_with": where,
            },
        ),
        evidence=[aside, evidence],
    )
    return evidence


def _sealed_fingerprint(centre: Centre, damaged: Evidence) -> tuple[str | None, str | None]:
    """The fingerprint when it was sealed, and where that is written: ``journal`` or ``manifest``; None when nowhere."""
    for line in centre.store.journal(damaged.wave):
        if line.data.get("archive") == damaged.archive and isinstance(line.data.get("fingerprint"), str):
            return line.data["fingerprint"], "journal"
    manifest = centre.sealing.manifest_of_damaged(damaged.archive) or {}
    found = manifest.get("fingerprint")
    return (found, "manifest") if isinstance(found, str) else (None, None)
