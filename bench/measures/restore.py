"""One seat restored, to a point, to the reference and back, while its candidate asks for pages all the time."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from bench.centre import BenchCentre, Done
from bench.figures import Figure, median
from bench.load import STATIC, Candidates, Poller, Target
from bench.measures.reset import MARK, mark, wait_for_standbys
from bench.run import Run

WITHIN = 1.0
"""Seconds from the command's start until the page answers."""

GAP = PAGES = 0.1
"""Seconds between two questions for a file, and for the home page. A candidate presses F5 when nothing comes."""


@dataclass(frozen=True)
class Restored:
    """Seconds from the command's start until the first home page of the restored site (*answers*) and to its own end;
    *failed* requests in between, *told* in words."""

    answers: float
    command: float
    failed: int
    told: str


def measure(run: Run) -> None:
    for site in run.sites:
        run.say(f"{site}: restoring a seat")
        seats, rounds = (1, 1) if run.quick else (min(run.seats, 5), 5)
        ways: dict[str, list[Restored]] = {
            "a restore point": [],
            "the reference, from a standby": [],
        }
        with run.centre(seats, run.eager) as centre, centre.serving():
            centre.opened(site, seats)
            candidates = Candidates(centre, site, seats)
            for _round in range(rounds):
                candidates.publish()
                centre.e5b("point", "take", "1")
                wait_for_standbys(centre, seats)
                ways["a restore point"].append(_restore(centre, site, lambda: _to(centre, "last")))
                wait_for_standbys(centre, seats)
                ways["the reference, from a standby"].append(_restore(centre, site, lambda: _to(centre, "reference")))
                candidates = Candidates(centre, site, seats)
        for way, found in ways.items():
            answers = [item.answers for item in found]
            commands = [item.command for item in found]
            run.add(
                Figure(
                    *("restore", f"restore to {way} until the page answers", site, median(answers), "s", WITHIN),
                    note=f"median of {rounds}, worst {max(answers):.2f} s; the command {median(commands):.2f} s",
                    samples={"all": [asdict(item) for item in found]},
                ),
                Figure(
                    *("restore", f"restore to {way}: failed requests", site, sum(item.failed for item in found), ""),
                    note="; ".join(item.told for item in found if item.told),
                ),
            )


def _to(centre: BenchCentre, what: str) -> Done:
    return centre.e5b("seat", "restore", "1", "--to", what, "--yes")


def _restore(centre: BenchCentre, site: str, command: Callable[[], Done]) -> Restored:
    """Restore seat 1 by *command* while its candidate asks for pages."""
    mark(centre, site, 1)
    source = centre.source(1)
    with (
        Poller([Target(1, centre.port(1), STATIC[site], source)], GAP, impatient=True) as files,
        Poller([Target(1, centre.port(1), "/", source)], PAGES, impatient=True) as pages,
    ):
        files.wait(0.2)
        begun = files.now()
        done = command()
        files.wait(1.0)
    # The old site answers nothing after the last of its files: whatever ends after the first question that the new one
    # answered is the new one's.
    fresh = min(answer.begun for answer in files.answers if not answer.failed and MARK not in answer.body)
    first = min(answer.ended for answer in pages.answers if answer.ended > fresh and not answer.failed)
    failed = [answer for answer in [*files.answers, *pages.answers] if answer.failed]
    told = ""
    if failed:
        asked = [item.begun - begun for item in failed]
        told = (
            f"asked {min(asked):.1f} to {max(asked):.1f} s after the start: "
            f"{', '.join(sorted({str(item.status) for item in failed}))} after at most "
            f"{max(item.ended - item.begun for item in failed):.1f} s"
        )
    return Restored(first - begun, done.seconds, len(failed), told)
