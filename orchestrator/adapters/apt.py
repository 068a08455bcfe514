"""Packages of the distribution, installed with apt-get when we are root."""

import os
import shutil
import subprocess

# Unattended upgrades of a machine that has just been switched on may hold the lock for a while.
_LOCK = ("-o", "DPkg::Lock::Timeout=300")
_LONGEST = 1200


class AptFailed(Exception):
    """apt-get could not install something; the text is its last line."""


def root() -> bool:
    return os.geteuid() == 0


def available() -> bool:
    return shutil.which("apt-get") is not None


def install(*packages: str) -> None:
    """Install *packages*; the package lists are only fetched when those at hand do not do. Raises AptFailed."""
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *_LOCK, *packages]
    try:
        _run(command)
    except AptFailed:
        _run(["apt-get", "update", "-q", *_LOCK])
        _run(command)


def knows(package: str) -> bool:
    """Whether the package lists at hand hold *package*."""
    found = subprocess.run(["apt-cache", "show", package], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return found.returncode == 0


def _run(command: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            timeout=_LONGEST,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AptFailed(str(error)) from error
    if done.returncode != 0:
        lines = done.stdout.decode(errors="replace").strip().splitlines()
        # "E: …" lines say what is wrong; what comes after them is seldom of use.
        faults = [line for line in lines if line.startswith("E:")] or lines
        raise AptFailed(faults[0] if faults else f"exit status {done.returncode}")
