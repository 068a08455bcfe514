"""What the services need from the world, as small protocols. Adapters implement them; wiring chooses."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Protocol

from orchestrator.domain.bank import Bank, Document, Role, SealedBank, SealedEntry, Subject, Unlocked
from orchestrator.domain.calendar import Window, Zone
from orchestrator.domain.context import ContextManifest, Layer, PackedImage
from orchestrator.domain.exam import Alarm, Environment, Evidence, RestorePoint, Site, Wave
from orchestrator.domain.fingerprint import Fingerprint
from orchestrator.domain.guard import Policy, Rule
from orchestrator.domain.locks import Override, Tried
from orchestrator.domain.plan import Observed
from orchestrator.domain.routes import Route
from orchestrator.domain.subject import SubjectRecord
from orchestrator.domain.unlock_code import UnlockCode


@dataclass(frozen=True)
class Noted:
    """A moment of the exam's clock, and whether the machine was started anew since."""

    at: datetime
    rebooted: bool


class Clock(Protocol):
    """The exam's clock. It does not follow a system clock that is set while candidates work."""

    def now(self) -> datetime:
        """The present as an aware UTC datetime."""

    def follow(self) -> None:
        """Show what the system's clock shows from now on. Only while no candidate's time runs."""

    def note(self) -> None:
        """Note that this moment was lived: where time goes on from, should the machine stop now."""

    def noted(self) -> Noted | None:
        """The last moment that was noted; None before the first."""

    def drift(self) -> timedelta:
        """How far the system's clock is ahead of this one."""


class Progress(Protocol):
    """Shows that something long goes on. ``begin`` opens a phase of *total* parts, ``step`` ends one part."""

    def begin(self, title: str, total: int) -> None: ...
    def step(self, what: str) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True)
class EngineFacts:
    """*storage_driver* such as ``overlay2``; *root* is the engine's data folder; *disk_quota* says whether the
    engine can bound the size of a container's layer, *layers_reachable* whether this process can reach the layers
    themselves."""

    version: str
    storage_driver: str
    root: Path
    disk_quota: bool
    live_restore: bool
    layers_reachable: bool = True


@dataclass(frozen=True)
class ImageFacts:
    """*id* is the content digest ``sha256:…``; *contract* and *site* are None without the labels."""

    id: str
    reference: str
    contract: str | None
    site: str | None
    size: int


@dataclass(frozen=True)
class LayerFacts:
    """An image made of an environment: its *id*, and what it adds in bytes."""

    id: str
    tag: str
    size: int


@dataclass(frozen=True)
class Life:
    """A container's life, in the system clock's time: *started_at* of the present or last run, *ended_at* of the run
    before (or the last, when it does not run). *state* as the engine calls it: ``running``, ``paused``, ``exited``…"""

    state: str
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Aside:
    """A container of ours that is no seat's, from *image*. *role* is its label; *layer* is put into it as into an
    environment; without an *address* of the internal network it is on none. *url*: None for the image's own."""

    name: str
    role: str
    image: str
    url: str | None = None
    address: str | None = None
    layer: str | None = None


class Engine(Protocol):
    """The container engine, seen from a centre. All methods raise EngineUnavailable when it does not answer and
    EnvironmentFailed when an environment does not do what it is asked."""

    def facts(self) -> EngineFacts: ...

    def image(self, reference: str) -> ImageFacts | None:
        """The image that *reference* (name or id) stands for, or None."""

    def ensure_network(self) -> None:
        """The centre's internal network. Raises Conflict when its name or subnet is somebody else's."""

    def observe(self, names: Collection[str] = ()) -> dict[str, Observed]:
        """Every container of ours, and any container at all that has one of *names*."""

    def create(self, environment: Environment, *, gently: bool = False) -> None:
        """Create and start, with the content of the environment's *layer* in it if it names one. An existing container
        of ours with that name and image is kept and started. One that is made *gently* gets the processors only while
        nobody else wants them. Raises Conflict when the name is somebody else's."""

    def create_aside(self, aside: Aside) -> None:
        """Create and start it, in the place of any other of ours that has its name."""

    def start(self, name: str) -> None: ...

    def prefer(self, name: str) -> None:
        """Give one that was made gently its full share of the processors."""

    def life(self, name: str) -> Life | None:
        """When a container of ours was started and had ended before; None when there is none."""

    def answers(self, environment: Environment) -> str | None:
        """None when the site, its web server and its database answer within ANSWER_TIMEOUT seconds; otherwise what is
        wrong."""

    def restart(self, name: str) -> None:
        """Stop cleanly (what does not end is killed) and start again; saved work stays."""

    def remove(self, name: str) -> None:
        """Remove a container of ours, running or not; nothing when there is none. Raises Conflict when it is not
        ours."""

    def ready(self, name: str, timeout: float) -> None:
        """Wait until the image says that its site serves; EnvironmentFailed after *timeout* seconds."""

    def fingerprint(self, name: str, *, full: bool = False, within: float | None = None) -> Fingerprint:
        """With *within*: once the site is :meth:`ready`, in those seconds; it costs less than one after the other."""

    def reference(self, site: Site, image: str, fixtures: bytes | None = None) -> Fingerprint:
        """The fingerprint of *image* itself, or of what *fixtures* make of it, taken in full in a throw-away
        environment."""

    def describe(self, name: str) -> dict[str, Any]: ...

    def quiesce(self, name: str) -> None: ...

    def thaw(self, name: str) -> None: ...

    def commit(self, name: str, tag: str, labels: Mapping[str, str]) -> LayerFacts:
        """Make one image of the environment, in one layer above its image."""

    def snapshot(self, name: str, tag: str, labels: Mapping[str, str], *, leave_frozen: bool = False) -> LayerFacts:
        """The same in an instant: between two of its pages if one ends within a second, with all its processes frozen
        while the layer is made. *leave_frozen*: until ``start``."""

    def remove_layer(self, tag: str) -> None:
        """Remove such an image; nothing when there is none. Raises Conflict when it is not ours."""

    def export(self, name: str) -> Iterator[bytes]:
        """The portable content of the environment: the tar that the contract's ``export`` writes."""

    def load(self, name: str, parts: Iterator[bytes]) -> None:
        """Apply a tar to the site: the contract's ``load-fixtures``."""

    def set_url(self, name: str, url: str) -> None:
        """Change the address that the site believes it has."""

    def sizes(self) -> dict[str, int]:
        """Bytes that each environment of ours has written above its image."""

    def pause(self, name: str) -> None:
        """Freeze every process of the environment; ``start`` lets them go on."""


class Gateway(Protocol):
    """One stable address per seat."""

    def ensure(self, routes: Sequence[Route]) -> bool:
        """The gateway runs and serves *routes*; True when it had to be started or replaced. Raises Conflict when
        a port or the name is somebody else's."""

    def switch(self, routes: Sequence[Route], cut: Collection[str] = ()) -> None:
        """Serve *routes* from now on, all at once; what is stored survives a restart of the gateway. What still
        waits for an address in *cut*, where nobody is, gets the page that comes back by itself. Raises
        EnvironmentFailed when the running gateway does not confirm them."""

    def serving(self) -> list[Route] | None:
        """What the running gateway serves; None when it does not run."""

    def remove(self) -> None: ...


class JuryGateway(Protocol):
    """Where a jury looks at one sealed site: read-only, for the staff and whoever sits at this machine."""

    def open(self, address: str, sign_in: str | None) -> None:
        """Serve the site at *address*. Forms are refused, but for the one that is sent to the path *sign_in*. Raises
        Conflict when the port or the name is somebody else's."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class GuardState:
    """What the running guard does. *version* of the policy it serves; *locked* seats; *engines* by name, and whether
    each runs."""

    version: str
    locked: frozenset[int]
    engines: Mapping[str, bool]


@dataclass(frozen=True)
class Attempt:
    """Something that the guard refused. *seat* is None for a machine that is none. *what* is the name, or the address,
    port and protocol (``198.51.100.7:443/udp``), *layer* where it was refused (``dns``, ``name``, ``network``), *line*
    as the engine wrote it. *at* in the system clock's time; *mark* says where reading goes on from."""

    at: datetime
    seat: int | None
    address: str
    what: str
    layer: str
    line: str
    mark: str


@dataclass(frozen=True)
class PolicyLists:
    """What the guard's lists hold: every rule, the project's, the academy's, the centre's, then what is imported.
    *only_allowed*: the academy says that nothing is open but what is allowed. *notes* say what was left out, a sentence
    each."""

    rules: Sequence[Rule]
    only_allowed: bool
    notes: Sequence[str]


class PolicyFiles(Protocol):
    """The lists that the guard's policy is made of."""

    def read(self) -> PolicyLists:
        """All lists, whole. Raises InputInvalid with every fault of every file, each with file and line;
        SignatureInvalid when the academy's rules are not what the academy signed."""


class ClearText(Protocol):
    """What is unlocked, in clear: in memory alone (a tmpfs that is this centre's own), and gone after a reboot. All
    raise Refused when there is no such place."""

    def check(self) -> None:
        """Nothing but that: there is such a place."""

    def here(self) -> list[str]:
        """The subjects that are here, whole. Never raises."""

    def put(self, key: str, half_day: str, unlocked: Unlocked) -> None:
        """Keep a subject, whole or not at all. The jury can read all of it from now on; its candidates as soon as the
        gateway leads them to it."""

    def fixtures(self, key: str) -> bytes | None:
        """Those of a subject that is here."""

    def reference(self, key: str, image: str) -> Fingerprint | None:
        """What the subject's fixtures make of *image*, once it was kept."""

    def keep_reference(self, key: str, image: str, fingerprint: Fingerprint) -> None: ...

    def is_empty(self) -> bool:
        """Whether nothing of any subject is here, not even a part. Never raises."""

    def keep_only(self, keys: Collection[str]) -> None:
        """Remove every other subject, and what was left of one. Nothing is raised where nothing is to be removed."""


class Guard(Protocol):
    """What the seats may reach on the network. Whatever dies, a locked seat stays locked."""

    def ensure(self, policy: Policy, locked: Collection[int]) -> bool:
        """The engines run with *policy*, and exactly the seats *locked* are locked; True when something had to be
        started or changed. What the engines' own checkers refuse is never put in place (Refused, with what they say):
        the former policy stays. Raises Conflict when something that is not ours is in the way."""

    def lock(self, locked: Collection[int]) -> None:
        """Exactly these seats are locked from now on, all at once; their open connections to anything but their own
        site end. Raises EnvironmentFailed when the running guard does not confirm it."""

    def state(self) -> GuardState | None:
        """None when the guard does not run."""

    def attempts(self, mark: str = "") -> Iterator[Attempt]:
        """What was refused after *mark*, oldest first; everything that is kept without one."""

    def probe(self, script: str, plan: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run the self-contained Python *script* from a seat's point of view, with *plan* as JSON on its input; the
        JSON that it writes. The seat from which it is run has the number 0 for ``lock``."""

    def remove(self) -> None:
        """Take the guard and its rules away. Every seat is open then, or has no network at all where this machine is
        its router."""


@dataclass(frozen=True)
class KeyFiles:
    """A pair of keys. *text* is the public key as ``centre.toml`` holds it."""

    secret: Path
    public: Path
    text: str


class Signatures(Protocol):
    """Detached signatures of files, beside them under the same name followed by ``.minisig``."""

    def new_keys(self, folder: Path, password: str) -> KeyFiles:
        """Write a new pair of keys; without a *password* the secret one is as it is on the disk. Raises Refused when
        there is one, InputInvalid."""

    def encrypted(self, secret_key: Path) -> bool:
        """Whether the key in that file needs a password. Raises InputInvalid."""

    def sign(self, path: Path, secret_key: Path, password: str, comment: str) -> Path:
        """Sign *path*; the signature's file. *comment* (ASCII) is signed with it, and completed with name and size.
        Raises InputInvalid for the key and its password."""

    def verify(self, path: Path, public_key: str) -> str:
        """The comment that was signed. Raises SignatureInvalid: no signature, another key, a file that is cut short or
        changed; InputInvalid when it cannot be read."""


@dataclass(frozen=True)
class ToSeal:
    """A subject for one half-day in one zone, with the *code* that will open it. *documents* are PDF; *fixtures* is the
    tar that ``load-fixtures`` takes, or None."""

    half_day: str
    zone: Zone
    role: Role
    window: Window
    code: UnlockCode
    subject: Subject
    documents: Mapping[Document, bytes] = field(repr=False)
    fixtures: bytes | None = field(repr=False)


class SealedBanks(Protocol):
    """The national bank as one file for all centres, each of its subjects sealed on its own."""

    def write(
        self, path: Path, session: str, version: int, sealed_at: datetime, subjects: Sequence[ToSeal]
    ) -> SealedBank:
        """Write *path*, whole or not at all. All entries are padded to one size, and have drawn names. Raises
        Refused when it exists, InputInvalid when it cannot be written."""

    def read(self, path: Path) -> SealedBank:
        """The public part, when every entry is there and whole; who signed it is ports.Signatures' to say. Raises
        SignatureInvalid when it is not complete, InputInvalid when it cannot be read."""

    def unlock(self, path: Path, entry: SealedEntry, code: UnlockCode) -> Unlocked | None:
        """The subject in clear, in memory alone; None when *code* does not open it. Costs about a second and, while it
        lasts, 256 MB. Raises SignatureInvalid when the entry is not what *entry* says."""


class BankFiles(Protocol):
    """The bank's folder, where its authors work."""

    def read(self, folder: Path) -> Bank:
        """What the folder holds; what cannot be read is among its findings. Raises InputInvalid when it is none."""

    def scaffold(self, folder: Path, subject_id: str, site: Site, title: str) -> list[Path]:
        """Write the subject's files, and the bank's when there is none; their paths. Raises Refused when the subject
        exists, InputInvalid when nothing can be written."""

    def fixtures(self, subject: Subject) -> bytes | None:
        """The subject's fixtures as the tar that ``load-fixtures`` takes: the same bytes each time."""


class Documents(Protocol):
    """Papers as PDF."""

    def pdf(
        self, template: str, values: Mapping[str, Any], pictures: Mapping[str, bytes] = MappingProxyType({})
    ) -> bytes:
        """The PDF of the project's *template* (its name without ``.html.j2``) filled with *values*. Markdown goes
        through its filter ``markdown``; only *pictures*, by the path that the text names, can be shown: nothing is
        fetched. Raises Refused when this machine cannot make any."""


class Papers(Protocol):
    """The centre's papers."""

    def pdf(self, paper: str, values: Mapping[str, Any], codes: Mapping[str, str]) -> bytes:
        """The PDF of the project's *paper*. *codes* are the texts of its QR codes, by the name that its template has
        for their pictures. Raises Refused when this machine cannot make any."""


@dataclass(frozen=True)
class SealedArchive:
    """An archive that was read whole and is as its own manifest says. *path* is absolute; *sha256* is the whole
    file's."""

    path: Path
    sha256: str
    size: int
    manifest: Mapping[str, Any]


class Sealing(Protocol):
    """Evidence on the disk."""

    def write(self, name: str, manifest: Mapping[str, Any], parts: Iterator[bytes]) -> SealedArchive:
        """Write the archive *name* from the exported tar stream, with *manifest* completed by each part's sha256;
        sync, rename, read back. Nothing remains of an attempt that fails. Raises NoSpace, EvidenceInvalid."""

    def verify(self, name: str, sha256: str) -> None:
        """Read archive *name* whole and check it against *sha256* and its own manifest. Raises EvidenceInvalid."""

    def read(self, path: Path) -> SealedArchive:
        """Read any archive whole, also one from elsewhere, and check it against its own manifest. Raises
        EvidenceInvalid."""

    def content(self, path: Path) -> Iterator[bytes]:
        """The exported tar that went into an archive, without what was added to it. Raises EvidenceInvalid."""

    def manifest_of_damaged(self, name: str) -> Mapping[str, Any] | None:
        """What archive *name*, which does not hold, still says of itself; None when that cannot be read."""

    def size(self, name: str) -> int | None:
        """Bytes of archive *name*; None when it is not there."""

    def set_aside(self, name: str) -> str:
        """Keep the damaged archive *name* under another name, which is returned; nothing is deleted. One that is not
        there gets such a name as well."""

    def remove(self, name: str) -> None:
        """Remove an archive, and its wave's folder with the last one; nothing when there is none. Raises
        EvidenceInvalid when it cannot be removed."""

    def leftovers(self, wave: str) -> list[str]:
        """Names of what interrupted and repaired attempts left in the folder of *wave*."""


class Copies(Protocol):
    """Evidence copied to a folder outside, such as a USB stick. All raise InputInvalid when the folder cannot be used,
    NoSpace when it is full, Conflict when a file that is not ours is in the way."""

    def manifest(self, folder: Path) -> Mapping[str, Any] | None:
        """What an earlier export to *folder* says it holds; None when there was none. Writes nothing that stays."""

    def holds(self, folder: Path, name: str, sha256: str) -> bool:
        """Whether the copy *name* is there and right."""

    def copy(self, folder: Path, name: str, sha256: str) -> None:
        """Copy archive *name*, synced and read back. Raises EvidenceInvalid when it has not that digest."""

    def write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        """Put texts of the export in place, each whole or not at all; in the order given."""


@dataclass(frozen=True)
class Entry:
    """A line of the journal to be written."""

    action: str
    wave: str | None = None
    seat: int | None = None
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class JournalLine:
    """A line as it was written. *hash* covers the line and the hash before it."""

    number: int
    at: datetime
    actor: str
    action: str
    wave: str | None
    seat: int | None
    data: Mapping[str, Any]
    previous: str
    hash: str

    def content(self) -> dict[str, Any]:
        """All that the hash covers, as JSON can hold it."""
        return {
            "number": self.number,
            "at": self.at.isoformat(),
            "actor": self.actor,
            "action": self.action,
            "wave": self.wave,
            "seat": self.seat,
            "data": self.data,
            "previous": self.previous,
        }


class Store(Protocol):
    """The desired state and the journal. Each ``save`` is one durable transaction together with its journal
    entries."""

    def wave(self, wave: str) -> Wave | None: ...
    def waves(self) -> list[Wave]: ...
    def environments(self) -> list[Environment]: ...
    def evidence(self, wave: str | None = None) -> list[Evidence]: ...
    def points(self, wave: str | None = None) -> list[RestorePoint]: ...
    def alarms(self) -> list[Alarm]:
        """Those that are not over."""

    def reference(self, image: str) -> Fingerprint | None: ...
    def bank(self) -> SealedBank | None:
        """The national bank that was loaded last: its public part."""

    def subjects(self) -> list[SubjectRecord]:
        """Every subject that was ever unlocked, in the order of their unlocking."""

    def overrides(self) -> list[Override]: ...
    def tried(self, wave: str | None = None, *, since: datetime | None = None, unrecorded: bool = False) -> list[Tried]:
        """What the guard refused, oldest first: in one wave, *since* a minute, or not yet known to the journal."""

    def tried_mark(self) -> str:
        """How far the guard's logs were read; empty before the first time."""

    def policy(self) -> Policy | None:
        """The one that was put in place last. Reading a long one takes seconds."""

    def policy_version(self) -> str | None: ...
    def save(
        self,
        *entries: Entry,
        waves: Sequence[Wave] = (),
        environments: Sequence[Environment] = (),
        evidence: Sequence[Evidence] = (),
        points: Sequence[RestorePoint] = (),
        alarms: Sequence[Alarm] = (),
        references: Mapping[str, Fingerprint] | None = None,
        overrides: Mapping[int, Override | None] | None = None,
        tried: Sequence[Tried] = (),
        tried_mark: str | None = None,
        policy: Policy | None = None,
        bank: SealedBank | None = None,
        subjects: Sequence[SubjectRecord] = (),
    ) -> None: ...
    def journal(self, wave: str | None = None) -> list[JournalLine]: ...
    def last(self, action: str) -> JournalLine | None:
        """The newest line of the journal about *action*."""

    def verify_journal(self) -> JournalLine | None:
        """The last line of a chain that holds (None when empty). Raises JournalBroken."""


class Locks(Protocol):
    def room(self, room: str, command: str, *, patient: bool = True) -> AbstractContextManager[None]:
        """Held while one command works on a room's waves; ends with the process, however it ends. Raises Busy
        with who holds it, after a few seconds or, when not *patient*, at once."""

    def measuring(self) -> AbstractContextManager[None]:
        """Held while an image's reference is measured: once, whoever needs it. Waits for its turn."""

    def supervisor(self) -> AbstractContextManager[None]:
        """Held by the one process that supervises the centre. Raises Busy with who does."""

    def supervised(self) -> bool:
        """Whether a process supervises the centre now."""

    def subject(self) -> AbstractContextManager[None]:
        """Held while one command unlocks a subject: codes are tried one after the other. Raises Busy with who does."""

    def jury(self) -> AbstractContextManager[None]:
        """Held while one command shows a sealed site, or takes it away. Raises Busy with who does."""

    def centre(self) -> AbstractContextManager[None]:
        """Held while one command reads and changes what all rooms share: the environments' addresses, the gateway's
        routes. Waits for its turn, which comes soon; taken last."""


class Host(Protocol):
    """Facts about the machine. Sizes are bytes."""

    def cpus(self) -> int: ...
    def memory_available(self) -> int: ...
    def processor_load(self) -> float:
        """Percent of all processors in use, measured over a moment."""

    def swaps(self) -> bool:
        """Whether memory can be written to a disk."""

    def disk_free(self, path: Path) -> int: ...
    def port_holder(self, address: str, port: int) -> str | None:
        """What listens there: a description, or None when the port is free."""

    def clock_synchronised(self) -> bool | None:
        """Whether the clock follows a time server; None when it cannot be told."""

    def interfaces(self) -> list[str]:
        """The names of its network interfaces."""

    def networks(self) -> list[str]:
        """The networks that the machine already knows a route to, as CIDR."""


# What the set-up of a machine needs.


class Outcome(StrEnum):
    """How something that is needed came to be there."""

    KEPT = "kept"
    INSTALLED = "installed"
    STARTED = "started"
    PULLED = "pulled"
    BOOTSTRAPPED = "bootstrapped"
    FOUND = "found"
    BUILT = "built"
    MISSING = "missing"


@dataclass(frozen=True)
class EngineState:
    version: str
    outcome: Outcome


class EngineSetup(Protocol):
    def ensure(self, progress: Progress) -> EngineState:
        """An engine that answers, installed and started when there is none. Raises EngineUnavailable."""


class BaseImages(Protocol):
    def ensure(self, tag: str, progress: Progress) -> Outcome:
        """The distribution's image *tag*, pulled or made here. Raises ImageUnusable."""


@dataclass(frozen=True)
class Member:
    """A file, folder (*open* and *target* None) or link (*target*) of a build's context; *path* is relative."""

    path: str
    executable: bool = False
    size: int = 0
    open: Callable[[], IO[bytes]] | None = None
    target: str | None = None


class Content(Protocol):
    """A tree of files; *digest* stands for all of it."""

    @property
    def digest(self) -> str: ...

    @property
    def where(self) -> str: ...

    def members(self) -> Iterator[Member]: ...


@dataclass(frozen=True)
class Supplied:
    """What an operator supplies to an image: trees by their folder in the build's context. *missing* says in one
    sentence what is needed and cannot be had, *hint* what to do about it; *notes* are what to know besides."""

    folders: Mapping[str, Content]
    missing: str | None = None
    hint: str | None = None
    notes: tuple[str, ...] = ()


class Supplies(Protocol):
    def find(self, image: str, progress: Progress | None = None) -> Supplied:
        """What *image* needs and the project does not hold. Downloads it only when there is a *progress* to
        show it on. Raises ImageUnusable when something is there and is not what it should be."""


@dataclass(frozen=True)
class ProjectImage:
    """An image of the project as the engine has it. *name* such as ``wordpress``; *source* is the digest of what
    it was built from."""

    name: str
    tags: tuple[str, ...]
    id: str
    size: int
    built: datetime
    source: str | None


class ImageBuilder(Protocol):
    def names(self) -> list[str]:
        """The images that the project can build, in the order to build them."""

    def bases(self, name: str) -> list[str]:
        """The images of others that *name* is built from."""

    def source(self, name: str, supplied: Supplied) -> str:
        """The digest of what *name* would be built from now. Raises ImageUnusable when something is missing."""

    def current(self, name: str) -> ProjectImage | None:
        """What ``e5b/<name>:current`` stands for."""

    def images(self) -> Sequence[ProjectImage]: ...

    def find(self, name: str, source: str) -> bool:
        """Make the image built from *source* the current one, if the engine has it."""

    def build(self, name: str, source: str, supplied: Supplied, progress: Progress, *, anew: bool = False) -> None:
        """Build *name* and make it the current one; *anew*: without the engine's cache. Raises ImageUnusable,
        NoSpace."""


# What national packages need: see docs/reference/context-package.md.


@dataclass(frozen=True)
class StoredLayer:
    """A layer that a package has: *diff_id* is the digest of its tar, *size* the tar's bytes, *blob* the digest of what
    is stored."""

    diff_id: str
    size: int
    blob: str


class PackageDraft(Protocol):
    """A package that is being made. *folder* is for what is needed on the way, and goes with it. Raises NoSpace."""

    folder: Path

    @property
    def blobs(self) -> dict[str, int]:
        """What it holds so far: digest to bytes."""

    def add(self, content: bytes) -> str:
        """Hold *content*; its digest."""

    def layer(self, parts: Iterator[bytes]) -> StoredLayer:
        """Hold a layer's tar, compressed."""

    def patch(self, base: Path, layer: Path) -> str:
        """Hold what makes the tar *layer* of the tar *base*; its digest."""

    def oci_manifest(self, image: PackedImage) -> str:
        """Hold the OCI manifest of *image*, which is here whole; its digest."""

    def write(self, manifest: ContextManifest) -> None:
        """Write the file: whole, on the disk, or not at all."""


class Package(Protocol):
    """A package's file, open. All raise SignatureInvalid when its content is not what its manifest says; a digest is
    checked whenever something is read."""

    manifest: ContextManifest

    def __enter__(self) -> "Package": ...
    def __exit__(self, *ended: object) -> None: ...

    @property
    def path(self) -> Path: ...

    def check(self, progress: Progress) -> None:
        """Read all of it."""

    def blob(self, digest: str) -> bytes:
        """A small one."""

    def layer(self, layer: Layer) -> Iterator[bytes]:
        """The tar of a layer whose blob is here."""

    def patched(self, layer: Layer, base: Path) -> Iterator[bytes]:
        """The tar of a layer that is told by the tar *base*."""


class Packages(Protocol):
    def draft(self, path: Path) -> AbstractContextManager[PackageDraft]:
        """What becomes the package *path*; what is not written is gone at the end. Raises InputInvalid, NoSpace."""

    def open(self, path: Path) -> Package:
        """Raises InputInvalid when it cannot be read, SignatureInvalid when it is no package."""


@dataclass(frozen=True)
class SavedImage:
    """An image as the engine gives it: its *config*, whose digest is the image's id, and the digests of its layers'
    tars, in their order."""

    config: bytes
    chain: tuple[str, ...]


@dataclass(frozen=True)
class ImageToLoad:
    """An image for the engine: its *config*, its layers' digests, and *layers*, what gives the bytes of each: its size
    and where they come from. None for one that the engine has."""

    name: str
    config: bytes
    chain: tuple[str, ...]
    layers: Mapping[str, tuple[int, Callable[[], Iterator[bytes]]]]


class ImageTransfer(Protocol):
    """Whole images, into the engine and out of it. All raise EngineUnavailable, EnvironmentFailed, NoSpace."""

    def save(self, image: str, layer: Callable[[Iterator[bytes]], None]) -> SavedImage:
        """Give each layer's tar to *layer*, in any order. Raises ImageUnusable when there is no such image."""

    def holding(self, diff_ids: Collection[str]) -> dict[str, str]:
        """An image that holds each of these layers, of those that the engine has."""

    def present(self, chain: Sequence[str]) -> int:
        """How many of an image's layers, from the first on, the engine has."""

    def load(self, image: ImageToLoad, progress: Progress) -> None:
        """The engine has *image* under its name, or nothing of it."""

    def tag(self, image: str, name: str) -> None: ...

    def untag(self, name: str) -> None:
        """Take the name away, and the image with its last name; nothing when there is none."""

    def read(self, image: str, path: str) -> bytes:
        """A file of an image. Raises ImageUnusable when it has none."""
