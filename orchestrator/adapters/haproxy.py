"""The gateway: HAProxy in a container of its own. Implements ports.Gateway.

What depends on the settings alone is rendered into a folder that is never changed: other settings are another
folder and another container. What changes during a wave is one map, seat -> state, address and subject, which is stored
first and then handed to the running HAProxy through its socket: no reload, and a gateway that starts again by
itself serves what is stored.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import docker
import jinja2
import requests
from docker.errors import ContainerError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Mount, Ulimit

from orchestrator.adapters.clear_text import GATEWAY_GROUP
from orchestrator.adapters.docker_engine import translated
from orchestrator.adapters.machine import SystemHost
from orchestrator.domain import naming
from orchestrator.domain.routes import Route, RouteState
from orchestrator.errors import Conflict, EnvironmentFailed, ImageUnusable, NoSpace
from orchestrator.i18n import _
from orchestrator.settings import Settings

IMAGE = "e5b/gateway:current"

VERSION = "fr.e5b.gateway.version"
"""Label of the container: digest of all that it was made from."""
LISTEN = "fr.e5b.gateway.listen"
"""Label of the container: what it listens on."""

# Folders and files as the container sees them.
CONFIG, ROUTES, RUN, DOCUMENTS = "/e5b/config", "/e5b/routes", "/e5b/run", "/e5b/documents"
MAP = f"{ROUTES}/routes.map"
SOCKET = "haproxy.sock"

LIMITS: Mapping[str, Any] = {
    "cap_drop": ["ALL"],
    # The walls; low ports; the controller's folders whoever owns them; the socket's owner and mode; becoming haproxy.
    "cap_add": ["NET_ADMIN", "NET_BIND_SERVICE", "DAC_OVERRIDE", "CHOWN", "FOWNER", "SETUID", "SETGID"],
    "security_opt": ["no-new-privileges"],
    "read_only": True,
    "mem_limit": "256m",
    "memswap_limit": "256m",
    "pids_limit": 64,
}


class HaproxyGateway:
    def __init__(self, client: docker.DockerClient, settings: Settings) -> None:
        self._client, self._settings = client, settings
        self._name = naming.gateway_name(settings.centre.id)
        self._folder = settings.gateway_folder.absolute()

    def ensure(self, routes: Sequence[Route]) -> bool:
        with self._alone():
            image = gateway_image(self._client)
            files = render(self._settings, self._folder.stat().st_uid)
            version = _digest(image, files, self._settings.shown_folder)
            container = self._container()
            if container is not None and self._current(container, version):
                # Somebody may have emptied the host's firewall in the meantime.
                result = container.exec_run(["nft", "-f", f"{CONFIG}/rules.nft"])
                if result.exit_code != 0:
                    raise failed(_("The environments' walls cannot be put up."), result.output)
                self._switch(routes)
                return False
            self._check_ports(container)
            config = self._checked(image, files, routes)
            store_file(self._folder / "routes", "routes.map", _map(routes))
            if container is not None:
                container.remove(force=True)
            self._start(image, config, version, routes)
            for old in self._folder.glob("config-*"):
                if old != config:
                    shutil.rmtree(old)
            return True

    def switch(self, routes: Sequence[Route], cut: Collection[str] = ()) -> None:
        with self._alone():
            self._switch(routes)
        for address in cut:
            _end_connections(address)

    def serving(self) -> list[Route] | None:
        try:
            return self._shown()
        except OSError:
            return None

    def remove(self) -> None:
        with self._alone():
            container = self._container()
            if container is not None:
                container.remove(force=True)
            # The walls stand for as long as somebody lives behind them.
            ports = Path("/sys/class/net", naming.bridge_name(self._settings.centre.id), "brif")
            if not any(ports.glob("*")):
                with contextlib.suppress(ImageUnusable):
                    self._take_walls_down(gateway_image(self._client))
            for entry in self._folder.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
            # What the engine made for the mount; not where something is unlocked.
            with contextlib.suppress(OSError):
                self._settings.shown_folder.rmdir()
                self._settings.clear_text_folder.rmdir()

    def _alone(self) -> AbstractContextManager[None]:
        return alone(self._folder, ("routes", "run"), _("The gateway's folder {path} cannot be used: {error}."))

    # The container

    def _container(self) -> Container | None:
        """Our gateway. Raises Conflict when its name is somebody else's."""
        return own_container(self._client, self._name, self._settings.centre.id)

    def _current(self, container: Container, version: str) -> bool:
        return container.status == "running" and container.labels.get(VERSION) == version and self.serving() is not None

    def _check_ports(self, container: Container | None) -> None:
        ours: set[str] = set()
        if container is not None and container.status == "running":
            ours.update(container.labels.get(LISTEN, "").split())
        taken = []
        host = SystemHost()
        for address, port in listen(self._settings):
            if f"{address}:{port}" not in ours:
                holder = host.port_holder(address, port)
                if holder is not None:
                    taken.append(_("port {port}: {holder}").format(port=port, holder=self._publisher(port) or holder))
        if taken:
            raise self._ports_taken(taken)

    def _publisher(self, port: int) -> str | None:
        """The container that publishes *port*: more telling than the engine's own process that holds it."""
        for item in self._client.api.containers():
            if any(published.get("PublicPort") == port for published in item.get("Ports") or ()):
                return _("container {name}").format(name=item["Names"][0].removeprefix("/"))
        return None

    def _ports_taken(self, details: Sequence[str]) -> Conflict:
        return Conflict(
            _("The gateway cannot listen: a port that it needs is in use."),
            hint=_("Stop what holds it, or choose other ports under [gateway] in centre.toml."),
            details=details,
        )

    def _checked(self, image: str, files: Mapping[str, str], routes: Sequence[Route]) -> Path:
        """A new folder with *files*, which HAProxy and nftables themselves found right."""
        config = Path(tempfile.mkdtemp(prefix="config-", dir=self._folder))
        try:
            for name, content in files.items():
                store_file(config, name, content)
            store_file(config, "routes.map", _map(routes))
            self._once(
                image,
                entrypoint="/e5b/start",
                command=["check"],
                network_mode="none",
                mounts=[mount(config, CONFIG), mount(config, ROUTES)],
            )
            (config / "routes.map").unlink()
        except ContainerError as error:
            shutil.rmtree(config)
            raise failed(
                _("The gateway's new configuration does not pass its own check; the old one was left in place."),
                error.stderr or b"",
            ) from error
        except BaseException:
            shutil.rmtree(config, ignore_errors=True)
            raise
        return config

    def _take_walls_down(self, image: str) -> None:
        table = _table(self._settings)
        self._once(
            image,
            entrypoint="nft",
            command=[
                "; ".join(f"add table {family} {table}; delete table {family} {table}" for family in ("inet", "bridge"))
            ],
            network_mode="host",
        )

    def _once(self, image: str, **options: Any) -> None:
        """Run something in a throw-away container of *image*. Raises ContainerError when it fails."""
        name = f"{self._name}-once"
        labels = {naming.CENTRE: self._settings.centre.id, naming.ROLE: naming.ROLE_GATEWAY}
        # One that a killed controller left behind. Nobody else is here: callers hold the lock.
        with contextlib.suppress(NotFound):
            left = self._client.containers.get(name)
            if left.labels.get(naming.CENTRE) == self._settings.centre.id:
                left.remove(force=True)
        self._client.containers.run(image, name=name, labels=labels, remove=True, stderr=True, **LIMITS, **options)

    def _start(self, image: str, config: Path, version: str, routes: Sequence[Route]) -> None:
        container = self._client.containers.create(
            image,
            ["serve"],
            name=self._name,
            # The seats' own addresses, and the environments' bridge, are seen from the host alone.
            network_mode="host",
            restart_policy={"Name": "unless-stopped"},
            ulimits=[Ulimit(name="nofile", soft=16384, hard=16384)],
            log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
            labels={
                naming.CENTRE: self._settings.centre.id,
                naming.ROLE: naming.ROLE_GATEWAY,
                VERSION: version,
                LISTEN: " ".join(f"{address}:{port}" for address, port in listen(self._settings)),
            },
            mounts=[
                mount(config, CONFIG),
                mount(self._folder / "routes", ROUTES),
                mount(self._folder / "run", RUN, read_only=False),
            ],
            # In this form the engine makes the folder where a reboot has taken it away: the gateway starts without it.
            volumes=[f"{self._settings.shown_folder.absolute()}:{DOCUMENTS}:ro"],
            **LIMITS,
        )
        try:
            container.start()
            self._await(container, routes)
        except BaseException:
            # Under its restart policy it would come to life later, when nobody expects it.
            container.remove(force=True)
            raise

    def _await(self, container: Container, routes: Sequence[Route], timeout: float = 20) -> None:
        deadline = time.monotonic() + timeout
        while self.serving() != _sorted(routes):
            container.reload()
            if container.attrs["RestartCount"] or container.status != "running" or time.monotonic() > deadline:
                output = container.logs(tail=20)
                if b"Address already in use" in output:
                    raise self._ports_taken(_lines(output))
                raise failed(_("The gateway does not start."), output)
            time.sleep(0.01)

    # Its runtime API

    def _switch(self, routes: Sequence[Route]) -> None:
        store_file(self._folder / "routes", "routes.map", _map(routes))
        # A gateway that is just starting again by itself has a moment to answer.
        deadline = time.monotonic() + 5
        while True:
            try:
                shown = self._apply(routes)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise EnvironmentFailed(
                        _("The gateway does not answer; the routes are stored, and it will serve them when it runs."),
                        hint=_("Run the same command again; `docker logs {name}` says why it does not run.").format(
                            name=self._name
                        ),
                    ) from error
                time.sleep(0.05)
        if shown != _sorted(routes):
            raise EnvironmentFailed(
                _("The gateway does not serve what it was told to."),
                hint=_("Run the same command again."),
                details=[
                    _("seat {seat}: {state} {address}").format(
                        seat=route.seat, state=_(route.state.value), address=route.address or ""
                    )
                    for route in shown
                    if route not in routes
                ],
            )

    def _apply(self, routes: Sequence[Route]) -> list[Route]:
        created = re.search(r"\d+", self._ask(f"prepare map {MAP}"))
        if created is None:
            raise EnvironmentFailed(_("The gateway does not do what it is asked."))
        version = f"@{created[0]}"
        self._ask(f"add map {version} {MAP} <<\n{_map(routes)}")
        # From here on, and for all seats at the same instant.
        self._ask(f"commit map {version} {MAP}")
        return self._shown()

    def _shown(self) -> list[Route]:
        routes = []
        for line in self._ask(f"show map {MAP}").splitlines():
            # <identifier> <seat> <state>:<address>:<subject>
            parts = line.split()
            if len(parts) == 3:
                state, address, subject = (*parts[2].split(":"), "", "")[:3]
                routes.append(Route(int(parts[1]), RouteState(state), address or None, subject or None))
        return _sorted(routes)

    def _ask(self, command: str) -> str:
        """HAProxy's answer. Raises OSError when it does not answer."""
        # A socket's path is at most 107 bytes long, and the state folder's may be longer: from its folder.
        folder = os.open(self._folder / "run", os.O_PATH | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
                connection.sendall(command.encode() + b"\n")
                answer = b""
                while part := connection.recv(65536):
                    answer += part
        finally:
            os.close(folder)
        return answer.decode()


def _end_connections(address: str) -> None:
    """The kernel ends those to *address* (ss(8), where it can), and HAProxy answers with its own page, which comes back
    by itself; what waits for its turn behind them is next."""
    kill = ["ss", "--kill", "--no-header", "--numeric", "dst", address, "dport", "=", "80"]
    with contextlib.suppress(FileNotFoundError):
        for _turn in range(20):
            if not subprocess.run(kill, capture_output=True, check=False).stdout:
                return
            time.sleep(0.01)


def gateway_image(client: docker.DockerClient) -> str:
    """The id of the gateway's image. Raises ImageUnusable."""
    try:
        image = client.images.get(IMAGE)
    except ImageNotFound:
        raise ImageUnusable(
            _("The gateway's image {image} does not exist on this machine.").format(image=IMAGE),
            hint=_("Run `e5b setup`: it builds the images."),
        ) from None
    return str(image.id)


def templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("orchestrator.adapters"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration files; every value is validated by Settings
    )


def render(settings: Settings, owner: int) -> dict[str, str]:
    """The files that depend on the settings alone, by name. *owner* is the user who may give orders."""
    environment = templates()
    gateway, seats = settings.gateway, settings.seats
    by_host = gateway.addressing == "host"
    context = {
        "routes": MAP,
        "socket": f"{RUN}/{SOCKET}",
        "folder": CONFIG,
        "owner": owner,
        "documents_group": GATEWAY_GROUP,
        "addressing": gateway.addressing,
        "listen": listen(settings),
        "seats": [_key(number) for number in seats],
        "table": _table(settings),
        "subnet": settings.network.subnet,
        "bridge": naming.bridge_name(settings.centre.id),
    }
    return {
        "haproxy.cfg": environment.get_template("haproxy.cfg.j2").render(context),
        "rules.nft": environment.get_template("rules.nft.j2").render(context),
        "documents.lua": environment.get_template("documents.lua").render(context),
        "seats.map": _pairs(
            (naming.seat_host(n, gateway.domain).lower() if by_host else settings.seat_port(n), _key(n)) for n in seats
        ),
        "owners.map": _pairs((seat.address, _key(n)) for n, seat in seats.items()),
        "urls.map": _pairs((_key(n), settings.seat_url(n)) for n in seats),
        "staff.acl": "".join(f"{network}\n" for network in gateway.staff),
    }


def listen(settings: Settings) -> list[tuple[str, int]]:
    """The addresses and ports that the gateway listens on."""
    return [
        (str(settings.gateway.listen), port) for port in sorted({settings.seat_port(seat) for seat in settings.seats})
    ]


def _key(seat: int) -> str:
    return f"{seat:02d}"


def _pairs(pairs: Iterator[tuple[object, str]]) -> str:
    return "".join(f"{key} {value}\n" for key, value in pairs)


def _map(routes: Sequence[Route]) -> str:
    return _pairs(
        (_key(route.seat), f"{route.state}:{route.address or ''}:{route.subject or ''}") for route in _sorted(routes)
    )


def _sorted(routes: Sequence[Route]) -> list[Route]:
    return sorted(routes, key=lambda route: route.seat)


def _table(settings: Settings) -> str:
    return f"e5b_{settings.centre.id}"


def _digest(image: str, files: Mapping[str, str], shown: Path) -> str:
    made_of = json.dumps([image, files, LIMITS, DOCUMENTS, str(shown.absolute())], sort_keys=True)
    return hashlib.sha256(made_of.encode()).hexdigest()


@contextmanager
def alone(folder: Path, parts: Iterable[str], unusable: str) -> Iterator[None]:
    """One caller at a time at *folder*, which is made with its *parts*; what Docker and the disk raise becomes our
    errors. *unusable* is a sentence with `{path}` and `{error}`."""
    try:
        for made in (folder, *(folder / part for part in parts)):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except (DockerException, requests.RequestException) as error:
        raise translated(error) from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpace(
                _("The disk that holds {path} is full.").format(path=folder),
                hint=_("Free some room, then run the same command again."),
            ) from error
        raise EnvironmentFailed(
            unusable.format(path=folder, error=error),
            hint=_("Run the command as the user who owns this folder, or with sudo."),
        ) from error


def own_container(client: docker.DockerClient, name: str, centre_id: str) -> Container | None:
    """The centre's container *name*; None when there is none. Raises Conflict when it is somebody else's."""
    try:
        container = client.containers.get(name)
    except NotFound:
        return None
    if container.labels.get(naming.CENTRE) != centre_id:
        raise Conflict(
            _("A container named {name} exists and is not ours.").format(name=name),
            hint=_("Rename it (docker rename {name} …) or remove it, then run the command again.").format(name=name),
        )
    return container


def mount(source: Path, target: str, *, read_only: bool = True) -> Mount:
    return Mount(target, str(source), type="bind", read_only=read_only)


def store_file(folder: Path, name: str, content: str) -> None:
    """Put *content* in the place of a file, whole or not at all, and on the disk."""
    new = folder / f".{name}.new"
    with new.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / name)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lines(output: bytes) -> list[str]:
    return output.decode(errors="replace").strip().splitlines()


def failed(message: str, output: bytes) -> EnvironmentFailed:
    return EnvironmentFailed(
        message,
        hint=_("These are the gateway's own words; look first at [gateway] and [network] in centre.toml."),
        details=_lines(output),
    )
