"""What all tests share, and the order in which `make test` gives them, file by file, to its two processes."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing else.
settings.register_profile("e5b", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("e5b")

HERE = Path(__file__).parent

LONG = ("images", "e2e", "faults", "guard", "adapters", "docs", "bench")
"""Folders in the order of how long they take: no process is left with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(HERE).parts[0]
        return LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=place)


@pytest.fixture
def in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that read what is said."""
    monkeypatch.setenv("E5B_LANG", "en")


def eventually(condition: Callable[[], bool], otherwise: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)
