"""A restore point: how much longer a candidate's page waits for it, and the bytes that it adds."""

from bench.figures import Figure, median, percentile
from bench.load import Answer, Candidates, Poller, Target
from bench.measures.seal import BYTES, SAVES
from bench.run import Run

WAITS = 0.3
"""Seconds more than usual."""

GAP = 0.05
"""Seconds between a page and the next question for it."""


def measure(run: Run) -> None:
    for site in run.sites:
        run.say(f"{site}: restore points")
        seats, rounds = (1, 1) if run.quick else (min(run.seats, 5), 10)
        with run.centre(seats) as centre:
            centre.opened(site, seats)
            candidates = Candidates(centre, site, seats)
            page = [Target(1, centre.port(1), "/", centre.source(1))]
            candidates.publish(1 if run.quick else SAVES[site])
            with Poller(page, GAP) as poller:
                usual = _seconds(poller, 1 if run.quick else 10)
            longest, commands, sizes = [], [], []
            for _round in range(rounds):
                with Poller(page, GAP) as poller:
                    _seconds(poller, 0.3)
                    done = centre.e5b("point", "take", "1")
                    _seconds(poller, 0.3)
                if any(answer.failed for answer in poller.answers):
                    run.say("  a page failed while the point was taken")
                longest.append(max(answer.ended - answer.begun for answer in poller.answers))
                commands.append(done.seconds)
                sizes.append(done.answer[0]["size"] / 1e6)
                candidates.publish()
        times = [answer.ended - answer.begun for answer in usual]
        waits = [max(0.0, item - median(times)) for item in longest]
        run.add(
            Figure(
                *("point", "a page waits for a restore point, more than usual", site, max(waits), "s", WAITS),
                note=f"the worst of {rounds} points; median {median(waits):.2f} s; the page usually takes "
                f"{median(times):.2f} s, p99 {percentile(times, 0.99):.2f} s",
                samples={"longest": longest, "usual": times, "commands": commands},
            ),
            Figure(
                *("point", "what a restore point adds to the engine's disk", site, sizes[0], "MB", BYTES[site]),
                note=f"after ordinary edits; {sizes[-1]:.1f} MB after {rounds - 1} more saves",
                samples={"all": sizes},
            ),
        )


def _seconds(poller: Poller, seconds: float) -> list[Answer]:
    poller.wait(seconds)
    return poller.answers
