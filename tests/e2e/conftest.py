"""A real centre on the real engine: its own id, subnet and ports, removed with all that it made."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from requests.adapters import HTTPAdapter

from bench.centre import free_ports
from orchestrator import wiring
from orchestrator.cli.output import NoProgress
from orchestrator.errors import E5BError
from orchestrator.settings import load

SITES = ("wordpress", "prestashop")

PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
"""Which of the two processes of `make test` this is: each has networks and ports of its own."""


class FromAddress(HTTPAdapter):
    """Requests that leave from one address of this machine, as a workstation's would."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **options)


class RealCentre:
    def __init__(self, folder: Path, client: docker.DockerClient, seats: int, *init: str) -> None:
        self.folder, self.client = folder, client
        self.id = "t" + secrets.token_hex(3)
        self.first_port = free_ports(seats)
        self.subnet = f"10.221.{2 * secrets.randbelow(127) + PROCESS}.0/24"
        self.seats = seats
        self.env = {**os.environ, "E5B_LANG": "en", "NO_COLOR": "1", "COLUMNS": "200"}
        self.e5b(
            "init",
            *("--id", self.id, "--name", "Centre d'essai", "--seats", str(seats), "--first-address", "127.0.1.1"),
            *("--first-port", str(self.first_port), "--subnet", self.subnet, "--staff", "127.0.2.1", *init),
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, running."""
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def e5b(self, *arguments: str, code: int = 0) -> str:
        """The command's output, after it has ended with exit status *code*."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"e5b {' '.join(arguments)}: {process.returncode}\n{out}\n{err}"
        return out + err

    def json(self, *arguments: str, code: int = 0) -> Any:
        process = self.start(*arguments, "--json")
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"e5b {' '.join(arguments)}: {process.returncode}\n{out}\n{err}"
        return json.loads(out)

    def plan(self, site: str = "wordpress", number: int = 1, minutes: float = 40, seats: int | None = None) -> str:
        pairs = [f"--candidate={seat}=A{100 + seat}" for seat in range(1, (seats or self.seats) + 1)]
        planned = self.json(
            *("wave", "plan", "--half-day", f"2027-05-{10 + number}-am", "--room", "salle-1", "--site", site),
            *("--number", str(number), "--minutes", str(minutes), *pairs),
        )
        return str(planned["id"])

    def url(self, seat: int) -> str:
        return f"http://127.0.0.1:{self.first_port + seat - 1}"

    def address(self, seat: int) -> str:
        return f"127.0.1.{seat}"

    def session(self, address: str) -> requests.Session:
        session = requests.Session()
        session.mount("http://", FromAddress(address))
        return session

    def get(self, seat: int, path: str = "/", address: str | None = None, **options: Any) -> requests.Response:
        """What a workstation (seat's own, unless *address* says another) is answered at a seat's site."""
        with self.session(address or self.address(seat)) as session:
            return session.get(self.url(seat) + path, timeout=30, **options)

    def container(self, seat: int) -> Any:
        """The container that the seat's active environment is."""
        found = [item for item in self.containers() if item.labels.get("fr.e5b.seat") == str(seat)]
        return max(found, key=lambda item: int(item.labels["fr.e5b.generation"]))

    def containers(self) -> list[Any]:
        return list(self.client.containers.list(all=True, filters={"label": f"fr.e5b.centre={self.id}"}))

    def run_in(self, seat: int, *command: str) -> tuple[int, str]:
        done = self.container(seat).exec_run(list(command))
        return done.exit_code, done.output.decode(errors="replace")

    def account(self, seat: int) -> dict[str, str]:
        _code, text = self.run_in(seat, "/opt/e5b/bin/describe")
        return dict(json.loads(text))

    def remove(self) -> None:
        # The gateway also takes the host's walls for this centre down, once nothing stands behind them.
        environments = [item for item in self.containers() if item.labels.get("fr.e5b.role") != "gateway"]
        for container in environments:
            container.remove(force=True, v=True)
        with contextlib.suppress(E5BError):
            wiring.centre(load(self.folder / "centre.toml"), NoProgress()).gateway.remove()
        for container in self.containers():
            container.remove(force=True, v=True)
        for network in self.client.networks.list(filters={"label": f"fr.e5b.centre={self.id}"}):
            network.remove()
        for image in self.client.images.list(filters={"label": f"fr.e5b.centre={self.id}"}):
            self.client.images.remove(image.id, force=True)


def has_image(client: docker.DockerClient, site: str) -> bool:
    return bool(client.images.list(filters={"reference": f"e5b/{site}:current"}))


def need_image(client: docker.DockerClient, site: str) -> None:
    """Ends the test where there is no image of *site*: for PrestaShop, which says so aloud, by leaving it out."""
    if not has_image(client, site):
        assert site != "wordpress", "no image e5b/wordpress:current: run `e5b setup`"
        pytest.skip("NO PRESTASHOP: its release archive was not given (E5B_PRESTASHOP_ARCHIVE), so it is NOT tested")


@pytest.fixture(scope="session")
def client() -> docker.DockerClient:
    """The real engine: without one these tests fail, they are not skipped."""
    return docker.from_env(version="auto", timeout=120)


@pytest.fixture
def make_centre(tmp_path: Path, client: docker.DockerClient) -> Iterator[Callable[..., RealCentre]]:
    made: list[RealCentre] = []

    def make(seats: int, *init: str) -> RealCentre:
        folder = tmp_path / f"centre-{len(made)}"
        folder.mkdir()
        made.append(RealCentre(folder, client, seats, *init))
        return made[-1]

    yield make
    for centre in made:
        centre.remove()


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, client: docker.DockerClient) -> str:
    """Each site in turn. WordPress must be there; PrestaShop is, wherever its release archive was given."""
    need_image(client, request.param)
    return str(request.param)


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(30)


def eventually(what: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.1)
    return False
