"""The machine that the centre runs on: its clock, its facts, its locks. Implements ports.Clock, Host, Locks."""

import contextlib
import fcntl
import getpass
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil

from orchestrator.errors import Busy
from orchestrator.i18n import _


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def actor() -> str:
    """The account that acts, as the journal names it."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


class FileLocks:
    """One lock file per room, and one for what all rooms share. The kernel gives a lock back when its holder ends,
    however it ends."""

    def __init__(self, folder: Path, clock: SystemClock, wait: float = 5.0) -> None:
        self._folder, self._clock, self._wait = folder, clock, wait

    @contextmanager
    def room(self, room: str, command: str) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{room}.lock").open("a+", encoding="utf-8") as file:
            deadline = time.monotonic() + self._wait
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise self._busy(room, file.name) from None
                    time.sleep(0.1)
            holder = {"command": command, "actor": actor(), "pid": os.getpid(), "since": self._clock.now().isoformat()}
            file.truncate(0)
            file.write(json.dumps(holder))
            file.flush()
            yield

    @contextmanager
    def centre(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        # No room has this name: a room's has no dot.
        with (self._folder / ".centre.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _busy(self, room: str, path: str) -> Busy:
        with contextlib.suppress(OSError, ValueError, KeyError):
            holder = json.loads(Path(path).read_text(encoding="utf-8"))
            since = datetime.fromisoformat(holder["since"]).astimezone().strftime("%H:%M:%S")
            return Busy(
                _("Room {room}: {actor} is running `{command}` since {since} (process {pid}).").format(
                    room=room, actor=holder["actor"], command=holder["command"], since=since, pid=holder["pid"]
                ),
                hint=_("Wait until it ends, then run the command again."),
            )
        return Busy(
            _("Room {room}: another command is working on it.").format(room=room),
            hint=_("Wait until it ends, then run the command again."),
        )


class SystemHost:
    def cpus(self) -> int:
        return psutil.cpu_count() or 1

    def memory_available(self) -> int:
        return int(psutil.virtual_memory().available)

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

    def networks(self) -> list[str]:
        with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
            shown = subprocess.run(
                ["ip", "-json", "-4", "route", "show"], capture_output=True, text=True, timeout=5, check=True
            )
            return [route["dst"] for route in json.loads(shown.stdout) if route["dst"] != "default"]
        return []
