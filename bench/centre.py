"""A centre of the bench's own on the real engine: its commands as a person types them, and all that it made removed."""

import contextlib
import fcntl
import ipaddress
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import docker

from orchestrator import wiring
from orchestrator.adapters.machine import SystemHost
from orchestrator.cli.output import NoProgress
from orchestrator.domain import naming
from orchestrator.domain.exam import CANDIDATES_AT_ONCE, EnvironmentRole, Site
from orchestrator.domain.lifecycle import WaveState
from orchestrator.errors import E5BError
from orchestrator.services.abandon import abandon
from orchestrator.services.centre import Centre
from orchestrator.services.close import close
from orchestrator.services.init import init
from orchestrator.services.open_wave import open_wave
from orchestrator.services.plan_wave import Seated, plan_wave
from orchestrator.services.prepare import prepare
from orchestrator.services.seal import seal
from orchestrator.services.standbys import standbys_status
from orchestrator.settings import load

STAFF = "127.0.2.1"
ROOM = "salle-bench"


class Failed(Exception):
    """A command did not do what the bench needs; its own words."""


@dataclass(frozen=True)
class Done:
    """A command that ended well: wall-clock seconds from its start to its end, and what it answered as JSON."""

    seconds: float
    answer: Any


class BenchCentre:
    """*seats* is how many workstations its one room has; *at_once* of them take part in a wave."""

    def __init__(
        self, client: docker.DockerClient, folder: Path, centre_id: str, seats: int, settings: Mapping[str, str]
    ) -> None:
        self.client, self.folder, self.id = client, folder, centre_id
        self.seats = seats
        self._waves = 0
        self.first_port = free_ports(seats)
        self.env = {**os.environ, "E5B_LANG": "en", "NO_COLOR": "1", "E5B_CENTRE": str(folder / "centre.toml")}
        init(
            folder / "centre.toml",
            centre=centre_id,
            name="Bench",
            room=ROOM,
            seats=seats,
            first_address="127.0.4.1",
            gateway={"first_port": self.first_port, "staff": (STAFF,)},
            network={"subnet": free_subnet(client)},
        )
        self._change(settings)
        # As in every centre after its first wave.
        self.inside().engine.ensure_network()

    def _change(self, settings: Mapping[str, str]) -> None:
        """Give settings (``section.name``) other values than `e5b init` wrote."""
        path = self.folder / "centre.toml"
        lines = path.read_text(encoding="utf-8").splitlines()
        for key, value in settings.items():
            section, _dot, name = key.partition(".")
            start = lines.index(f"[{section}]")
            at = next(n for n in range(start + 1, len(lines)) if lines[n].lstrip("# ").startswith(f"{name} ="))
            lines[at] = f"{name} = {value}"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    # The command line

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments], cwd=self.folder, env=self.env, text=True, **options
        )

    def _run(self, *arguments: str) -> tuple[float, str]:
        begun = time.monotonic()
        process = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=900)
        seconds = time.monotonic() - begun
        if process.returncode:
            raise Failed(f"e5b {' '.join(arguments)}: exit status {process.returncode}\n{out[-2000:]}\n{err[-2000:]}")
        return seconds, out

    def e5b(self, *arguments: str) -> Done:
        """The whole command, its start and Python's included. Raises Failed."""
        seconds, out = self._run(*arguments, "--json")
        return Done(seconds, json.loads(out))

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """`e5b serve` runs in the background."""
        with (self.folder / "serve.log").open("a") as log:
            process = self.start("serve", stdout=log, stderr=log)
            try:
                yield
            finally:
                process.terminate()
                process.wait(60)

    # A wave. What is not measured is done in this process: Python's start is most of a short command.

    def plan(self, site: str, seats: int) -> str:
        self._waves += 1
        number, day = 1 + (self._waves - 1) % 90, 1 + (self._waves - 1) // 90
        wave = plan_wave(
            self.inside(),
            half_day=f"2027-05-{day:02d}-am",
            room=ROOM,
            number=number,
            site=Site(site),
            candidates=[
                Seated(seat, f"B{self._waves:02d}{100 + seat}") for seat in range(1, min(seats, CANDIDATES_AT_ONCE) + 1)
            ],
            duration=timedelta(minutes=200),
        )
        return wave.id

    def opened(self, site: str, seats: int) -> str:
        """A wave that is open."""
        wave = self.plan(site, seats)
        faults = prepare(self.inside(), wave).faults
        if faults:
            raise Failed(f"not proved: {faults}")
        open_wave(self.inside(), wave)
        return wave

    def close(self, wave: str) -> None:
        close(self.inside(), wave, early="bench")

    def seal(self, wave: str) -> None:
        seal(self.inside(), wave)

    def abandon(self, wave: str) -> None:
        abandon(self.inside(), wave, "bench")

    def is_sealed(self, wave: str) -> bool:
        return self.inside().wave(wave).state is WaveState.SEALED

    def standbys(self) -> int:
        """How many seats have a standby that is ready."""
        return sum(line.ready for line in standbys_status(self.inside()))

    # What it is made of

    def inside(self) -> Centre:
        """The same centre through its services, in this process."""
        return wiring.centre(load(self.folder / "centre.toml"), NoProgress())

    def source(self, seat: int) -> str:
        """The workstation's own address."""
        return f"127.0.4.{seat}"

    def port(self, seat: int) -> int:
        return self.first_port + seat - 1

    def url(self, seat: int) -> str:
        return f"http://127.0.0.1:{self.port(seat)}"

    def container(self, seat: int) -> Any:
        return self.client.containers.get(self.inside().active()[seat].name)

    def account(self, seat: int) -> dict[str, Any]:
        centre = self.inside()
        return centre.engine.describe(centre.active()[seat].name)

    def tidy(self) -> bool:
        """Whether no environment waits for its removal."""
        return all(item.role is not EnvironmentRole.RETIRED for item in self.inside().store.environments())

    def remove_environments(self) -> None:
        """As if the machine had lost them: the next preparation makes all anew."""
        centre = self.inside()
        gateway = naming.gateway_name(self.id)
        for name in centre.engine.observe():
            if name != gateway:
                centre.engine.remove(name)


def clear(client: docker.DockerClient, centre_id: str, folder: Path | None = None) -> None:
    """Remove everything in the engine that carries the label of *centre_id*, one after the other (docs/adr/0005)."""
    own = {"label": f"{naming.CENTRE}={centre_id}"}
    for container in client.containers.list(all=True, filters=own):
        if container.labels.get(naming.ROLE) != naming.ROLE_GATEWAY:
            container.remove(force=True, v=True)
            time.sleep(0.03)
    if folder is not None and (folder / "centre.toml").exists():
        # It also takes the host's walls down, once nothing stands behind them.
        with contextlib.suppress(E5BError):
            wiring.centre(load(folder / "centre.toml"), NoProgress()).gateway.remove()
    for container in client.containers.list(all=True, filters=own):
        container.remove(force=True, v=True)
    for network in client.networks.list(filters=own):
        network.remove()
    for image in client.images.list(filters=own):
        client.images.remove(image.id, force=True)


@contextlib.contextmanager
def new_centre(
    client: docker.DockerClient, centre_id: str, seats: int, settings: Mapping[str, str]
) -> Iterator[BenchCentre]:
    """A centre for one measurement; what a killed run left behind is removed first."""
    clear(client, centre_id)
    with tempfile.TemporaryDirectory(prefix="e5b-bench-") as folder:
        try:
            yield BenchCentre(client, Path(folder), centre_id, seats, settings)
        finally:
            clear(client, centre_id, Path(folder))


@contextlib.contextmanager
def alone(centre_id: str) -> Iterator[None]:
    """Two benches at once would measure each other. Raises Failed."""
    with (Path(tempfile.gettempdir()) / f"e5b-bench-{centre_id}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed("Another bench is running on this machine.") from None
        yield


def free_ports(count: int) -> int:
    """The first of *count* consecutive ports that nobody listens on, below those that the kernel gives to outgoing
    connections (from 32768): one of these could take a port before its server does. Raises Failed."""
    for _attempt in range(100):
        first = 20000 + secrets.randbelow(10000)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("0.0.0.0", port))
            except OSError:
                continue
            return first
    raise Failed("no free ports")


def free_subnet(client: docker.DockerClient) -> str:
    """A network of 254 addresses that nobody uses yet."""
    configured = [item for network in client.networks.list() for item in network.attrs["IPAM"]["Config"] or ()]
    taken = [
        ipaddress.ip_network(known) for known in [*(item["Subnet"] for item in configured), *SystemHost().networks()]
    ]
    while True:
        found = ipaddress.IPv4Network(f"10.226.{secrets.randbelow(255)}.0/24")
        if not any(known.version == 4 and found.overlaps(known) for known in taken):
            return str(found)
