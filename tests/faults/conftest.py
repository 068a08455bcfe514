"""A centre on a machine of its own, whose engine, disks and power the tests take away."""

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
import requests

from simulation import Candidate, NotAsExpected, candidate_for
from tests.e2e.conftest import RealCentre, client, has_image
from tests.faults.machine import STATE_DISK, Machine, Process, until

__all__ = ["client"]

GOOD, BAD = (1, 2, 3), 4
"""The seats of candidates who do their work, and of one who does other things."""

REFUSED, BUSY, NO_SPACE = 6, 7, 11
"""Exit codes."""

UNSEEN, MORE = timedelta(seconds=2), timedelta(seconds=15)
"""How much less, and how much more, than the time lost is given back at most. The site is looked at from time to time,
and a candidate is believed in doubt."""

PICTURE = re.compile(r'src="([^"]*/article-[^"]*\.png)"')


@contextlib.contextmanager
def until_over(threads: list[threading.Thread], over: threading.Event, patience: float) -> Iterator[None]:
    """*threads* run for as long as what is inside; each has *patience* seconds to end after that."""
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(patience)


class FaultyCentre(RealCentre):
    """A centre on *machine*. ``saved`` has, for each seat, what the site told its candidate is saved: address of a
    page -> its title."""

    def __init__(self, machine: Machine, folder: Path, seats: int, *init: str) -> None:
        self.machine = machine
        self.state = STATE_DISK / folder.name
        self.clock: Process | None = None
        self._found: set[str] = set()
        self._account: dict[str, str] | None = None
        self.saved: dict[int, dict[str, str]] = {seat: {} for seat in range(1, seats + 1)}
        super().__init__(folder, machine.client, seats, "--state", str(self.state), *init)

    def set(self, **settings: int) -> None:
        """Change settings of ``centre.toml``, whose keys are each there once."""
        path = self.folder / "centre.toml"
        text = path.read_text()
        for key, value in settings.items():
            text, found = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
            assert found == 1, key
        path.write_text(text)

    def start(self, *arguments: str) -> Process:
        return self.machine.start(sys.executable, "-m", "orchestrator", *arguments, cwd=self.folder, env=self.env)

    def get(self, seat: int, path: str = "/", address: str | None = None, **options: Any) -> requests.Response:
        with self.machine.network():
            return super().get(seat, path, address, **options)

    def answers(self, seat: int) -> bool:
        """Whether the seat's site answers, as soon as a candidate expects it."""
        # While the machine is down it has no network to be in.
        with (
            contextlib.suppress(OSError),
            self.machine.network(),
            self.session(self.address(seat)) as session,
        ):
            return session.get(self.url(seat), timeout=3).status_code == 200
        return False

    def until_served(self, *seats: int, within: float = 60) -> dict[int, datetime]:
        """When each seat's site was first seen to answer."""
        served: dict[int, datetime] = {}

        def all_served() -> bool:
            for seat in set(seats or GOOD) - served.keys():
                if self.answers(seat):
                    served[seat] = datetime.now(UTC)
            return served.keys() == set(seats or GOOD)

        until(all_served, within, "a seat serves nothing")
        return served

    def processes(self, seat: int) -> list[psutil.Process]:
        return self.machine.processes(self.container(seat).id)

    # The controller

    def serve(self) -> None:
        """``e5b serve`` runs."""
        self.clock = self.start("serve", "--json")
        # What it says is read as it comes: a full pipe would stop it.
        self.said: list[dict[str, Any]] = []
        for stream in (self.clock.stdout, self.clock.stderr):
            threading.Thread(target=self._listen, args=(stream,), daemon=True).start()
        until(lambda: bool(self.said), 60, "e5b serve says nothing")

    def _listen(self, stream: Any) -> None:
        for line in stream:
            with contextlib.suppress(ValueError):
                self.said.append(json.loads(line))

    def stop_serving(self) -> None:
        if self.clock is not None:
            self.clock.terminate()
            self.clock.wait(60)
            self.clock = None

    def wave_state(self) -> str:
        """The wave's."""
        return str(self.json("wave", "list")[0]["state"])

    def ends(self) -> dict[int, datetime]:
        """When each good candidate's time is over, once nothing is being given back any more."""
        while True:
            seats = self.json("wave", "status")["seats"]
            ends = {seat["seat"]: seat["ends_at"] for seat in seats if seat["seat"] in GOOD}
            if all(ends.values()):
                return {seat: datetime.fromisoformat(end) for seat, end in ends.items()}

    @contextlib.contextmanager
    def credited(self, *seats: int) -> Iterator[None]:
        """What happens inside keeps these candidates from working for a while, and this time is given back."""
        before, lost, over = self.ends(), dict.fromkeys(seats, timedelta()), threading.Event()

        def watch(seat: int) -> None:
            since: datetime | None = None
            while since or not over.wait(0.1):
                asked = datetime.now(UTC)
                if not self.answers(seat):
                    since = since or asked
                elif since:
                    lost[seat] += asked - since
                    since = None

        threads = [threading.Thread(target=watch, args=(seat,), daemon=True) for seat in seats]
        for thread in threads:
            thread.start()
        try:
            yield
            self.until_served(*seats, within=120)
        finally:
            over.set()
        for thread in threads:
            thread.join(60)
        deadline = time.monotonic() + 20
        while True:
            given = {seat: end - before[seat] for seat, end in self.ends().items() if seat in seats}
            if all(given[seat] >= lost[seat] - UNSEEN for seat in seats):
                break
            assert time.monotonic() < deadline, f"lost {lost}, given back {given}"
        assert all(lost.values()), "the sites went on"
        assert all(given[seat] < lost[seat] + MORE for seat in seats), f"lost {lost}, given back {given}"

    # The candidates

    def account(self, seat: int) -> dict[str, str]:
        # It is the image's: the same at every seat, and known while an environment stands still.
        if self._account is None:
            self._account = super().account(seat)
        return self._account

    def candidate(self, seat: int) -> Candidate:
        """The seat's candidate, logged in."""
        account = self.account(seat)
        candidate = candidate_for(
            account["site"], self.url(seat), account["login"], account["password"], self.address(seat)
        )
        with self.machine.network():
            candidate.log_in()
        return candidate

    def save_page(self, seat: int, title: str) -> None:
        """The seat's candidate saves a page through the administration of their site."""
        candidate = self.candidate(seat)
        with self.machine.network():
            self.saved[seat][candidate.publish(title)] = title

    def upload_big(self, seat: int, megabytes: int) -> None:
        """A picture of this size, that nothing makes smaller, is on the seat's site."""
        write = f"head -c {megabytes}000000 /dev/urandom >/var/www/site/wp-content/uploads/big.png"
        assert self.run_in(seat, "sh", "-c", write)[0] == 0

    def plant(self, seat: int, name: str, php: str) -> None:
        """The seat's candidate puts a program of their own on their site: ``/name``."""
        container = self.container(seat)
        write = ["sh", "-c", 'printf "<?php %s" "$1" >"/var/www/site/$0"', name, php]
        assert container.exec_run(write).exit_code == 0

    @contextlib.contextmanager
    def flooding(self, seat: int, path: str, clients: int) -> Iterator[None]:
        """*clients* ask for *path* at the seat's own site, again and again, from the seat."""
        over = threading.Event()

        def work() -> None:
            with self.machine.network(), self.session(self.address(seat)) as session:
                while not over.is_set():
                    with contextlib.suppress(requests.RequestException):
                        session.get(self.url(seat) + path, timeout=2)

        with until_over([threading.Thread(target=work) for _client in range(clients)], over, 30):
            yield

    @contextlib.contextmanager
    def saving(self, *seats: int) -> Iterator[None]:
        """Candidates save one page after another, whatever happens to them; what they are told is saved is
        kept in ``saved``."""
        over = threading.Event()

        def work(seat: int, candidate: Candidate) -> None:
            number = 0
            while not over.is_set():
                number += 1
                title = f"Page {seat} {len(self.saved[seat])} {number}"
                with contextlib.suppress(NotAsExpected, OSError), self.machine.network():
                    self.saved[seat][candidate.publish(title)] = title
                over.wait(1)

        with until_over(
            [threading.Thread(target=work, args=(seat, self.candidate(seat))) for seat in seats], over, 120
        ):
            yield

    def until_saved(self, *seats: int, more: int = 1, within: float = 120) -> None:
        """Each candidate has saved this many *more* pages than now."""
        wanted = {seat: len(self.saved[seat]) + more for seat in seats or GOOD}
        until(
            lambda: all(len(self.saved[seat]) >= count for seat, count in wanted.items()),
            within,
            f"of {wanted} only { ({seat: len(self.saved[seat]) for seat in wanted}) } pages are saved",
        )

    def check_saved(self, *seats: int, again: bool = False) -> None:
        """Every page that a candidate was told is saved is there for visitors, with its picture. A page that was
        found once is looked for *again* only when asked to; one that is lost is said once."""
        self.until_served(*seats)
        lost: list[str] = []
        for seat in seats or GOOD:
            for address, title in list(self.saved[seat].items()):
                if again or address not in self._found:
                    self._found.add(address)
                    missing = self._missing(seat, address, title)
                    if missing:
                        lost.append(f"seat {seat}: {missing}")
                        del self.saved[seat][address]
        assert not lost, "\n".join(lost)

    def _missing(self, seat: int, address: str, title: str) -> str | None:
        page = self.get(seat, address.removeprefix(self.url(seat)))
        if title not in page.text:
            return f"“{title}”: {address} answers {page.status_code}"
        for picture in PICTURE.findall(page.text):
            answer = self.get(seat, picture.removeprefix(self.url(seat)))
            if not answer.content.startswith(b"\x89PNG"):
                return f"of “{title}” the picture {picture}: {answer.status_code}, {len(answer.content)} bytes"
        return None

    def archives(self, seat: int) -> list[Path]:
        """The seat's evidence, the oldest first."""
        found = [line["evidence"] for line in self.json("evidence", "list") if line["evidence"]["seat"] == seat]
        names = [item["archive"] for item in sorted(found, key=lambda item: int(item["attempt"]))]
        return [self.machine.path(self.state) / "evidence" / name for name in names]

    def sealed_database(self, seat: int, *archives: Path) -> str:
        """The dumps of *archives*, by default the seat's newest."""
        dump = ""
        for archive in archives or self.archives(seat)[-1:]:
            read = ["tar", "xzOf", str(archive), "database.sql"]
            dump += subprocess.run(read, capture_output=True, check=True).stdout.decode(errors="replace")
        return dump

    def check_sealed(self, seat: int, *archives: Path) -> None:
        """Every page that the candidate was told is saved is in one of *archives*, by default the seat's newest."""
        dump = self.sealed_database(seat, *archives)
        missing = [title for title in self.saved[seat].values() if title not in dump]
        assert not missing, f"seat {seat}: its evidence lacks {missing}"


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory, client: docker.DockerClient) -> Iterator[Machine]:
    """Without one these tests fail, they are not skipped."""
    made = Machine(tmp_path_factory.mktemp("machine"))
    try:
        made.boot()
        assert has_image(client, "wordpress"), "no image e5b/wordpress:current: run `e5b setup`"
        for image in ("wordpress", "gateway"):
            made.load(client, f"e5b/{image}:current")
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def wave(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyCentre]:
    """A wave of four candidates at work under ``e5b serve``, that all faults come over. The fourth is not to be
    trusted."""
    centre = FaultyCentre(machine, tmp_path_factory.mktemp("wave"), 4)
    # The containers that bear a seat's number are then those that its candidate works in.
    centre.set(disk_mb=256, most=0)
    centre.plan()
    centre.e5b("wave", "prepare")
    centre.e5b("wave", "open")
    centre.serve()
    yield centre
    centre.stop_serving()
