"""The yardstick: what a technician would script today, and the bare loop of `docker run`.

Per seat one database container that imports an SQL dump and one Apache/PHP container of the same software, on a
network of its own. Reset: remove the three, make them again, wait until the home page answers 200. Everything goes
through the ``docker`` command, as in a script. docs/explanation/measurements.md describes it and its limits.
"""

import asyncio
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from bench.centre import Failed, clear, free_ports
from bench.load import Target, ask
from orchestrator.domain import naming

FOLDER = Path(__file__).parent
SETTLES = 0.03
"""Seconds between two containers that leave one network: Docker before 23 can lock itself up (docs/adr/0005)."""

PATIENCE = 600.0
"""Seconds for one site to answer."""

GAP = 0.1
"""Seconds between two looks at a site that does not answer yet."""


@dataclass(frozen=True)
class Up:
    """*mode* is how it was parallelised; *answered* are the seconds after the start at which each seat answered."""

    mode: str
    answered: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return max(self.answered)


@dataclass(frozen=True)
class Turn:
    """One reset of all seats by the yardstick."""

    mode: str
    down: float
    up: Up
    memory: tuple[int, ...]
    """Bytes per seat, database and web server together, once all have answered."""

    @property
    def seconds(self) -> float:
        return self.down + self.up.seconds


def cli(*arguments: str) -> str:
    """The `docker` command. Raises Failed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"docker {' '.join(arguments)}: {done.stderr.strip()[-1000:]}")
    return done.stdout.strip()


def image(site: str, part: str, caches: str = "empty") -> str:
    return f"e5b-bench/yardstick-{site}-{part}:{'current' if caches == 'empty' else caches}"


def build(site: str, source: str, caches: str = "empty") -> None:
    """The two images of *site* from our own image *source*; nothing is done where they are up to date."""
    for part in ("database", "web"):
        cli(
            *("build", "--quiet", "--network", "host", "--build-arg", f"SITE={source}", "--target", part),
            *(("--build-arg", f"CACHES={caches}") if part == "web" and caches != "empty" else ()),
            *("--tag", image(site, part, caches), "--file", str(FOLDER / f"{site}.Dockerfile"), str(FOLDER)),
        )


class Yardstick:
    """The yardstick for *seats* seats of *site*. What it makes carries the label of *centre_id*."""

    def __init__(
        self, client: docker.DockerClient, centre_id: str, site: str, seats: int, caches: str = "empty"
    ) -> None:
        self._client, self.site, self._caches = client, site, caches
        self.id = f"{centre_id}-yardstick"
        self._label = ("--label", f"{naming.CENTRE}={self.id}")
        self._first_port = free_ports(seats)
        self.seats = range(1, seats + 1)

    def __enter__(self) -> "Yardstick":
        clear(self._client, self.id)
        return self

    def __exit__(self, *_error: object) -> None:
        clear(self._client, self.id)

    def reset(self, workers: int) -> Turn:
        """Everything removed and made again. *workers* seats at a time; 0: one plain loop that starts all of them
        and then waits for all of them."""
        up_now = [seat for seat in self.seats if self._is_up(seat)]
        begun = time.monotonic()
        with ThreadPoolExecutor(workers or 1) as pool:
            list(pool.map(self._down, up_now))
        down = time.monotonic() - begun
        up = self.up(workers)
        return Turn(up.mode, down, up, tuple(self._memory(seat) for seat in self.seats))

    def up(self, workers: int) -> Up:
        return _in_turn(self.seats, self._start, self._answers, workers)

    def _name(self, seat: int, part: str = "") -> str:
        return "-".join(filter(None, ["e5b", self.id, f"{seat:02d}", part]))

    def _start(self, seat: int) -> None:
        port = self._first_port + seat - 1
        address = f"127.0.0.1:{port}"
        # PrestaShop keeps its own address in its database, as shops do.
        sql = (
            f"UPDATE ps_shop_url SET domain = '{address}', domain_ssl = '{address}';"
            f"UPDATE ps_configuration SET value = '{address}' WHERE name IN ('PS_SHOP_DOMAIN', 'PS_SHOP_DOMAIN_SSL')"
            if self.site == "prestashop"
            else ""
        )
        cli("network", "create", *self._label, "--subnet", f"10.227.{seat}.0/24", self._name(seat))
        cli(
            *("run", "--detach", *self._label, "--name", self._name(seat, "db"), "--network", self._name(seat)),
            *("--ip", self._database(seat), "--network-alias", "db"),
            *("--env", f"SITE={self.site}", "--env", f"SITE_SQL={sql}", image(self.site, "database", self._caches)),
        )
        cli(
            *("run", "--detach", *self._label, "--name", self._name(seat, "web"), "--network", self._name(seat)),
            *("--publish", f"{address}:80", "--env", f"SITE_URL=http://{address}"),
            image(self.site, "web", self._caches),
        )

    def _database(self, seat: int) -> str:
        return f"10.227.{seat}.2"

    async def _answers(self, seat: int) -> bool:
        # To ask the web server before the database listens would make it work for nothing.
        try:
            _reader, writer = await asyncio.open_connection(self._database(seat), 3306)
            writer.close()
        except OSError:
            return False
        return (await ask(Target(seat, self._first_port + seat - 1, "/", "127.0.0.1"), PATIENCE)).status == 200

    def _is_up(self, seat: int) -> bool:
        return bool(self._client.containers.list(filters={"name": self._name(seat, "web")}))

    def _down(self, seat: int) -> None:
        for part in ("web", "db"):
            cli("rm", "--force", "--volumes", self._name(seat, part))
            time.sleep(SETTLES)
        cli("network", "rm", self._name(seat))

    def _memory(self, seat: int) -> int:
        return sum(memory(self._client.containers.get(self._name(seat, part))) for part in ("db", "web"))


class BareLoop:
    """`docker run` of our own image, without anything else, until its home page answers 200."""

    def __init__(self, client: docker.DockerClient, centre_id: str, source: str, seats: int) -> None:
        self._client, self._image = client, source
        self.id = f"{centre_id}-loop"
        self._label = ("--label", f"{naming.CENTRE}={self.id}")
        self.seats = range(1, seats + 1)

    def up(self, workers: int) -> Up:
        """As :meth:`Yardstick.up`, from nothing; removed afterwards."""
        clear(self._client, self.id)
        try:
            cli("network", "create", *self._label, "--subnet", "10.228.0.0/24", f"e5b-{self.id}")
            return _in_turn(self.seats, self._start, self._answers, workers)
        finally:
            clear(self._client, self.id)

    def _start(self, seat: int) -> None:
        address = f"10.228.0.{seat + 1}"
        cli(
            *("run", "--detach", *self._label, "--name", f"e5b-{self.id}-{seat:02d}", "--network", f"e5b-{self.id}"),
            *("--ip", address, "--env", f"E5B_URL=http://{address}", self._image),
        )

    async def _answers(self, seat: int) -> bool:
        address = f"10.228.0.{seat + 1}"
        return (await ask(Target(seat, 80, "/", "10.228.0.1"), PATIENCE, address, address)).status == 200


def _in_turn(seats: Sequence[int], start: Callable[[int], None], answers: Callable[[int], Any], workers: int) -> Up:
    begun = time.monotonic()
    answered: dict[int, float] = {}

    async def wait(seat: int) -> None:
        while not await answers(seat):
            if time.monotonic() - begun > PATIENCE:
                raise Failed(f"seat {seat} does not answer")
            await asyncio.sleep(GAP)
        answered[seat] = time.monotonic() - begun

    async def wait_for_all() -> None:
        await asyncio.gather(*(wait(seat) for seat in seats))

    def whole(seat: int) -> None:
        start(seat)
        asyncio.run(wait(seat))

    if workers:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(whole, seats))
    else:
        for seat in seats:
            start(seat)
        asyncio.run(wait_for_all())
    return Up(f"{workers} at a time" if workers else "plain loop", tuple(answered[seat] for seat in seats))


def memory(container: Any) -> int:
    """Bytes that the container's cgroup cannot give back at once: its memory without the files that it read and does
    not use (``inactive_file``), as ``docker stats`` counts."""
    return memory_parts(container)["counted"]


def memory_parts(container: Any) -> dict[str, int]:
    """What :func:`memory` counts, and the larger parts of it, in bytes."""
    stats = container.stats(stream=False, one_shot=True)["memory_stats"]
    parts = {name.removeprefix("total_"): int(value) for name, value in stats["stats"].items()}
    # cgroup 2 says "anon" and "file" where cgroup 1 says "rss" and "cache".
    named = {
        "anonymous": ("rss", "anon"),
        "active_file": ("active_file",),
        "shared": ("shmem",),
        "files": ("cache", "file"),
    }
    found = {name: next((parts[key] for key in keys if key in parts), 0) for name, keys in named.items()}
    return {"counted": int(stats["usage"]) - parts["inactive_file"], **found}
