"""A cold preparation, from nothing until every seat is verified, against the yardstick and against a bare loop."""

from dataclasses import asdict

from bench.centre import BenchCentre
from bench.figures import Figure, median
from bench.run import Run


def measure(run: Run) -> None:
    for site in run.sites:
        run.say(f"{site}: cold preparation of {run.seats} seats")
        # The yardstick first: it loads the machine the longest, and what comes after alternates.
        turns = run.yardstick(site)
        ours, loops = [], []
        # As in a centre that never saw this image.
        run.references.clear()
        # Supervised, as a centre is; but without standbys, which it would make meanwhile.
        with run.centre(settings={"standbys.most": "0"}) as centre, centre.serving():
            first = _prepare(centre, site, run.seats)
            for workers in run.ways:
                ours.append(_prepare(centre, site, run.seats))
                run.say(f"  prepared and verified in {ours[-1]:.1f} s")
                loops.append(run.loop(site, workers))
        if site == "prestashop" and not run.quick:
            kept = run.with_caches(site, max(run.ways))
            run.add(
                Figure(
                    *("prepare", "the yardstick with the shop's own caches kept", site, kept.seconds, "s"),
                    note=kept.mode,
                    samples={"all": [asdict(kept)]},
                )
            )
        mine, loop = median(ours), min(loops, key=lambda up: up.seconds)
        up = min((turn.up for turn in turns), key=lambda up: up.seconds)
        prestashop = site == "prestashop"
        run.add(
            Figure("prepare", f"cold preparation of {run.seats}, verified", site, mine, "s", samples={"all": ours}),
            Figure(*("prepare", "the same when the image is new here, its reference measured first", site, first, "s")),
            Figure(
                "prepare",
                "the yardstick's best until all answer",
                site,
                up.seconds,
                "s",
                note=up.mode,
                samples={"all": [asdict(turn.up) for turn in turns]},
            ),
            Figure(
                *("prepare", "cold preparation / yardstick", site, mine / up.seconds, "times"),
                run.target(1 / 8) if prestashop else None,
                note="what it takes of the yardstick's time; verified against answering",
            ),
            Figure(
                "prepare",
                "best bare loop of docker run until all answer",
                site,
                loop.seconds,
                "s",
                note=loop.mode,
                samples={"all": [asdict(item) for item in loops]},
            ),
            Figure(
                *("prepare", "cold preparation / bare loop", site, mine / loop.seconds, "times"),
                run.target(1.3) if prestashop else None,
                note="verified against answering",
            ),
        )


def _prepare(centre: BenchCentre, site: str, seats: int) -> float:
    """Seconds of a preparation from nothing; nothing is left of it."""
    wave = centre.plan(site, seats)
    done = centre.e5b("wave", "prepare", wave)
    centre.remove_environments()
    # Nobody can have worked there: nothing is missed.
    centre.abandon(wave)
    return done.seconds
