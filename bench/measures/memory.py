"""The memory of an idle seat, by its cgroup."""

import time

from bench.figures import Figure, median
from bench.run import Run
from bench.yardstick import memory_parts

TARGETS = {"wordpress": 80, "prestashop": 110}
"""MB."""

IDLE = 30.0
"""Seconds that nobody asks anything before it is read."""


def measure(run: Run) -> None:
    for site in run.sites:
        run.say(f"{site}: memory of {run.seats} idle seats")
        with run.centre() as centre:
            wave = centre.plan(site, run.seats)
            centre.e5b("wave", "prepare", wave)
            time.sleep(0.5 if run.quick else IDLE)
            parts = [memory_parts(centre.container(seat)) for seat in range(1, run.seats + 1)]
        sizes = [part["counted"] / 1e6 for part in parts]
        run.add(
            Figure(
                *("memory", "idle memory of a seat, by cgroup", site, median(sizes), "MB", TARGETS[site]),
                note="median of all seats",
                samples={"all": parts},
            ),
            Figure("memory", "the largest of them", site, max(sizes), "MB", TARGETS[site]),
        )
        if site in run.turns:
            theirs = [size / 1e6 for size in run.best_turn(site).memory]
            run.add(Figure("memory", "the yardstick's two containers of a seat", site, median(theirs), "MB"))
