"""The reset of a whole sealed wave, while somebody asks every seat for a page all the time."""

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from bench.centre import STAFF, BenchCentre, Done, Failed
from bench.figures import Figure, median
from bench.load import STATIC, Answer, Poller, Target
from bench.run import Run

GAP = 0.04
"""Seconds between a seat's answer and the next question to it."""

SETTLES = 5.0
"""Seconds of rest before the reset, as between a seal and the teacher's command."""

AROUND = 0.5
"""Seconds that the seats are asked before and after it."""

PATIENCE = 600.0
"""Seconds for what the supervisor does in the background."""

MARK = b"/* the old site */"


@dataclass(frozen=True)
class Watched:
    """What somebody saw who asked all seats all the time. Seconds.

    *command* is the whole command, *work* what it says itself that it took: without the start of Python. *switch* is
    when, after the command's start, the last question was asked that an old site still answered; the real switch comes
    a little later. *new* counts from there until each seat's first answer by its new site was whole.
    """

    command: float
    work: float
    switch: float
    new: tuple[float, ...]
    requests: int
    failed: int
    told: str


def measure(run: Run) -> None:
    for site in run.sites:
        cold(run, site)
        ready(run, site)


def cold(run: Run, site: str) -> None:
    """Without standbys."""
    run.say(f"{site}: cold reset of {run.seats} seats")
    with run.centre() as centre:
        wave = centre.opened(site, run.seats)
        mark_all(centre, site, run.seats)
        centre.close(wave)
        centre.seal(wave)
        watched, _done = watch(centre, site, run.seats, wave)
    best = run.best_turn(site)
    run.add(
        Figure(
            *("reset", f"cold reset of {run.seats}, the whole command", site, watched.command, "s"),
            samples=asdict(watched),
        ),
        Figure("reset", "cold reset: the last seat is new after the switch", site, max(watched.new), "s"),
        Figure("reset", "cold reset: failed requests", site, watched.failed, "", 0, note=f"of {watched.requests}"),
        Figure(
            *("reset", "the yardstick's best: removed, made again, all answer", site, best.seconds, "s"),
            note=f"{best.mode}; {best.down:.1f} s down, {best.up.seconds:.1f} s up",
            samples={"all": [asdict(turn) for turn in run.turns[site]]},
        ),
        Figure("reset", "yardstick / cold reset", site, best.seconds / watched.command, "times"),
    )


def ready(run: Run, site: str) -> None:
    """With a standby behind each seat, which the supervisor makes while the wave goes on."""
    rounds = 1 if run.quick else 3
    found: list[Watched] = []
    with run.centre(settings=run.eager) as centre, centre.serving():
        for _round in range(rounds):
            run.say(f"{site}: reset of {run.seats} seats with standbys")
            wave = centre.opened(site, run.seats)
            mark_all(centre, site, run.seats)
            wait_for_standbys(centre, run.seats)
            centre.close(wave)
            until(functools.partial(centre.is_sealed, wave), "the supervisor has not sealed the wave")
            wait_for_standbys(centre, run.seats)
            time.sleep(1 if run.quick else SETTLES)
            watched, done = watch(centre, site, run.seats, wave)
            found.append(watched)
            used = sum(bool(seat["standby"]) for seat in done.answer["seats"])
            run.say(f"  {watched.command:.2f} s, {used} from standbys")
            if used != run.seats:
                raise Failed(f"only {used} of {run.seats} seats had a standby")
            until(centre.tidy, "the supervisor has not removed the old environments")
    worst = max(found, key=lambda item: item.command)
    best = run.best_turn(site)
    failed, asked = sum(item.failed for item in found), sum(item.requests for item in found)
    last = max(max(item.new) for item in found)
    every = sum(item.command + AROUND for item in found) * run.seats / asked
    run.add(
        Figure(
            *("reset", f"reset with standbys of {run.seats}, the whole command", site, worst.command, "s"),
            run.target(1.0),
            note=f"the worst of {rounds}; median {median([item.command for item in found]):.2f} s; "
            f"without the start of Python {worst.work:.2f} s",
            samples=asdict(worst) | {"rounds": [asdict(item) for item in found]},
        ),
        Figure(
            *("reset", "the last seat serves the new site after the switch", site, last, "s", run.target(0.1)),
            note=f"the worst of {rounds}; a seat is asked every {1000 * every:.0f} ms",
        ),
        Figure(
            *("reset", "failed requests of a client that asks every seat", site, failed, "", 0),
            note=f"of {asked}. {'; '.join(item.told for item in found if item.told)}",
        ),
        Figure(
            *("reset", "yardstick / reset with standbys", site, best.seconds / worst.command, "times", run.target(80)),
            at_least=True,
            note="whole command against whole script",
        ),
    )


def mark(centre: BenchCentre, site: str, seat: int) -> None:
    """Make the seat's site differ from a new one in one file that its web server answers by itself."""
    path = f"/var/www/site{STATIC[site]}"
    centre.container(seat).exec_run(["sh", "-c", f"echo '{MARK.decode()}' >>{path}"])


def mark_all(centre: BenchCentre, site: str, seats: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seat: mark(centre, site, seat), range(1, seats + 1)))


def wait_for_standbys(centre: BenchCentre, seats: int) -> None:
    until(lambda: centre.standbys() >= seats, "the standbys are not ready")


def until(what: Callable[[], bool], fault: str) -> None:
    """Raises Failed with *fault* when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > deadline:
            raise Failed(fault)
        time.sleep(0.5)


def watch(centre: BenchCentre, site: str, seats: int, wave: str) -> tuple[Watched, Done]:
    """Reset *wave* while all its seats are asked, from the staff's workstation."""
    targets = [Target(seat, centre.port(seat), STATIC[site], STAFF) for seat in range(1, seats + 1)]
    with Poller(targets, GAP) as poller:
        poller.wait(AROUND)
        begun = poller.now()
        done = centre.e5b("wave", "reset", wave)
        poller.wait(AROUND)
    answers = [answer for answer in poller.answers if answer.ended >= begun]
    return seen(answers, begun, done.seconds, done.answer["seconds"], len(targets)), done


def seen(answers: list[Answer], begun: float, command: float, work: float, seats: int) -> Watched:
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
    return Watched(command, work, switch - begun, new, len(answers), len(failed), told)
