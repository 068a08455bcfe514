"""An environment started from a site's image exactly as the controller starts one, and a browser of its seat."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import docker
import pytest
import requests
from docker.models.containers import Container
from requests.adapters import HTTPAdapter

BIN = "/opt/e5b/bin"
SEAT_URL = "http://poste-07.e5b.lan"


class AtAddress(HTTPAdapter):
    """Sends what is asked of any host name to one container, as the gateway does."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        asked = request.url or ""
        parts = urlsplit(asked)
        request.headers["Host"] = parts.netloc
        request.url = parts._replace(scheme="http", netloc=self.address).geturl()
        try:
            response = super().send(request, *args, **kwargs)
        finally:
            request.url = asked
        response.url = asked
        return response


@dataclass
class Result:
    status: int
    output: bytes
    errors: str


@dataclass
class Environment:
    container: Container
    url: str = SEAT_URL

    @property
    def address(self) -> str:
        self.container.reload()
        networks = self.container.attrs["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def run(self, *command: str, stdin: bytes | None = None, check: bool = True) -> Result:
        """`docker exec`, standard input included, standard output and error apart."""
        api = self.container.client.api
        started = api.exec_create(self.container.id, list(command), stdin=stdin is not None)["Id"]
        if stdin is None:
            output, errors = api.exec_start(started, demux=True)
        else:
            output, errors = self._converse(started, stdin)
        status = api.exec_inspect(started)["ExitCode"]
        result = Result(status, output or b"", (errors or b"").decode())
        if check and status != 0:
            raise AssertionError(f"{command} ended with {status}: {result.errors or result.output[-2000:]!r}")
        return result

    def _converse(self, started: str, stdin: bytes) -> tuple[bytes, bytes]:
        from docker.utils.socket import consume_socket_output, demux_adaptor, frames_iter

        stream = self.container.client.api.exec_start(started, socket=True)
        raw = getattr(stream, "_sock", stream)
        raw.settimeout(120)
        raw.sendall(stdin)
        raw.shutdown(1)
        return consume_socket_output((demux_adaptor(*frame) for frame in frames_iter(raw, tty=False)), demux=True)

    def tool(self, name: str, *arguments: str, stdin: bytes | None = None, check: bool = True) -> Result:
        return self.run(f"{BIN}/{name}", *arguments, stdin=stdin, check=check)

    def ready(self, timeout: int = 60) -> Environment:
        self.tool("ready", "--timeout", str(timeout))
        return self

    def sql(self, statement: str) -> str:
        database = self.run("cat", "/opt/e5b/site/database").output.decode().strip()
        command = ("mariadb", "--defaults-file=/opt/e5b/etc/client.cnf", "-NBe", statement, database)
        return self.run(*command).output.decode().strip()

    def shell(self, script: str) -> str:
        return self.run("sh", "-euc", script).output.decode()

    def changed(self) -> bytes:
        """What the controller gives to fingerprint and export: the paths of `docker diff`."""
        return b"".join(change["Path"].encode() + b"\0" for change in self.container.diff() or [])

    def fingerprint(self) -> dict[str, Any]:
        return dict(json.loads(self.tool("fingerprint", stdin=self.changed()).output))

    def full_fingerprint(self) -> dict[str, Any]:
        return dict(json.loads(self.tool("fingerprint", "--full").output))

    def export(self) -> bytes:
        return self.tool("export", stdin=self.changed()).output

    def browser(self, url: str | None = None) -> Browser:
        return Browser(self.address, url or self.url)


class Browser(requests.Session):
    def __init__(self, address: str, base: str) -> None:
        super().__init__()
        self.base = base
        self.mount("http://", AtAddress(address))

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        kwargs.setdefault("timeout", 30)
        return super().request(method, self.base + url if url.startswith("/") else url, *args, **kwargs)


def archive(members: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(content))
    return written.getvalue()


def members_of(tar: bytes) -> dict[str, bytes | None]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        found: dict[str, bytes | None] = {}
        for member in opened:
            content = opened.extractfile(member) if member.isfile() else None
            found[member.name] = content.read() if content else None
        return found


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException, AssertionError, docker.errors.APIError):
            if true():
                return
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    return docker.from_env(timeout=180)


@pytest.fixture(scope="session")
def network(engine: docker.DockerClient) -> Iterator[str]:
    made = engine.networks.create(f"site-image-test-{uuid.uuid4().hex[:8]}", driver="bridge", internal=True)
    yield str(made.name)
    made.remove()


def site_image(engine: docker.DockerClient, site: str) -> str | None:
    """The image under test: the one that is named, or the site's current one, as the product itself finds it.

    Never by label: what was committed from an environment (evidence, restore points) carries the image's labels.
    """
    name = os.environ.get(f"E5B_TEST_{site.upper()}_IMAGE", f"e5b/{site}:current")
    try:
        return str(engine.images.get(name).id)
    except docker.errors.ImageNotFound:
        return None


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient, site_name: str) -> str:
    found = site_image(engine, site_name)
    if found is None:
        pytest.fail(f"no image of the site {site_name} on this machine: run `e5b setup`")
    return found


Start = Callable[..., Environment]


@contextlib.contextmanager
def starter(engine: docker.DockerClient, network: str, image: str) -> Iterator[Start]:
    started: list[Container] = []

    def start(url: str | None = SEAT_URL, of: str = image, point: str | None = None) -> Environment:
        """*point*: an image committed from another environment, whose layer is put in before the first start."""
        container = engine.containers.create(
            of,
            name=f"site-image-test-{uuid.uuid4().hex[:10]}",
            network=network,
            dns=["127.0.0.1"],
            cap_drop=["ALL"],
            cap_add=["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"],
            security_opt=["no-new-privileges"],
            tmpfs={"/run": "", "/tmp": "", "/var/tmp": ""},
            sysctls={"net.ipv6.conf.all.disable_ipv6": "1"},
            mem_limit="512m",
            pids_limit=200,
            environment={"E5B_URL": url} if url else {},
        )
        started.append(container)
        if point is not None:
            layer = engine.images.get(point).attrs["GraphDriver"]["Data"]["UpperDir"]
            upper = container.attrs["GraphDriver"]["Data"]["UpperDir"]
            subprocess.run(["cp", "-a", f"{layer}/.", upper], check=True)
        container.start()
        return Environment(container, url or "http://localhost")

    try:
        yield start
    finally:
        for container in started:
            with contextlib.suppress(docker.errors.APIError):
                container.remove(force=True, v=True)


@pytest.fixture
def start(engine: docker.DockerClient, network: str, image: str) -> Iterator[Start]:
    with starter(engine, network, image) as start:
        yield start


@pytest.fixture
def environment(start: Start) -> Environment:
    """A fresh one, that the test may spoil."""
    return start().ready()


@pytest.fixture(scope="module")
def visited(engine: docker.DockerClient, network: str, image: str) -> Iterator[Environment]:
    """One for all the tests of a module that only look."""
    with starter(engine, network, image) as start:
        yield start().ready()
