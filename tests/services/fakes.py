"""A centre whose world is in memory, over the real store: what the services do, without an engine.

The :class:`World` is what survives when a command is killed (containers, archives, the gateway, the time); the ports
are made anew for each command. A :class:`Fuse` counts the calls of all ports and kills the command at one of them:
from then on every call fails, as if the process had ended.
"""

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.adapters.store import SqliteStore
from orchestrator.domain import naming
from orchestrator.domain.bank import Unlocked
from orchestrator.domain.exam import Environment, EnvironmentRole, Site
from orchestrator.domain.fingerprint import Fingerprint, content_digest
from orchestrator.domain.guard import Category, Origin, Policy, Rule
from orchestrator.domain.lifecycle import WaveState
from orchestrator.domain.plan import Observed
from orchestrator.domain.routes import Route, RouteState
from orchestrator.errors import Busy, Conflict, EnvironmentFailed, EvidenceInvalid, NoSpace
from orchestrator.ports import (
    Aside,
    Attempt,
    EngineFacts,
    GuardState,
    ImageFacts,
    LayerFacts,
    Life,
    Noted,
    PolicyLists,
    SealedArchive,
)
from orchestrator.services.centre import PROBE, Centre
from orchestrator.settings import Settings

START = datetime(2027, 5, 11, 8, 0, tzinfo=UTC)

IMAGE_ID = "sha256:" + "a" * 64
NEWER_IMAGE_ID = "sha256:" + "b" * 64


class Killed(BaseException):
    """The process is gone."""


class Fuse:
    """Kills at the call number *at* and at each one after it."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.calls = at, []  # type: int | None, list[str]
        self._lock = threading.Lock()

    def __call__(self, what: str) -> None:
        with self._lock:
            self.calls.append(what)
            if self.at is not None and len(self.calls) >= self.at:
                raise Killed(what)


class KilledAt(Fuse):
    """Kills at the first call that begins with *what*."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def __call__(self, what: str) -> None:
        if what.startswith(self._what):
            self.at = 0
        super().__call__(what)


@dataclass
class Container:
    """*work* is what a candidate saved in it; *altered* a file that is not as in the image."""

    name: str
    image: str
    ours: bool = True
    running: bool = True
    address: str | None = None
    seat: int | None = None
    work: tuple[str, ...] = ()
    altered: str | None = None
    paused: bool = False
    held: bool = False
    size: int = 0
    started_at: datetime = START
    ended_at: datetime | None = None
    silent: bool = False
    fixtures: bytes | None = None
    gentle: bool = False
    aside: bool = False


@dataclass
class Archive:
    manifest: dict[str, Any]
    content: bytes
    damaged: bool = False

    @property
    def sha256(self) -> str:
        return f"{hash((json.dumps(self.manifest, sort_keys=True), self.content)):x}"


@dataclass
class World:
    """*layers* maps the images made of environments to the work in them.

    *wiped* are the containers that were removed, *lost* those of them whose work was in no evidence that held at
    that moment; *defective* are seats whose new environments are born
    with an altered file, *unready* those whose site never serves; *faults* maps (method, container's name) to the
    error that it raises. *kernel* are the seats that the guard's rules lock, whether it runs (*guard*) or not;
    *refused* is what it logs, *lists* what its policy is read from."""

    now: datetime = START
    images: dict[str, ImageFacts] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    layers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    archives: dict[str, Archive] = field(default_factory=dict)
    gateway: list[Route] | None = None
    guard: GuardState | None = None
    kernel: frozenset[int] = frozenset()
    refused: list[Attempt] = field(default_factory=list)
    lists: list[Rule] = field(default_factory=lambda: [rule("drive.google.com")])
    jury: tuple[str, str | None] | None = None
    copies: dict[str, bytes | Archive] = field(default_factory=dict)
    network: bool = False
    disk_free: int = 500 * 10**9
    memory: int = 16 * 10**9
    cpus: int = 8
    wiped: list[Container] = field(default_factory=list)
    lost: list[Container] = field(default_factory=list)
    defective: set[int] = field(default_factory=set)
    unready: set[int] = field(default_factory=set)
    faults: dict[tuple[str, str], Exception] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    ports: dict[int, str] = field(default_factory=dict)
    networks: list[str] = field(default_factory=list)
    references_taken: int = 0
    supervised: bool = False
    load: float = 5.0
    noted: Noted | None = None
    drift: timedelta = timedelta()
    followed: int = 0
    clear: dict[str, Unlocked] = field(default_factory=dict)
    clear_references: dict[tuple[str, str], Fingerprint] = field(default_factory=dict)

    def container(self, seat: int) -> Container:
        """The one that the gateway leads to."""
        address = next(route.address for route in self.gateway or () if route.seat == seat)
        return next(item for item in self.containers.values() if item.address == address and item.ours)

    def reachable(self) -> list[Container]:
        """The containers in which a candidate can work now."""
        opened = {route.address for route in self.gateway or () if route.state is RouteState.OPEN}
        return [
            item
            for item in self.containers.values()
            if item.running and not item.held and item.ours and item.address in opened
        ]

    def candidates_work(self, what: str) -> None:
        """Each candidate who can reach a site saves *what*."""
        for container in self.reachable():
            container.work = (*container.work, what)

    def later(self, **duration: float) -> None:
        self.now += timedelta(**duration)
        for container in self.containers.values():
            # The image lets its requests go on by itself.
            container.held &= timedelta(**duration) < timedelta(minutes=5)

    def served(self) -> dict[int, str]:
        return {route.seat: route.state.value for route in self.gateway or ()}


def rule(name: str, *, blocked: bool = True) -> Rule:
    return Rule(name, blocked, Category.DOCUMENTS if blocked else None, Origin.PROJECT, "documents.toml", 1)


def image(reference: str, site: Site | None, *, contract: str | None = "1", id: str = IMAGE_ID) -> ImageFacts:
    return ImageFacts(id, reference, contract, site.value if site else None, 400 * 10**6)


def new_world() -> World:
    world = World()
    for site, identity in ((Site.WORDPRESS, IMAGE_ID), (Site.PRESTASHOP, "sha256:" + "c" * 64)):
        found = image(f"e5b/{site.value}:current", site, id=identity)
        world.images |= {found.reference: found, identity: found}
    return world


def settings(folder: Path, rooms: Mapping[str, Sequence[int]] | None = None, **sections: Any) -> Settings:
    rooms = rooms or {"salle-1": (1, 2, 3)}
    return Settings.model_validate(
        {
            "centre": {"id": "essai", "name": "Centre d'essai", "state": folder},
            "limits": {"parallel": 1},
            "rooms": [
                {
                    "name": name,
                    "seats": [
                        {"number": seat, "address": f"192.0.2.{seat}", "mac": f"02:00:00:00:00:{seat:02x}"}
                        for seat in seats
                    ],
                }
                for name, seats in rooms.items()
            ],
            **sections,
        }
    )


def new_store(world: World, made_from: Settings) -> SqliteStore:
    return SqliteStore(made_from.database, WorldClock(world), "technicien")


def new_centre(world: World, made_from: Settings, fuse: Fuse | None = None, store: SqliteStore | None = None) -> Centre:
    """The ports of one command."""
    fuse = fuse or Fuse()
    store = store or new_store(world, made_from)
    return Centre(
        settings=made_from,
        store=FusedStore(store, fuse),  # type: ignore[arg-type]
        engine=MemoryEngine(world, fuse),
        gateway=MemoryGateway(world, fuse),
        jury=MemoryJuryGateway(world, fuse),
        sealing=MemorySealing(world, fuse),
        copies=MemoryCopies(world, fuse),
        locks=MemoryLocks(world, fuse),
        host=WorldHost(world),
        clock=WorldClock(world),
        progress=Silence(),
        clear_text=MemoryClearText(world, fuse),
        policy_files=WorldLists(world),
        guard=None if made_from.guard.mode == "off" else MemoryGuard(world, fuse),
    )


GUARD = {"mode": "gateway", "interface": "lan0", "uplink": "wan0", "resolvers": ["192.0.2.253"]}
"""The section that turns the guard on."""


class FusedStore:
    def __init__(self, store: SqliteStore, fuse: Fuse) -> None:
        self._store, self._fuse = store, fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse(f"store.{name}")
            return method(*args, **kwargs)

        return call


@dataclass
class WorldClock:
    world: World

    def now(self) -> datetime:
        return self.world.now

    def follow(self) -> None:
        self.world.followed += 1
        self.note()

    def note(self) -> None:
        self.world.noted = Noted(self.world.now, rebooted=False)

    def noted(self) -> Noted | None:
        return self.world.noted

    def drift(self) -> timedelta:
        return self.world.drift


class Silence:
    def begin(self, title: str, total: int) -> None: ...
    def step(self, what: str) -> None: ...
    def end(self) -> None: ...


@dataclass
class WorldHost:
    world: World

    def cpus(self) -> int:
        return self.world.cpus

    def memory_available(self) -> int:
        return self.world.memory

    def processor_load(self) -> float:
        return self.world.load

    def swaps(self) -> bool:
        return False

    def disk_free(self, path: Path) -> int:
        return self.world.disk_free

    def interfaces(self) -> list[str]:
        return ["lan0", "wan0"]

    def port_holder(self, address: str, port: int) -> str | None:
        return self.world.ports.get(port)

    def clock_synchronised(self) -> bool | None:
        return True

    def networks(self) -> list[str]:
        return self.world.networks


@dataclass
class MemoryLocks:
    world: World
    fuse: Fuse

    @contextmanager
    def room(self, room: str, command: str, *, patient: bool = True) -> Iterator[None]:
        self.fuse("locks.room")
        if room in self.world.held:
            raise Busy(f"Room {room}: `{self.world.held[room]}` is running.")
        self.world.held[room] = command
        try:
            yield
        finally:
            # The kernel gives it back, however the process ends.
            del self.world.held[room]

    @contextmanager
    def measuring(self) -> Iterator[None]:
        self.fuse("locks.measuring")
        with MEASURING:
            yield

    @contextmanager
    def supervisor(self) -> Iterator[None]:
        if self.world.supervised:
            raise Busy("This centre is supervised already.")
        self.world.supervised = True
        try:
            yield
        finally:
            self.world.supervised = False

    def supervised(self) -> bool:
        self.fuse("locks.supervised")
        return self.world.supervised

    @contextmanager
    def subject(self) -> Iterator[None]:
        self.fuse("locks.subject")
        yield

    @contextmanager
    def jury(self) -> Iterator[None]:
        self.fuse("locks.jury")
        yield

    @contextmanager
    def centre(self) -> Iterator[None]:
        self.fuse("locks.centre")
        with SHARED:
            yield


MEASURING = threading.Lock()
SHARED = threading.Lock()
"""What all rooms share is changed by one command at a time."""


@dataclass
class MemoryGateway:
    world: World
    fuse: Fuse

    def ensure(self, routes: Sequence[Route]) -> bool:
        self.fuse("gateway.ensure")
        if ("ensure", "gateway") in self.world.faults:
            raise self.world.faults["ensure", "gateway"]
        if self.world.gateway is not None:
            self.world.gateway = list(routes)
            return False
        self.world.gateway = [Route(route.seat, RouteState.WAITING) for route in routes]
        self.fuse("gateway.ensure: started, not switched")
        self.world.gateway = list(routes)
        return True

    def switch(self, routes: Sequence[Route], cut: Collection[str] = ()) -> None:
        self.fuse("gateway.switch")
        if self.world.gateway is None:
            raise EnvironmentFailed("The gateway does not run.")
        self.world.gateway = list(routes)

    def serving(self) -> list[Route] | None:
        self.fuse("gateway.serving")
        if ("serving", "gateway") in self.world.faults:
            return None
        return None if self.world.gateway is None else list(self.world.gateway)

    def remove(self) -> None:
        self.fuse("gateway.remove")
        self.world.gateway = None


@dataclass
class WorldLists:
    world: World

    def read(self) -> PolicyLists:
        if ("read", "lists") in self.world.faults:
            raise self.world.faults["read", "lists"]
        return PolicyLists(tuple(self.world.lists), only_allowed=False, notes=())


@dataclass
class MemoryGuard:
    """*world.kernel* outlives it: what is locked stays so when it dies."""

    world: World
    fuse: Fuse

    def _fault(self, method: str) -> None:
        self.fuse(f"guard.{method}")
        if (method, "guard") in self.world.faults:
            raise self.world.faults[method, "guard"]

    def ensure(self, policy: Policy, locked: Collection[int]) -> bool:
        self._fault("ensure")
        wanted = GuardState(policy.version, frozenset(locked), {"haproxy": True, "dnsmasq": True})
        changed = self.world.guard != wanted
        self.world.kernel, self.world.guard = wanted.locked, wanted
        return changed

    def lock(self, locked: Collection[int]) -> None:
        self._fault("lock")
        if self.world.guard is None:
            raise EnvironmentFailed("The guard does not run.")
        self.world.kernel = frozenset(locked)

    def state(self) -> GuardState | None:
        self._fault("state")
        return None if self.world.guard is None else replace(self.world.guard, locked=self.world.kernel)

    def attempts(self, mark: str = "") -> Iterator[Attempt]:
        self._fault("attempts")
        yield from self.world.refused[int(mark or 0) :]

    def probe(self, script: str, plan: Mapping[str, Any]) -> Mapping[str, Any]:
        self._fault("probe")
        return {}

    def remove(self) -> None:
        self._fault("remove")
        self.world.guard, self.world.kernel = None, frozenset()


class ProbedGuard:
    """Answers for the probe's seat: *open* and *broken* are probes that go wrong. *during* is called before it does."""

    def __init__(self, guard: MemoryGuard, *wrong: str, during: Callable[[], object] = lambda: None) -> None:
        self.guard, self.wrong, self.during = guard, wrong, during
        self.plans: list[Mapping[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.guard, name)

    def probe(self, script: str, plan: Mapping[str, Any]) -> Mapping[str, Any]:
        self.plans.append(plan)
        self.during()
        state = self.guard.state()
        assert state is not None and "def main()" in script
        closed = PROBE in state.locked
        works = {"search-https", "search-http", "allowed-https", "allowed-http", "own-site", "pac"}
        return {
            "results": {
                probe["id"]: {"reached": (not closed or probe["id"] in works) != (closed and probe["id"] in self.wrong)}
                for probe in plan["probes"]
            },
            "pins": {name: ["192.0.2.9"] for name in plan["pin"]},
        }


@dataclass
class MemoryJuryGateway:
    world: World
    fuse: Fuse

    def open(self, address: str, sign_in: str | None) -> None:
        self.fuse("jury.open")
        if ("open", "jury") in self.world.faults:
            raise self.world.faults["open", "jury"]
        self.world.jury = (address, sign_in)

    def close(self) -> None:
        self.fuse("jury.close")
        self.world.jury = None


@dataclass
class MemorySealing:
    world: World
    fuse: Fuse

    def write(self, name: str, manifest: Mapping[str, Any], parts: Iterator[bytes]) -> SealedArchive:
        self.fuse("sealing.write")
        if ("write", name) in self.world.faults:
            raise self.world.faults["write", name]
        content = b"".join(parts)
        self.fuse("sealing.write: written, not renamed")
        archive = self.world.archives[name] = Archive(dict(manifest), content)
        return SealedArchive(Path("/evidence") / name, archive.sha256, len(content), archive.manifest)

    def verify(self, name: str, sha256: str) -> None:
        self.fuse("sealing.verify")
        archive = self.world.archives.get(name)
        if archive is None or archive.damaged or archive.sha256 != sha256:
            raise EvidenceInvalid(f"The evidence {name} does not hold.")

    def read(self, path: Path) -> SealedArchive:
        self.fuse("sealing.read")
        archive = self.world.archives.get("/".join(path.parts[-2:]))
        if archive is None or archive.damaged:
            raise EvidenceInvalid(f"The evidence {path.name} does not hold.")
        return SealedArchive(path, archive.sha256, len(archive.content), archive.manifest)

    def content(self, path: Path) -> Iterator[bytes]:
        self.fuse("sealing.content")
        yield self.world.archives["/".join(path.parts[-2:])].content

    def manifest_of_damaged(self, name: str) -> Mapping[str, Any] | None:
        self.fuse("sealing.manifest_of_damaged")
        return None

    def size(self, name: str) -> int | None:
        self.fuse("sealing.size")
        found = self.world.archives.get(name)
        return None if found is None else len(found.content)

    def set_aside(self, name: str) -> str:
        self.fuse("sealing.set_aside")
        aside = f"{name}.damaged"
        if name in self.world.archives:
            assert aside not in self.world.archives
            self.world.archives[aside] = self.world.archives.pop(name)
        return aside

    def remove(self, name: str) -> None:
        self.fuse("sealing.remove")
        if ("remove", name) in self.world.faults:
            raise self.world.faults["remove", name]
        self.world.archives.pop(name, None)

    def leftovers(self, wave: str) -> list[str]:
        self.fuse("sealing.leftovers")
        return sorted(name for name in self.world.archives if name.startswith(f"{wave}/") and ".damaged" in name)


@dataclass
class MemoryCopies:
    """One folder outside."""

    world: World
    fuse: Fuse

    def manifest(self, folder: Path) -> Mapping[str, Any] | None:
        self.fuse("copies.manifest")
        found = self.world.copies.get("manifest.json")
        return None if found is None else json.loads(found)  # type: ignore[arg-type]

    def holds(self, folder: Path, name: str, sha256: str) -> bool:
        self.fuse("copies.holds")
        found = self.world.copies.get(name)
        if found is not None and (not isinstance(found, Archive) or found.sha256 != sha256):
            raise Conflict(f"{name} is there with other content.")
        return found is not None

    def copy(self, folder: Path, name: str, sha256: str) -> None:
        self.fuse("copies.copy")
        if ("copy", name) in self.world.faults:
            raise self.world.faults["copy", name]
        self.world.copies[name] = self.world.archives[name]

    def write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            self.fuse("copies.write")
            self.world.copies[name] = content


@dataclass
class MemoryClearText:
    """*world.clear* is the memory: empty after a reboot."""

    world: World
    fuse: Fuse

    def check(self) -> None:
        self.fuse("clear_text.check")

    def here(self) -> list[str]:
        return sorted(self.world.clear)

    def put(self, key: str, half_day: str, unlocked: Unlocked) -> None:
        self.fuse("clear_text.put")
        self.world.clear[key] = unlocked

    def fixtures(self, key: str) -> bytes | None:
        return self.world.clear[key].fixtures if key in self.world.clear else None

    def reference(self, key: str, image: str) -> Fingerprint | None:
        return self.world.clear_references.get((key, image))

    def keep_reference(self, key: str, image: str, fingerprint: Fingerprint) -> None:
        self.fuse("clear_text.keep_reference")
        self.world.clear_references[key, image] = fingerprint

    def is_empty(self) -> bool:
        return not self.world.clear

    def keep_only(self, keys: Collection[str]) -> None:
        self.fuse("clear_text.keep_only")
        for key in self.world.clear.keys() - set(keys):
            del self.world.clear[key]


class MemoryEngine:
    def __init__(self, world: World, fuse: Fuse) -> None:
        self._world, self._fuse = world, fuse
        self._lock = threading.RLock()

    def _call(self, method: str, name: str = "") -> None:
        self._fuse(f"engine.{method} {name}".rstrip())
        fault = self._world.faults.get((method, name))
        if fault is not None:
            raise fault

    def _ours(self, name: str) -> Container:
        found = self._world.containers.get(name)
        if found is None:
            raise EnvironmentFailed(f"The environment {name} is not there any more.")
        if not found.ours:
            raise Conflict(f"A container named {name} exists and is not ours; it was not touched.")
        return found

    def _running(self, name: str) -> Container:
        found = self._ours(name)
        if not found.running:
            raise EnvironmentFailed(f"{name} does not run.")
        return found

    def facts(self) -> EngineFacts:
        self._call("facts")
        return EngineFacts("20.10.24", "overlay2", Path("/var/lib/docker"), False, False)

    def image(self, reference: str) -> ImageFacts | None:
        self._call("image", reference)
        return self._world.images.get(reference)

    def ensure_network(self) -> None:
        self._call("ensure_network")
        self._world.network = True

    def observe(self, names: Collection[str] = ()) -> dict[str, Observed]:
        self._call("observe")
        return {
            item.name: Observed(item.name, item.ours, item.running, item.image, item.address, item.seat)
            for item in list(self._world.containers.values())
            if item.ours or item.name in names
        }

    def create(self, environment: Environment, *, gently: bool = False) -> None:
        self._call("create", environment.name)
        assert self._world.network
        known = self._world.containers.get(environment.name)
        if known is not None and self._ours(environment.name).image == environment.image:
            self.start(environment.name)
            return
        with self._lock:
            taken = {item.address for item in self._world.containers.values()}
            # As the engine does when it gives an address.
            assert environment.address not in taken, f"address {environment.address} is given twice"
            made = Container(
                environment.name,
                environment.image,
                running=False,
                address=environment.address,
                seat=environment.seat,
                started_at=self._world.now,
                gentle=gently,
            )
            if environment.layer is not None:
                made.work = self._content(environment.layer)
            if environment.seat in self._world.defective:
                made.altered = "/var/www/site/index.php"
            self._world.containers[environment.name] = made
        self._fuse(f"engine.create {environment.name}: created, not started")
        made.running = True

    def create_aside(self, aside: Aside) -> None:
        self._call("create_aside", aside.name)
        self._world.containers.pop(aside.name, None)
        assert self._world.images[aside.image].id == aside.image
        taken = {item.address for item in self._world.containers.values()}
        assert aside.address is None or aside.address not in taken, f"address {aside.address} is given twice"
        made = Container(aside.name, aside.image, address=aside.address, started_at=self._world.now, aside=True)
        if aside.layer is not None:
            made.work = self._content(aside.layer)
        self._world.containers[aside.name] = made

    def load(self, name: str, parts: Iterator[bytes]) -> None:
        self._call("load", name)
        found, content = self._running(name), b"".join(parts)
        if found.aside:
            found.work = tuple(content.decode().splitlines())
        else:
            # Once is right; twice, or over others, is not what it would be after once.
            found.fixtures = (found.fixtures or b"") + content
            self._fuse(f"engine.load {name}: loaded")

    def set_url(self, name: str, url: str) -> None:
        self._call("set_url", name)
        self._running(name)

    def _content(self, layer: str) -> tuple[str, ...]:
        for tag, work in self._world.layers.items():
            if self._world.images[tag].id == layer:
                return work
        raise EnvironmentFailed(f"The restore point's layer {layer} is gone.")

    def start(self, name: str) -> None:
        self._call("start", name)
        found = self._ours(name)
        if not found.running and not found.paused:
            found.started_at = self._world.now
        found.running, found.paused = True, False

    def prefer(self, name: str) -> None:
        self._call("prefer", name)
        self._ours(name).gentle = False

    def life(self, name: str) -> Life | None:
        self._call("life", name)
        found = self._world.containers.get(name)
        if found is None or not found.ours:
            return None
        state = "paused" if found.paused else "running" if found.running else "exited"
        drift = self._world.drift
        return Life(state, found.started_at + drift, found.ended_at and found.ended_at + drift)

    def answers(self, environment: Environment) -> str | None:
        self._call("answers", environment.name)
        found = self._world.containers.get(environment.name)
        well = found is not None and found.running and not found.silent
        return None if well else "it does not answer"

    def restart(self, name: str) -> None:
        self._call("restart", name)
        found = self._ours(name)
        found.ended_at = self._world.now
        found.running, found.held, found.silent, found.started_at = True, False, False, self._world.now

    def remove(self, name: str) -> None:
        self._call("remove", name)
        if name not in self._world.containers:
            return
        removed = self._ours(name)
        whole = b"".join(piece.encode() + b"\n" for piece in removed.work)
        sealed = [
            archive
            for archive in self._world.archives.values()
            if archive.manifest["environment"] == name and archive.content == whole and not archive.damaged
        ]
        kept = removed.work in [self._world.layers[tag] for tag in self._world.layers if tag.startswith("e5b-point/")]
        del self._world.containers[name]
        self._world.wiped.append(removed)
        if removed.work and not sealed and not kept and not removed.aside:
            self._world.lost.append(removed)

    def ready(self, name: str, timeout: float) -> None:
        self._call("ready", name)
        if self._running(name).seat in self._world.unready:
            raise EnvironmentFailed(f"{name}: ready failed: the home page does not answer")

    def fingerprint(self, name: str, *, full: bool = False, within: float | None = None) -> Fingerprint:
        if within is not None:
            self.ready(name, within)
        self._call("fingerprint", name)
        return fingerprint(self._running(name))

    def reference(self, site: Site, image: str, fixtures: bytes | None = None) -> Fingerprint:
        self._call("reference", site.value)
        self._world.references_taken += 1
        name = naming.reference_name("essai", site.value)
        self._world.containers[name] = Container(name, image)
        if fixtures is not None:
            self.load(name, iter([fixtures]))
        with contextlib.ExitStack() as stack:
            stack.callback(self._world.containers.pop, name)
            return fingerprint(self._world.containers[name])

    def describe(self, name: str) -> dict[str, Any]:
        self._call("describe", name)
        return {
            "site": "wordpress",
            "version": "6.8",
            "language": "fr",
            "admin": "/",
            "login": "candidat",
            "password": "not for the jury",
        }

    def quiesce(self, name: str) -> None:
        self._call("quiesce", name)
        self._running(name).held = True

    def thaw(self, name: str) -> None:
        self._call("thaw", name)
        self._ours(name).held = False

    def commit(self, name: str, tag: str, labels: Mapping[str, str]) -> LayerFacts:
        self._call("commit", name)
        found = self._running(name)
        assert found.held, "an image is made of a site that is at rest"
        identity = f"sha256:{tag}"
        self._world.images[tag] = self._world.images[identity] = ImageFacts(identity, tag, None, None, 0)
        self._world.layers[tag] = found.work
        return LayerFacts(identity, tag, 1000)

    def snapshot(self, name: str, tag: str, labels: Mapping[str, str], *, leave_frozen: bool = False) -> LayerFacts:
        self._call("snapshot", name)
        found = self._ours(name)
        if leave_frozen:
            found.running, found.paused = False, True
            self._fuse(f"engine.snapshot {name}: frozen")
        identity = f"sha256:{tag}"
        self._world.images[tag] = self._world.images[identity] = ImageFacts(identity, tag, None, None, 0)
        self._world.layers[tag] = found.work
        return LayerFacts(identity, tag, 1000)

    def remove_layer(self, tag: str) -> None:
        self._call("remove_layer", tag)
        if self._world.layers.pop(tag, None) is not None:
            del self._world.images[self._world.images.pop(tag).id]

    def export(self, name: str) -> Iterator[bytes]:
        self._call("export", name)
        found = self._running(name)
        assert found.held, "evidence is taken of a site that is at rest"
        for piece in found.work:
            self._fuse(f"engine.export {name}: a part")
            yield piece.encode() + b"\n"

    def sizes(self) -> dict[str, int]:
        self._call("sizes")
        return {item.name: item.size for item in self._world.containers.values() if item.ours}

    def pause(self, name: str) -> None:
        self._call("pause", name)
        found = self._ours(name)
        found.running, found.paused = False, True


def fingerprint(container: Container) -> Fingerprint:
    files = {} if container.altered is None else {container.altered: "f:0644:0:33:" + "1" * 64}
    tables = {"wp_options": "143:" + "0" * 32, "wp_posts": f"{61 + len(container.work)}:" + "0" * 32}
    if container.fixtures is not None:
        tables["wp_postmeta"] = "1:" + hashlib.sha256(container.fixtures).hexdigest()[:32]
    manifest = "sha256:" + container.image[-8:]
    return Fingerprint(manifest, files, tables, content_digest(manifest, files, tables))


def violations(centre: Centre, world: World) -> list[str]:
    """What must never be so, whatever was killed and when."""
    found: list[str] = []
    environments = centre.store.environments()
    waived = {place.environment for wave in centre.store.waves() for place in wave.places if place.waived is not None}
    for container in world.lost:
        if container.name not in waived:
            found.append(f"{container.name} was wiped and its work {container.work} was in no evidence that held")
    living = [item for item in environments if item.role is not EnvironmentRole.GONE]
    addresses = [item.address for item in living]
    if len(addresses) != len(set(addresses)):
        found.append(f"an address is given twice: {sorted(addresses)}")
    actives = [item.seat for item in environments if item.role is EnvironmentRole.ACTIVE]
    if len(actives) != len(set(actives)):
        found.append(f"a seat has two active environments: {actives}")
    by_name = {item.name: item for item in environments}
    for wave in centre.store.waves():
        for place in wave.places:
            environment = by_name.get(place.environment or "")
            follows = wave.state in {WaveState.PREPARED, WaveState.OPEN} and environment is not None
            if follows and (environment.role, environment.seat) != (EnvironmentRole.ACTIVE, place.seat):
                found.append(f"seat {place.seat} is said to work in {environment.name}, which is {environment.role}")
            if wave.state is not WaveState.OPEN and any(credit.going_on for credit in place.credits):
                found.append(f"time at seat {place.seat} is given back for ever")
    known = {item.name for item in living}
    for container in world.containers.values():
        if container.ours and container.seat is not None and container.name not in known:
            found.append(f"{container.name} runs and is in no record")
    found += [f"seat {seat} is open and not locked" for seat in open_and_not_locked(centre, world)]
    centre.store.verify_journal()
    return found


def open_and_not_locked(centre: Centre, world: World) -> set[int]:
    """Where a candidate can work while the network of their seat is open, unless somebody has excepted the seat."""
    if centre.guard is None:
        return set()
    excepted = {item.seat for item in centre.store.overrides() if not item.locked}
    opened = {route.seat for route in world.gateway or () if route.state is RouteState.OPEN}
    return opened - world.kernel - excepted


def no_space(missing: str = "1 MB") -> NoSpace:
    return NoSpace(f"The disk is full ({missing}).")
