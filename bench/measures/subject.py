"""From the sealed subject to twenty screens: its unlocking, and how long after `wave open` each candidate has it."""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.centre import ROOM, BenchCentre, Failed
from bench.figures import Figure
from bench.load import Answer, Poller, Target
from bench.run import Run
from orchestrator import wiring
from orchestrator.domain.bank import Document, Role
from orchestrator.domain.calendar import Window, Zone
from orchestrator.domain.exam import Site
from orchestrator.domain.unlock_code import UnlockCode
from orchestrator.ports import ToSeal
from orchestrator.services.bank_load import load_bank
from orchestrator.services.plan_wave import Seated, plan_wave
from orchestrator.services.prepare import prepare
from orchestrator.services.unlock import foreseen, unlock

BANK = Path(__file__).parents[2] / "subjects"

AFTER_OPENING = 1.0
"""Seconds, at most, from the return of `wave open` to the last of twenty candidates."""

DOCUMENT = 2 * 2**20
"""Bytes. Four times the sample bank's largest."""

GAP = 0.1
"""Seconds."""


def measure(run: Run) -> None:
    for site in run.sites:
        run.say(f"{site}: a subject, from its code to the candidates' screens")
        seats, rounds = (run.seats, 1) if run.quick else (run.seats, 3)
        lasts, unlocks, opens, sizes = [], [], [], []
        for _round in range(rounds):
            memory = Path("/dev/shm") / f"e5b-{run.centre_id}"
            try:
                with run.centre(seats, {"centre.memory": f'"{memory}"'}) as centre:
                    wave, code = _prepared(centre, site, seats)
                    unlocks.append(_unlocked(centre, code))
                    targets = [Target(n, centre.port(n), "/sujet", centre.source(n)) for n in range(1, seats + 1)]
                    with Poller(targets, GAP) as poller:
                        poller.wait(3 * GAP)
                        opened = centre.e5b("wave", "open", wave)
                        returned = poller.now()
                        poller.wait(AFTER_OPENING + 1)
                    first = _first_shown(poller.answers, seats)
                    lasts.append(max(0.0, max(answer.ended for answer in first) - returned))
                    opens.append(opened.seconds)
                    sizes.append(len(first[0].body))
            finally:
                shutil.rmtree(memory, ignore_errors=True)
        run.add(
            Figure(
                *("subject", "the last of all candidates has the whole subject, after `wave open` has returned", site),
                *(max(lasts), "s", AFTER_OPENING),
                note=f"the worst of {rounds}; {seats} candidates who each ask every {GAP} s for "
                f"{max(sizes) / 1e6:.1f} MB; `wave open` itself takes {max(opens):.2f} s",
                samples={"after": lasts, "opens": opens},
            ),
            Figure(
                *("subject", "from the typed code to every prepared seat proved with the fixtures", site),
                *(max(unlocks), "s"),
                note=f"{seats} seats; the worst of {rounds}; a second of it is the code's own work",
                samples={"all": unlocks},
            ),
        )


def _prepared(centre: BenchCentre, site: str, seats: int) -> tuple[str, UnlockCode]:
    """A wave that is prepared, a bank that is loaded with a subject of the sample bank for the present half-day, and
    its code."""
    now = datetime.now(UTC)
    half_day = f"{now.astimezone(Zone.METROPOLE.timezone).date()}-am"
    files = wiring.bank_files()
    subject = next(item for item in files.read(BANK).subjects if item.site == Site(site) and item.fixtures)
    code = UnlockCode.draw()
    sealed = [
        ToSeal(
            half_day,
            Zone.METROPOLE,
            Role.SUBJECT,
            Window(now - timedelta(hours=1), now, now, now + timedelta(hours=6)),
            code,
            subject,
            {document: b"%PDF-1.7\n".ljust(DOCUMENT) for document in Document},
            files.fixtures(subject),
        )
    ]
    path = centre.folder / "bank.e5b"
    wiring.sealed_banks().write(path, "bench", 1, now, sealed)
    keys = wiring.signatures().new_keys(centre.folder / "keys", "")
    wiring.signatures().sign(path, keys.secret, "", "bench")
    inside = centre.inside()
    trusting = inside.settings.model_copy(
        update={"trust": inside.settings.trust.model_copy(update={"public_key": keys.text})}
    )
    load_bank(trusting, inside.store, wiring.sealed_banks(), wiring.signatures(), path)
    candidates = [Seated(seat, f"B{100 + seat}") for seat in range(1, seats + 1)]
    wave = plan_wave(inside, half_day=half_day, room=ROOM, number=1, site=Site(site), candidates=candidates)
    faults = prepare(inside, wave.id).faults
    if faults:
        raise Failed(f"not proved: {faults}")
    return wave.id, code


def _unlocked(centre: BenchCentre, code: UnlockCode) -> float:
    """Seconds that the unlocking takes."""
    inside = centre.inside()
    begun = datetime.now(UTC)
    report: Any = unlock(inside, wiring.sealed_banks(), foreseen(inside), code)
    if report.faults:
        raise Failed(f"not unlocked everywhere: {report.faults}")
    return (datetime.now(UTC) - begun).total_seconds()


def _first_shown(answers: Sequence[Answer], seats: int) -> list[Answer]:
    """Each seat's first answer that is the whole document."""
    found: dict[int, Answer] = {}
    for answer in sorted(answers, key=lambda item: item.ended):
        if not answer.failed and len(answer.body) == DOCUMENT:
            found.setdefault(answer.seat, answer)
    if len(found) < seats:
        raise Failed(f"{seats - len(found)} candidates never had the subject")
    return list(found.values())
