"""The facts of the machine that a figure belongs to."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import psutil


def facts(client: docker.DockerClient, images: dict[str, str]) -> dict[str, Any]:
    """*images* maps a site to the image that is measured."""
    info = client.info()
    root = Path(info["DockerRootDir"])
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processors": psutil.cpu_count(),
        "processor": _processor(),
        "memory_bytes": psutil.virtual_memory().total,
        "disk": _disk(root),
        "disk_free_bytes": psutil.disk_usage(str(root)).free if root.is_dir() else None,
        "system": info["OperatingSystem"],
        "kernel": info["KernelVersion"],
        "engine": info["ServerVersion"],
        "storage_driver": info["Driver"],
        "cgroup": info.get("CgroupVersion", "1"),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "sites": {site: _site(client, image) for site, image in images.items()},
    }


def _commit() -> str | None:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _disk(folder: Path) -> str:
    """The file system that holds *folder* and what it lies on, such as ``ext4 on vda (solid state)``."""
    held = [item for item in psutil.disk_partitions(all=True) if folder.is_relative_to(item.mountpoint)]
    if not held:
        return "unknown"
    found = max(held, key=lambda item: len(item.mountpoint))
    device = Path(found.device).resolve().name
    for name in (device, device.rstrip("0123456789"), device.rpartition("p")[0]):
        rotational = Path("/sys/block", name, "queue/rotational") if name else None
        if rotational is not None and rotational.exists():
            kind = "rotating" if rotational.read_text().strip() == "1" else "solid state"
            virtual = "virtual, says it is " if name.startswith(("vd", "xvd")) else ""
            return f"{found.fstype} on {device} ({virtual}{kind})"
    return f"{found.fstype} on {device}"


def _site(client: docker.DockerClient, image: str) -> dict[str, Any]:
    """What the image says of itself, and its size."""
    described = json.loads(
        client.containers.run(image, entrypoint="/opt/e5b/bin/describe", network_mode="none", remove=True)
    )
    found = client.images.get(image)
    return {"version": described["version"], "image": found.id, "image_bytes": found.attrs["Size"]}
