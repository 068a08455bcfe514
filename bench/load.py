"""Visitors: one that polls many sites at once and misses nothing, and candidates at work."""

import asyncio
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench.centre import BenchCentre
from simulation import NotAsExpected, candidate_for

PAGES = {
    "wordpress": ("/", "/wp-admin/", "/wp-admin/edit.php", "/wp-admin/post-new.php", "/wp-admin/upload.php"),
    "prestashop": ("/", "/index.php?controller=product&id_product=1", "/gestion/", "/index.php?controller=contact"),
}
"""What a candidate looks at between two saves."""

STATIC = {"wordpress": "/wp-includes/css/buttons.css", "prestashop": "/themes/classic/assets/css/custom.css"}
"""A file of the site that the web server answers by itself: polling it costs next to nothing."""

THINK = 8.0
"""Seconds that a candidate reads and types between two pages, on average; from half to one and a half of that."""

SAVES = 6
"""One save for so many pages."""


@dataclass(frozen=True)
class Answer:
    """One request: monotonic seconds. *status* is 0 where there was no answer at all."""

    seat: int
    begun: float
    ended: float
    status: int
    own_page: bool
    body: bytes = field(repr=False)

    @property
    def failed(self) -> bool:
        """Not the site's own answer, or not a good one."""
        return self.status != 200 or self.own_page


@dataclass(frozen=True)
class Target:
    """*source* is the address that the request comes from."""

    seat: int
    port: int
    path: str
    source: str


async def ask(target: Target, timeout: float = 20.0, host: str = "127.0.0.1", name: str | None = None) -> Answer:
    """One GET of *target*, on a connection of its own. *name* is what the site is called, where it is not its port."""
    begun = time.monotonic()
    raw = b""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, target.port, local_addr=(target.source, 0))
            try:
                called = name or f"{host}:{target.port}"
                writer.write(f"GET {target.path} HTTP/1.0\r\nHost: {called}\r\nAccept-Language: fr\r\n\r\n".encode())
                raw = await reader.read(-1)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        pass
    head, _blank, body = raw.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return Answer(target.seat, begun, time.monotonic(), status, b"x-e5b-page" in head.lower(), body)


class Poller:
    """Asks each of *targets* again and again, *gap* seconds after its last answer, until the block ends; one that is
    *impatient* asks every *gap* seconds, whether the last question was answered or not."""

    def __init__(self, targets: Sequence[Target], gap: float, *, impatient: bool = False) -> None:
        self._targets, self._gap, self._impatient = targets, gap, impatient
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))
        self.answers: list[Answer] = []

    def __enter__(self) -> "Poller":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def now(self) -> float:
        """On the clock of the answers."""
        return time.monotonic()

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(target, n / len(self._targets)) for n, target in enumerate(self._targets)))

    async def _one(self, target: Target, phase: float) -> None:
        # Not all at the same instant.
        await asyncio.sleep(phase * self._gap)
        async with asyncio.TaskGroup() as group:
            while not self._stop.is_set():
                question = group.create_task(self._ask(target))
                if not self._impatient:
                    await question
                await asyncio.sleep(self._gap)

    async def _ask(self, target: Target) -> None:
        self.answers.append(await ask(target))


@dataclass(frozen=True)
class Worked:
    """Seconds of every page that candidates asked for, and of every whole save (its form, its checks)."""

    pages: list[float]
    saves: list[float]
    faults: list[str]


class Candidates:
    """One candidate per seat, logged in to the administration from their own workstation."""

    def __init__(self, centre: BenchCentre, site: str, seats: int) -> None:
        account = centre.account(1)
        self._site = site
        self._candidates = [
            candidate_for(site, centre.url(seat), account["login"], account["password"], centre.source(seat))
            for seat in range(1, seats + 1)
        ]
        self._saved = 0
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda candidate: candidate.log_in(), self._candidates))

    def publish(self, times: int = 1) -> None:
        """Every candidate saves *times* times, as fast as the site allows."""

        def save(number: int) -> None:
            for n in range(times):
                self._candidates[number].publish(f"Work {n + 1} of candidate {number + 1}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(save, range(len(self._candidates))))

    def work(self, seconds: float, think: float = THINK) -> Worked:
        """All of them work at once for *seconds*, each at a person's pace; the same pace every time."""
        worked = Worked([], [], [])
        deadline = time.monotonic() + seconds
        self._saved += 1

        def one(number: int) -> None:
            pace = random.Random(number)
            count = number
            while True:
                pause = think * (0.5 + pace.random()) * (pace.random() if count == number else 1)
                if time.monotonic() + pause > deadline:
                    return
                time.sleep(pause)
                begun = time.monotonic()
                try:
                    if count % SAVES == SAVES - 1:
                        self._candidates[number].publish(f"Step {self._saved}.{count} of candidate {number + 1}")
                        worked.saves.append(time.monotonic() - begun)
                    else:
                        pages = PAGES[self._site]
                        self._candidates[number].page(pages[count % len(pages)])
                        worked.pages.append(time.monotonic() - begun)
                except NotAsExpected as fault:
                    worked.faults.append(str(fault))
                count += 1

        with ThreadPoolExecutor(len(self._candidates)) as pool:
            list(pool.map(one, range(len(self._candidates))))
        return worked
