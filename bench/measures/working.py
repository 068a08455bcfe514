"""Candidates at work, each on their own site, at a person's pace."""

from bench.figures import Figure, median, percentile
from bench.load import Candidates, Worked
from bench.run import Run

SPELL = 120.0
"""Seconds of one spell of work."""

INTERVAL = 2.0
"""Minutes between two restore points of a seat in this measurement: each seat has one in a spell. The default is
longer, so that less is done behind the candidates."""


def measure(run: Run) -> None:
    for site in run.sites:
        run.say(f"{site}: {run.seats} candidates at work")
        spell = (3.0, 1.0) if run.quick else (SPELL,)
        interval = str(0.05 if run.quick else INTERVAL)
        with run.centre(settings={"restore_points.interval_minutes": interval, **run.eager}) as centre:
            wave = centre.opened(site, run.seats)
            candidates = Candidates(centre, site, run.seats)
            candidates.work(*((1.0, 0.5) if run.quick else (30.0,)))  # to warm up, as in the middle of a wave
            before = candidates.work(*spell)
            with centre.serving():
                behind = candidates.work(*spell)
            store = centre.inside().store
            points, standbys = len(store.points(wave)), centre.standbys()
            after = candidates.work(*spell)
        alone = Worked(before.pages + after.pages, before.saves + after.saves, before.faults + after.faults)
        ratio = percentile(behind.pages, 0.95) / percentile(alone.pages, 0.95)
        run.say(f"  {points} points and {standbys} standbys were made")
        for title, worked in (("nothing", alone), ("standbys and restore points", behind)):
            run.add(
                Figure(
                    *("working", f"p95 of a page, {title} made behind", site, percentile(worked.pages, 0.95), "s"),
                    note=f"{len(worked.pages)} pages, median {median(worked.pages):.2f} s; "
                    f"{len(worked.saves)} saves, {len(worked.faults)} faults",
                    samples={"pages": worked.pages, "saves": worked.saves, "faults": worked.faults},
                )
            )
        run.add(
            Figure(
                *("working", f"p95 with / without, {run.seats} at work", site, ratio, "times", run.target(1.5)),
                note=f"{points} restore points and {standbys} standbys made in {spell[0]:.0f} s",
            )
        )
        if behind.saves and alone.saves:
            saves = percentile(behind.saves, 0.95) / percentile(alone.saves, 0.95)
            run.add(Figure("working", "the same for whole saves", site, saves, "times"))
