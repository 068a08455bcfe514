"""A Docker engine of the bench's own, with nothing in it: what loading images costs can only be measured there."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker

from bench.centre import Failed

START = """
set -eu
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind "$1/data" /var/lib/docker
ip link set lo up
exec dockerd -H "unix://$1/docker.sock" --cgroup-parent "/$2" --iptables=false --bridge=none
"""


@contextlib.contextmanager
def own_engine(folder: Path) -> Iterator[docker.DockerClient]:
    """An engine with its data in *folder*, which is empty or was one's before; it listens on ``docker.sock`` there.
    Needs root. Raises Failed."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    group = f"e5b-bench-{os.getpid()}"
    with (folder / "dockerd.log").open("a") as log:
        holder = subprocess.Popen(
            [
                *("unshare", "--mount", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"),
                *("sh", "-c", START, "engine", folder, group),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        client = docker.DockerClient(f"unix://{folder / 'docker.sock'}", version="1.41", timeout=600)
        try:
            deadline = time.monotonic() + 60
            while not _answers(client):
                if holder.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"no engine of its own: {(folder / 'dockerd.log').read_text()[-2000:]}")
                time.sleep(0.05)
            yield client
        finally:
            client.close()
            # Its processes die with the first of them.
            holder.kill()
            holder.wait(60)
            for top in Path("/sys/fs/cgroup").glob(f"**/{group}"):
                for path, _folders, _files in os.walk(top, topdown=False):
                    with contextlib.suppress(OSError):
                        Path(path).rmdir()


def _answers(client: docker.DockerClient) -> bool:
    with contextlib.suppress(Exception):
        return bool(client.ping())
    return False
