"""From one seat to sixty: time to prepare, memory, and page time, until the machine is the limit.

A centre's machine serves twenty candidates at once, and the commands refuse more. The same services and adapters are
called here in one process, for every size, so that the sizes compare.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import psutil

from bench.centre import BenchCentre
from bench.figures import Figure, median, percentile
from bench.load import Candidates
from bench.run import Run
from bench.yardstick import memory
from orchestrator.domain.exam import PROVED, Environment, EnvironmentRole, Site
from orchestrator.domain.routes import Route, RouteState
from orchestrator.services.environments import (
    Start,
    bring_up,
    check_image,
    new_environment,
    reference_fingerprint,
    remove,
)

SIZES = (1, 5, 10, 20, 40, 60)

SPELL = 45.0
"""Seconds of work at each size."""

SLOW = 1.0
"""Seconds: a p95 of a page above this is a machine at its limit."""


@dataclass(frozen=True)
class Size:
    """*prepare* in seconds, *memory* in bytes for all seats, *p95* and *median* of a page in seconds, *processor* from
    0 to 1 while all candidates work, *available* what memory is left then in bytes."""

    seats: int
    prepare: float
    memory: int
    median: float
    p95: float
    pages: int
    faults: int
    processor: float
    available: int


def measure(run: Run) -> None:
    sizes = SIZES if run.whole else (1, 2) if run.quick else (1, run.seats)
    for site in run.sites:
        run.say(f"{site}: growth to {max(sizes)} seats")
        found = []
        with run.centre(max(sizes)) as centre:
            for size in sizes:
                found.append(_grow(run, centre, site, size))
                run.say(
                    f"  {size} seats: {found[-1].prepare:.1f} s, {found[-1].memory / 1e9:.2f} GB, "
                    f"p95 {1000 * found[-1].p95:.0f} ms, processors {100 * found[-1].processor:.0f} %"
                )
        fast = [item for item in found if item.p95 <= SLOW]
        largest = fast[-1] if fast else found[0]
        slow = next((item for item in found if item.p95 > SLOW), None)
        limit = (
            f"at {slow.seats} it is {slow.p95:.1f} s, the processors {100 * slow.processor:.0f} % busy"
            if slow
            else f"no limit up to there: p95 {largest.p95:.2f} s, the processors {100 * largest.processor:.0f} % busy"
        )
        last = found[-1]
        run.add(
            Figure(
                *("growth", f"seats with a page's p95 under {SLOW:.0f} s", site, largest.seats, "seats"),
                note=limit,
                samples={"sizes": [asdict(item) for item in found]},
            ),
            Figure(
                *(
                    "growth",
                    "seats that the memory holds",
                    site,
                    last.seats + last.available * last.seats // last.memory,
                ),
                *("seats",),
                note=f"extrapolated from {last.seats}: {last.memory / last.seats / 1e6:.0f} MB for each",
            ),
        )


def _grow(run: Run, bench: BenchCentre, site: str, seats: int) -> Size:
    """*seats* new environments, all candidates at work, all removed."""
    centre = bench.inside()
    image = check_image(centre, Site(site), run.images[site])
    reference = reference_fingerprint(centre, Site(site), image)
    centre.engine.ensure_network()
    environments: list[Environment] = []
    known = centre.store.environments()
    for seat in range(1, seats + 1):
        made = new_environment(centre, seat, Site(site), image, EnvironmentRole.ACTIVE, [*known, *environments])
        environments.append(made)
    centre.store.save(environments=environments)
    begun = time.monotonic()
    results = bring_up(centre, environments, Start(reference, reference), "")
    seconds = time.monotonic() - begun
    wrong = {name: result for name, result in results.items() if result != PROVED}
    if wrong:
        raise RuntimeError(f"not proved: {wrong}")
    centre.gateway.ensure([Route(item.seat, RouteState.OPEN, item.address) for item in environments])
    candidates = Candidates(bench, site, seats)
    psutil.cpu_percent()
    worked = candidates.work(*((2.0, 0.5) if run.quick else (SPELL,)))
    processor = psutil.cpu_percent() / 100
    with ThreadPoolExecutor(4) as pool:
        used = sum(pool.map(lambda item: memory(run.client.containers.get(item.name)), environments))
    available = psutil.virtual_memory().available
    remove(centre, environments, "")
    return Size(
        *(seats, seconds, used, median(worked.pages), percentile(worked.pages, 0.95), len(worked.pages)),
        *(len(worked.faults), processor, available),
    )
