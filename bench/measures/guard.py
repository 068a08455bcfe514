"""The guard: lock and unlock, a new policy under load, what it costs an allowed page, how soon a blocked one fails.

In the lab of the tests: seats and a made-up Internet in namespaces on this machine, behind the real guard.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import docker
from playwright.sync_api import Error, Page, sync_playwright

from bench import at_seat
from bench.figures import Figure, median, percentile
from bench.run import Run
from orchestrator.domain.guard import Category, Origin, Rule
from tests.guard import lab
from tests.guard.behind import Guarded, guarded_lab
from tests.guard.browsing import browser_at

SITE = ""
"""It is the same for both."""

LOCK, APPLY, HANDSHAKE, BLOCKED = 0.05, 2.0, 0.001, 0.1
"""Seconds at most."""

NAMES, MANY_NAMES = 100_000, 1_000_000

SEATS = 20

ALLOWED = ("search.test", "encyclo.test", "rotating.test")


def measure(run: Run) -> None:
    run.say(f"the guard: a lab of {SEATS} seats")
    with (
        tempfile.TemporaryDirectory(prefix="e5b-bench-") as folder,
        guarded_lab(docker.from_env(version="auto", timeout=300), "gateway", Path(folder), SEATS) as guarded,
    ):
        _lock(run, guarded)
        _browser(run, guarded, Path(folder))
        _browsing(run, guarded)
        _apply(run, guarded)
        _handshakes(run, guarded)


def _lock(run: Run, guarded: Guarded) -> None:
    locks, unlocks, deaths = [], [], []
    for _round in range(2 if run.quick else 30):
        locks.append(_timed(lambda: guarded.lock(1)))
        unlocks.append(_timed(guarded.lock))
    together = [_timed(lambda: guarded.lock(*range(1, SEATS + 1)))]
    guarded.lock()
    for _round in range(1 if run.quick else 10):
        deaths.append(_death(guarded))
        guarded.lock()
    times = [*locks, *unlocks]
    run.add(
        Figure(
            *("guard", "lock or unlock a seat", SITE, max(times), "s", LOCK),
            note=f"the worst of {len(times)}; median {1000 * median(times):.0f} ms; all {SEATS} seats at once "
            f"{1000 * together[0]:.0f} ms",
            samples={"lock": locks, "unlock": unlocks, "together": together},
        ),
        Figure(
            *("guard", "an open connection to a platform ends after the lock began", SITE, max(deaths), "s"),
            note=f"the worst of {len(deaths)}; median {1000 * median(deaths):.0f} ms",
            samples={"all": deaths},
        ),
    )


def _timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def _death(guarded: Guarded) -> float:
    """Seconds from the lock's beginning until a seat's download from a platform has ended."""
    seat, notes = guarded.lab.seats[1], guarded.lab.folder / "internet.log"
    before = notes.stat().st_size
    curl = ("curl", "-sk", "-N", "-o", "/dev/null", "https://drive.test/drip/3000")
    with seat.start(*curl, stderr=subprocess.DEVNULL) as download:
        guarded.lab.until(lambda: notes.stat().st_size > before and b"/drip/" in _since(notes, before), "no download")
        ended: list[float] = []

        def wait() -> None:
            download.wait(60)
            ended.append(time.perf_counter())

        waiting = threading.Thread(target=wait)
        waiting.start()
        begun = time.perf_counter()
        guarded.lock(1)
        waiting.join()
    return ended[0] - begun


def _since(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read()


def _at(guarded: Guarded, seat: int, *arguments: str) -> subprocess.Popen[str]:
    script = Path(at_seat.__file__)
    return guarded.lab.seats[seat].start(sys.executable, "-I", script, *arguments, stdout=subprocess.PIPE)


def _visits(processes: list[subprocess.Popen[str]]) -> list[tuple[float, float, str]]:
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    return [tuple(item) for output in outputs for item in json.loads(output)]


def _apply(run: Run, guarded: Guarded) -> None:
    names = NAMES // 100 if run.quick else NAMES
    policy = lab.policy(*_many(names), version="many")
    guarded.lock(1, 2)
    seconds = "3" if run.quick else "12"
    long = ("curl", "-sSk", "-o", "/dev/null", "https://search.test/drip/400")
    downloads = [guarded.lab.seats[seat].start(*long) for seat in (1, 2)]
    visitors = [_at(guarded, seat, "visit", seconds, *ALLOWED) for seat in (1, 2)]
    time.sleep(1)
    applied = _timed(lambda: guarded.guard.ensure(policy, {1, 2}))
    visits = _visits(visitors)
    lost = sum(bool(fault) for _begun, _seconds, fault in visits) + sum(item.wait(60) != 0 for item in downloads)
    run.add(
        Figure(
            *("guard", f"put a policy of {names:,} names in place".replace(",", " "), SITE, applied, "s", APPLY),
            note=f"{len(visits)} allowed pages meanwhile, the slowest {max(item[1] for item in visits):.2f} s",
            samples={"visits": [item[1] for item in visits]},
        ),
        Figure(
            *("guard", "allowed connections lost by it", SITE, float(lost), "", 0.0),
            note=f"of {len(visits)} short ones and {len(downloads)} that were open all the time",
            samples={"faults": [item for item in visits if item[2]]},
        ),
    )


def _many(count: int) -> list[Rule]:
    return [
        Rule(f"site{number}.blocked.example", True, Category.SOCIAL, Origin.IMPORT, "bench") for number in range(count)
    ]


def _handshakes(run: Run, guarded: Guarded) -> None:
    """A locked seat's handshakes and an open one's, in turns."""
    names = MANY_NAMES // 1000 if run.quick else MANY_NAMES
    applied = _timed(lambda: guarded.guard.ensure(lab.policy(*_many(names), version="a million"), {1}))
    # What the old policy leaves to be tidied away is no part of a handshake.
    time.sleep(3)
    times: dict[int, list[float]] = {1: [], 2: []}
    for _round in range(1 if run.quick else 20):
        for seat, taken in times.items():
            output = _at(guarded, seat, "handshakes", "search.test", "10" if run.quick else "50").communicate()[0]
            taken += json.loads(output)
    more = median(times[1]) - median(times[2])
    run.add(
        Figure(
            *("guard", "an allowed handshake, more than plain NAT", SITE, max(0.0, more), "s", HANDSHAKE),
            note=f"at {names:,} names".replace(",", " ")
            + f": {1000 * median(times[1]):.2f} ms (p95 {1000 * percentile(times[1], 0.95):.2f}), by NAT "
            f"{1000 * median(times[2]):.2f} ms (p95 {1000 * percentile(times[2], 0.95):.2f})",
            samples={"guard": times[1], "nat": times[2]},
        ),
        Figure(*("guard", f"put a policy of {names:,} names in place".replace(",", " "), SITE, applied, "s")),
    )


def _browser(run: Run, guarded: Guarded, folder: Path) -> None:
    """How long a browser takes until it shows that a platform cannot be reached, or why."""
    guarded.lock(1)
    rounds = 2 if run.quick else 15
    with sync_playwright() as playwright, browser_at(playwright, guarded.lab, 1, folder) as page:
        # The first page of all starts processes.
        page.goto("https://search.test/")
        allowed = [_page(page, f"http://p{number}.many.test/", 200) for number in range(rounds)]
        closed = [_page(page, f"https://p{number}.drive.test/", None) for number in range(rounds)]
        explained = [_page(page, f"http://p{number}.drive.test/", 403) for number in range(rounds)]
    for name, times in (("fails", closed), ("is explained (port 80)", explained)):
        run.add(
            Figure(
                *("guard", f"a blocked page {name}, in a browser", SITE, max(times), "s", BLOCKED),
                note=f"the worst of {rounds}; median {1000 * median(times):.0f} ms; an allowed page of the same size "
                f"{1000 * median(allowed):.0f} ms, at worst {1000 * max(allowed):.0f} ms",
                samples={"all": times, "allowed": allowed},
            )
        )


def _page(page: Page, url: str, status: int | None) -> float:
    """Seconds until a page with that *status* begins to be shown; None: until the browser knows that it fails."""
    begun, found = time.perf_counter(), None
    try:
        response = page.goto(url, wait_until="commit")
        found = response.status if response else None
    except Error as error:
        # It must be the network's own fault, not another page that came in the way.
        if "net::ERR_" not in error.message:
            raise
    seconds = time.perf_counter() - begun
    if found != status:
        raise AssertionError(f"{url}: {found}")
    if status is None:
        # The browser's own page about a failure comes a moment later, and would interrupt the next one.
        page.wait_for_url("chrome-error://**", wait_until="commit", timeout=5000)
    page.goto("about:blank")
    return seconds


def _browsing(run: Run, guarded: Guarded) -> None:
    """All seats at once, behind the guard and by plain NAT."""
    seconds = "2" if run.quick else "15"
    results = {}
    for kind, locked in (("nat", ()), ("guard", tuple(range(1, SEATS + 1)))):
        guarded.lock(*locked)
        results[kind] = _visits([_at(guarded, seat, "visit", seconds, *ALLOWED) for seat in guarded.lab.seats])
    took = {kind: [item[1] for item in visits] for kind, visits in results.items()}
    failed = sum(bool(fault) for _begun, _seconds, fault in results["guard"])
    run.add(
        Figure(
            *("guard", f"{SEATS} seats browse: p95 of an allowed page", SITE, percentile(took["guard"], 0.95), "s"),
            note=f"{len(took['guard']) / float(seconds):.0f} pages a second, {failed} failed; by plain NAT p95 "
            f"{1000 * percentile(took['nat'], 0.95):.0f} ms, {len(took['nat']) / float(seconds):.0f} a second",
            samples=took,
        ),
        Figure("guard", f"{SEATS} seats browse: allowed pages that failed", SITE, float(failed), "", 0.0),
    )
