"""A machine inside this one, with a Docker engine of its own, whose engine, disks and power can be taken away.

It is a set of namespaces: processes, network, mounts, and clocks that count from its start. Its first process is all
that holds them: when that is killed, the kernel kills every other process of the machine at the same instant, unmounts
its disks and takes down its network, as when a plug is pulled. It dies with the process that made it, however that one
ends. What stays is what a machine's disks keep; :meth:`Machine.boot` starts from there.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import docker
import psutil

ENGINE_DISK, STATE_DISK = Path("/var/lib/docker"), Path("/srv")
"""Where the machine's two disks are mounted, as its own processes see it: the engine's data, the centre's state."""

SIZES = {"engine": 24 << 30, "state": 8 << 30}
"""Bytes that the disks seem to have. They are sparse: they take what is written to them."""

BOOT = """
set -eu
cgroups=$1 engine=$2 state=$3 booted=$4
# The network's own /sys; the control groups stay those of the kernel.
mount --rbind /sys/fs/cgroup "$cgroups"
mount -t sysfs sysfs /sys
mount --move "$cgroups" /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
cat /proc/sys/kernel/random/uuid >/run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
mount -o loop "$engine" /var/lib/docker
mount -o loop "$state" /srv
ip link set lo up
: >"$booted"
# The kernel buries whoever dies without a parent: nobody waits for them here.
exec env --ignore-signal=CHLD sleep infinity
"""

CLOCKS = {"boottime": time.CLOCK_BOOTTIME, "monotonic": time.CLOCK_MONOTONIC}
"""Those that count from a machine's start."""

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of <linux/sched.h>."""

SHUTDOWN, NO_FLUSH = 0x8004587D, 2
"""FS_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH of <linux/ext4.h>: at once, with nothing more written."""


class Process(subprocess.Popen[str]):
    """A process of the machine. What is started here only waits for it: signals are for the process itself."""

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.pid).children():
                child.send_signal(number)


class Machine:
    """*folder* keeps the disks. Raises an error, saying what is missing, when such a machine cannot be made here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cgroup = f"e5b-faults-{os.getpid()}"
        self._socket = folder / "docker.sock"
        self._log = folder / "dockerd.log"
        for left in Path("/sys/fs/cgroup").glob("**/e5b-faults-*"):
            # Of a test run that was killed.
            if not psutil.pid_exists(int(left.name.rpartition("-")[2])):
                _bury(left.name)
        for disk, size in SIZES.items():
            with self._disk(disk).open("wb") as file:
                file.truncate(size)
            lazily = "lazy_itable_init=1,lazy_journal_init=1"
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-E", lazily, self._disk(disk)], check=True)
        self.client = docker.DockerClient(f"unix://{self._socket}", version="1.41", timeout=120)

    def _disk(self, name: str) -> Path:
        return self.folder / f"{name}.img"

    # Power

    def boot(self) -> None:
        """Power on: the disks as they are, a network of its own, an engine that answers."""
        cgroups, booted = self.folder / "cgroups", self.folder / "booted"
        cgroups.mkdir(exist_ok=True)
        booted.unlink(missing_ok=True)
        self._holder = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *("unshare", "--mount", "--net", "--pid", "--mount-proc", "--fork", "--kill-child", "--time"),
                *(f"--{name}={-int(time.clock_gettime(clock))}" for name, clock in CLOCKS.items()),
                *("sh", "-c", BOOT, "boot", cgroups, self._disk("engine"), self._disk("state"), booted),
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # A Ctrl-C on the terminal is for who made the machine, not for what runs in it.
            start_new_session=True,
        )
        while not booted.exists():
            if self._holder.poll() is not None:
                assert self._holder.stderr is not None
                raise RuntimeError(f"No machine for the fault tests: {self._holder.stderr.read().decode()}")
            time.sleep(0.01)
        self._init = psutil.Process(self._holder.pid).children()[0].pid
        self.start_engine()

    @property
    def running(self) -> bool:
        return self._holder.poll() is None

    @property
    def holder(self) -> int:
        """Its first process, whose network is the machine's."""
        return self._init

    def pull_plug(self) -> None:
        """Everything dies at once, and what was not yet on a disk is not there any more."""
        for disk in (ENGINE_DISK, STATE_DISK):
            with self.on_disk(disk) as folder:
                fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", NO_FLUSH))
        self.kill()

    def kill(self) -> None:
        """Everything dies at once: engine, containers, commands. The disks have all that was written to them."""
        os.kill(self._init, signal.SIGKILL)
        _bury(self._cgroup)
        self._holder.wait(60)
        until(lambda: not any(map(_in_use, map(self._disk, SIZES))), 60, "the disks are still in use")
        _bury(self._cgroup)

    def close(self) -> None:
        """The machine is gone, with its disks."""
        self.client.close()
        if self.running:
            self.kill()
        for name in SIZES:
            self._disk(name).unlink()

    # Its processes and its network

    def start(self, *command: str, cwd: Path, env: Mapping[str, str] = os.environ) -> Process:
        """A process of the machine, running; its streams are text."""
        return Process(
            self._inside("sh", "-c", 'cd "$0" && exec "$@"', str(cwd), *command),
            env={**env, "DOCKER_HOST": "unix:///run/docker.sock"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _inside(self, *command: str) -> list[str]:
        return ["nsenter", f"--target={self._init}", "--mount", "--net", "--pid", "--time", "--", *command]

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """What this thread connects to, it connects to from inside the machine."""
        with Path("/proc/self/task", str(threading.get_native_id()), "ns/net").open() as outside:
            with Path("/proc", str(self._init), "ns/net").open() as inside:
                _enter(inside)
            try:
                yield
            finally:
                _enter(outside)

    # Its engine

    def start_engine(self) -> None:
        """The engine runs and answers."""
        with self._log.open("a") as log:
            self._engine = Process(
                self._inside(
                    *("dockerd", "-H", "unix:///run/docker.sock", "-H", f"unix://{self._socket}"),
                    *("--cgroup-parent", f"/{self._cgroup}"),
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._engine.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The machine's engine does not start: {self._log.read_text()[-3000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(self.client.ping())
        return False

    def stop_engine(self) -> None:
        """As ``systemctl stop docker``: it ends the containers and itself."""
        self._end_engine(signal.SIGTERM)

    def kill_engine(self) -> None:
        """It is killed, and its containerd with it; what runs in the containers goes on without them."""
        self._end_engine(signal.SIGKILL)

    def _end_engine(self, number: int) -> None:
        self._engine.send_signal(number)
        self._engine.wait(120)

    def load(self, outside: docker.DockerClient, image: str) -> None:
        """Bring *image* in from another engine, and wait until it is on the disk."""
        self.client.images.load(outside.api.get_image(image))
        subprocess.run(["sync", "--file-system", self.path(ENGINE_DISK)], check=True)

    def processes(self, container: str) -> list[psutil.Process]:
        """The processes in the container that has this id, the first one last."""
        listed = self._group_file(container, "cgroup.procs").split()
        return sorted((psutil.Process(int(number)) for number in listed), key=lambda process: -process.pid)

    def memory_kills(self, container: str) -> int:
        """How many processes the kernel has killed in the container because its memory was used up."""
        for name in ("memory.oom_control", "memory.events"):
            with contextlib.suppress(StopIteration):
                counts = dict(line.split() for line in self._group_file(container, name).splitlines())
                return int(counts["oom_kill"])
        raise RuntimeError("no control group of memory")

    def _group_file(self, container: str, name: str) -> str:
        return next(Path("/sys/fs/cgroup").glob(f"**/{self._cgroup}/{container}/{name}")).read_text()

    # Its disks

    @contextlib.contextmanager
    def on_disk(self, path: Path) -> Iterator[int]:
        """A descriptor of the folder *path* of the machine."""
        folder = os.open(self.path(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield folder
        finally:
            os.close(folder)

    def path(self, path: Path) -> Path:
        """Where this process finds the machine's own *path*, as long as the machine runs."""
        return Path("/proc", str(self._init), "root", *path.parts[1:])

    def fill(self, disk: Path, leave: int = 0) -> None:
        """Take all room of *disk* but *leave* bytes."""
        ballast = self.path(disk) / "ballast"
        with ballast.open("ab", buffering=0) as file:
            # The file's own bookkeeping takes some room too: the rest is written until there is none.
            os.posix_fallocate(file.fileno(), file.tell(), self.free(disk) - max(leave, 8 << 20))
            file.seek(0, os.SEEK_END)
            with contextlib.suppress(OSError):
                while not leave:
                    file.write(bytes(4096))

    def free(self, disk: Path) -> int:
        return shutil.disk_usage(self.path(disk)).free

    def make_room(self, disk: Path) -> None:
        (self.path(disk) / "ballast").unlink(missing_ok=True)


def until(what: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait until *what* holds. Raises AssertionError, saying *otherwise*, after *seconds*."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"{otherwise} after {seconds} s"
        time.sleep(0.05)


def _in_use(disk: Path) -> bool:
    return bool(subprocess.run(["losetup", "--associated", disk], capture_output=True, check=True).stdout)


def _bury(group: str) -> None:
    """Let go of what was frozen when it was killed: until then it does not die. Remove the control groups that are
    empty."""
    for top in Path("/sys/fs/cgroup").glob(f"**/{group}"):
        for folder, _folders, files in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                if "freezer.state" in files:
                    Path(folder, "freezer.state").write_text("THAWED")
                Path(folder).rmdir()


def _enter(namespace: IO[str]) -> None:
    # Python has os.setns since 3.12 only.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace.fileno(), NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "setns")
