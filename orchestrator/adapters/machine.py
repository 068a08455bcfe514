"""The machine that the centre runs on: its clock, its facts, its locks. Implements ports.Clock, Host, Locks."""

import contextlib
import fcntl
import getpass
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from orchestrator.errors import Busy, E5BError
from orchestrator.i18n import _
from orchestrator.ports import Clock, Noted

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Moment:
    """One instant as it was noted: what the exam's clock showed, the system's clock, and the seconds since *boot*."""

    at: datetime
    system: datetime
    boot: str
    since_boot: float


class ExamClock:
    """The exam's clock: the system's when the last ``follow`` was made, and from then on the kernel's own count of
    seconds, which nobody can set (CLOCK_BOOTTIME, clock_gettime(2)).

    The file holds the last moment that was noted. After a reboot the count begins anew: the time that has passed is
    then what the system's clock shows, never less than nothing.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        noted = self._noted()
        return self._present().at if noted is None else self._since(noted, self._present())

    def follow(self) -> None:
        self._note(self._present())

    def note(self) -> None:
        present, noted = self._present(), self._noted()
        self._note(present if noted is None else replace(present, at=self._since(noted, present)))

    def noted(self) -> Noted | None:
        noted = self._noted()
        return None if noted is None else Noted(noted.at, rebooted=noted.boot != self._present().boot)

    def drift(self) -> timedelta:
        return self._present().system - self.now()

    def _since(self, noted: Moment, present: Moment) -> datetime:
        if noted.boot == present.boot:
            return noted.at + timedelta(seconds=present.since_boot - noted.since_boot)
        return noted.at + max(timedelta(), present.system - noted.system)

    def _present(self) -> Moment:
        """With the system's clock as the exam's."""
        system = datetime.now(UTC)
        return Moment(system, system, BOOT_ID.read_text(encoding="ascii").strip(), time.clock_gettime(CLOCK))

    def _noted(self) -> Moment | None:
        try:
            found = json.loads(self._file.read_text(encoding="ascii"))
            return Moment(
                datetime.fromisoformat(found["at"]),
                datetime.fromisoformat(found["system"]),
                found["boot"],
                float(found["since_boot"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise E5BError(
                _("The exam's clock in {path} cannot be read: {error}.").format(path=self._file, error=error),
                hint=_("Check the folder's owner and the disk. Without the file, the system's clock counts."),
            ) from error

    def _note(self, moment: Moment) -> None:
        text = json.dumps(
            {**asdict(moment), "at": moment.at.isoformat(), "system": moment.system.isoformat()}, sort_keys=True
        )
        new = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with new.open("w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        except OSError:
            # A full disk: what was noted before still tells the time.
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)


CLOCK = time.CLOCK_BOOTTIME


def actor() -> str:
    """The account that acts, as the journal names it."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


class FileLocks:
    """One lock file per room, one for what all rooms share, one for who supervises. The kernel gives a lock back when
    its holder ends, however it ends."""

    def __init__(self, folder: Path, clock: Clock, wait: float = 5.0) -> None:
        self._folder, self._clock, self._wait = folder, clock, wait

    @contextmanager
    def room(self, room: str, command: str, *, patient: bool = True) -> Iterator[None]:
        with self._held(f"{room}.lock", command, self._wait if patient else 0.0) as holder:
            if holder is not None:
                raise Busy(
                    _("Room {room}: {holder}.").format(room=room, holder=holder),
                    hint=_("Wait until it ends, then run the command again."),
                )
            yield

    @contextmanager
    def supervisor(self) -> Iterator[None]:
        with self._held(SUPERVISOR, "serve", self._wait) as holder:
            if holder is not None:
                raise Busy(
                    _("This centre is supervised already: {holder}.").format(holder=holder),
                    hint=_("Nothing is to be done. To replace it, end that process first."),
                )
            yield

    def supervised(self) -> bool:
        with self._held(SUPERVISOR, None, 0.0) as holder:
            return holder is not None

    @contextmanager
    def subject(self) -> Iterator[None]:
        with self._held(".subject.lock", "subject unlock", self._wait) as holder:
            if holder is not None:
                raise Busy(
                    _("A subject is being unlocked: {holder}.").format(holder=holder),
                    hint=_("Wait until it ends, then run the command again."),
                )
            yield

    @contextmanager
    def jury(self) -> Iterator[None]:
        with self._held(".jury.lock", "evidence open", self._wait) as holder:
            if holder is not None:
                raise Busy(
                    _("A sealed site is being opened or closed: {holder}.").format(holder=holder),
                    hint=_("Wait until it ends, then run the command again."),
                )
            yield

    @contextmanager
    def _held(self, name: str, command: str | None, wait: float) -> Iterator[str | None]:
        """Yields None when the lock is ours, or who has it after *wait* seconds. Without *command* it is only tried."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / name).open("a+", encoding="utf-8") as file:
            deadline = time.monotonic() + wait
            while True:
                try:
                    fcntl.flock(file, (fcntl.LOCK_EX if command else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        yield self._holder(Path(file.name))
                        return
                    time.sleep(0.02)
            if command is not None:
                since = self._clock.now().isoformat()
                holder = {"command": command, "actor": actor(), "pid": os.getpid(), "since": since}
                file.truncate(0)
                file.write(json.dumps(holder))
                file.flush()
            yield None

    def centre(self) -> AbstractContextManager[None]:
        return self._turn(".centre.lock")

    def measuring(self) -> AbstractContextManager[None]:
        return self._turn(".measuring.lock")

    @contextmanager
    def _turn(self, name: str) -> Iterator[None]:
        """Wait until the lock is ours. No room's has this name: a room's begins with no dot."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / name).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _holder(self, path: Path) -> str:
        with contextlib.suppress(OSError, ValueError, KeyError):
            holder = json.loads(path.read_text(encoding="utf-8"))
            since = datetime.fromisoformat(holder["since"]).astimezone().strftime("%H:%M:%S")
            return _("{actor} is running `{command}` since {since} (process {pid})").format(
                actor=holder["actor"], command=holder["command"], since=since, pid=holder["pid"]
            )
        return _("another command is working on it")


SUPERVISOR = ".supervisor.lock"


LOAD_MEASURED = 0.2
"""Seconds over which the use of the processors is measured."""


class SystemHost:
    def cpus(self) -> int:
        return psutil.cpu_count() or 1

    def memory_available(self) -> int:
        return int(psutil.virtual_memory().available)

    def processor_load(self) -> float:
        return float(psutil.cpu_percent(interval=LOAD_MEASURED))

    def swaps(self) -> bool:
        return psutil.swap_memory().total > 0

    def disk_free(self, path: Path) -> int:
        existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        return int(psutil.disk_usage(str(existing)).free)

    def port_holder(self, address: str, port: int) -> str | None:
        for connection in psutil.net_connections(kind="tcp4") + psutil.net_connections(kind="tcp6"):
            if not connection.laddr or connection.status != psutil.CONN_LISTEN or connection.laddr.port != port:
                continue
            everywhere = {"0.0.0.0", "::"}  # noqa: S104
            if connection.laddr.ip != address and not {connection.laddr.ip, address} & everywhere:
                continue
            if connection.pid is None:
                return _("a process of another user")
            with contextlib.suppress(psutil.Error):
                return f"{psutil.Process(connection.pid).name()} ({connection.pid})"
        return None

    def clock_synchronised(self) -> bool | None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            shown = subprocess.run(
                ["timedatectl", "show", "--property=NTPSynchronized", "--value"],
                capture_output=True,
                text=True,
                timeout=5,
                check=True,
            )
            return {"yes": True, "no": False}.get(shown.stdout.strip())
        return None

    def interfaces(self) -> list[str]:
        return list(psutil.net_if_addrs())

    def networks(self) -> list[str]:
        with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
            shown = subprocess.run(
                ["ip", "-json", "-4", "route", "show"], capture_output=True, text=True, timeout=5, check=True
            )
            return [route["dst"] for route in json.loads(shown.stdout) if route["dst"] != "default"]
        return []
