"""The reset of a whole sealed wave, while somebody asks every seat for a page all the time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from bench.centre import STAFF, BenchCentre
from bench.figures import Figure
from bench.load import STATIC, Answer, Poller, Target
from bench.run import Run

GAP = 0.02
"""Seconds between a seat's answer and the next question to it."""

MARK = b"/* the old site */"


@dataclass(frozen=True)
class Watched:
    """What somebody saw who asked all seats all the time. Seconds; *switch* after the command's start.

    The switch is not later than the last question that the old site was still asked; each seat's time counts from
    there until its first answer by the new site was whole.
    """

    command: float
    switch: float
    new: tuple[float, ...]
    requests: int
    failed: int
    told: str


def measure(run: Run) -> None:
    for site in run.sites:
        cold(run, site)


def cold(run: Run, site: str) -> None:
    """Without standbys."""
    run.say(f"{site}: cold reset of {run.seats} seats")
    with run.centre() as centre:
        wave = sealed(centre, site, run.seats)
        watched = watch(centre, site, run.seats, wave)
    best = run.best_turn(site)
    run.add(
        Figure(
            *("reset", f"cold reset of {run.seats}, the whole command", site, watched.command, "s"),
            samples=asdict(watched),
        ),
        Figure("reset", "cold reset: the last seat is new after the switch", site, max(watched.new), "s"),
        Figure("reset", "cold reset: failed requests", site, watched.failed, "", 0, note=f"of {watched.requests}"),
        Figure(
            "reset",
            "the yardstick's best: removed, made again, all answer",
            site,
            best.seconds,
            "s",
            note=f"{best.mode}; {best.down:.1f} s down, {best.up.seconds:.1f} s up",
            samples={"all": [asdict(turn) for turn in run.turns[site]]},
        ),
        Figure("reset", "yardstick / cold reset", site, best.seconds / watched.command, "times"),
    )


def sealed(centre: BenchCentre, site: str, seats: int) -> str:
    """A wave whose every site differs from a new one in one file, sealed."""
    wave = centre.opened(site, seats)

    def mark(seat: int) -> None:
        path = f"/var/www/site{STATIC[site]}"
        centre.container(seat).exec_run(["sh", "-c", f"echo '{MARK.decode()}' >>{path}"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(mark, range(1, seats + 1)))
    centre.close(wave)
    centre.seal(wave)
    return wave


def watch(centre: BenchCentre, site: str, seats: int, wave: str) -> Watched:
    """Reset *wave* while all its seats are asked, from the staff's workstation."""
    targets = [Target(seat, centre.port(seat), STATIC[site], STAFF) for seat in range(1, seats + 1)]
    with Poller(targets, GAP) as poller:
        done = centre.reset(wave)
    return seen(poller.answers, done.seconds, len(targets))


def seen(answers: list[Answer], command: float, seats: int) -> Watched:
    failed = [answer for answer in answers if answer.failed]
    old = [answer for answer in answers if not answer.failed and MARK in answer.body]
    switch = max(answer.begun for answer in old)
    first: dict[int, float] = {}
    for answer in answers:
        if not answer.failed and MARK not in answer.body:
            first[answer.seat] = min(first.get(answer.seat, answer.ended), answer.ended)
    if len(first) != seats:
        raise RuntimeError(f"{seats - len(first)} seats never served the new site")
    new = tuple(max(0.0, first[seat] - switch) for seat in sorted(first))
    told = "; ".join(sorted({f"seat {item.seat}: {item.status}" for item in failed})[:5])
    begun = min(answer.begun for answer in answers)
    return Watched(command, switch - begun, new, len(answers), len(failed), told)
