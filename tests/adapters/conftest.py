"""A disk that is soon full, for who may mount one."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def mount_small(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of a size such as ``128k``. As root it must be possible; others are told that it is not."""
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = False

    def make(size: str) -> Path:
        nonlocal mounted
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "e5b-test", mount]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode != 0:
            said = f"NOT TESTED: a full disk. A file system cannot be mounted here: {made.stderr.strip()}"
            pytest.fail(said) if os.geteuid() == 0 else pytest.skip(said)
        mounted = True
        return mount

    yield make
    if mounted:
        subprocess.run(["umount", mount], check=True)
