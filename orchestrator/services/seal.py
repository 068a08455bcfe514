"""Seal: each environment's end state becomes evidence, written, read back and verified."""

import contextlib
import time
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.domain import naming
from orchestrator.domain.exam import PROVED, Environment, EnvironmentRole, Evidence, Place, Wave
from orchestrator.domain.lifecycle import Action
from orchestrator.errors import EnvironmentFailed, NotFound
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.environments import READY_TIMEOUT, in_parallel
from orchestrator.services.evidence import has_evidence, is_kept, is_safe


@dataclass(frozen=True)
class SealReport:
    """*evidence* is all that the wave has now; *faults* maps seats to why they could not be sealed."""

    wave: Wave
    evidence: tuple[Evidence, ...]
    faults: dict[int, str]
    seconds: float


def seal(centre: Centre, wave_id: str, *, waive: tuple[int, str] | None = None) -> SealReport:
    """Seal every seat of a closed wave; what is already sealed and holds is kept.

    *waive* is a seat and the reason why it needs no evidence: its environment is lost. The person who gives it has
    typed it out (the command line asks), and it is journaled.
    The wave is sealed when no seat is missing; otherwise it stays closed and *faults* says why.
    Raises Refused unless the wave is closed, NoSpace, EngineUnavailable.
    """
    begun = time.monotonic()
    wave = centre.wave(wave_id)
    with centre.locks.room(wave.room, f"wave seal {wave.id}"):
        wave = centre.wave(wave_id)
        reached = centre.check_allowed(wave, Action.SEAL)
        if waive is not None:
            wave = _waive(centre, wave, *waive)
        centre.store.save(Entry("wave.seal", wave.id), waves=[replace(wave, intent=Action.SEAL)])
        faults = seal_places(centre, wave)
        wave = replace(wave, state=wave.state if faults else reached, intent=None)
        centre.store.save(
            *(Entry("seat.not_sealed", wave.id, seat, {"why": fault}) for seat, fault in faults.items()),
            *(() if faults else (Entry("wave.sealed", wave.id),)),
            waves=[wave],
        )
    return SealReport(wave, tuple(centre.store.evidence(wave.id)), faults, time.monotonic() - begun)


def seal_places(centre: Centre, wave: Wave) -> dict[int, str]:
    """Seal each environment of *wave* that a candidate could have worked in, those that a reset put aside as well; the
    faults by seat. The caller holds the lock."""
    places = {
        item.name: place for item in centre.store.environments() if (place := _to_seal(centre, wave, item)) is not None
    }
    environments = [item for item in centre.store.environments() if item.name in places]

    def seal_one(environment: Environment) -> str:
        place = places[environment.name]
        closed = place.closed_at if place.environment == environment.name else None
        if not has_evidence(centre, environment, closed):
            seal_environment(centre, wave, place, environment)
        return PROVED

    results = in_parallel(centre, environments, seal_one, _("Sealing the seats"))
    return {item.seat: results[item.name] for item in environments if results[item.name] != PROVED}


def _to_seal(centre: Centre, wave: Wave, environment: Environment) -> Place | None:
    """The place whose candidate worked in *environment*, if that is to be sealed."""
    if not environment.touched or environment.wave != wave.id or environment.role is EnvironmentRole.GONE:
        return None
    place = wave.place(environment.seat)
    if place is None or not place.taking_part or (place.environment == environment.name and place.waived is not None):
        return None
    # What a restore or a move put aside is kept already, and is not the candidate's end state.
    return place if place.environment == environment.name or not is_kept(centre, environment) else None


def seal_left_behind(centre: Centre, environment: Environment) -> Evidence | None:
    """Seal an environment that a reset put aside, unless its work is in safety. The caller holds the room's lock."""
    wave = centre.store.wave(environment.wave or "")
    if wave is None or not environment.touched or is_safe(centre, environment):
        return None
    place = _to_seal(centre, wave, environment)
    return None if place is None else seal_environment(centre, wave, place, environment)


def seal_environment(centre: Centre, wave: Wave, place: Place, environment: Environment) -> Evidence:
    """One environment's end state as an image layer and a portable archive, verified and recorded."""
    observed = centre.engine.observe([environment.name]).get(environment.name)
    if observed is None or not observed.ours:
        raise EnvironmentFailed(
            _("the environment {name} is not there any more").format(name=environment.name),
            hint=_("Its last restore point or evidence may be all that is left of it."),
        )
    if not observed.running:
        centre.engine.start(environment.name)
        centre.engine.ready(environment.name, READY_TIMEOUT)
    _quiesce(centre, environment.name)
    with contextlib.ExitStack() as stack:
        stack.callback(_thaw, centre, environment.name)
        now = centre.clock.now()
        fingerprint = centre.engine.fingerprint(environment.name)
        attempt = next_attempt(centre, wave, place)
        layer = centre.engine.commit(
            environment.name,
            naming.evidence_tag(centre.settings.centre.id, wave.id, place.seat, attempt),
            {naming.WAVE: wave.id, naming.SEAT: str(place.seat), naming.CANDIDATE: place.candidate},
        )
        evidence = write_archive(
            centre,
            environment.name,
            wave,
            place,
            environment,
            attempt=attempt,
            layer=layer.id,
            sealed_at=now,
            fingerprint=fingerprint.digest,
        )
    centre.store.save(
        Entry("seat.sealed", wave.id, place.seat, on_record(evidence) | {"fingerprint": fingerprint.digest}),
        evidence=[evidence],
    )
    return evidence


def next_attempt(centre: Centre, wave: Wave, place: Place) -> int:
    return 1 + max((item.attempt for item in centre.store.evidence(wave.id) if item.seat == place.seat), default=0)


def write_archive(
    centre: Centre,
    container: str,
    wave: Wave,
    place: Place,
    environment: Environment,
    *,
    attempt: int,
    layer: str,
    sealed_at: datetime,
    fingerprint: str,
    **more: object,
) -> Evidence:
    """The archive of what is in *container*, which is quiesced; not yet recorded. *environment* is where the candidate
    worked; *more* goes into the manifest as it is."""
    site = centre.engine.describe(container)
    # The account's password is the same for all and of no use to a jury.
    site.pop("password", None)
    manifest = {
        "format": 1,
        "centre": centre.settings.centre.id,
        "wave": wave.id,
        "seat": place.seat,
        "candidate": place.candidate,
        "attempt": attempt,
        "site": site,
        "image": environment.image,
        "layer": layer,
        "environment": environment.name,
        "opened_at": place.opened_at.isoformat() if place.opened_at else None,
        "closed_at": place.closed_at.isoformat() if place.closed_at else None,
        "sealed_at": sealed_at.isoformat(),
        "fingerprint": fingerprint,
        **more,
    }
    archive = centre.sealing.write(
        f"{wave.id}/poste-{place.seat:02d}-{attempt}.tar.gz", manifest, centre.engine.export(container)
    )
    return Evidence(
        wave=wave.id,
        seat=place.seat,
        candidate=place.candidate,
        environment=environment.name,
        attempt=attempt,
        layer=layer,
        archive=f"{wave.id}/{archive.path.name}",
        sha256=archive.sha256,
        size=archive.size,
        sealed_at=sealed_at,
        verified_at=centre.clock.now(),
    )


def on_record(evidence: Evidence) -> dict[str, object]:
    """What the journal says of an archive."""
    return {
        "archive": evidence.archive,
        "sha256": evidence.sha256,
        "size": evidence.size,
        "layer": evidence.layer,
    }


def _thaw(centre: Centre, name: str) -> None:
    # The image thaws by itself as well; a site that cannot be thawed now is not a reason to lose evidence.
    with contextlib.suppress(EnvironmentFailed):
        centre.engine.thaw(name)


def _quiesce(centre: Centre, name: str) -> None:
    try:
        centre.engine.quiesce(name)
    except EnvironmentFailed:
        # A page that never ends holds the site: what was saved is on the disk, and a clean stop ends the rest.
        centre.engine.restart(name)
        centre.engine.ready(name, READY_TIMEOUT)
        centre.engine.quiesce(name)


def _waive(centre: Centre, wave: Wave, seat: int, reason: str) -> Wave:
    if wave.place(seat) is None:
        raise NotFound(_("Seat {seat} is not in wave {wave}.").format(seat=seat, wave=wave.id))
    places = tuple(replace(place, waived=reason) if place.seat == seat else place for place in wave.places)
    waived = replace(wave, places=places)
    centre.store.save(Entry("seat.evidence_waived", wave.id, seat, {"reason": reason}), waves=[waived])
    return waived
