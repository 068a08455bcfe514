"""The guard: nftables, dnsmasq and HAProxy in a container of its own. Implements ports.Guard.

What depends on the settings alone is rendered into a folder that is never changed: other settings are another folder
and another container. What changes is beside it: the locked seats, and the policies, of which a link names the one in
force. Each is stored first, and then the keeper in the container (images/guard/keeper.py) is told through its socket;
one that starts again by itself puts up what is stored.
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import docker
from docker.errors import ContainerError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Ulimit

from orchestrator.adapters import dnsmasq, guard_logs, guard_proxy, nftables
from orchestrator.adapters.guard_layout import (
    CLOSED,
    CONFIG,
    NET,
    PORTS,
    PROBE_ADDRESS,
    PROBE_INTERFACE,
    PROBE_MAC,
    PROBE_ROUTER,
    PROBE_SEAT,
    STATE,
    template,
)
from orchestrator.adapters.haproxy import alone, mount, own_container, store_file
from orchestrator.adapters.machine import SystemHost
from orchestrator.domain import naming
from orchestrator.domain.guard import Policy
from orchestrator.errors import Conflict, EnvironmentFailed, ImageUnusable, Refused
from orchestrator.i18n import _
from orchestrator.ports import Attempt, GuardState
from orchestrator.settings import Settings

IMAGE = "e5b/guard:current"

VERSION = "fr.e5b.guard.version"
"""Label of the container: digest of all that it was made from."""

LIMITS: Mapping[str, Any] = {
    "cap_drop": ["ALL"],
    # The rules and the seats' packets; iptables' own socket; the controller's folders whoever owns them; the sockets'
    # owner; becoming another user, and ending what that user runs.
    "cap_add": ["NET_ADMIN", "NET_RAW", "DAC_OVERRIDE", "CHOWN", "FOWNER", "SETUID", "SETGID", "KILL"],
    "security_opt": ["no-new-privileges"],
    "read_only": True,
    "tmpfs": {"/run": "size=4m", "/tmp": "size=4m"},  # noqa: S108
    # A million names twice, while one policy takes the place of another.
    "mem_limit": "1500m",
    "memswap_limit": "1500m",
    # Mode proxy: a thread for each open tunnel.
    "pids_limit": 2048,
    # An order, or a name, does not wait behind twenty busy sites.
    "cpu_shares": 8192,
}

ORDER_TIMEOUT, POLICY_TIMEOUT, START_TIMEOUT, PROBE_TIMEOUT = 5.0, 120.0, 60.0, 300.0
"""Seconds."""


class DockerGuard:
    """*network*: ``host``, or ``container:<id>`` whose network the guard works in."""

    def __init__(self, client: docker.DockerClient, settings: Settings, network: str = "host") -> None:
        self._client, self._settings, self._network = client, settings, network
        self._name = naming.guard_name(settings.centre.id)
        self._labels = {naming.CENTRE: settings.centre.id, naming.ROLE: naming.ROLE_GUARD}
        self._folder = settings.guard_folder.absolute()
        self._addresses = {PROBE_SEAT: PROBE_ADDRESS} | {
            number: str(seat.address) for number, seat in settings.seats.items()
        }
        self._seats = {address: number for number, address in self._addresses.items()}

    def ensure(self, policy: Policy, locked: Collection[int]) -> bool:
        with self._alone():
            image = self._image()
            files = self._render()
            version = _digest(image, files, self._network)
            container = self._container()
            state = self._running(container, version)
            if state is None:
                self._replace(container, image, files, version, policy, locked)
                return True
            changed = bool(state["repaired"])
            if state["version"] != policy.version:
                self._apply(policy)
                changed = True
            wanted = self._wanted(locked)
            if set(state["locked"]) != wanted or self._stored() != wanted:
                self._lock(wanted)
                changed = True
            return changed

    def lock(self, locked: Collection[int]) -> None:
        with self._alone():
            self._lock(self._wanted(locked))

    def state(self) -> GuardState | None:
        try:
            found = self._order("state")
        except (OSError, EnvironmentFailed):
            return None
        return GuardState(
            found["version"],
            frozenset(self._seats[address] for address in found["locked"] if address in self._seats),
            found["engines"],
        )

    def attempts(self, mark: str = "") -> Iterator[Attempt]:
        return guard_logs.attempts(self._folder / "log", self._seats, mark)

    def remove(self) -> None:
        with self._alone():
            container = self._container()
            if container is not None:
                container.remove(force=True)
            with contextlib.suppress(ImageUnusable):
                self._once(self._image(), ["clear", nftables.TABLE, nftables.MARK])
            for entry in self._folder.iterdir():
                if entry.name != "log" and entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
            (self._folder / "current").unlink(missing_ok=True)

    def _alone(self) -> AbstractContextManager[None]:
        return alone(self._folder, ("run", "log"), _("The guard's folder {path} cannot be used: {error}."))

    # What is stored

    def _render(self) -> dict[str, str]:
        """The files that depend on the settings alone, by name."""
        guard = self._settings.guard
        gateway = guard.mode == "gateway"
        kernel = {"ipv4/icmp_ratelimit": "0"}
        if gateway:
            # No word to a seat of a shorter way past the guard.
            kernel |= {f"ipv4/conf/{name}/send_redirects": "0" for name in ("all", "default", guard.interface)}
            kernel["ipv4/ip_forward"] = "1"
        keeper = {
            "table": nftables.TABLE,
            "mark": nftables.MARK,
            "forwards": gateway,
            "kernel": kernel,
            "open_port": PORTS["open_dns"],
            "exam_ports": [PORTS["exam_dns"], PORTS["exam_dns_next"]],
            "closed": f" is {CLOSED}",
            "owner": self._folder.stat().st_uid,
        }
        return {
            "keeper.json": json.dumps(keeper, indent=1),
            "rules.nft": nftables.render(self._settings),
            "ulogd.conf": template("ulogd.conf").render(group=nftables.LOG_GROUP),
            **dnsmasq.render(self._settings),
            **guard_proxy.render(self._settings),
        }

    def _wanted(self, locked: Collection[int]) -> set[str]:
        return {self._addresses[seat] for seat in locked}

    def _stored(self) -> set[str] | None:
        try:
            return set((self._folder / "locked").read_text(encoding="ascii").split())
        except FileNotFoundError:
            return None

    def _store_locked(self, wanted: set[str]) -> None:
        store_file(self._folder, "locked", "".join(f"{address}\n" for address in sorted(wanted)))

    def _policy_folder(self, policy: Policy) -> str:
        """The name of a new folder with *policy* as the engines read it. Raises Refused."""
        deep = [rule for rule in policy.rules.values() if rule.name.count(".") >= guard_proxy.LABELS]
        if deep:
            raise Refused(
                _("The policy names what is too deep for the guard: at most {most} parts.").format(
                    most=guard_proxy.LABELS
                ),
                hint=_("Name less of it: a rule covers all that is under its name."),
                details=[f"{rule.place}: {rule.name}" for rule in deep[:20]],
            )
        numbers = [int(path.name.removeprefix("policy-")) for path in self._folder.glob("policy-*")]
        name = f"policy-{max(numbers, default=0) + 1}"
        new = Path(tempfile.mkdtemp(prefix=".policy-", dir=self._folder))
        try:
            (new / "dns").mkdir()
            _write(new / "names.map", guard_proxy.names(policy))
            _write(new / "dns" / "names.conf", dnsmasq.names(policy))
            _write(new / "version", [policy.version])
            # dnsmasq has become another user when it reads them.
            new.chmod(0o755)
            new.rename(self._folder / name)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        return name

    def _tidy(self, *kept: str | None) -> None:
        """Forget all policies but *kept*: what is in force, and what was before."""
        for folder in (*self._folder.glob("policy-*"), *self._folder.glob(".policy-*")):
            if folder.name not in kept:
                shutil.rmtree(folder)

    def _current(self) -> str | None:
        with contextlib.suppress(OSError):
            return (self._folder / "current").readlink().name
        return None

    # What runs

    def _image(self) -> str:
        try:
            return str(self._client.images.get(IMAGE).id)
        except ImageNotFound:
            raise ImageUnusable(
                _("The guard's image {image} does not exist on this machine.").format(image=IMAGE),
                hint=_("Run `e5b setup`: it builds the images."),
            ) from None

    def _container(self) -> Container | None:
        """Our guard. Raises Conflict when its name is somebody else's."""
        return own_container(self._client, self._name, self._settings.centre.id)

    def _running(self, container: Container | None, version: str) -> dict[str, Any] | None:
        """The keeper's own word when it runs as it should. One that is just starting again has a moment to answer."""
        if container is None or container.labels.get(VERSION) != version:
            return None
        deadline = time.monotonic() + ORDER_TIMEOUT
        while container.status in {"running", "restarting"}:
            with contextlib.suppress(OSError, EnvironmentFailed):
                return self._order("state")
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
            container.reload()
        return None

    def _replace(
        self,
        container: Container | None,
        image: str,
        files: Mapping[str, str],
        version: str,
        policy: Policy,
        locked: Collection[int],
    ) -> None:
        self._check_ports(container)
        before = self._current()
        name = self._policy_folder(policy)
        try:
            config = self._checked(image, files, name)
        except BaseException:
            shutil.rmtree(self._folder / name)
            raise
        self._store_locked(self._wanted(locked))
        link = self._folder / ".current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        link.replace(self._folder / "current")
        # Its rules stay in the kernel until the new one's take their place.
        if container is not None:
            container.remove(force=True)
        self._start(image, config, version)
        self._tidy(name, before)
        for old in self._folder.glob("config-*"):
            if old != config:
                shutil.rmtree(old)

    def _check_ports(self, container: Container | None) -> None:
        if self._network != "host" or (container is not None and container.status == "running"):
            return
        guard, host = self._settings.guard, SystemHost()
        ports = [*PORTS.values(), guard.page_port, *([guard.proxy_port] if guard.mode == "proxy" else [])]
        holders = {port: host.port_holder("0.0.0.0", port) for port in ports}  # noqa: S104
        taken = [
            _("port {port}: {holder}").format(port=port, holder=holder) for port, holder in holders.items() if holder
        ]
        if taken:
            raise Conflict(
                _("The guard cannot listen: a port that it needs is in use."),
                hint=_("Stop what holds it."),
                details=taken,
            )

    def _checked(self, image: str, files: Mapping[str, str], policy: str) -> Path:
        """A new folder with *files*, which the engines themselves found right."""
        config = Path(tempfile.mkdtemp(prefix="config-", dir=self._folder))
        try:
            config.chmod(0o755)
            for name, content in files.items():
                store_file(config, name, content)
            mounts = [mount(config, CONFIG), mount(self._folder, STATE)]
            self._once(image, ["check", policy], network="none", mounts=mounts)
        except ContainerError as error:
            shutil.rmtree(config)
            raise Refused(
                _("The guard's new configuration does not pass the engines' own checks; the former one stays."),
                hint=_("These are the engines' own words; look first at [guard] in centre.toml."),
                details=_lines(error.stderr or b""),
            ) from error
        except BaseException:
            shutil.rmtree(config, ignore_errors=True)
            raise
        return config

    def _once(self, image: str, command: list[str], *, network: str | None = None, mounts: Iterable[Any] = ()) -> None:
        """Run something in a throw-away container. Raises ContainerError when it fails."""
        name = f"{naming.guard_name(self._settings.centre.id)}-once"
        self._remove_left(name)
        self._client.containers.run(
            image,
            command,
            name=name,
            labels=self._labels,
            network_mode=network or self._network,
            mounts=list(mounts),
            remove=True,
            stderr=True,
            **LIMITS,
        )

    def _remove_left(self, name: str) -> None:
        """What a killed controller left behind. Nobody else is here: callers hold the lock."""
        with contextlib.suppress(NotFound):
            left = self._client.containers.get(name)
            if left.labels.get(naming.CENTRE) == self._settings.centre.id:
                left.remove(force=True)

    def _start(self, image: str, config: Path, version: str) -> None:
        (self._folder / "run" / "keeper.sock").unlink(missing_ok=True)
        container = self._client.containers.create(
            image,
            ["serve"],
            name=self._name,
            labels={**self._labels, VERSION: version},
            network_mode=self._network,
            restart_policy={"Name": "unless-stopped"},
            ulimits=[Ulimit(name="nofile", soft=16384, hard=16384)],
            log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
            mounts=[
                mount(config, CONFIG),
                mount(self._folder, STATE, read_only=False),
                # The kernel's settings of the network that it works in; the engine shows them read-only.
                mount(Path("/proc/sys/net"), NET, read_only=False),
            ],
            **LIMITS,
        )
        try:
            container.start()
            self._await(container)
        except BaseException:
            # Under its restart policy it would come to life later, when nobody expects it.
            container.remove(force=True)
            raise

    def _await(self, container: Container) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(OSError):
                self._order("state")
                return
            container.reload()
            if container.attrs["RestartCount"] or container.status != "running" or time.monotonic() > deadline:
                raise EnvironmentFailed(
                    _("The guard does not start."),
                    hint=_("These are its own words; look first at [guard] in centre.toml."),
                    details=_lines(container.logs(tail=20)),
                )
            time.sleep(0.02)

    def _apply(self, policy: Policy) -> None:
        before = self._current()
        name = self._policy_folder(policy)
        try:
            self._order("policy", timeout=POLICY_TIMEOUT, folder=name)
        except EnvironmentFailed as error:
            shutil.rmtree(self._folder / name)
            raise Refused(
                _("The guard's engines do not take the new policy; the former one stays in force."),
                hint=_("These are the engines' own words."),
                details=error.details,
            ) from error
        except OSError as error:
            # One of the two is in force, whole; the other is forgotten with the next that is.
            raise EnvironmentFailed(
                _("The guard ended while it took a new policy."), hint=_("Run the same command again.")
            ) from error
        self._tidy(name, before)

    def _lock(self, wanted: set[str]) -> None:
        if self._stored() != wanted:
            self._store_locked(wanted)
        # A guard that is just starting again by itself has a moment to answer.
        deadline = time.monotonic() + ORDER_TIMEOUT
        while True:
            try:
                shown = set(self._order("lock")["locked"])
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise EnvironmentFailed(
                        _("The guard does not answer; the locks are stored, and will hold when it runs."),
                        hint=_("Run the same command again; `docker logs {name}` says why it does not run.").format(
                            name=self._name
                        ),
                    ) from error
                time.sleep(0.05)
        if shown != wanted:
            raise EnvironmentFailed(
                _("The guard does not lock the seats that it was told to."),
                hint=_("Run the same command again."),
                details=sorted(shown ^ wanted),
            )

    def _order(self, order: str, *, timeout: float = ORDER_TIMEOUT, **more: str) -> dict[str, Any]:
        """The keeper's answer. Raises OSError when it does not answer, EnvironmentFailed when it could not do it."""
        # A socket's path is at most 107 bytes long, and the state folder's may be longer: from its folder.
        folder = os.open(self._folder / "run", os.O_PATH | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout)
                connection.connect(f"/proc/self/fd/{folder}/keeper.sock")
                connection.sendall(json.dumps({"order": order, **more}).encode() + b"\n")
                said = b""
                while part := connection.recv(65536):
                    said += part
        finally:
            os.close(folder)
        if not said:
            raise ConnectionError("no answer")
        answer: dict[str, Any] = json.loads(said)
        if "failed" in answer:
            raise EnvironmentFailed(
                _("The guard does not do what it is asked."),
                hint=_("Run the same command again."),
                details=str(answer["failed"]).splitlines()[-20:],
            )
        return answer

    # Seen from a seat

    def probe(self, script: str, plan: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._alone():
            image = self._image()
            guard = self._container()
            if guard is None or guard.status != "running":
                raise EnvironmentFailed(_("The guard does not run."), hint=_("Run `e5b guard on` first."))
            name = f"{self._name}-probe"
            self._remove_left(name)
            folder = Path(tempfile.mkdtemp(prefix="probe-", dir=self._folder))
            container: Container | None = None
            try:
                store_file(folder, "script.py", script)
                store_file(folder, "plan.json", json.dumps(plan))
                store_file(folder, "resolv.conf", f"nameserver {PROBE_ROUTER}\n")
                container = self._client.containers.create(
                    image,
                    entrypoint=["sh", "-c", _PROBE],
                    name=name,
                    labels=self._labels,
                    network_mode="none",
                    mounts=[mount(folder, "/e5b/probe"), mount(folder / "resolv.conf", "/etc/resolv.conf")],
                    **LIMITS,
                )
                container.start()
                container.reload()
                self._plug(image, int(container.attrs["State"]["Pid"]))
                status = container.wait(timeout=PROBE_TIMEOUT)["StatusCode"]
                output = container.logs(stdout=True, stderr=False)
                try:
                    answer: Mapping[str, Any] = json.loads(output)
                except ValueError:
                    raise EnvironmentFailed(
                        _("The probe did not end as it should (exit status {status}).").format(status=status),
                        details=_lines(container.logs(tail=20)),
                    ) from None
                return answer
            finally:
                if container is not None:
                    container.remove(force=True)
                shutil.rmtree(folder)

    def _plug(self, image: str, pid: int) -> None:
        """A cable from the guard's network into the process *pid*, whose end is the seat that probes."""
        commands = [
            # That of the probe before goes with its container's network, a moment after the container.
            f"ip link delete {PROBE_INTERFACE} 2>/dev/null || true",
            f"ip link add {PROBE_INTERFACE} type veth peer name eth0 address {PROBE_MAC} netns {pid}",
            f"ip address add {PROBE_ROUTER}/30 dev {PROBE_INTERFACE}",
            f"ip link set {PROBE_INTERFACE} up",
        ]
        self._client.containers.run(
            image,
            entrypoint=["sh", "-ec", "; ".join(commands)],
            name=f"{self._name}-once",
            labels=self._labels,
            network_mode=self._network,
            pid_mode="host",
            remove=True,
            stderr=True,
            **LIMITS,
        )


_PROBE = f"""
set -e
until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
ip address add {PROBE_ADDRESS}/30 dev eth0
ip link set lo up
ip link set eth0 up
ip route add default via {PROBE_ROUTER}
exec python3 -I /e5b/probe/script.py </e5b/probe/plan.json
"""


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


def _digest(image: str, files: Mapping[str, str], network: str) -> str:
    made_of = json.dumps([image, files, LIMITS, network], sort_keys=True)
    return hashlib.sha256(made_of.encode()).hexdigest()


def _lines(output: bytes) -> list[str]:
    return output.decode(errors="replace").strip().splitlines()
