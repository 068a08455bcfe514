"""A real browser at a seat of the lab."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, Playwright

from tests.guard.lab import Lab

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
)
NO_QUIC = ("--disable-quic",)
QUIC = ("--enable-quic", "--origin-to-force-quic-on=drive.test:443,search.test:443")


@contextmanager
def browser_at(
    playwright: Playwright, made: Lab, seat: int, folder: Path, flags: tuple[str, ...] = NO_QUIC
) -> Iterator[Page]:
    """A browser that trusts the lab's authority, as every browser trusts the real ones. *folder* keeps its home."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    program = found or playwright.chromium.executable_path
    store = folder / "home" / ".pki" / "nssdb"
    if not store.exists():
        store.mkdir(parents=True)
        subprocess.run(["certutil", "-d", f"sql:{store}", "-N", "--empty-password"], check=True)
        authority = ("-n", "lab", "-t", "C,,", "-i", made.folder / "ca.pem")
        subprocess.run(["certutil", "-d", f"sql:{store}", "-A", *authority], check=True)
    start = folder / f"chromium-{seat}"
    start.write_text(f'#!/bin/sh\nexec {" ".join(made.seats[seat].enter)} "{program}" "$@"\n')
    start.chmod(0o755)
    env: dict[str, str | float | bool] = {**os.environ, "HOME": str(folder / "home")}
    opened = playwright.chromium.launch(executable_path=start, args=[*FLAGS, *flags], env=env)
    try:
        yield opened.new_context().new_page()
    finally:
        opened.close()
