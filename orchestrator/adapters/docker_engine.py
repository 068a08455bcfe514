"""The Docker engine through its SDK. Implements ports.Engine.

Only what Docker 20.10 (API 1.41) knows is used: the oldest engine that a supported distribution ships.
"""

import contextlib
import fcntl
import functools
import http.client
import itertools
import json
import os
import re
import secrets
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import docker
import requests
from docker.errors import APIError, ContainerError, DockerException, NotFound
from docker.types import Ulimit

from orchestrator.domain import naming
from orchestrator.domain.exam import Environment, Site
from orchestrator.domain.fingerprint import Fingerprint, FingerprintMalformed
from orchestrator.domain.plan import Observed
from orchestrator.errors import Conflict, E5BError, EngineUnavailable, EnvironmentFailed, NoSpace
from orchestrator.i18n import _
from orchestrator.ports import Aside, EngineFacts, ImageFacts, LayerFacts, Life
from orchestrator.settings import Settings

BIN = "/opt/e5b/bin"
HEALTH = "/e5b-health"

# What MariaDB, Apache and the image's supervisor need to become their own users and to read their files.
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"]

TMPFS = {"/run": "size=16m,mode=755", "/tmp": "size=192m,mode=1777", "/var/tmp": "size=64m,mode=1777"}  # noqa: S108

STDOUT = 1

LEAVING_SETTLES = 0.03
"""Seconds."""

HOLD = "0.2"
"""Seconds that requests are held for a snapshot: enough to freeze the processes, which counts as part of it."""

FULL, GENTLE = 1024, 32
"""Shares of the processors (cgroup): an environment's, and a standby's while it is made behind working candidates."""

STREAMS_TIMEOUT = 150.0
"""Seconds without a word after which a new container's own streams are given up; a site may take less to start."""

ANSWER_TIMEOUT = 3.0
"""Seconds. A page that takes longer is what a candidate calls broken."""

P = ParamSpec("P")
R = TypeVar("R")


def connect(timeout: float = 120) -> docker.DockerClient:
    """A client for the engine that the environment names (DOCKER_HOST) or the local one.

    Raises EngineUnavailable, with the remedy, when none answers or when this user may not talk to it.
    """
    try:
        client = docker.from_env(version="auto", timeout=int(timeout), max_pool_size=64)
        client.ping()
    except (DockerException, requests.RequestException) as error:
        raise unavailable(error) from error
    return client


def unavailable(error: Exception) -> EngineUnavailable:
    """What to tell a person when the engine cannot be reached because of *error*."""
    if "Permission denied" in str(error):
        return EngineUnavailable(
            _("This user may not talk to the Docker engine."),
            hint=_("Run the command with sudo, or add the user to the group docker and log in again."),
        )
    return EngineUnavailable(
        _("No Docker engine answers."),
        hint=_("Start it (sudo systemctl start docker) or install it (sudo e5b setup), then run the command again."),
    )


def _translated(
    method: "Callable[Concatenate[DockerEngine, P], R]",
) -> "Callable[Concatenate[DockerEngine, P], R]":
    """Turns what the SDK raises into our errors."""

    def wrapper(self: "DockerEngine", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except (APIError, DockerException, requests.RequestException) as error:
            raise translated(error) from error

    return functools.update_wrapper(wrapper, method)


def translated(error: Exception) -> E5BError:
    """Our error for what the SDK raised."""
    if isinstance(error, ContainerError):
        said = (error.stderr or b"").decode(errors="replace").strip()[-500:]
        return EnvironmentFailed(_("What was run in a container failed: {reason}").format(reason=said or error))
    if not isinstance(error, APIError):
        return unavailable(error)
    explanation = str(error.explanation or error)
    if "no space left on device" in explanation:
        return translated_no_space()
    return EnvironmentFailed(_("The Docker engine refused: {reason}").format(reason=explanation.strip()))


def translated_no_space() -> NoSpace:
    return NoSpace(
        _("The disk that holds the Docker engine's data is full."),
        hint=_("Free some room, then run the same command again."),
    )


class DockerEngine:
    def __init__(self, client: docker.DockerClient, settings: Settings) -> None:
        self._client, self._settings = client, settings
        self._centre = settings.centre.id
        self._network = naming.network_name(self._centre)
        self._streams: dict[str, Any] = {}
        """By name, the own streams of the containers that were begun here and have not been asked for anything yet."""

    # The engine itself

    @_translated
    def facts(self) -> EngineFacts:
        info = self._client.info()
        root = Path(info["DockerRootDir"])
        backing = dict(info.get("DriverStatus") or ()).get("Backing Filesystem")
        return EngineFacts(
            version=info["ServerVersion"],
            storage_driver=info["Driver"],
            root=root,
            disk_quota=info["Driver"] == "overlay2" and backing == "xfs" and _has_project_quota(root),
            live_restore=bool(info.get("LiveRestoreEnabled")),
            layers_reachable=info["Driver"] == "overlay2" and os.access(root / "overlay2", os.R_OK | os.W_OK | os.X_OK),
        )

    @functools.cached_property
    def _disk_quota(self) -> bool:
        return self.facts().disk_quota

    @_translated
    def image(self, reference: str) -> ImageFacts | None:
        try:
            found = self._client.api.inspect_image(reference)
        except NotFound:
            return None
        labels = found["Config"].get("Labels") or {}
        return ImageFacts(
            id=found["Id"],
            reference=reference,
            contract=labels.get(naming.CONTRACT),
            site=labels.get(naming.SITE),
            size=found["Size"],
        )

    @_translated
    def ensure_network(self) -> None:
        # The supervisor and a preparation may come here at once: the second finds what the first has made.
        folder = self._settings.locks_folder
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "network-made.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._make_network(str(self._settings.network.subnet))

    def _make_network(self, subnet: str) -> None:
        found = self._client.api.networks(names=[self._network])
        for network in (item for item in found if item["Name"] == self._network):
            if (network["Labels"] or {}).get(naming.CENTRE) != self._centre:
                raise Conflict(
                    _("A Docker network named {name} exists and is not ours.").format(name=self._network),
                    hint=_("Rename or remove it, or give the centre another id in centre.toml."),
                )
            if [item["Subnet"] for item in network["IPAM"]["Config"]] == [subnet]:
                return
            if self._client.api.inspect_network(network["Id"])["Containers"]:
                raise Conflict(
                    _("The network {name} is in use with another subnet than {subnet}.").format(
                        name=self._network, subnet=subnet
                    ),
                    hint=_("Finish the waves in progress before changing network.subnet in centre.toml."),
                )
            self._client.api.remove_network(network["Id"])
        try:
            self._client.api.create_network(
                self._network,
                driver="bridge",
                internal=True,
                check_duplicate=True,
                ipam=docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=subnet)]),
                labels={naming.CENTRE: self._centre, naming.ROLE: naming.ROLE_NETWORK},
                options={
                    "com.docker.network.bridge.name": naming.bridge_name(self._centre),
                    # No candidate's site talks to another's.
                    "com.docker.network.bridge.enable_icc": "false",
                },
            )
        except APIError as error:
            if "overlaps" not in str(error.explanation):
                raise
            raise Conflict(
                _("The network {subnet} overlaps with one that the machine already uses.").format(subnet=subnet),
                hint=_("Choose another private network for network.subnet in centre.toml."),
            ) from error

    @_translated
    def observe(self, names: Collection[str] = ()) -> dict[str, Observed]:
        found: dict[str, Observed] = {}
        for item in self._client.api.containers(all=True):
            name = item["Names"][0].removeprefix("/")
            labels = item["Labels"] or {}
            ours = labels.get(naming.CENTRE) == self._centre
            if not ours and name not in names:
                continue
            networks = item["NetworkSettings"]["Networks"] or {}
            seat = labels.get(naming.SEAT)
            found[name] = Observed(
                name=name,
                ours=ours,
                running=item["State"] == "running",
                image=item["ImageID"],
                address=(networks.get(self._network) or {}).get("IPAddress") or None,
                seat=int(seat) if ours and seat is not None else None,
            )
        return found

    # Environments

    @_translated
    def create(self, environment: Environment, *, gently: bool = False) -> None:
        found = self._inspect(environment.name)
        if found is not None:
            self._check_ours(found)
            # One that was never started may lack its layer's content.
            if found["Image"] == environment.image and found["State"]["Status"] not in {"dead", "created"}:
                self.start(environment.name)
                return
            self.remove(environment.name)
        labels = {
            naming.CENTRE: self._centre,
            naming.ROLE: naming.ROLE_ENVIRONMENT,
            naming.SEAT: str(environment.seat),
            naming.SITE: environment.site.value,
            naming.GENERATION: str(environment.generation),
        }
        self._begin(
            environment.image,
            environment.name,
            labels,
            environment.url,
            environment.address,
            environment.layer,
            hostname=f"poste-{environment.seat:02d}",
            shares=GENTLE if gently else FULL,
        )

    @_translated
    def create_aside(self, aside: Aside) -> None:
        self.remove(aside.name)
        labels = {naming.CENTRE: self._centre, naming.ROLE: aside.role}
        self._begin(aside.image, aside.name, labels, aside.url, aside.address, aside.layer)

    def _begin(
        self,
        image: str,
        name: str,
        labels: dict[str, str],
        url: str | None,
        address: str | None,
        layer: str | None,
        *,
        hostname: str | None = None,
        shares: int = FULL,
    ) -> None:
        """Create the container, put the layer's content in it, start it; without an address it is on no network."""
        api = self._client.api
        # An image without the label would never answer.
        answering = naming.STREAMS in (api.inspect_image(image)["Config"]["Labels"] or {})
        api.create_container(
            image,
            name=name,
            hostname=hostname,
            environment={} if url is None else {"E5B_URL": url},
            labels=labels,
            stop_signal="SIGTERM",
            stdin_open=answering,
            host_config=self._host_config(self._network if address else "none", shares=shares),
            networking_config=api.create_networking_config(
                {self._network: api.create_endpoint_config(ipv4_address=address)}
            )
            if address
            else None,
        )
        filled = self._put_in(name, layer) if layer is not None else contextlib.nullcontext()
        with filled, self._network_use(leaving=False):
            if answering:
                self._streams[name] = api.attach_socket(name, {"stdin": 1, "stdout": 1, "stream": 1})
            api.start(name)

    @contextlib.contextmanager
    def _put_in(self, name: str, layer: str) -> Iterator[None]:
        """Give the container, which has not been started yet, all that *layer* holds above its image; at the end it is
        on the disk.

        An environment is always one layer above the reference, however often it was restored: a fingerprint, an export
        and evidence stay relative to the reference, and the depth at which overlay fails is never approached. See
        docs/adr/0006.
        """
        try:
            found = self._client.api.inspect_image(layer)
        except NotFound:
            raise EnvironmentFailed(_("The restore point's layer {layer} is gone.").format(layer=layer)) from None
        try:
            # The disk takes its time, in which the site starts.
            written = _copy_layer(found, self._owned(name))
            with _ended(["sync", "-f", written]):
                yield
        except E5BError:
            self.remove(name)
            raise

    def _host_config(self, network: str, shares: int = FULL) -> Any:
        limits = self._settings.limits
        memory, disk = limits.memory_mb * 2**20, limits.disk_mb * 2**20
        return self._client.api.create_host_config(
            network_mode=network,
            cap_drop=["ALL"],
            cap_add=CAPABILITIES,
            security_opt=["no-new-privileges"],
            mem_limit=memory,
            memswap_limit=memory,
            nano_cpus=int(limits.cpus * 1e9),
            cpu_shares=shares,
            pids_limit=limits.processes,
            tmpfs=TMPFS,
            # The work survives a restart of the engine or of the machine.
            restart_policy={"Name": "unless-stopped"},
            # A single file can never be larger than the whole allowance, even where the engine has no quota.
            ulimits=[Ulimit(name="fsize", soft=disk, hard=disk), Ulimit(name="core", soft=0, hard=0)],
            storage_opt={"size": f"{limits.disk_mb}m"} if self._disk_quota else None,
            log_config=docker.types.LogConfig(type="json-file", config={"max-size": "1m", "max-file": "1"}),
            # Docker's own resolver would forward queries to the host's: this upstream answers nothing, at once.
            dns=["127.0.0.1"],
            dns_opt=["timeout:1", "attempts:1"],
            # Before the kernel kills anything of the host, it kills a candidate's runaway process.
            oom_score_adj=500,
        )

    @_translated
    def start(self, name: str) -> None:
        found = self._owned(name)
        if found["State"]["Paused"]:
            self._client.api.unpause(name)
        elif not found["State"]["Running"]:
            with self._network_use(leaving=False):
                self._client.api.start(name)

    @_translated
    def prefer(self, name: str) -> None:
        # To change it is a process of the engine's for each container, even where nothing changes.
        if self._owned(name)["HostConfig"]["CpuShares"] != FULL:
            self._client.api.update_container(name, cpu_shares=FULL)

    @_translated
    def life(self, name: str) -> Life | None:
        found = self._inspect(name)
        if found is None:
            return None
        self._check_ours(found)
        state = found["State"]
        return Life(state["Status"], _moment(state["StartedAt"]), _moment(state["FinishedAt"]))

    def answers(self, environment: Environment) -> str | None:
        connection = http.client.HTTPConnection(environment.address, 80, timeout=ANSWER_TIMEOUT)
        try:
            connection.request("GET", HEALTH)
            answer = connection.getresponse()
            said = answer.read(200).decode(errors="replace").strip()
        except TimeoutError:
            return _("it does not answer within {seconds:.0f} s").format(seconds=ANSWER_TIMEOUT)
        except (OSError, http.client.HTTPException):
            return _("it does not answer")
        finally:
            connection.close()
        return None if answer.status == 200 else _("it is not well ({reason})").format(reason=said or answer.status)

    @_translated
    def restart(self, name: str) -> None:
        self._owned(name)
        with self._network_use(leaving=True):
            self._client.api.restart(name, timeout=15)

    @_translated
    def remove(self, name: str) -> None:
        if (streams := self._streams.pop(name, None)) is not None:
            _hang_up(streams)
        found = self._inspect(name)
        if found is None:
            return
        self._check_ours(found)
        with contextlib.suppress(NotFound), self._network_use(leaving=True):
            self._client.api.remove_container(found["Id"], force=True, v=True)

    @_translated
    def ready(self, name: str, timeout: float) -> None:
        self._run(name, ["ready", "--timeout", str(int(timeout))])

    @_translated
    def fingerprint(self, name: str, *, full: bool = False, within: float | None = None) -> Fingerprint:
        def changes() -> bytes:
            return b"" if full else self._changes(name)

        command = ["fingerprint", *(["--full"] if full else [])]
        if within is None:
            text = self._run(name, command, changes())
        else:
            # One process in place of two: when it asks for what has changed, the site is ready.
            text = self._run(name, [*command, "--when-ready", str(int(within))], changes)
        try:
            return Fingerprint.parse(text.decode(errors="replace"))
        except FingerprintMalformed as error:
            raise EnvironmentFailed(
                _("{name} gave a fingerprint that cannot be read: {error}.").format(name=name, error=error)
            ) from error

    @_translated
    def reference(self, site: Site, image: str, fixtures: bytes | None = None) -> Fingerprint:
        name = naming.reference_name(self._centre, site.value)
        try:
            self.create_aside(Aside(name, naming.ROLE_REFERENCE, image))
            self.ready(name, 120)
            if fixtures is not None:
                self.load(name, iter([fixtures]))
            return self.fingerprint(name, full=True)
        finally:
            self.remove(name)

    @_translated
    def describe(self, name: str) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self._run(name, ["describe"]))
        return described

    @_translated
    def quiesce(self, name: str) -> None:
        self._run(name, ["quiesce", "--timeout", "10", "--hold", "300"])

    @_translated
    def thaw(self, name: str) -> None:
        self._run(name, ["thaw"])

    @_translated
    def commit(self, name: str, tag: str, labels: Mapping[str, str]) -> LayerFacts:
        return self._make_layer(self._owned(name), tag, {**labels, naming.ROLE: naming.ROLE_EVIDENCE})

    @_translated
    def snapshot(self, name: str, tag: str, labels: Mapping[str, str], *, leave_frozen: bool = False) -> LayerFacts:
        found = self._owned(name)
        all_labels = {**labels, naming.ROLE: naming.ROLE_POINT}
        if leave_frozen:
            # Nobody works in it any more: there is no page that waits for the image.
            with self._frozen(found, leave=True):
                return self._make_layer(found, tag, all_labels)
        # A candidate's page waits while the layer is copied, tens of milliseconds; the engine takes several times as
        # long to make an image, which it does of the copy.
        copy = f"{name}-copy"
        self._drop(copy)
        self._client.api.create_container(
            found["Image"],
            name=copy,
            environment=found["Config"]["Env"],
            labels={naming.CENTRE: self._centre, naming.ROLE: naming.ROLE_POINT},
            host_config=self._client.api.create_host_config(network_mode="none"),
        )
        try:
            with self._frozen(found):
                _copy_layer(found, self._owned(copy))
            return self._make_layer(self._owned(copy), tag, all_labels)
        finally:
            self._drop(copy)

    @contextlib.contextmanager
    def _frozen(self, found: Mapping[str, Any], *, leave: bool = False) -> Iterator[None]:
        """The container's processes stand still meanwhile, and with *leave* afterwards, unless something fails. One
        that was frozen before (it wrote too much) stays so."""
        name, running = found["Id"], found["State"]["Running"] and not found["State"]["Paused"]
        if running:
            # Between two pages if one ends soon; all the same if not: saved work is durable at any instant.
            with contextlib.suppress(EnvironmentFailed):
                self._run(name, ["quiesce", "--quick", "--timeout", "1", "--hold", HOLD])
            self._client.api.pause(name)
        try:
            yield
        except BaseException:
            if running:
                self._client.api.unpause(name)
            raise
        if running and not leave:
            self._client.api.unpause(name)

    def _drop(self, name: str) -> None:
        """Remove a container of ours that was never started, and so is on no network."""
        found = self._inspect(name)
        if found is not None:
            self._check_ours(found)
            with contextlib.suppress(NotFound):
                self._client.api.remove_container(found["Id"], force=True, v=True)

    def _make_layer(self, found: Mapping[str, Any], tag: str, labels: Mapping[str, str]) -> LayerFacts:
        """An image of the container, all of whose processes are frozen meanwhile."""
        all_labels = {**labels, naming.CENTRE: self._centre}
        previous = self._layer(tag)
        made = self._client.api.commit(
            found["Id"],
            repository=tag.partition(":")[0],
            tag=tag.partition(":")[2],
            changes=[f"LABEL {key}={json.dumps(value)}" for key, value in all_labels.items()],
        )
        if previous is not None and previous != made["Id"]:
            # What an interrupted attempt left under this tag has just lost its name.
            with contextlib.suppress(APIError):
                self._client.api.remove_image(previous)
        size = self._client.api.inspect_image(made["Id"])["Size"]
        return LayerFacts(made["Id"], tag, size - self._client.api.inspect_image(found["Image"])["Size"])

    def _layer(self, tag: str) -> str | None:
        """The id of the image that has *tag*. Raises Conflict when it is not ours."""
        try:
            found = self._client.api.inspect_image(tag)
        except NotFound:
            return None
        if (found["Config"].get("Labels") or {}).get(naming.CENTRE) != self._centre:
            raise Conflict(
                _("An image named {name} exists and is not ours; it was not touched.").format(name=tag),
                hint=_("Its owner must rename or remove it; then run the command again."),
            )
        return str(found["Id"])

    @_translated
    def remove_layer(self, tag: str) -> None:
        if self._layer(tag) is not None:
            with contextlib.suppress(NotFound):
                self._client.api.remove_image(tag)

    def export(self, name: str) -> Iterator[bytes]:
        try:
            yield from self._stream(name, ["export"], self._changes(name))
        except (APIError, DockerException, requests.RequestException) as error:
            raise translated(error) from error

    @_translated
    def load(self, name: str, parts: Iterator[bytes]) -> None:
        for _nothing in self._stream(name, ["load-fixtures"], parts):
            pass

    @_translated
    def set_url(self, name: str, url: str) -> None:
        self._run(name, ["set-url", url])

    @_translated
    def sizes(self) -> dict[str, int]:
        labels = [f"{naming.CENTRE}={self._centre}", f"{naming.ROLE}={naming.ROLE_ENVIRONMENT}"]
        found = self._client.api.containers(all=True, size=True, filters={"label": labels})
        return {item["Names"][0].removeprefix("/"): int(item.get("SizeRw") or 0) for item in found}

    @_translated
    def pause(self, name: str) -> None:
        if not self._owned(name)["State"]["Paused"]:
            self._client.api.pause(name)

    # What all of them use

    @contextlib.contextmanager
    def _network_use(self, *, leaving: bool) -> Iterator[None]:
        """Held while a container joins the environments' network (any number at a time) or leaves it (alone).

        Docker before 23 can lock itself up for good when a container leaves a network while another joins or leaves
        it (libnetwork takes two locks in opposite orders: moby/moby#42545). See docs/adr/0005.
        """
        folder = self._settings.locks_folder
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "network.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX if leaving else fcntl.LOCK_SH)
            yield
            if leaving:
                # The engine forgets the endpoint a moment after it has answered.
                time.sleep(LEAVING_SETTLES)

    def _inspect(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._client.api.inspect_container(name)
        except NotFound:
            return None
        return found

    def _owned(self, name: str) -> dict[str, Any]:
        found = self._inspect(name)
        if found is None:
            raise EnvironmentFailed(_("The environment {name} is not there any more.").format(name=name))
        self._check_ours(found)
        return found

    def _check_ours(self, found: Mapping[str, Any]) -> None:
        if (found["Config"]["Labels"] or {}).get(naming.CENTRE) != self._centre:
            raise Conflict(
                _("A container named {name} exists and is not ours; it was not touched.").format(
                    name=found["Name"].removeprefix("/")
                ),
                hint=_("Its owner must rename or remove it; then run the command again."),
            )

    def _changes(self, name: str) -> bytes:
        """What differs from the image, as the contract's executables read it: NUL-separated absolute paths."""
        driver = self._owned(name)["GraphDriver"]
        if driver["Name"] == "overlay2":
            # The engine's own `diff` compares two whole trees, seconds for tens of thousands of files; what was
            # written lies in the container's upper layer, which only root on the engine's own machine can read.
            with contextlib.suppress(OSError):
                layer = os.fsencode(driver["Data"]["UpperDir"])
                return b"".join(path + b"\0" for path in paths_under(layer))
        changes = self._client.api.diff(name) or ()
        return b"".join(change["Path"].encode("utf-8", "surrogateescape") + b"\0" for change in changes)

    def _run(self, name: str, command: list[str], stdin: bytes | Callable[[], bytes] | None = None) -> bytes:
        if (streams := self._streams.pop(name, None)) is not None:
            try:
                with contextlib.suppress(OSError, StopIteration):
                    return self._ask(streams, name, command, stdin)
            finally:
                _hang_up(streams)
        # So too where those streams have ended: it has been started again since, or does not run.
        return b"".join(self._stream(name, command, stdin))

    def _ask(self, streams: Any, name: str, command: list[str], stdin: bytes | Callable[[], bytes] | None) -> bytes:
        """As :meth:`_run`, through the own streams of a container that has just been begun (see the image contract):
        for the engine to start a process in it costs as much as half a fingerprint. OSError or StopIteration when they
        end before the answer does."""
        connection: socket.socket = getattr(streams, "_sock", streams)
        connection.settimeout(STREAMS_TIMEOUT)
        frames = _frames(streams)
        mark = secrets.token_hex(8)
        ended = re.compile(rf"\n{mark} (\d+)\n$".encode())
        connection.sendall(f"{mark} {' '.join(command)}\n".encode())
        said = b""
        if callable(stdin):
            said, stdin = next(frames)[1], stdin()
        connection.sendall(stdin or b"")
        connection.shutdown(socket.SHUT_WR)
        while (end := ended.search(said)) is None:
            said += next(frames)[1]
        answer = said[: end.start()]
        if int(end[1]) != 0:
            raise _failed(name, command, answer.decode(errors="replace").strip())
        return answer

    def _stream(
        self, name: str, command: list[str], stdin: bytes | Iterator[bytes] | Callable[[], bytes] | None = None
    ) -> Iterator[bytes]:
        """Standard output of one of the contract's executables; EnvironmentFailed when it does not exit with 0. A
        *stdin* that is called is called when the executable has written the first of its output."""
        self._owned(name)
        api = self._client.api
        created = api.exec_create(name, [f"{BIN}/{command[0]}", *command[1:]], stdin=stdin is not None)
        stream = api.exec_start(created["Id"], socket=True)
        connection: socket.socket = getattr(stream, "_sock", stream)
        connection.settimeout(None)
        frames = _frames(stream)
        errors: list[bytes] = []
        try:
            if callable(stdin):
                frames = itertools.chain([next(frames, (STDOUT, b""))], frames)
                stdin = stdin()
            if stdin is not None:
                # One that ends before it has read all says why on its standard error.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    for piece in [stdin] if isinstance(stdin, bytes) else stdin:
                        connection.sendall(piece)
                    connection.shutdown(socket.SHUT_WR)
            for kind, data in frames:
                if kind == STDOUT:
                    yield data
                else:
                    errors.append(data)
        finally:
            stream.close()
        code = api.exec_inspect(created["Id"])["ExitCode"]
        if code != 0:
            raise _failed(name, command, b"".join(errors).decode(errors="replace").strip() or f"exit status {code}")


def _failed(name: str, command: list[str], reason: str) -> EnvironmentFailed:
    return EnvironmentFailed(
        _("{name}: {command} failed: {reason}").format(name=name, command=command[0], reason=reason)
    )


def _hang_up(streams: Any) -> None:
    """What the SDK hands out is in a ring of objects: to close it leaves the connection to the garbage collector."""
    with contextlib.suppress(OSError):
        getattr(streams, "_sock", streams).shutdown(socket.SHUT_RDWR)
    streams.close()


def _frames(stream: Any) -> Iterator[tuple[int, bytes]]:
    """What an exec writes: 1 standard output, 2 standard error (Docker Engine API, "Attach to a container").

    The SDK hands out the bare socket. Whatever came in the same packet as the answer's headers is in the response's own
    buffer by then, and would be lost: all of a short output, when this process is busy.
    """
    reader = stream._response.raw._fp.fp
    while len(header := reader.read(8)) == 8:
        kind, length = struct.unpack(">BxxxL", header)
        yield kind, reader.read(length)


def _copy_layer(source: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    """Copy what one container or image holds above its image into a container that was never started; the folder that
    it is in now. Raises EnvironmentFailed, NoSpace."""
    folders = [
        item["GraphDriver"]["Data"].get("UpperDir") if item["GraphDriver"]["Name"] == "overlay2" else None
        for item in (source, target)
    ]
    if not all(folders):
        raise EnvironmentFailed(
            _("The engine does not keep its layers with overlay2: nothing can be restored."),
            hint=_("Set the storage driver overlay2 in /etc/docker/daemon.json, outside an exam."),
        )
    # cp keeps what Python's own copy does not: overlay's marks of deleted files, owners, extended attributes.
    with _ended(["cp", "-a", f"{folders[0]}/.", str(folders[1])]):
        return str(folders[1])


@contextlib.contextmanager
def _ended(command: list[str]) -> Iterator[None]:
    """*command* runs, and has ended well at the end. Raises EnvironmentFailed, NoSpace."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    try:
        yield
    finally:
        _nothing, said = process.communicate()
    if process.returncode != 0:
        if "No space left" in said:
            raise translated_no_space()
        raise EnvironmentFailed(
            _("The environment's layer cannot be copied: {reason}").format(reason=said.strip()),
            hint=_("Run the command as root, on the machine of the Docker engine."),
        )


def paths_under(layer: bytes) -> Iterator[bytes]:
    """Every path in an overlay's upper *layer*, as it is called inside; a deleted file's too (overlay keeps a mark).

    What a replaced folder hides is not listed: the image's executables compare a listed folder's own content.
    """
    pending = [b""]
    while pending:
        folder = pending.pop()
        with os.scandir(layer + folder) as entries:
            for entry in entries:
                path = folder + b"/" + entry.name
                yield path
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)


def _moment(text: str) -> datetime | None:
    """The engine's time, in the system clock's; it writes year 1 for never."""
    found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    return None if found.year == 1 else found


def _has_project_quota(folder: Path) -> bool:
    """Whether the file system that holds *folder* is mounted with project quotas (xfs ``prjquota``)."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    mounts = [line.split()[1:4:2] for line in lines]
    holding = [mount for mount in mounts if folder.is_relative_to(mount[0])]
    options = max(holding, key=lambda mount: len(mount[0]), default=["", ""])[1].split(",")
    return "prjquota" in options or "pquota" in options
