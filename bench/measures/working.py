"""Candidates at work, each on their own site, at a person's pace."""

from bench.figures import Figure, median, percentile
from bench.load import Candidates
from bench.run import Run

SPELL = 90.0
"""Seconds of one spell of work."""


def measure(run: Run) -> None:
    for site in run.sites:
        run.say(f"{site}: {run.seats} candidates at work")
        with run.centre() as centre:
            centre.opened(site, run.seats)
            candidates = Candidates(centre, site, run.seats)
            candidates.work(*((3.0, 1.0) if run.quick else (30.0,)))  # to warm up: as it is in the middle of a wave
            alone = candidates.work(*((4.0, 1.0) if run.quick else (SPELL,)))
        run.add(
            Figure(
                *("working", f"p95 of a page, {run.seats} at work", site, percentile(alone.pages, 0.95), "s"),
                note=f"{len(alone.pages)} pages, median {median(alone.pages):.2f} s; {len(alone.faults)} faults",
                samples={"pages": alone.pages, "saves": alone.saves, "faults": alone.faults},
            ),
        )
